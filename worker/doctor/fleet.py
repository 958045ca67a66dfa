"""Beat and the workers: who lives, who listens, and what nobody looks after."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import redis
from sqlalchemy import Connection, Row, text

from models.states import Channel
from settings.names import server_queues
from worker import broker, db
from worker.doctor import servers
from worker.doctor.findings import Finding, Installation, Level, fault, ok, warning
from worker.outbox.evidence import UNDER_WAY
from worker.outbox.in_charge import IN_CHARGE

DEAF_AFTER = timedelta(seconds=60)
"""Chosen: four canaries, one at each recover."""

LATE_AFTER = timedelta(seconds=60)
"""Chosen: beat looks several times a second."""

# A process with a hand-over in each slot answers no canary, and is in the best of health.
NAME_BEGINS = "concat_ws('/', s.name, p.host, left(p.id::text, 8), '')"
PROCESSES = text(f"""
    SELECT s.name AS server, p.host, p.pid, p.slots, p.sms_slots, p.clock_offset_ms,
        p.started_at, p.beat_at, p.control_answered_at, p.send_answered_at, p.eurosms_answered_at,
        open.emails >= p.slots AS send_busy, open.sms >= p.sms_slots AS eurosms_busy
    FROM process p JOIN server s ON s.id = p.server_id
    CROSS JOIN LATERAL ({UNDER_WAY.format(begins=NAME_BEGINS)}) AS open
    ORDER BY s.name, p.host, p.pid
""")  # noqa: S608  no value of anybody's is in it

TASKS = text(f"""
    SELECT t.name, t.channel, s.name AS server, s.paused, o.name AS own_server,
        ARRAY(SELECT r.name FROM task_stand_in n JOIN server r ON r.id = n.server_id
              WHERE n.task_id = t.id ORDER BY n.place) AS stand_ins,
        coalesce(t.next_run_at < clock_timestamp() - :late, false) AND i.stopped_at IS NULL AS late
    FROM automatic_task t JOIN server s ON s.id = {IN_CHARGE} JOIN server o ON o.id = t.server_id
    CROSS JOIN installation i
    WHERE t.active ORDER BY t.id
