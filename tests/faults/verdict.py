"""The judge: from the SMTP server's journal, the attempts in PostgreSQL, and what was enqueued.

A fourth record is the line before the SMTP server: what the fleet had written, and when. Redis is
not asked.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tests.faults.fault import Fault
from tests.faults.ground import DOT_BY_SECONDS, Limit
from tests.faults.town import Town

ON_ITS_WAY = {"ready", "released", "sending"}
RESUMED_SECONDS = 60
"""After a fault, sending must go on within that."""


@dataclass(slots=True)
class Verdict:
    """What a fault came to.

    Attributes:
        name: of the fault.
        runs: how often it was made.
        messages: how many were enqueued.
        lost: neither visible nor accepted, or ended although the server refused nothing.
        doubled: accepted more than once, and no policy asked for it.
        unknown: attempts whose end nobody knows.
        allowed: how many of them the faults may leave.
        worst: most final dots in a window ÷ the limit in force, over all budgets.
        resumed: seconds until every task was sending again.
        use: sent ÷ what the limits allowed; None where that says nothing.
        wrong: what else was found, in words.
    """

    name: str
    runs: int = 1
    messages: int = 0
    lost: int = 0
    doubled: int = 0
    unknown: int = 0
    allowed: int = 0
    worst: float = 0.0
    resumed: float = 0.0
    use: float | None = None
    wrong: list[str] = field(default_factory=list)

    @property
    def broken(self) -> list[str]:
        """The promises that do not hold, in words."""
        promises = {
            f"{self.lost} lost": self.lost > 0,
            f"{self.doubled} doubled": self.doubled > 0,
            f"worst window {self.worst:.3f} of the limit": self.worst > 1,
            f"{self.unknown} unknown, {self.allowed} allowed": self.unknown > self.allowed,
            f"resumed after {self.resumed:.0f} s": self.resumed > RESUMED_SECONDS,
        }
        return [words for words, is_broken in promises.items() if is_broken] + self.wrong

    def plus(self, other: Verdict) -> Verdict:
        """Both runs of one fault together."""
        return Verdict(
            self.name,
            self.runs + other.runs,
            self.messages + other.messages,
            self.lost + other.lost,
            self.doubled + other.doubled,
            self.unknown + other.unknown,
            self.allowed + other.allowed,
            max(self.worst, other.worst),
            max(self.resumed, other.resumed),
            self.use if other.use is None else other.use,
            self.wrong + other.wrong,
        )


def judge(town: Town, fault: Fault, names: set[str], since_us: int) -> Verdict:
    """Judge what became of messages, and of all windows since a moment.

    Args:
        town: where nothing of these is on its way any more.
        fault: what happened.
        names: Message-IDs of what was enqueued.
        since_us: start, in µs since the epoch.
    """
    states = town.states(names)
    accepted = Counter(
        entry["message_id"]
        for entry in town.journal.read()
        if entry["code"] == 250 and entry["message_id"] in names
    )
    attempts = _attempts(town, names)
    resent = attempts["unknown"] if fault.resends else Counter()
    verdict = Verdict(
        name=fault.name,
        messages=sum(state != "cancelled" for state in states.values()),
        lost=sum(is_lost(states.get(name), accepted[name]) for name in names),
        doubled=sum(times > 1 + resent[name] for name, times in accepted.items()),
        unknown=attempts["unknown"].total(),
        allowed=fault.unknowns,
        worst=worst(town, since_us),
    )
    verdict.wrong += _contradictions(town, names, states, accepted, attempts)
    return verdict


def settled(town: Town, names: set[str]) -> bool:
    """Whether nothing of these is on its way."""
    return not ON_ITS_WAY & set(town.states(names).values())


def is_lost(state: str | None, accepted: int) -> bool:
    """Whether a message is lost, by its state and how often the server accepted it.

    The server refuses nothing for good, so whatever ended must have been accepted.

    >>> [is_lost(None, 0), is_lost("sent", 0), is_lost("failed", 0)]
    [True, True, True]
    >>> [is_lost("sent", 1), is_lost("unknown", 0), is_lost("cancelled", 0)]
    [False, False, False]
    """
    if state is None:
        return True
    return state not in {*ON_ITS_WAY, "held", "unknown", "cancelled"} and not accepted


def worst(town: Town, since_us: int) -> float:
    """The fullest window of any budget since a moment, as a share of the limit then in force.

    By the bytes written, at the lines, and by the dots that the SMTP server saw.
    """
    start = since_us - town.window_us
    written = [
        (dot.at_us, office.name, dot.recipients)
        for office in town.offices.values()
        for dot in office.smtp.dots
        if dot.at_us > start
    ]
    seen = [
        (entry["dot_us"], entry["sender"].partition("@")[2].partition(".")[0], _taken(entry))
        for entry in town.journal.read()
        if entry["dot_us"] > start and not town.arrives_late(entry["dot_us"])
    ]
    return max(_worst_of(events, town.limits, town.window_us) for events in (written, seen))


def _taken(entry: dict[str, dict[str, int]]) -> tuple[str, ...]:
    return tuple(address for address, code in entry["recipients"].items() if code == 250)


Event = tuple[int, str, Sequence[str]]


def _worst_of(events: Iterable[Event], limits: Sequence[Limit], window_us: int) -> float:
    budgets: dict[tuple[str, str, str], list[tuple[int, int]]] = {}
    for at_us, office, recipients in events:
        domains = Counter(address.partition("@")[2] for address in recipients)
        for kind in ("task", "account"):
            budgets.setdefault((kind, office, ""), []).append((at_us, len(recipients)))
        for domain, cost in domains.items():
            budgets.setdefault(("domain", office, domain), []).append((at_us, cost))
    shares = [
        share_of_limit(dots, [x for x in limits if (x.kind, x.of) == (kind, of)], window_us)
        for (kind, of, _), dots in budgets.items()
    ]
    return max(shares, default=0.0)


def share_of_limit(
    dots: Iterable[tuple[int, int]], limits: Sequence[Limit], window_us: int
) -> float:
    """The fullest window of one budget as a share of its limit; 0 without a limit.

    A dot stands for its permit, which was granted up to `DOT_BY_SECONDS` before. So a window is
    held to the greatest limit in force within that time before its last dot.

    >>> share_of_limit([(1, 1), (2, 1), (9, 1)], [Limit("task", "main", 4)], window_us=5)
    0.5
    """
    inside: deque[tuple[int, int]] = deque()
    total, found = 0, 0.0
    for at_us, cost in sorted(dots):
        inside.append((at_us, cost))
        total += cost
        while inside[0][0] <= at_us - window_us:
            total -= inside.popleft()[1]
        most = _limit_at(at_us, limits)
        if most:
            found = max(found, total / most)
    return found


def _limit_at(at_us: int, limits: Sequence[Limit]) -> int:
    since = at_us - DOT_BY_SECONDS * 1_000_000
    before = [limit.most for limit in limits if limit.since_us <= since][-1:]
    lately = [limit.most for limit in limits if since < limit.since_us <= at_us]
    return max(before + lately, default=0)


def _attempts(town: Town, names: set[str]) -> dict[str, Counter[str]]:
    """How often each message was attempted, by the attempt's state."""
    found: dict[str, Counter[str]] = {"unknown": Counter(), "accepted": Counter()}
    for row in town.sql(
        """SELECT m.message_id, a.state FROM attempt a JOIN message m ON m.id = a.message_id
        WHERE m.message_id = ANY (:names)""",
        names=list(names),
    ):
        found.setdefault(row.state, Counter())[row.message_id] += 1
    return found


def _contradictions(
    town: Town,
    names: set[str],
    states: dict[str, str],
    accepted: Counter[str],
    attempts: dict[str, Counter[str]],
) -> list[str]:
    """Where the records do not agree."""
    moving = sum(state in ON_ITS_WAY for state in states.values())
    cancelled = sum(states[name] == "cancelled" for name in accepted if name in states)
    claimed: Counter[str] = Counter()
    for state, of in attempts.items():
        claimed.update({} if state == "void" else of)
    written = Counter(
        dot.message_id
        for office in town.offices.values()
        for dot in office.smtp.dots
        if dot.message_id in names
    )
    unseen = sum(times > claimed[name] for name, times in written.items())
    invented = sum(times > accepted[name] for name, times in attempts["accepted"].items())
    found = {
        f"{moving} still on their way": moving,
        f"{cancelled} were cancelled and went": cancelled,
        f"{unseen} went without an attempt": unseen,
        f"{invented} attempts accepted that the server did not accept": invented,
    }
    return [words for words, count in found.items() if count]
