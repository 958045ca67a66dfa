"""`kadencia audit`: what the attempts in the database prove."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from models.states import SLOVAK, MessageState
from worker.audit import (
    Finding,
    MessagesAudit,
    RateAudit,
    audit_messages,
    audit_rate,
    render_report,
)
from worker.cli import context
from worker.cli.output import CommandError, Exit, JsonOption, say, show_json, show_rows
from worker.registers.audit import entries

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
    """Find the worst window of each task, account and limited domain.

    From the attempts alone, whatever Redis counted. Times are UTC; without them the last 24
    hours are looked at. The exit code is 1 if a limit was exceeded.

    Example: kadencia audit rate --since 2026-11-01
    """
    begin, end = _period(since, until)
    with context.transaction() as connection:
        found = audit_rate(
            connection,
            begin,
            end,
            context.window(),
            dot_by=_dot_by(),
            handover_max=context.longest_handover(),
        )
    if as_json:
        show_json(plain(found))
    else:
        show_rows([readable(one) for one in found.findings], COLUMNS, as_json=False)
        say(f"{len(found.exceeded)} limit(s) exceeded")
    if found.exceeded:
        raise typer.Exit(Exit.FAILED)


@app.command("messages")
def messages(
    since: Moment = None,
    until: Moment = None,
    as_json: JsonOption = False,
) -> None:
    """Say what became of the messages and attempts of a time, and who settled the unknown ones.

    Also the limits that were in force; silences, in which a task handed nothing over although a
    message was due all the while and no limit explains it; and attempts that the journal of runs
    does not account for. Times are UTC; without them the last 24 hours are looked at.

    Example: kadencia audit messages --since 2026-11-01 --until 2026-12-01
    """
    begin, end = _period(since, until)
    with context.transaction() as connection:
        found = audit_messages(
            connection,
            begin,
            end,
            silence=context.window() + context.longest_handover(),
            grace=_grace(),
        )
    if as_json:
        show_json(asdict(found) | {"silence": found.silence.total_seconds()})
    else:
        _print(found)


@app.command("report")
def report(
    out: Annotated[Path, typer.Option("--out", help="The file to write; it must not exist.")],
    since: Moment = None,
    until: Moment = None,
) -> None:
    """Write a page for others: what was sent in each hour, under which limit.

    One file of HTML, in Slovak and English, which fetches nothing from elsewhere and holds no
    address of a recipient. Times are UTC; without them the last 24 hours are looked at. The exit
    code is 1 if a limit was exceeded.

    Example: kadencia audit report --since 2026-11-01 --out november.html
    """
    begin, end = _period(since, until)
    if out.exists():
        raise CommandError(f"{out} exists; name another file, or remove it")
    with context.transaction() as connection:
        made = render_report(
            connection,
            begin,
            end,
            context.window(),
            dot_by=_dot_by(),
            handover_max=context.longest_handover(),
            grace=_grace(),
        )
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(made.html)
    except OSError as error:
        raise CommandError(
            f"{out} cannot be written: {error.strerror}; name another file"
        ) from None
    say(f"{out}: {len(made.rate.exceeded)} limit(s) exceeded")
    if made.rate.exceeded:
        raise typer.Exit(Exit.FAILED)


@app.command("changes")
def changes(
    since: Moment = None,
    until: Moment = None,
    who: Annotated[str | None, typer.Option("--who", help="Only what this one changed.")] = None,
    subject: Annotated[
        str | None, typer.Option("--subject", help="A kind, as in task, or one, as in task:3.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=100_000)] = 100,
    as_json: JsonOption = False,
) -> None:
    """Show who changed what, and when, newest first: tasks, accounts, tokens, messages by hand.

    Secrets are never in the log. Times are UTC; without them the last 24 hours are looked at.

    Example: kadencia audit changes --subject task --since 2026-11-01
    """
    begin, end = _period(since, until)
    with context.transaction() as connection:
        found = entries(connection, begin, end, who=who, subject=subject, most=limit)
    if as_json:
        show_json(found)
        return
    columns = ["at", "who", "action", "subject", "what"]
    show_rows([one | {"what": _difference(one)} for one in found], columns, as_json=False)


def _difference(entry: Mapping[str, Any]) -> str:
    """What an entry of the audit log says was changed, from what to what."""
    before, after = entry["before"] or {}, entry["after"] or {}
    return ", ".join(
        f"{name}: {before[name]} → {after.get(name)}" if name in before else f"{name}: {value}"
        for name, value in (before | after).items()
    )


def _period(since: datetime | None, until: datetime | None) -> tuple[datetime, datetime]:
    end = until.replace(tzinfo=UTC) if until else datetime.now(UTC)
    begin = since.replace(tzinfo=UTC) if since else end - timedelta(days=1)
    if begin >= min(end, datetime.now(UTC)):
        raise CommandError(
            f"--since {begin:%Y-%m-%dT%H:%M} must be before {end:%Y-%m-%dT%H:%M}, and in the past"
        )
    return begin, end


def _dot_by() -> timedelta:
    return timedelta(seconds=context.settings().dot_by_seconds)


def _grace() -> timedelta:
    """From a run's last sweep to its last attempt: the release, and what recover gives back."""
    released = timedelta(seconds=context.settings().released_deadline_seconds)
    return released + context.longest_handover()


def _print(found: MessagesAudit) -> None:
    states = [
        {**row, "stav": SLOVAK[MessageState(row["state"])], "task": row["task"] or "none yet"}
        for row in found.messages
    ]
    columns = ["company", "task", "state", "stav", "messages"]
    _section("messages enqueued in the time, as they stand now", states, columns)
    columns = ["task", "state", "attempts", "cost"]
    title = "attempts opened in the time; they cost recipients, or segments of SMS"
    _section(title, found.attempts, columns)
    if found.sms:
        columns = ["task", "accepted", "delivered", "undelivered", "awaited", "not_confirmed"]
        title = "SMS that the gateway accepted in the time, as delivery reports prove"
        _section(title, found.sms, [*columns, "segments", "price"])
    if found.spent:
        columns = ["task", "day", "spent", "attempts", "verdict"]
        spent = [
            {**one, "verdict": "agrees" if one["spent"] == one["attempts"] else "DIFFERS"}
            for one in found.spent
        ]
        _section("EUR charged to budgets, and what the attempts come to", spent, columns)
    settled = [{"settled_by": way, "attempts": n} for way, n in found.settled.items()]
    _section("unknown attempts of the time", settled, ["settled_by", "attempts"])
    columns = ["message_id", "task", "opened_at", "settled", "settled_at", "who", "state"]
    if found.unknowns:
        show_rows([asdict(one) for one in found.unknowns], columns, as_json=False)
    if found.unknown_without_attempt:
        say(f"{found.unknown_without_attempt} message(s) are unknown since a restore")
    hours = found.silence.total_seconds() / 3600
    columns = ["task", "since", "until", "message_id", "run_was_open"]
    title = f"silences of over {hours:.2g} h, although a message was due"
    _section(title, found.silences, columns)
    columns = ["task", "attempts", "first", "last"]
    _section("attempts that no run in the journal accounts for", found.without_run, columns)
    columns = ["kind", "name", "since", "limit"]
    _section("limits in force", [asdict(one) for one in found.limits], columns)


def _section(title: str, rows: Sequence[Mapping[str, Any]], columns: list[str]) -> None:
    say(f"\n{title}")
    show_rows(rows, columns, as_json=False)


def readable(one: Finding) -> dict[str, Any]:
    """A finding as a line of a table."""
    name = {
        "task": f"task {one.name}",
        "account": f"account {one.name}",
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
