"""`kadencia sms inbox`: SMS that came in."""

from __future__ import annotations

from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from worker.cli import context
from worker.cli.channels import tell_of_next_page
from worker.cli.company import CompanyOption
from worker.cli.output import JsonOption, show_rows
from worker.outbox import sms_reading
from worker.registers.naming import find_company

COLUMNS = ["id", "received_at", "sender", "recipient", "text", "stop", "account"]


def inbox(
    before: Annotated[int | None, typer.Option(help="Only ids below: the next page.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="The most that are shown.")] = 50,
    company: CompanyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show SMS that came in, the newest first; `stop` tells whose number is suppressed by it.

    Example: kadencia sms inbox --limit 10
    """
    with context.transaction() as connection:
        owner = None if company is None else find_company(connection, company).id
        found = sms_reading.inbox(connection, owner, before, limit + 1)
    rows = found[:limit]
    lines = [dict(row._mapping) for row in rows]
    if not as_json:
        for line in lines:
            at = line["received_at"] or line["at"]
            line["received_at"] = at.astimezone(ZoneInfo(line["time_zone"]))
    show_rows(lines, COLUMNS, as_json)
    tell_of_next_page(found, rows)
