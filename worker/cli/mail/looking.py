"""`kadencia mail list` and `kadencia mail show`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer
from sqlalchemy import Connection, Row

from models.states import SLOVAK, MessageState, Priority
from worker.cli import context
from worker.cli.company import CompanyOption
from worker.cli.mail.letters import read_time
from worker.cli.mail.why import reasons
from worker.cli.output import CommandError, JsonOption, say, show_json, show_one, show_rows, warn
from worker.core.addresses import parse_address
from worker.outbox import reading
from worker.registers.naming import find_company
from worker.registers.tasks import find_task

COLUMNS = ["id", "state", "stav", "recipient", "subject", "enqueued_at", "attempts", "why"]


def listing(
    state: Annotated[MessageState | None, typer.Option(help="Only in this state.")] = None,
    recipient: Annotated[str | None, typer.Option(help="Only to this address.")] = None,
    task: Annotated[
        str | None, typer.Option(help="Only those that this automatic task took, or is to take.")
    ] = None,
    reference: Annotated[str | None, typer.Option(help="Only with this reference.")] = None,
    since: Annotated[
        str | None, typer.Option(help="Only enqueued since, as 2026-03-01T08:00.")
    ] = None,
    before: Annotated[int | None, typer.Option(help="Only ids below: the next page.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="The most that are shown.")] = 50,
    company: CompanyOption = None,
    as_json: JsonOption = False,
) -> None:
    """List messages, the newest first.

    Example: kadencia mail list --state failed --since 2026-03-01
    """
    with context.transaction() as connection:
        owner = find_company(connection, company) if company or task or since else None
        wanted = reading.Wanted(
            before=before,
            state=state,
            company=owner.id if owner else None,
            task=find_task(connection, owner, task).id if owner and task else None,
            recipient=parse_address(recipient).addr_spec if recipient else None,
            since=read_time(since, ZoneInfo(owner.time_zone), "--since") if owner else None,
            reference=reference,
            limit=limit + 1,
        )
        found = reading.find(connection, wanted)
    rows = found[:limit]
    show_rows([_line(row, as_json) for row in rows], COLUMNS, as_json)
    if len(found) > limit:
        warn(f"there are more; the next page: --before {rows[-1].id}")


def show(
    message_id: Annotated[int, typer.Argument(metavar="ID", help="As `mail list` shows it.")],
    as_json: JsonOption = False,
) -> None:
    """Show a message's whole evidence, and why it has not gone yet.

    Example: kadencia mail show 17
    """
    with context.transaction() as connection:
        row = reading.message(connection, message_id)
        if row is None:
            raise CommandError(f"message {message_id} does not exist; `kadencia mail list` has all")
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
    if evidence["not_gone_because"]:
        say("\nwhy it has not gone yet")
        for reason in evidence["not_gone_because"]:
            say(f"  {reason}")


def _section(
    title: str, rows: Sequence[Mapping[str, Any]], columns: list[str], zone: ZoneInfo
) -> None:
    say(f"\n{title}")
    show_rows(rows, columns, False, zone)
