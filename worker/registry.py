"""The `kadencia worker` processes: they register, beat their hearts, answer canaries."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection, Engine, text

from worker import db
from worker.outbox import leases
from worker.outbox.evidence import UNDER_WAY

PARTS = ("control", "send", "eurosms")
"""What a `kadencia worker` may consist of: who sweeps, who sends e-mails, who sends SMS."""
FORGOTTEN_AFTER = timedelta(days=1)
"""Chosen: how long a silent process is still listed."""

ADD_SERVER = text("INSERT INTO server (name) VALUES (:name) ON CONFLICT (name) DO NOTHING")
SERVER = text("SELECT id FROM server WHERE name = :name")

BEAT = text("""
    INSERT INTO process AS p
        (id, server_id, host, pid, version, slots, sms_slots, clock_offset_ms,
        stands_in)
    VALUES (:id, :server_id, :host, :pid, :version, :slots, :sms_slots, :offset, true)
    ON CONFLICT (id) DO UPDATE
    SET beat_at = clock_timestamp(), clock_offset_ms = excluded.clock_offset_ms
""")

LEAVE = text("DELETE FROM process WHERE id = :id")
NOTE_LEFT = text("UPDATE server SET left_at = clock_timestamp() WHERE id = :id")
"""From now on it is silent; stand-ins count from here, since the process's row is gone."""

# Two that leave at once take turns, or each would take the other for one that stays.
LOCK_SERVER = text("SELECT id FROM server WHERE id = :id FOR NO KEY UPDATE")

OTHERS = text("""
    SELECT count(*) FROM process
    WHERE server_id = :server_id AND id <> :id AND beat_at > clock_timestamp() - :silent_after
""")

ANSWERS = text(f"""
    SELECT p.control_answered_at, p.send_answered_at, p.eurosms_answered_at,
        p.slots > 0 AND open.emails >= p.slots AS send_busy,
        p.sms_slots > 0 AND open.sms >= p.sms_slots AS eurosms_busy
    FROM process p CROSS JOIN LATERAL ({UNDER_WAY.format(begins=":begins")}) AS open
    WHERE p.id = :id
""")  # noqa: S608  no value of anybody's is in it

LISTED = text("SELECT id FROM process")

ANSWER = {
    "control": text("UPDATE process SET control_answered_at = clock_timestamp() WHERE id = :id"),
    "send": text("UPDATE process SET send_answered_at = clock_timestamp() WHERE id = :id"),
    "eurosms": text("UPDATE process SET eurosms_answered_at = clock_timestamp() WHERE id = :id"),
}

FORGET = text("DELETE FROM process WHERE beat_at < clock_timestamp() - :after")


@dataclass(frozen=True, slots=True)
class WorkerProcess:
    """One `kadencia worker`, as it tells of itself.

    Attributes:
        id, server, host, pid, version: its own.
        slots: processes that send e-mails; 0 for none.
        sms_slots: processes that send SMS.
    """

    id: UUID
    server: str
    host: str
    pid: int
    version: str
    slots: int
    sms_slots: int = 0

    @property
    def parts(self) -> tuple[str, ...]:
        """Which of `PARTS` it has."""
        slots = {"control": 1, "send": self.slots, "eurosms": self.sms_slots}
        return tuple(part for part in PARTS if slots[part])

    @property
    def evidence(self) -> str:
        """What the names of its sending processes in the evidence begin with."""
        return evidence_name(self.server, self.host, str(self.id))


def evidence_name(server: str, host: str, process: str) -> str:
    """How the sending processes of a `kadencia worker` are called; their number follows.

    >>> evidence_name("main", "mx1", "3ab0b66d-68c8-49b8-8d2b-53222299c834")
    'main/mx1/3ab0b66d/'
    """
    return f"{server}/{host}/{process[:8]}/"


def beat(engine: Engine, worker: WorkerProcess) -> None:
    """Register, or beat its heart; a server of that name is made where there is none."""
    with db.transaction(engine) as connection:
        before = time.time()
        there: datetime = db.now(connection)
        # The database read its clock somewhere between our two looks at ours.
        offset_ms = ((before + time.time()) / 2 - there.timestamp()) * 1000
        connection.execute(
            BEAT,
            {
                "id": worker.id,
                "server_id": _server_id(connection, worker.server),
                "host": worker.host,
                "pid": worker.pid,
                "version": worker.version,
                "slots": worker.slots,
                "sms_slots": worker.sms_slots,
                "offset": offset_ms,
            },
        )


def leave(engine: Engine, worker: WorkerProcess, silent_after: timedelta) -> int:
    """Sign off after an ordered stop.

    Returns:
        How many released messages went back because no other process of the server is left.
    """
    with db.transaction(engine) as connection:
        server_id = _server_id(connection, worker.server)
        connection.execute(LOCK_SERVER, {"id": server_id})
        connection.execute(LEAVE, {"id": worker.id})
        connection.execute(NOTE_LEFT, {"id": server_id})
        values = {"server_id": server_id, "id": worker.id, "silent_after": silent_after}
        if connection.execute(OTHERS, values).scalar_one():
            return 0
        return leases.return_released(connection, server_id)


def _server_id(connection: Connection, name: str) -> int:
    found: int | None = connection.execute(SERVER, {"name": name}).scalar()
    if found is None:
        connection.execute(ADD_SERVER, {"name": name})
        found = connection.execute(SERVER, {"name": name}).scalar_one()
    return found


def known(engine: Engine) -> set[str]:
    """The ids of all processes that are listed, silent ones too."""
    with db.transaction(engine) as connection:
        return {str(process) for process in connection.execute(LISTED).scalars()}


def forget(engine: Engine) -> int:
    """Take those from the list who have been silent for a day; returns how many."""
    with db.transaction(engine) as connection:
        return connection.execute(FORGET, {"after": FORGOTTEN_AFTER}).rowcount


def answers(engine: Engine, worker: WorkerProcess) -> tuple[dict[str, datetime], set[str]]:
    """When each part last answered a canary, and those of which every slot is in a hand-over."""
    with db.transaction(engine) as connection:
        values = {"id": worker.id, "begins": worker.evidence}
        row = connection.execute(ANSWERS, values).one_or_none()
    if row is None:  # not registered yet
        return {}, set()
    found = {
        "control": row.control_answered_at,
        "send": row.send_answered_at,
        "eurosms": row.eurosms_answered_at,
    }
    busy = {"send": row.send_busy, "eurosms": row.eurosms_busy}
    return (
        {part: at for part, at in found.items() if at is not None},
        {part for part, is_busy in busy.items() if is_busy},
    )


def answer_canary(engine: Engine, process: UUID, part: str) -> None:
    """A canary came through: this part of the process takes tasks.

    Raises:
        KeyError: there is no such part.
    """
    with db.transaction(engine) as connection:
        connection.execute(ANSWER[part], {"id": process})