""")  # noqa: S608  no value of anybody's is in it


@dataclass(frozen=True, slots=True)
class Seen:
    """One `kadencia worker`, as it was last seen; `slots` are of e-mails."""

    server: str
    host: str
    pid: int
    slots: int
    sms_slots: int
    clock_offset_ms: float
    started_at: datetime
    beat_at: datetime
    control_answered_at: datetime | None
    send_answered_at: datetime | None
    eurosms_answered_at: datetime | None
    send_busy: bool
    eurosms_busy: bool

    @property
    def where(self) -> str:
        """Its host and number, as people look for it."""
        return f"{self.host}, process {self.pid}"

    @property
    def sends(self) -> str:
        """How many of what it sends at once."""
        slots = {"e-mails": self.slots, "SMS": self.sms_slots}
        return " and ".join(f"{count} {what}" for what, count in slots.items() if count)

    def takes(self, channel: str) -> bool:
        """Whether it sends messages of a channel."""
        return bool(self.sms_slots if channel == Channel.SMS else self.slots)

    def is_silent(self, now: datetime, silent_after: timedelta) -> bool:
        """Whether its heart has stopped."""
        return self.beat_at < now - silent_after

    def deaf_parts(self, now: datetime) -> list[str]:
        """Its parts that have let their canaries lie since a time in which they were asked."""
        if self.started_at > now - DEAF_AFTER:
            return []
        parts = {"control": self.control_answered_at}
        if self.slots and not self.send_busy:
            parts["send"] = self.send_answered_at
        if self.sms_slots and not self.eurosms_busy:
            parts["eurosms"] = self.eurosms_answered_at
        return [part for part, at in parts.items() if at is None or at < now - DEAF_AFTER]


def processes(installation: Installation, connection: Connection) -> Iterator[Finding]:
    """Who lives, whose clock is wrong, who lives and does not listen."""
    seen = [Seen(*row) for row in connection.execute(PROCESSES)]
    now = db.now(connection)
    silent_after = timedelta(seconds=installation.settings.silent_after_seconds)
    live = [one for one in seen if not one.is_silent(now, silent_after)]
    if not live:
        yield fault(
            "workers", "none runs", "start `kadencia up`, or `kadencia worker --server NAME`"
        )
    for name in sorted({one.server for one in live}):
        of_it = [one for one in live if one.server == name]
        sends = ", ".join(one.sends for one in of_it)
        yield ok(f"OAC server {name}", f"{len(of_it)} running, for {sends} at once")
    for one in seen:
        if one not in live:
            yield warning(
                f"OAC server {one.server}",
                f"silent since {one.beat_at:%H:%M:%S} UTC: {one.where}",
                "look at its log; if it is gone for good, it is forgotten after a day",
            )
    for one in live:
        found = servers.clock(f"clock of {one.host}", one.clock_offset_ms)
        if found.level is not Level.OK:
            yield found
    yield from listening(live, now)


def listening(live: Sequence[Seen], now: datetime) -> Iterator[Finding]:
    """Whether live processes take tasks from their queues."""
    deaf = {one: parts for one in live if (parts := one.deaf_parts(now))}
    asked = [one for one in live if one.started_at <= now - DEAF_AFTER]
    if deaf and len(deaf) == len(asked) and all("control" in parts for parts in deaf.values()):
        yield fault(
            "canaries",
            "no worker has answered for a minute",
            "see that `kadencia beat` runs and reaches the same Redis; else restart the workers",
        )
        return
    for one, parts in deaf.items():
        yield fault(
            f"OAC server {one.server}",
            f"lives, but takes no tasks ({' and '.join(parts)}): {one.where}",
            "restart that `kadencia worker`",
        )
    if live and not deaf:
        yield ok("canaries", "all workers listen")


def tasks(installation: Installation, connection: Connection) -> Iterator[Finding]:
    """Active automatic tasks that nobody sweeps."""
    rows = connection.execute(TASKS, {"late": LATE_AFTER}).all()
    live = _live(installation, connection)
    manned = [row for row in rows if row.server in _takers(live, row.channel)]
    name = "automatic tasks"
    if not rows:
        yield ok(name, "none is active, so nothing is sent; `kadencia init` sets the first up")
    for row in rows:
        if row not in manned:
            yield _unmanned(row, name, live)
        elif row.paused:
            resume = f"`kadencia server resume {row.server}` lets it go on"
            yield warning(name, f"{row.name}: its OAC server {row.server} is paused", resume)
        elif row.server != row.own_server:
            yield warning(
                name,
                f"{row.name}: {row.server} stands in for its OAC server {row.own_server}",
                f"start `kadencia worker --server {row.own_server}`; it takes it back by itself",
            )
    late = [row.name for row in manned if row.late and not row.paused]
    if late:
        yield fault(
            "beat",
            f"due for more than a minute and not swept: {', '.join(late)}",
            "start `kadencia beat`; it does not run, or does not reach PostgreSQL or Redis",
        )
    if rows and len(manned) == len(rows) and not late:
        yield ok(name, f"{len(rows)} active")


def _live(installation: Installation, connection: Connection) -> list[Seen]:
    silent_after = timedelta(seconds=installation.settings.silent_after_seconds)
    now = db.now(connection)
    seen = [Seen(*row) for row in connection.execute(PROCESSES)]
    return [one for one in seen if not one.is_silent(now, silent_after)]


def _takers(live: Sequence[Seen], channel: str) -> set[str]:
    """The servers with a process that sends messages of a channel."""
    return {one.server for one in live if one.takes(channel)}


def _unmanned(row: Row[Any], name: str, live: Sequence[Seen]) -> Finding:
    """A task of which the server in charge has no process for it."""
    start = f"start `kadencia worker --server {row.server}`"
    others = [one for one in row.stand_ins if one != row.server]
    ready = [one for one in others if one in _takers(live, row.channel)]
    if ready:
        due = f"{row.server} is silent, and {ready[0]} has not taken over yet"
        wait = "wait for the task's time; then see that `kadencia beat` runs, in the same version"
        return warning(name, f"{row.name}: its OAC server {due}", wait)
    alone = f", nor does {' or '.join(others)} that could stand in" if others else ""
    if row.server not in {one.server for one in live}:
        return fault(name, f"{row.name}: its OAC server {row.server} does not run{alone}", start)
    what, queue = ("SMS", "eurosms") if row.channel == Channel.SMS else ("e-mails", "email")
    return fault(
        name,
        f"{row.name}: no worker of its OAC server {row.server} sends {what}",
        start.replace("`kadencia worker", f"`kadencia worker --queues {queue}"),
    )


def queues(installation: Installation, connection: Connection) -> Iterator[Finding]:
    """Queues in which tasks wait for an OAC server that does not run."""
    live = _live(installation, connection)
    try:
        waiting = _waiting(installation, connection)
    except (redis.RedisError, broker.Unreachable):
        return  # said of it already
    for queue, length in sorted(waiting.items()):
        server, *kind = queue.split(".")[1:]
        channel = Channel.SMS if "eurosms" in kind else Channel.EMAIL
        takers = {one.server for one in live} if "sweep" in kind else _takers(live, channel)
        if server not in takers:
            runs = any(one.server == server for one in live)
            why = "has no worker for it" if runs else "does not run"
            yield warning(
                "queues",
                f"{length} tasks wait in {queue}, and OAC server {server} {why}",
                f"start `kadencia worker --server {server}`; the messages themselves are safe",
            )


def _waiting(installation: Installation, connection: Connection) -> dict[str, int]:
    """Celery's queues of all OAC servers, and how many tasks lie in each."""
    client = installation.redis
    if not installation.settings.tasks_in_redis:
        servers = connection.execute(text("SELECT name FROM server")).scalars()
        names = [name for server in servers for name in server_queues(server)]
        lengths = broker.lengths(installation.settings, client, names)
        return {name: length for name, length in lengths.items() if length}
    found = {}
    for key in client.scan_iter(match="oac.*", count=1000, _type="list"):
        name = key.decode() if isinstance(key, bytes) else str(key)
        found[name] = int(client.llen(name))  # type: ignore[arg-type]  # it is synchronous
    return found
