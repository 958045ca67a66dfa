"""The judge of SMS: from the gateway's records, the attempts in PostgreSQL, and what was enqueued.

Redis is not asked.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from tests.faults.fault import Fault
from tests.faults.ground import Limit
from tests.faults.sms_town import LIMITS, Accepted, SmsTown
from tests.faults.verdict import ON_ITS_WAY, Verdict, is_lost, share_of_limit


@dataclass(slots=True)
class SmsVerdict(Verdict):
    """What a fault came to, where the messages are SMS.

    Attributes:
        settled: of the attempts without an answer, those that a report proved to have gone.
        held: those of which nothing is known, which wait for a person or the policy.
        unreported: accepted by the gateway, and not shown as its reports have it.
    """

    settled: int = 0
    held: int = 0
    unreported: int = 0

    @property
    def broken(self) -> list[str]:
        """The promises that do not hold, in words."""
        lost = [f"{self.unreported} reports lost"] if self.unreported else []
        # With slots, this class is not the one that super() alone would find.
        return super(SmsVerdict, self).broken + lost

    def plus(self, other: Verdict) -> SmsVerdict:
        """Both runs of one fault together."""
        both = super(SmsVerdict, self).plus(other)
        more = {} if not isinstance(other, SmsVerdict) else other.more
        values = {name: getattr(both, name) for name in Verdict.__dataclass_fields__}
        return SmsVerdict(**values, **{n: v + more.get(n, 0) for n, v in self.more.items()})

    @property
    def more(self) -> dict[str, int]:
        """What SMS have beyond e-mails."""
        return {"settled": self.settled, "held": self.held, "unreported": self.unreported}


@dataclass(frozen=True, slots=True)
class _Attempts:
    """How often each SMS was attempted, by what became of it, and what that is charged with."""

    unknown: Counter[str]
    accepted: Counter[str]
    gone: Counter[str]
    """Those that may have reached the gateway."""
    price: dict[str, int]
    """In thousandths of a euro."""


def judge(town: SmsTown, fault: Fault, names: set[str], since_us: int) -> SmsVerdict:
    """Judge what became of SMS, and of all windows since a moment.

    Args:
        town: where nothing of these is on its way any more.
        fault: what happened.
        names: own keys of what was enqueued.
        since_us: start, in µs since the epoch.
    """
    states = town.states(names)
    records = [one for one in town.records.read() if one.key in names]
    accepted = Counter(one.key for one in records)
    attempts = _attempts(town, names)
    resent = attempts.unknown if fault.resends else Counter[str]()
    held = sum(n for key, n in attempts.unknown.items() if states.get(key) == "unknown")
    verdict = SmsVerdict(
        name=fault.name,
        messages=len(states),
        lost=sum(is_lost(states.get(name), accepted[name]) for name in names),
        doubled=sum(times > 1 + resent[name] for name, times in accepted.items()),
        unknown=attempts.unknown.total(),
        allowed=fault.unknowns,
        worst=worst(town, since_us),
        settled=attempts.unknown.total() - held,
        held=held,
        unreported=sum(states.get(key) not in ends for key, ends in ends_of(records).items()),
    )
    verdict.wrong += _contradictions(states, records, attempts) + _misspent(town)
    return verdict


def settled(town: SmsTown, names: set[str]) -> bool:
    """Whether nothing of these is on its way, and all reports that there are have come."""
    states = town.states(names)
    records = [one for one in town.records.read() if one.key in names]
    return not ON_ITS_WAY & set(states.values()) and all(
        states.get(key) in ends for key, ends in ends_of(records).items()
    )


def ends_of(records: Iterable[Accepted]) -> dict[str, set[str]]:
    """In which states an accepted SMS may be shown at last, by its own key.

    Delivered, if one of several hand-overs was; else as the newest one.
    """
    found: dict[str, set[str]] = {}
    for one in records:
        delivered = found.get(one.key) == {"delivered"}
        found[one.key] = {"delivered"} if delivered else {one.end}
    return found


def worst(town: SmsTown, since_us: int) -> float:
    """The fullest window of any budget since a moment, by the gateway's times of acceptance."""
    budgets: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    for one in town.records.read():
        if one.at_us > since_us - town.window_us:
            for of in (("task", town.enqueued[one.key]), ("account", "")):
                budgets[of].append((one.at_us, one.segments))
    return max((_share(town, of, events) for of, events in budgets.items()), default=0.0)


def _share(town: SmsTown, of: tuple[str, str], events: list[tuple[int, int]]) -> float:
    limits: list[Limit] = [x for x in LIMITS if (x.kind, x.of) == of]
    return share_of_limit(events, limits, town.window_us)


def _attempts(town: SmsTown, names: set[str]) -> _Attempts:
    found = _Attempts(Counter(), Counter(), Counter(), defaultdict(int))
    for row in town.sql(
        """SELECT m.message_id AS key, a.state, coalesce(a.price, 0) * 1000 AS price
        FROM attempt a JOIN message m ON m.id = a.message_id
        WHERE m.message_id = ANY (:names)""",
        names=list(names),
    ):
        found.price[row.key] += row.price
        found.gone[row.key] += row.state != "void"
        found.accepted[row.key] += row.state == "accepted"
        found.unknown[row.key] += row.state == "unknown"
    return found


def _contradictions(
    states: dict[str, str], records: list[Accepted], attempts: _Attempts
) -> list[str]:
    """Where the records do not agree."""
    accepted = Counter(one.key for one in records)
    cost: Counter[str] = Counter()
    for one in records:
        cost[one.key] += one.cost
    # One without an answer of which nothing is known is charged with its estimate.
    known = [key for key, times in accepted.items() if attempts.gone[key] == times]
    found = {
        "still on their way": sum(state in ON_ITS_WAY for state in states.values()),
        "held though the gateway has them": sum(states.get(one) == "unknown" for one in accepted),
        "went without an attempt": sum(n > attempts.gone[k] for k, n in accepted.items()),
        "attempts accepted that the gateway did not accept": sum(
            n > accepted[key] for key, n in attempts.accepted.items()
        ),
        "charged with another price than the gateway's": sum(
            attempts.price[key] != cost[key] for key in known
        ),
    }
    return [f"{count} {words}" for words, count in found.items() if count]


def _misspent(town: SmsTown) -> list[str]:
    """Budgets that are not charged with what their attempts cost."""
    rows = town.sql(
        """SELECT t.name, coalesce(s.spent, 0) AS spent, coalesce(a.price, 0) AS price
        FROM automatic_task t
        LEFT JOIN (SELECT task_id, sum(spent) AS spent FROM sms_spend GROUP BY 1) s
            ON s.task_id = t.id
        LEFT JOIN (SELECT task_id, sum(price) AS price FROM attempt GROUP BY 1) a
            ON a.task_id = t.id"""
    )
    return [
        f"{row.name}: {row.spent} EUR spent, attempts of {row.price} EUR"
        for row in rows
        if row.spent != row.price
    ]
