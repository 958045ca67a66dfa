"""How commands show what they found, and how they end."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from decimal import Decimal
from enum import IntEnum
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

console = Console(highlight=False, soft_wrap=True)
"""What was asked for; errors go to standard error."""

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]

PIPE_WIDTH = 10_000
"""Columns of a table that no terminal shows: nothing is folded or cut."""

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Exit(IntEnum):
    """The exit codes of every command; docs/operations.md lists them."""

    DONE = 0
    FAILED = 1
    """It could not be done, or a check found a fault."""
    WRONG_INPUT = 2
    """The command line, a file or a setting is wrong; nothing was changed."""
    AWAY = 3
    """PostgreSQL, Redis, an SMTP server or EuroSMS is needed and gives no answer."""


class CommandError(Exception):
    """Ends a command with one line that says what is wrong and how to mend it."""

    def __init__(self, text: str, code: Exit = Exit.WRONG_INPUT) -> None:
        super().__init__(text)
        self.code = code


def say(text: str) -> None:
    """Print a line of what was done."""
    console.print(text, markup=False)


def warn(text: str) -> None:
    """Print a line on standard error: it was done, and there is something to know."""
    sys.stderr.write(f"kadencia: note: {text}\n")


def show_rows(
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[str],
    as_json: bool,
    zone: tzinfo | None = None,
) -> None:
    """Print a listing: as a table of these columns, or as JSON with all that is known.

    Args:
        rows: a mapping for each line.
        columns: keys, in order.
        as_json: JSON, with times in UTC.
        zone: in which people read the times; None for that which each carries.
    """
    if as_json:
        show_json(list(rows))
        return
    if not rows:
        say("none")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        numbers = all(_is_number(row.get(column)) for row in rows)
        table.add_column(
            column.replace("_", " "), justify="right" if numbers else "left", overflow="fold"
        )
    for row in rows:
        table.add_row(*(Text(cell(row.get(column), zone)) for column in columns))
    wide = console if console.is_terminal else Console(width=PIPE_WIDTH)
    wide.print(table)


def show_one(row: Mapping[str, Any], as_json: bool, zone: tzinfo | None = None) -> None:
    """Print one thing, a line for each of its fields, or JSON."""
    if as_json:
        show_json(dict(row))
        return
    width = max(map(len, row), default=0)
    for name, value in row.items():
        say(f"{name.replace('_', ' '):<{width}}  {cell(value, zone)}")


def show_json(value: Any) -> None:
    """Print JSON; times in ISO 8601."""
    json.dump(value, sys.stdout, ensure_ascii=False, indent=1, default=_plain)
    sys.stdout.write("\n")


def cell(value: Any, zone: tzinfo | None = None) -> str:
    r"""A value as people read it, without what could drive their terminal.

    >>> cell(None), cell(True), cell(["a", "b"]), cell("a\x1b[2J")
    ('–', 'yes', 'a, b', 'a�[2J')
    >>> from datetime import UTC
    >>> cell(datetime(2026, 7, 1, 12, tzinfo=UTC))
    '2026-07-01 12:00:00 UTC'
    """
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Decimal):
        return plain_sum(value)
    if isinstance(value, datetime):
        return (value.astimezone(zone) if zone else value).strftime("%Y-%m-%d %H:%M:%S %Z")
    if isinstance(value, list | tuple):
        return ", ".join(cell(one, zone) for one in value) or "–"
    return _CONTROL.sub("\ufffd", str(value))


def at_least(row: Mapping[str, Any], column: str) -> str:
    """A count that may go on: `column`, and `column_is_more`.

    >>> at_least({"backlog": 10000, "backlog_is_more": True}, "backlog")
    '10,000+'
    """
    return f"{row[column]:,}{'+' if row[f'{column}_is_more'] else ''}"


def plain_sum(amount: Decimal) -> str:
    """A sum of money without zeros that say nothing.

    >>> plain_sum(Decimal("80.6930")), plain_sum(Decimal("20.0000")), plain_sum(Decimal("0E-4"))
    ('80.693', '20.00', '0.00')
    """
    cents = amount.quantize(Decimal("0.01"))
    return f"{cents if cents == amount else amount.normalize():f}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return plain_sum(value)
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
