"""Delivery reports and inbound SMS of EuroSMS: as asked for, and as pushed.

One report is about one segment. Nothing here raises: a value that is not what it should be is
read as not stated, and an answer that is none says so.

Times come without a zone, in that of the account. Of the hour that comes twice in autumn the
first is taken; one that is left out in spring is read as if the clock had not yet been put
forward, so 02:30 is 03:30 of summer time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from types import MappingProxyType
from zoneinfo import ZoneInfo

from worker.core.eurosms_json import (
    Unreadable,
    decimal,
    digits,
    entries,
    read_json,
    uuid,
    whole,
    word,
    words,
)


class Meaning(StrEnum):
    """What a status says of a segment."""

    OPEN = "open"
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    SEEN = "seen"
    """Delivered, and read."""


@dataclass(frozen=True, slots=True)
class DeliveryStatus:
    """One word of the gateway about a segment.

    Attributes:
        code: as the gateway spells it.
        meaning: what it says of the segment.
        final: no other status comes after it. UNKNOWN is undelivered and yet not final: the
            sources disagree on it, so a later delivery overrules it.
        words: its meaning in ours.
    """

    code: str
    meaning: Meaning
    final: bool
    words: str


def _table(*statuses: DeliveryStatus) -> Mapping[str, DeliveryStatus]:
    return MappingProxyType({status.code: status for status in statuses})


DELIVERY_STATUSES: Mapping[str, DeliveryStatus] = _table(
    DeliveryStatus("ENROUTE", Meaning.OPEN, False, "queued at the operator"),
    DeliveryStatus("ACCEPTD", Meaning.OPEN, False, "accepted by the operator"),
    DeliveryStatus("ENQUEUED", Meaning.OPEN, False, "queued at the gateway"),
    DeliveryStatus("DELIVRD", Meaning.DELIVERED, True, "delivered"),
    DeliveryStatus("UNDELIV", Meaning.UNDELIVERED, True, "unknown number, or a phone off"),
    DeliveryStatus("EXPIRED", Meaning.UNDELIVERED, True, "not delivered while it was valid"),
    DeliveryStatus("REJECTD", Meaning.UNDELIVERED, True, "refused by the operator"),
    DeliveryStatus("DELETED", Meaning.UNDELIVERED, True, "cancelled by the operator"),
    DeliveryStatus("UNKNOWN", Meaning.UNDELIVERED, False, "an error that nobody has named"),
    DeliveryStatus("SEEN", Meaning.SEEN, False, "read; comes after DELIVRD"),
)
"""Every delivery status that is attested, by its spelling. Source: eurosms.com API 3.1.15
chapter 13.2, as cited by public client libraries; ENQUEUED is of their 3.1.14 alone."""

NO_SUCH_UUID = "ERR_NO_SUCH_UUID"
"""One of two answers to an unknown uuid; the other is an empty list."""

MOST_SEGMENTS = 255
"""GSM 03.40 section 9.2.3.24.1 counts the parts of a long SMS in one octet."""

HIGHEST_PRICE = Decimal(1000)
"""EUR for a segment; more is taken for a mistake. Chosen: it fits every column, and no tariff."""

CENT_OF_CENT = Decimal("0.0001")
"""To what prices are rounded, as the columns are in which they are kept."""

LONGEST_TEXT = 40_000
"""Characters kept of an inbound SMS: 255 parts of 153 (GSM 03.38) are fewer."""

EARLIEST_YEAR = 2000
"""A time before is how some databases write that there is none."""

_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)[ T](\d\d):(\d\d)(?::(\d\d)(?:\.\d+)?)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Report:
    """What the gateway says of one segment.

    Attributes:
        uuid: the segment's, in lower case; None if not stated, as all that may be None.
        own_key: the key that we gave the SMS; pushed reports have none.
        number: the recipient's, digits without "+".
        segment: from 1.
        status: its word, in capitals; "" if not stated. See `delivery_status`.
        done_at: when that status was reached; it may be before `sent_at`, by rounding.
        sent_at: when the segment was sent.
        operator: network, as MCC.MNC.
        price: EUR for this segment.
        err_code: "OK", or what went wrong in sending; "" if not stated.
    """

    uuid: str | None
    own_key: str | None
    number: str | None
    segment: int
    status: str
    done_at: datetime | None
    sent_at: datetime | None
    operator: str | None
    price: Decimal | None
    err_code: str


@dataclass(frozen=True, slots=True)
class Reports:
    """An answer to a question after statuses.

    Attributes:
        reports: in the gateway's order.
        count: how many it says there are; None if it does not say.
        err_code: "OK", or its word why not; "" if not stated.
        unreadable: what came in place of an answer; None if one came. Of an unreadable answer
            nothing follows: not that there are no reports.
    """

    reports: tuple[Report, ...]
    count: int | None = None
    err_code: str = ""
    unreadable: str | None = None


@dataclass(frozen=True, slots=True)
class Inbound:
    """An SMS that came in.

    Attributes:
        uuid: in lower case.
        recipient: our number, as the gateway writes it.
        received_at: None if not stated.
        sender: number or name, as the gateway writes it.
        text: whole, with its line ends.
    """

    uuid: str
    recipient: str
    received_at: datetime | None
    sender: str
    text: str


def delivery_status(status: str) -> DeliveryStatus:
    """What a status means; one that is not attested leaves the segment open.

    >>> delivery_status("DELIVRD").meaning, delivery_status("PENDING").final
    (<Meaning.DELIVERED: 'delivered'>, False)
    """
    known = DELIVERY_STATUSES.get(status)
    return known or DeliveryStatus(status, Meaning.OPEN, False, "a word that is not attested")


def read_reports(body: bytes, zone: ZoneInfo) -> Reports:
    """Read the answer of status/any or status/group.

    >>> read_reports(b'{"dlrs": [], "count": 0, "err_code": "OK"}', ZoneInfo("UTC"))
    Reports(reports=(), count=0, err_code='OK', unreadable=None)
    """
    found = read_json(body)
    if not isinstance(found, dict):
        return _unreadable(found)
    listed, count = found.get("dlrs"), whole(found.get("count"))
    code = word(found.get("err_code"))
    none_came = not isinstance(listed, list) or (count and not listed)
    if none_came and code.upper() in ("", "OK"):
        return _unreadable(found)
    reports = tuple(_report(entry, zone) for entry in entries(listed))
    return Reports(reports, count, code)


def read_status_one(body: bytes, zone: ZoneInfo) -> Reports:
    """Read the answer of status/one, in any of its three shapes; no reports if it knows no such.

    The shapes: one object; a list of them, one for each segment; an object of what the segments
    have in common, with a list "dlrs" of the rest.
    """
    found = read_json(body)
    if isinstance(found, list):
        return Reports(tuple(_report(entry, zone) for entry in entries(found)))
    if not isinstance(found, dict):
        return _unreadable(found)
    code = word(found.get("err_code"))
    shapes = _segments(found)
    if not (code or shapes or "dlrs" in found):
        return _unreadable(found)
    return Reports(tuple(_report(entry, zone) for entry in shapes), err_code=code)


def read_push(fields: Mapping[str, object], zone: ZoneInfo) -> Report | None:
    """Read a pushed report, from plain parameters or from JSON in `delivery_report`.

    Returns:
        None if it is no report: it has no uuid, or is an inbound SMS.
    """
    found = _pushed(fields, "delivery_report")
    segment_uuid = uuid(found.get("sms_uuid"))
    if segment_uuid is None or "sms_text" in found:
        return None
    return Report(
        uuid=segment_uuid,
        own_key=None,
        number=None,
        segment=_segment(found.get("segment")),
        status=word(found.get("delivery_result")).upper(),
        done_at=_moment(found.get("delivery_time"), zone),
        sent_at=_moment(found.get("sent_time"), zone),
        operator=word(found.get("operator")) or None,
        price=_price(found.get("price")),
        err_code=word(found.get("sent_result")),
    )


def read_inbound(fields: Mapping[str, object], zone: ZoneInfo) -> Inbound | None:
    """Read a pushed inbound SMS, from plain parameters or from JSON in `received`.

    Returns:
        None if it is none: it has no uuid, or no text (an empty one is a text).
    """
    found = _pushed(fields, "received")
    sms_uuid, text = uuid(found.get("sms_uuid")), found.get("sms_text")
    if sms_uuid is None or not isinstance(text, str):
        return None
    storable = text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    return Inbound(
        uuid=sms_uuid,
        recipient=word(found.get("recipient")),
        received_at=_moment(found.get("receive_time"), zone),
        sender=word(found.get("sender")),
        text=storable[:LONGEST_TEXT],
    )


def _unreadable(found: object) -> Reports:
    what = found.reason if isinstance(found, Unreadable) else "JSON, but not of the gateway"
    return Reports((), unreadable=what)


def _segments(found: Mapping[str, object]) -> Iterable[Mapping[str, object]]:
    """The segments of an answer that is one object."""
    if isinstance(found.get("dlrs"), list):
        return [{**found, **entry} for entry in entries(found["dlrs"])]
    return [found] if found.get("dlr") or found.get("i") else []


def _report(entry: Mapping[str, object], zone: ZoneInfo) -> Report:
    return Report(
        uuid=uuid(entry.get("i")),
        own_key=word(entry.get("f")) or word(entry.get("f_id")) or None,
        number=digits(entry.get("rcpt")),
        segment=_segment(entry.get("sgmnt")),
        status=word(entry.get("dlr")).upper(),
        done_at=_moment(entry.get("dlr_time"), zone),
        sent_at=_moment(entry.get("snd"), zone),
        operator=word(entry.get("carrier")) or None,
        price=_price(entry.get("price")),
        err_code=word(entry.get("err_code")),
    )


def _pushed(fields: Mapping[str, object], parameter: str) -> Mapping[str, object]:
    """What was pushed: the fields, or those of the JSON document in one of them."""
    document = fields.get(parameter)
    if isinstance(document, str):
        document = read_json(document.encode("utf-8", "replace"))
    return document if isinstance(document, dict) else fields


def _segment(value: object) -> int:
    number = whole(value)
    return number if number is not None and 1 <= number <= MOST_SEGMENTS else 1


def _price(value: object) -> Decimal | None:
    price = decimal(value)
    if price is None or not 0 <= price <= HIGHEST_PRICE:
        return None
    # As it is kept. A million decimal places are more than a database takes.
    return price.quantize(CENT_OF_CENT, ROUND_HALF_UP)


def _moment(value: object, zone: ZoneInfo) -> datetime | None:
    match = _TIME.fullmatch(words(value))
    if match is None or int(match[1]) < EARLIEST_YEAR:
        return None
    try:
        year, month, day, hour, minute, second = (int(part or 0) for part in match.groups())
        local = datetime(year, month, day, hour, minute, second, tzinfo=zone)
        return local.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
