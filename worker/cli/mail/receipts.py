"""`kadencia mail receipt`: take bounces and delivery reports in."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy import Connection, select

from models.organisation import Company
from models.states import SLOVAK
from worker.cli import context
from worker.cli.output import CommandError, Exit, JsonOption, say, show_json
from worker.core.addresses import parse_address
from worker.core.receipts import OCTETS_MAX, Report, read_report
from worker.outbox import receipts
from worker.outbox.receipts import TakenReceipt, TakenReport
from worker.registers.suppressions import suppress as bar

STDIN = "-"


def receipt(
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE…", help="Reports as .eml files; - for standard input."),
    ],
    suppress: Annotated[
        bool,
        typer.Option("--suppress", help="Bar addresses of which a report says that they are none."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Take bounces and delivery reports (RFC 3464) in, and settle their messages by them.

    A bounce proves that an unknown message went out. Taking a report twice changes nothing.
    The exit code is 1 if one is about a mail that is not ours, 2 if no file could be used.

    Example: kadencia mail receipt bounces/*.eml --suppress
    """
    done: list[dict[str, Any]] = []
    failures: list[CommandError] = []
    for name in files:
        try:
            report = read_report(_octets(name), "standard input" if name == STDIN else name)
            done.append(_taken(name, report, suppress))
        except CommandError as error:
            failures.append(error)
        except ValueError as error:  # ReportError: it says where, what, and how to mend it
            failures.append(CommandError(str(error)))
    if as_json:
        show_json(done)
    else:
        _print(done)
    _end(failures, bool(done))


def _octets(name: str) -> bytes:
    try:
        if name == STDIN:
            return sys.stdin.buffer.read(OCTETS_MAX + 1)
        with Path(name).open("rb") as file:
            return file.read(OCTETS_MAX + 1)
    except OSError as error:
        raise CommandError(
            f"{name} cannot be read: {error.strerror}; name a file that you may read"
        ) from None


def _taken(name: str, report: Report, suppress: bool) -> dict[str, Any]:
    with context.transaction() as connection:
        taken = receipts.take(connection, report)
        if taken is None:
            raise CommandError(
                f"{name}: no message has the Message-ID {report.message_id}; nothing was changed",
                Exit.FAILED,
            )
        barred = _bar(connection, taken) if suppress else []
    return {
        "file": name,
        "id": taken.message_id,
        "message_id": report.message_id,
        "envelope_id": report.envelope_id,
        "reporting_mta": report.reporting_mta,
        "new": taken.new,
        "before": taken.before,
        "state": taken.after,
        "receipts": [_plain(one) for one in taken.receipts],
        "suppressed": barred,
    }


def _bar(connection: Connection, taken: TakenReport) -> list[str]:
    """Bar where nobody can be reached; not an address that sends mail on to one that fails."""
    company = connection.execute(
        select(Company.__table__).where(Company.id == taken.company_id)
    ).one()
    barred = []
    for one in taken.receipts:
        if one.address is not None and one.receipt.no_such_address and not one.forwarded:
            key = parse_address(one.address).suppression_key
            added, _ = bar(connection, company, [key], f"bounced: {one.receipt.status}")
            barred += [key] * added
    return barred


def _plain(one: TakenReceipt) -> dict[str, Any]:
    return {
        "address": one.receipt.addresses[0],
        "recipient": one.address,
        "action": one.receipt.action,
        "status": one.receipt.status,
        "diagnostic": one.receipt.diagnostic,
        "remote_mta": one.receipt.remote_mta,
        "new": one.new,
        "before": one.before,
        "state": one.after,
    }


def _print(done: Sequence[dict[str, Any]]) -> None:
    for one in done:
        say(f"message {one['id']}: {_move(one)}")
        for each in one["receipts"]:
            said = each["diagnostic"] or each["status"] or ""
            say(f"  {each['address']}: {each['action']}, {each['state'] or 'no recipient'}  {said}")
        for address in one["suppressed"]:
            say(f"  {address} is suppressed from now on")


def _move(one: dict[str, Any]) -> str:
    state = f"{one['state']} ({SLOVAK[one['state']]})"
    if not one["new"]:
        return f"{state}; this report was taken in before, nothing was changed"
    return f"{state} still" if one["before"] == one["state"] else f"{one['before']} → {state}"


def _end(failures: Sequence[CommandError], any_done: bool) -> None:
    """Tell of all that failed; exit code 2 where nothing was changed but for files that are bad."""
    for error in failures:
        sys.stderr.write(f"kadencia: {error}\n")
    if failures:
        raise typer.Exit(Exit.FAILED if any_done else min(error.code for error in failures))
