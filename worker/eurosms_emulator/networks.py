"""The networks behind the gateway, all made up: what they charge, and what becomes of a segment."""

from __future__ import annotations

from dataclasses import dataclass

RECEIPT = 1
"""Flag: ask the operator for a delivery report. Without it no final status ever comes."""

Change = tuple[float, str]
"""When a status began, in seconds since the epoch, and which."""

WAITING = frozenset({"ENROUTE", "ACCEPTD"})
"""Statuses that another one follows."""


@dataclass(frozen=True, slots=True)
class Network:
    """An operator: its code (MCC.MNC), and its price for a segment in thousandths of a euro."""

    code: str
    price: int


NETWORKS = {
    "42190": Network("231.1", 29),
    "42191": Network("231.2", 31),
    "42195": Network("231.3", 33),
    "42194": Network("231.6", 27),
    "421": Network("231.1", 35),
    "420": Network("230.1", 42),
    "": Network("901.1", 70),
}
"""By how a number begins; the longest that fits counts. The prices are made up."""

FATES: dict[str, tuple[str, ...]] = {
    "01": ("UNDELIV",),
    "02": ("EXPIRED",),
    "03": ("REJECTD",),
    "04": ("UNKNOWN", "DELIVRD"),
    "05": (),
    "06": ("DELETED",),
    "07": ("UNKNOWN",),
    "08": ("DELIVRD",),
    "09": ("DELIVRD", "SEEN"),
}
"""What comes after ACCEPTD, by the last two digits of a magic number; all others are DELIVRD."""

_LAST_SEGMENT_LOST = "08"


def network(number: str) -> Network:
    """Whose number it is.

    >>> network("421905000000").code, network("420601000000").price
    ('231.1', 42)
    """
    return NETWORKS[max((start for start in NETWORKS if number.startswith(start)), key=len)]


def fate(number: str, *, is_last: bool, magic: bool = True) -> tuple[str, ...]:
    """The statuses after ACCEPTD of a segment to a number.

    Args:
        number: international digits.
        is_last: it is the message's last segment.
        magic: whether the last digits mean anything.
    """
    ending = number[-2:]
    if not magic or ending not in FATES:
        return ("DELIVRD",)
    return ("UNDELIV",) if ending == _LAST_SEGMENT_LOST and is_last else FATES[ending]


def life(after: tuple[str, ...], flags: int, begin: float, seconds: float) -> list[Change]:
    """All that will happen to a segment.

    Args:
        after: statuses after ACCEPTD.
        flags: of the SMS.
        begin: when it leaves the gateway.
        seconds: from there to the first status after ACCEPTD, and between any two after that.

    >>> life(("DELIVRD",), 1, 100.0, 4.0)
    [(100.0, 'ENROUTE'), (102.0, 'ACCEPTD'), (104.0, 'DELIVRD')]
    """
    changes: list[Change] = [(begin, "ENROUTE"), (begin + seconds / 2, "ACCEPTD")]
    if flags & RECEIPT:
        changes += [(begin + seconds * turn, status) for turn, status in enumerate(after, 1)]
    return changes


def telling(
    changes: list[Change], late: float = 0.0, *, in_order: bool = True
) -> list[tuple[float, int]]:
    """When each change, by its index, is reported.

    Args:
        changes: all that will happen.
        late: seconds that a report takes.
        in_order: else the last change is reported first, and those before it after it.

    >>> changes = [(100.0, "ENROUTE"), (102.0, "ACCEPTD"), (104.0, "DELIVRD")]
    >>> telling(changes, late=60)
    [(160.0, 0), (162.0, 1), (164.0, 2)]
    >>> telling(changes, in_order=False)
    [(104.0, 2), (106.0, 1), (108.0, 0)]
    """
    if in_order:
        return [(at + late, index) for index, (at, _) in enumerate(changes)]
    last = changes[-1][0]
    backwards = reversed(range(len(changes)))
    return [(last + late + last - changes[index][0], index) for index in backwards]
