"""`kadencia sms list` and `kadencia sms show`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer
from sqlalchemy import Connection, Row

from models.states import OBERON, SLOVAK, Channel, MessageState, Priority
from worker.cli import context
from worker.cli.channels import (
    LISTED,
    tell_of_next_page,
    tell_why_not_gone,
    to_show,
    wanted,
)
from worker.cli.options import takes
from worker.cli.output import JsonOption, say, show_json, show_one, show_rows
from worker.cli.why import reasons
from worker.core.phone_numbers import parse_number
from worker.outbox import reading, sms_reading
from worker.registers.naming import find_company

COLUMNS = ["id", "state", "stav", "oberon_state", "number", "text", "segments", "price"]
TIMES = ["sent_at", "delivered_at", "read_at"]
SHOWN_CHARACTERS = 40  # chosen: what leaves room for the other columns

RECIPIENT = ["address", "state", "reply", "suppressed"]
SEGMENTS = ["number", "uuid", "status", *TIMES, "operator", "price"]
REPORTS = ["at", "source", "uuid", "segment", "status", "status_at", "operator", "price"]
ATTEMPTS = ["opened_at", "closed_at", "state", "worker", "account", "price", "phase", "code"]


@takes(LISTED)
def listing(
    given: dict[str, Any],
    number: Annotated[str | None, typer.Option(help="Only to this number.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List SMS, the newest first.

    Example: kadencia sms list --state undelivered --since 2026-03-01
    """
    with context.transaction() as connection:
        to = _e164(connection, number, given.get("company")) if number else None
        asked = wanted(connection, given, to)
        found = sms_reading.find(connection, asked)
    rows = found[: asked.limit - 1]
    lines = [_line(row) for row in rows]
    if as_json:
        show_json(lines)
    else:
        show_rows([_for_people(line) for line in lines], [*COLUMNS, *TIMES, "status", "why"], False)
    tell_of_next_page(found, rows)


def show(
    message_id: Annotated[int, typer.Argument(metavar="ID", help="As `sms list` shows it.")],
    as_json: JsonOption = False,
) -> None:
    """Show an SMS's whole evidence, and why it has not gone yet.

    Example: kadencia sms show 17
    """
    with context.transaction() as connection:
        row = to_show(connection, message_id, Channel.SMS)
        evidence = _evidence(connection, row)
    if as_json:
        show_json(evidence)
    else:
        _print(evidence, ZoneInfo(row.time_zone))


def _e164(connection: Connection, number: str, company: str | None) -> str:
    if number.startswith("+") and company is None:  # of whichever company
        return parse_number(number, "SK").e164
    return parse_number(number, find_company(connection, company).country).e164


def _states(state: str) -> dict[str, str]:
    known = MessageState(state)
    return {"state": state, "stav": SLOVAK[known], "oberon_state": OBERON[known]}


def _line(row: Row[Any]) -> dict[str, Any]:
    found = dict(row._mapping)
    return {
        "id": found.pop("id"),
        **_states(found.pop("state")),
        "priority": Priority(found.pop("priority")).name.lower(),
        "enqueued_at": found.pop("created_at"),
        **found,
    }


def _for_people(line: Mapping[str, Any]) -> dict[str, Any]:
    """A line as it fits a terminal, with times in the company's zone."""
    zone = ZoneInfo(line["time_zone"])
    text = line["text"]
    if text is not None and len(text) > SHOWN_CHARACTERS:
        text = f"{text[: SHOWN_CHARACTERS - 1]}…"
    times = {name: line[name] and line[name].astimezone(zone) for name in TIMES}
    status = "not confirmed" if line["unconfirmed_at"] else line["status"]
    return {**line, **times, "text": text and " ".join(text.split()), "status": status}


def _evidence(connection: Connection, row: Row[Any]) -> dict[str, Any]:
    people = reading.recipients(connection, row.id)
    return {
        "message": _message(row, sms_reading.sms(connection, row.id), people),
        "recipients": _plain(people),
        "segments": _plain(sms_reading.segments(connection, row.id)),
        "delivery_reports": _plain(sms_reading.reports(connection, row.id)),
        "attempts": _plain(sms_reading.attempts(connection, row.id)),
        "not_gone_because": reasons(connection, row, people),
    }


def _message(row: Row[Any], sms: Row[Any], people: Sequence[Row[Any]]) -> dict[str, Any]:
    return {
        "id": row.id,
        **_states(row.state),
        "why": row.why,
        "number": people[0].address,
        **sms._mapping,
        "own_key": row.message_id,
        "company": row.company,
        "establishment": row.establishment,
        "only_for_task": row.named_task,
        "taken_by_task": row.task,
        "priority": Priority(row.priority).name.lower(),
        "enqueued_at": row.created_at,
        "not_before": row.not_before,
        "expires_at": row.expires_at,
        "settled_at": row.settled_at,
        "deadline": row.deadline,
        "charged_attempts": row.attempts,
        "unknowns": row.unknowns,
        "reference": row.reference,
        "idempotency_key": row.idempotency_key,
    }


def _plain(rows: Sequence[Row[Any]]) -> list[dict[str, Any]]:
    return [dict(row._mapping) for row in rows]


def _print(evidence: Mapping[str, Any], zone: ZoneInfo) -> None:
    filled = {name: v for name, v in evidence["message"].items() if v is not None}
    filled["state"] = f"{filled['state']} ({filled.pop('stav')})"
    show_one(filled, False, zone)
    for title, rows, columns in (
        ("recipient", evidence["recipients"], RECIPIENT),
        ("segments", evidence["segments"], SEGMENTS),
        ("delivery reports", evidence["delivery_reports"], REPORTS),
        ("attempts", evidence["attempts"], [*ATTEMPTS, "text"]),
    ):
        say(f"\n{title}")
        show_rows(rows, columns, False, zone)
    tell_why_not_gone(evidence["not_gone_because"])
