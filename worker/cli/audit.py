"""`kadencia audit`: what the attempts in the database prove."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from worker.audit import Finding, RateAudit, audit_rate
from worker.cli import context
from worker.cli.output import CommandError, Exit, JsonOption, say, show_json, show_rows

app = typer.Typer(no_args_is_help=True, help="What the evidence proves.")

COLUMNS = ["budget", "handed_over", "worst_window", "limit", "verdict", "from", "until"]

Moment = Annotated[
    datetime | None,
    typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]),
]


@app.callback()
def _group() -> None:
    pass


@app.command("rate")
def rate(
    since: Moment = None,
    until: Moment = None,
    as_json: JsonOption = False,
) -> None:
    """Find the worst window of each task, SMTP account and limited domain.

    From the attempts alone, whatever Redis counted. Times are UTC; without them the last 24
    hours are looked at. The exit code is 1 if a limit was exceeded.

    Example: kadencia audit rate --since 2026-11-01
    """
    settings = context.settings()
    end = until.replace(tzinfo=UTC) if until else datetime.now(UTC)
    begin = since.replace(tzinfo=UTC) if since else end - timedelta(days=1)
    if begin >= end:
        raise CommandError(f"--since {begin:%Y-%m-%dT%H:%M} must be before {end:%Y-%m-%dT%H:%M}")
    with context.transaction() as connection:
        found = audit_rate(
            connection,
            begin,
            end,
            context.window(),
            dot_by=timedelta(seconds=settings.dot_by_seconds),
            handover_max=context.longest_handover(),
        )
    if as_json:
        show_json(plain(found))
    else:
        show_rows([readable(one) for one in found.findings], COLUMNS, as_json=False)
        say(f"{len(found.exceeded)} limit(s) exceeded")
    if found.exceeded:
        raise typer.Exit(Exit.FAILED)


def readable(one: Finding) -> dict[str, Any]:
    """A finding as a line of a table."""
    name = {
        "task": f"task {one.name}",
        "account": f"SMTP account {one.name}",
        "domain": f"domain {one.domain} at {one.name}",
    }[one.kind]
    return {
        "budget": name,
        "handed_over": one.handed_over,
        "worst_window": one.worst,
        "limit": one.limit,
        "verdict": "EXCEEDED" if one.exceeded else "kept",
        "from": one.worst_from,
        "until": one.worst_until,
    }


def plain(found: RateAudit) -> dict[str, Any]:
    """The whole audit as JSON has it."""
    return {
        "since": found.since,
        "until": found.until,
        "window_seconds": found.window.total_seconds(),
        "findings": [asdict(one) | {"exceeded": one.exceeded} for one in found.findings],
        "exceeded": len(found.exceeded),
    }
