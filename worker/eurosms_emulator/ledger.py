"""What the gateway knows: accepted SMS, their statuses, the balance, and what it has reported."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from threading import RLock
from typing import Any

from worker.eurosms_emulator.journal import Event, Journal
from worker.eurosms_emulator.sms import Segment, Sms
from worker.eurosms_emulator.times import DAY

Reference = tuple[str, int]
"""A change: the uuid of a segment, and the index of the change."""
Due = tuple[float, int, str, int]
"""A report to hand out: when, a running number, and its reference."""
Found = tuple[Sms, Segment, int]
"""An SMS, a segment of it, and the index of one of its changes."""


class NoBalance(Exception):
    """The credit does not suffice for what was asked for; nothing was accepted."""


class Ledger:
    """The gateway's state. Safe between threads; each change is in the journal before it shows.

    Args:
        journal: goes on from what is in it.
        balance: to begin with, in thousandths of a euro; that of the journal wins.
        keep: days for which a status can be asked for, counted from the sending.
        now: the present.

    Attributes:
        latest: the last moment that the journal speaks of.
    """

    def __init__(self, journal: Journal, balance: int, keep: float, now: float) -> None:
        self._lock = RLock()
        self._journal = journal
        self._keep = keep * DAY
        self._balance = balance
        self._sms: list[Sms] = []
        self._by_uuid: dict[str, tuple[Sms, Segment]] = {}
        self._accepted: Counter[str] = Counter()
        self._due: list[Due] = []
        self._number = 0
        self._handed: dict[str, tuple[float, list[Reference]]] = {}
        self._repeated: set[Reference] = set()
        self._groups: dict[int, list[Sms]] = {}
        self._last_group = 1_000_000
        self._group_asked: dict[int, float] = {}
        self._pushes_over: set[Reference] = set()
        self._confirmed: set[str] = set()
        self.latest = 0.0
        for event in journal.before:
            self._apply(event)
        if not self.latest:
            self._note({"event": "opened", "at": now, "balance": balance})

    def accept(self, messages: Sequence[Sms]) -> None:
        """Take these SMS on, all or none.

        Raises:
            NoBalance: they cost more than there is.
        """
        with self._lock:
            if sum(one.cost for one in messages) > self._balance:
                raise NoBalance
            self._note(*(one.event() for one in messages))

    def affords(self, cost: int) -> bool:
        """Whether there is credit for so many thousandths of a euro."""
        with self._lock:
            return cost <= self._balance

    def new_group(self) -> int:
        """The number of a group that nobody has yet."""
        with self._lock:
            self._last_group += 1
            return self._last_group

    def top_up(self, amount: int, now: float) -> int:
        """Add thousandths of a euro; returns the balance."""
        with self._lock:
            self._note({"event": "topped-up", "at": now, "amount": amount})
            return self._balance

    def note_time(self, now: float) -> None:
        """Remember that the clock has come so far."""
        with self._lock:
            self._note({"event": "clock", "at": now})

    def find(self, uuid: str, now: float) -> tuple[Sms, Segment] | None:
        """The segment of a uuid, of whatever case, unless its days are over."""
        with self._lock:
            found = self._by_uuid.get(uuid.lower())
            return found if found and self._is_kept(found[0], now) else None

    def changed(self, trxid: str, now: float, again: Callable[[Sms], bool]) -> list[Found]:
        """What changed since the last call, once; for a known trxid the same as before.

        Args:
            trxid: the caller's name for this call.
            now: the present.
            again: whether a report that is handed out now is to come once more.
        """
        with self._lock:
            if trxid not in self._handed:
                self._note({"event": "reported", "at": now, "trxid": trxid})
                first = [one for one in self._handed[trxid][1] if one not in self._repeated]
                for uuid, index in first:
                    if again(self._by_uuid[uuid][0]):
                        self._note({"event": "again", "at": now, "uuid": uuid, "index": index})
            return [self._found(one) for one in self._handed[trxid][1]]

    def group_changed(self, group: int, now: float) -> list[Found] | None:
        """The same for the SMS of one group, by calls of its own; None if nobody has it."""
        with self._lock:
            if group not in self._groups:
                return None
            since = self._group_asked.get(group, 0.0)
            news = [
                (sms, segment, index)
                for sms in self._groups[group]
                for segment in sms.segments
                if self._is_kept(sms, now)
                and (index := segment.status(now)) is not None
                and segment.changes[index][0] > since
            ]
            self._note({"event": "group-asked", "at": now, "group": group})
            return news

    def push_over(self, uuid: str, index: int, now: float, *, confirmed: bool) -> None:
        """A change needs no push any more: it was confirmed, or given up."""
        with self._lock:
            event = {"event": "push-over", "at": now, "uuid": uuid, "index": index}
            self._note(event | {"confirmed": confirmed})

    def pushes_open(self) -> Iterator[Found]:
        """Every change whose push is not over; for a gateway that starts again."""
        with self._lock:
            for uuid, (sms, segment) in self._by_uuid.items():
                for index in range(len(segment.changes)):
                    if (uuid, index) not in self._pushes_over:
                        yield sms, segment, index

    def records(self, now: float) -> list[dict[str, Any]]:
        """Every SMS ever accepted, in that order."""
        with self._lock:
            counts, confirmed = self._accepted, self._confirmed
            return [one.record(now, counts[one.key or ""], confirmed) for one in self._sms]

    def figures(self) -> dict[str, Any]:
        """How much there is of everything."""
        with self._lock:
            keys = [count for key, count in self._accepted.items() if key]
            return {
                "balance": self._balance / 1000,
                "sms": len(self._sms),
                "segments": len(self._by_uuid),
                "doubled": sum(count - 1 for count in keys),
                "reports_open": len(self._due),
                "trxids": len(self._handed),
            }

    def _note(self, *events: Event) -> None:
        self._journal.write(*events)
        for event in events:
            self._apply(event)

    def _apply(self, event: Event) -> None:
        """The one way in which anything changes, now and when the journal is read again."""
        self.latest = max(self.latest, event["at"])
        match event["event"]:
            case "opened":
                self._balance = event["balance"]
            case "accepted":
                self._add(Sms.of(event))
            case "topped-up":
                self._balance += event["amount"]
            case "reported":
                self._hand_out(event["trxid"], event["at"])
            case "again":
                self._repeated.add((event["uuid"], event["index"]))
                self._put(event["at"], (event["uuid"], event["index"]))
            case "group-asked":
                self._group_asked[event["group"]] = event["at"]
            case "push-over":
                self._pushes_over.add((event["uuid"], event["index"]))
                if event["confirmed"]:
                    self._confirmed.add(event["uuid"])

    def _add(self, sms: Sms) -> None:
        self._balance -= sms.cost
        self._sms.append(sms)
        self._accepted[sms.key or ""] += 1
        if sms.group is not None:
            self._groups.setdefault(sms.group, []).append(sms)
            self._last_group = max(self._last_group, sms.group)
        for segment in sms.segments:
            self._by_uuid[segment.uuid] = (sms, segment)
            for at, index in segment.told:
                self._put(at, (segment.uuid, index))

    def _put(self, at: float, reference: Reference) -> None:
        self._number += 1
        heapq.heappush(self._due, (at, self._number, *reference))

    def _hand_out(self, trxid: str, now: float) -> None:
        """Give everything that is due to a trxid, and forget the trxids that are too old."""
        while self._handed and now - next(iter(self._handed.values()))[0] > self._keep:
            del self._handed[next(iter(self._handed))]
        chosen: list[Reference] = []
        places: dict[str, int] = {}
        while self._due and self._due[0][0] <= now:
            _, _, uuid, index = heapq.heappop(self._due)
            sms, segment = self._by_uuid[uuid]
            if not self._is_kept(sms, now):
                continue
            if segment.in_order and uuid in places:
                chosen[places[uuid]] = (uuid, index)
                continue
            places[uuid] = len(chosen)
            chosen.append((uuid, index))
        self._handed[trxid] = (now, chosen)

    def _is_kept(self, sms: Sms, now: float) -> bool:
        return now - sms.sent_at <= self._keep

    def _found(self, reference: Reference) -> Found:
        return (*self._by_uuid[reference[0]], reference[1])
