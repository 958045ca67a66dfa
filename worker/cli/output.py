"""How commands show what they found, and how they end."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import IntEnum
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

console = Console(highlight=False, soft_wrap=True)
"""What was asked for; errors go to standard error."""

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


class Exit(IntEnum):
    """The exit codes of every command; docs/operations.md lists them."""

    DONE = 0
    FAILED = 1
    """It could not be done, or a check found a fault."""
    WRONG_INPUT = 2
    """The command line, a file or a setting is wrong; nothing was changed."""
    AWAY = 3
    """PostgreSQL, Redis or an SMTP server that it needs gives no answer."""


class CommandError(Exception):
    """Ends a command with one line that says what is wrong and how to mend it."""

    def __init__(self, text: str, code: Exit = Exit.WRONG_INPUT) -> None:
        super().__init__(text)
        self.code = code


def show_rows(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], as_json: bool) -> None:
    """Print a listing: as a table of these columns, or as JSON with all that is known."""
    if as_json:
        show_json(list(rows))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.replace("_", " "))
    for row in rows:
        table.add_row(*(cell(row.get(column)) for column in columns))
    console.print(table)


def show_one(row: Mapping[str, Any], as_json: bool) -> None:
    """Print one thing, a line for each of its fields, or JSON."""
    if as_json:
        show_json(dict(row))
        return
    width = max(map(len, row), default=0)
    for name, value in row.items():
        console.print(f"{name.replace('_', ' '):<{width}}  {cell(value)}", markup=False)


def show_json(value: Any) -> None:
    """Print JSON; times in ISO 8601."""
    json.dump(value, sys.stdout, ensure_ascii=False, indent=1, default=_plain)
    sys.stdout.write("\n")


def cell(value: Any) -> str:
    """A value as people read it.

    >>> cell(None), cell(True), cell(["a", "b"])
    ('–', 'yes', 'a, b')
    """
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, list | tuple):
        return ", ".join(cell(one) for one in value)
    return str(value)


def _plain(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
