"""A town that sends SMS: a fleet on two OAC servers, and the gateway's emulator behind a line.

Two automatic tasks send through one account, so they share its limit and its delivery reports.
"""

from __future__ import annotations

import itertools
import json
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet

from models.states import Priority
from tests.faults.crew import SLOTS, Worker
from tests.faults.ground import FULL, TIMES, Ground, Limit
from tests.support.emulator import IID, KEY, EmulatorProcess
from tests.support.rows import MadeTask, make_company, make_eurosms_account, make_sms_task
from tests.support.services import service_directory
from worker.core.sms_text import measure
from worker.outbox import sms_polls
from worker.outbox.sms_inbox import NewSms, SharedSms, store_sms
from worker.vault import Vault

ANSWER_SECONDS = 4
"""After so long without an answer the product takes an SMS for unknown."""
REPORT_SECONDS = "0.5"
CADENCES, ACCOUNT_LIMIT = {"main": 50, "other": 60}, 80
"""Segments in a window. What both tasks share binds them while both are busy."""
LIMITS = (
    *(Limit("task", name, most) for name, most in CADENCES.items()),
    Limit("account", "", ACCOUNT_LIMIT),
)
PRICE = "0.05"
"""EUR for a segment, as long as no report has told a price; more than any there is."""
TEXTS = (
    "Vasa zasielka je pripravena.",
    "Vaša zásielka je pripravená na prevzatie.",
    "Dakujeme za nakup. " * 12,
    "Objednavka bola odoslana.",
)
"""Segments: 1, 1, 2 and 1."""
ENDINGS = ("10", "22", "01", "35", "48", "04", "51", "63", "08", "77", "80", "05", "90", "09")
"""Of numbers, in turn; those below ten do not simply end as delivered."""
WAITING = {"ENROUTE", "ACCEPTD"}
READ = {"DELIVRD", "SEEN"}


@dataclass(frozen=True, slots=True)
class SmsOffice:
    """An automatic task that sends SMS."""

    name: str
    task: MadeTask


@dataclass(frozen=True)
class Accepted:
    """An SMS as the gateway wrote it down when it accepted it."""

    event: Mapping[str, Any]

    @property
    def key(self) -> str:
        """The own key."""
        return str(self.event["key"])

    @property
    def at_us(self) -> int:
        """When, in µs since the epoch."""
        return round(self.event["at"] * 1_000_000)

    @property
    def segments(self) -> int:
        """How many."""
        return len(self.event["segments"])

    @property
    def cost(self) -> int:
        """In thousandths of a euro."""
        return int(self.event["price"]) * self.segments

    @cached_property
    def end(self) -> str:
        """The state in which the product must show it, once all reports were given."""
        last = {one["changes"][-1][1] for one in self.event["segments"]}
        if last & WAITING:
            return "sent"
        return "delivered" if last <= READ else "undelivered"


@dataclass(slots=True)
class Records:
    """The gateway's file, read as far as it has been written.

    Attributes:
        accepted: SMS in the order of their acceptance.
        trxids: under which reports were handed out.
        confirmed: how many pushes of each segment were.
    """

    path: Path
    accepted: list[Accepted] = field(default_factory=list)
    trxids: set[str] = field(default_factory=set)
    confirmed: Counter[str] = field(default_factory=Counter)
    _read: int = 0

    def read(self) -> list[Accepted]:
        """Every SMS accepted so far."""
        with self.path.open("rb") as file:
            file.seek(self._read)
            whole, end, _ = file.read().rpartition(b"\n")
        self._read += len(whole) + len(end)
        for line in whole.splitlines():
            event = json.loads(line)
            if event["event"] == "accepted":
                self.accepted.append(Accepted(event))
            elif event["event"] == "reported":
                self.trxids.add(event["trxid"])
            elif event["event"] == "push-over":
                self.confirmed[event["uuid"]] += event["confirmed"]
        return self.accepted


class SmsWorker(Worker):
    """One `kadencia worker` that sends SMS."""

    def words(self) -> tuple[str, ...]:
        return (
            *("worker", "--server", self.server, "--queues", "eurosms"),
            *("--sms-processes", str(SLOTS)),
        )


