"""An SMS that the gateway has accepted, and its segments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from worker.eurosms_emulator.networks import WAITING, Change


@dataclass(frozen=True, slots=True)
class Segment:
    """One part of an SMS.

    Attributes:
        uuid: lower case.
        place: in its SMS, from 1.
        changes: its statuses, oldest first, those to come among them.
        told: when each of them, by its index, is reported.
        in_order: of several changes that are reported together, only the last one is.
    """

    uuid: str
    place: int
    changes: tuple[Change, ...]
    told: tuple[tuple[float, int], ...]
    in_order: bool = True

    def status(self, now: float) -> int | None:
        """The index of its status at a moment; None before it has left."""
        begun = [index for index, (at, _) in enumerate(self.changes) if at <= now]
        return begun[-1] if begun else None

    def announced(self, *, every: bool) -> Iterator[tuple[float, int]]:
        """When which of its changes are pushed: those that end something, or every one."""
        return ((at, one) for at, one in self.told if every or self.changes[one][1] not in WAITING)


@dataclass(frozen=True, slots=True)
class Sms:
    """One text to one number.

    Attributes:
        key: the caller's own key.
        number: international digits.
        sender: as the phone shows it.
        text: as the phone shows it.
        flags: the bits of `flgs`.
        at: when it was accepted, in seconds since the epoch.
        carrier: its network.
        price: of a segment, in thousandths of a euro.
        group: the group that it was sent in, if any.
        segments: its parts.
    """

    key: str | None
    number: str
    sender: str
    text: str
    flags: int
    at: float
    carrier: str
    price: int
    group: int | None
    segments: tuple[Segment, ...]

    @property
    def cost(self) -> int:
        """The price of all segments."""
        return self.price * len(self.segments)

    @property
    def sent_at(self) -> float:
        """When it leaves the gateway, which starts the days that its statuses are kept."""
        return self.segments[0].changes[0][0]

    def event(self) -> dict[str, Any]:
        """It as an event for the journal."""
        return {"event": "accepted", **asdict(self)}

    @classmethod
    def of(cls, event: Mapping[str, Any]) -> Sms:
        """It out of the journal."""
        fields = {name: value for name, value in event.items() if name != "event"}
        fields["segments"] = tuple(_segment(one) for one in event["segments"])
        return cls(**fields)

    def record(self, now: float, accepted: int, confirmed: Set[str]) -> dict[str, Any]:
        """It as a judge wants to see it.

        Args:
            now: the present.
            accepted: SMS of this own key, it among them.
            confirmed: uuids whose last push has been acknowledged.
        """
        statuses = [one.status(now) for one in self.segments]
        return {
            "f": self.key,
            "number": self.number,
            "sender": self.sender,
            "text": self.text,
            "flags": self.flags,
            "accepted_at": datetime.fromtimestamp(self.at, UTC).isoformat(),
            "times_accepted": accepted,
            "group_id": self.group,
            "carrier": self.carrier,
            "price": self.price * len(self.segments) / 1000,
            "uuids": [one.uuid for one in self.segments],
            "dlr": [
                None if index is None else one.changes[index][1]
                for one, index in zip(self.segments, statuses, strict=True)
            ],
            "confirmed": [one.uuid in confirmed for one in self.segments],
        }


def _segment(fields: Mapping[str, Any]) -> Segment:
    changes = tuple((at, status) for at, status in fields["changes"])
    told = tuple((at, index) for at, index in fields["told"])
    return Segment(fields["uuid"], fields["place"], changes, told, fields["in_order"])
