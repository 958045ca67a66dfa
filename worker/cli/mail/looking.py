"""`kadencia mail list` and `kadencia mail show`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer
from sqlalchemy import Connection, Row

from models.states import SLOVAK, Channel, MessageState, Priority
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
from worker.core.addresses import parse_address
from worker.outbox import reading

COLUMNS = ["id", "state", "stav", "recipient", "subject", "enqueued_at", "attempts", "why"]


@takes(LISTED)
def listing(
    given: dict[str, Any],
    recipient: Annotated[str | None, typer.Option(help="Only to this address.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List e-mails, the newest first.

    Example: kadencia mail list --state failed --since 2026-03-01
    """
    with context.transaction() as connection:
        address = parse_address(recipient).addr_spec if recipient else None
        asked = wanted(connection, given, address)
        found = reading.find(connection, asked)
    rows = found[: asked.limit - 1]
    show_rows([_line(row, as_json) for row in rows], COLUMNS, as_json)
    tell_of_next_page(found, rows)


def show(
    message_id: Annotated[int, typer.Argument(metavar="ID", help="As `mail list` shows it.")],
    as_json: JsonOption = False,
) -> None:
    """Show an e-mail's whole evidence, and why it has not gone yet.

    Example: kadencia mail show 17
    """
    with context.transaction() as connection:
        row = to_show(connection, message_id, Channel.EMAIL)
        evidence = _evidence(connection, row)
    if as_json:
        show_json(evidence)
    else:
        _print(evidence, ZoneInfo(row.time_zone))


def _line(row: Row[Any], as_json: bool) -> dict[str, Any]:
    people = row.recipients or ["–"]
    more = f" and {len(people) - 1} more" if len(people) > 1 else ""
    zone = ZoneInfo(row.time_zone)
    return {
        "id": row.id,
        "state": row.state,
        "stav": SLOVAK[MessageState(row.state)],
        "recipient": f"{people[0]}{more}",
        "recipients": people,
        "subject": row.subject,
        "enqueued_at": row.created_at if as_json else row.created_at.astimezone(zone),
        "not_before": row.not_before,
        "settled_at": row.settled_at,
        "priority": Priority(row.priority).name.lower(),
        "attempts": row.attempts,
        "why": row.why,
        "company": row.company,
        "task": row.task,
        "reference": row.reference,
        "idempotency_key": row.idempotency_key,
    }


def _evidence(connection: Connection, row: Row[Any]) -> dict[str, Any]:
    people = reading.recipients(connection, row.id)
    return {
        "message": _message(row),
        "recipients": [_plain(one) for one in people],
        "attempts": [_plain(one) for one in reading.attempts(connection, row.id)],
        "receipts": [_plain(one) for one in reading.receipts(connection, row.id)],
        "not_gone_because": reasons(connection, row, people),
    }


def _message(row: Row[Any]) -> dict[str, Any]:
    return {
        "id": row.id,
        "state": row.state,
        "stav": SLOVAK[MessageState(row.state)],
        "why": row.why,
        "subject": row.subject,
        "message_id": row.message_id,
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
        "reply_to": row.reply_to,
        "list_unsubscribe": row.list_unsubscribe,
        "headers": row.headers,
        "fields": row.fields,
        "body_octets": row.body_size,
        "attachments": row.attachments,
        "reference": row.reference,
        "idempotency_key": row.idempotency_key,
    }


def _plain(row: Row[Any]) -> dict[str, Any]:
    return dict(row._mapping)


def _print(evidence: Mapping[str, Any], zone: ZoneInfo) -> None:
    filled = {name: v for name, v in evidence["message"].items() if v is not None}
    filled["state"] = f"{filled['state']} ({filled.pop('stav')})"
    show_one(filled, False, zone)
    columns = ["kind", "address", "name", "state", "reply", "suppressed"]
    _section("recipients", evidence["recipients"], columns, zone)
    columns = ["opened_at", "closed_at", "state", "worker", "account", "phase", "code"]
    _section("attempts", evidence["attempts"], [*columns, "enhanced", "text"], zone)
    if evidence["receipts"]:
        columns = ["at", "address", "action", "status", "diagnostic", "remote_mta"]
        _section("receipts", evidence["receipts"], columns, zone)
    tell_why_not_gone(evidence["not_gone_because"])


def _section(
    title: str, rows: Sequence[Mapping[str, Any]], columns: list[str], zone: ZoneInfo
) -> None:
    say(f"\n{title}")
    show_rows(rows, columns, False, zone)