class SmsTown(Ground):
    """All of it; made by `sms_town`.

    Attributes:
        enqueued: by own key the office of each SMS whose enqueueing was committed.
        gateway: the line to the emulator.
        poll_id: of the row with the trxid in hand.
    """

    def __init__(self, root: Path, stack: ExitStack, times: Mapping[str, str]) -> None:
        store_key = Fernet.generate_key().decode()
        super().__init__(root, stack, {**times, "KADENCIA_KEYS": store_key})
        self.vault = Vault([store_key])
        self.emulator = stack.enter_context(
            EmulatorProcess("--balance", "1000000", "--report-after", REPORT_SECONDS)
        )
        self.records = Records(self.emulator.records_path)
        self.gateway = self.board.line("gateway", int(self.emulator.url.rpartition(":")[2]))
        self._numbers = itertools.count(1)
        self.offices: dict[str, SmsOffice] = self._offices()
        self.move_in([SmsWorker(self, f"{name}-sms", name) for name in self.offices])

    def enqueue(self, office: str, count: int) -> set[str]:
        """Enqueue SMS to all kinds of numbers; their own keys."""
        task, now = self.offices[office].task, datetime.now(UTC)
        shared = SharedSms(
            company_id=task.company_id,
            lane_id=task.lane_id,
            priority=Priority.NORMAL,
            not_before=now,
            expires_at=now + timedelta(days=1),
        )
        made = [_new_sms(next(self._numbers)) for _ in range(count)]
        with self.engine.begin() as connection:
            store_sms(connection, shared, made)
        self.sql("SELECT pg_notify('kadencia_ready', :lane)", lane=str(task.lane_id))
        keys = {one.own_key for one in made}
        self.enqueued |= dict.fromkeys(keys, office)
        return keys

    def are_full(self, since_us: int) -> bool:
        """Whether the account has used the most of its limit since a moment."""
        recent = self.records.read()[-ACCOUNT_LIMIT:]
        return sum(x.segments for x in recent if x.at_us > since_us) >= FULL * ACCOUNT_LIMIT

    def accepted_since(self, moment: float) -> set[str]:
        """The offices whose SMS were accepted after a moment."""
        since_us = moment * 1_000_000
        recent = self.records.read()[-400:]
        return {self.enqueued[one.key] for one in recent if one.at_us > since_us}

    def accepted(self, keys: set[str]) -> Counter[str]:
        """How often each of these SMS was accepted."""
        return Counter(one.key for one in self.records.read() if one.key in keys)

    @contextmanager
    def misbehaving(self, *faults: dict[str, Any]) -> Iterator[None]:
        """The gateway does these things wrong meanwhile."""
        self.emulator.misbehave(*faults)
        try:
            yield
        finally:
            self.emulator.misbehave()

    def struck(self) -> int:
        """How often its faults have struck."""
        return sum(one["struck"] for one in self.emulator.faults())

    def poll_row(self) -> Any:
        """The row of the integration ID."""
        return self.sql("SELECT * FROM eurosms_poll WHERE id = :id", id=self.poll_id)[0]

    def _offices(self) -> dict[str, SmsOffice]:
        base_url = f"http://127.0.0.1:{self.gateway.port}"
        with self.engine.begin() as connection:
            company = make_company(connection)
            self.account_id = make_eurosms_account(
                connection,
                company,
                base_url=base_url,
                integration_id=IID,
                key=self.vault.seal(KEY),
                connect_timeout=2,
                answer_timeout=ANSWER_SECONDS,
                poll_seconds=1,
                price=PRICE,
                most_connections=8,
                hourly_limit=ACCOUNT_LIMIT,
            )
            sms_polls.ensure(connection, base_url, IID)
            made = {
                name: make_sms_task(
                    connection,
                    company,
                    self.account_id,
                    server=name,
                    cadence=cadence,
                    budget_day=100_000,
                    retry_first=1,
                    retry_longest=4,
                )
                for name, cadence in CADENCES.items()
            }
        self.poll_id = self.sql("SELECT id FROM eurosms_poll")[0].id
        return {name: SmsOffice(name, task) for name, task in made.items()}


def _new_sms(number: int) -> NewSms:
    text = TEXTS[number % len(TEXTS)]
    measured = measure(text)
    return NewSms(
        own_key=uuid.uuid4().hex,
        number=f"+42190{number % 100_000:05}{ENDINGS[number % len(ENDINGS)]}",
        calling_code="+421",
        text=text,
        encoding=measured.encoding.value,
        segments=measured.segments,
    )


@contextmanager
def sms_town(log: Path | None = None, **times: str) -> Iterator[SmsTown]:
    """A town that works; all its processes end with the context.

    Args:
        log: where the fleet's log is kept.
        times: settings that differ from `ground.TIMES`.
    """
    with ExitStack() as stack:
        made = SmsTown(stack.enter_context(service_directory()), stack, {**TIMES, **times})
        try:
            yield made
        finally:
            made.leave(log)
