"""Reading the file of a mailing: CSV or JSON Lines, row by row, in little memory."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TextIO

from worker.core.content import ContentError, shown
from worker.enqueueing.drafts import check_values

JSON_SUFFIXES = {".jsonl", ".ndjson", ".json"}
ADDRESS_COLUMNS = ("email", "to")
NUMBER_COLUMNS = ("number", "phone")
HEADER_CHARACTERS_MAX = 1_000_000  # chosen: no header is longer


@dataclass(frozen=True, slots=True)
class Row:
    """One recipient of the file: the line it starts on, its cells, and its values by column."""

    line: int
    cells: list[str] = field(repr=False)
    values: dict[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be enqueued, and why."""

    line: int
    cells: list[str] = field(repr=False)
    error: ContentError


class MailingFile:
    """A file of recipients, which can be read any number of times.

    A name that ends in .jsonl, .ndjson or .json is read as JSON Lines, any other as CSV with
    a header row, in UTF-8, its cells parted by commas or semicolons.

    Args:
        path: of the file.
        recipients: what the column of recipients may be called; it must have one of them.

    Raises:
        ContentError: it cannot be read, is not in UTF-8, or names no recipients.
    """

    def __init__(self, path: Path, recipients: Sequence[str] = ADDRESS_COLUMNS) -> None:
        self.path = path
        self._is_json = path.suffix.lower() in JSON_SUFFIXES
        self._recipients = recipients
        check_columns(self.columns, recipients)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The names in the header row, or in the first object."""
        if self._is_json:
            first = next(self._objects(), None)
            if isinstance(first, BadRow):
                raise first.error
            return tuple(first.values) if first else ()
        with self._opened() as lines:
            try:
                header = next(csv.reader(lines, delimiter=self._delimiter, strict=True), [])
            except csv.Error as error:
                raise _broken(1, str(error)) from None
        return tuple(name.strip() for name in header)

    @property
    def raw_columns(self) -> tuple[str, ...]:
        """What a row's cells are called where a rejected one is written down."""
        return ("row",) if self._is_json else self.columns

    def rows(self) -> Iterator[Row | BadRow]:
        """Every row that is not blank, from the start."""
        return self._objects() if self._is_json else self._cells()

    @cached_property
    def _delimiter(self) -> str:
        """The sign that parts the cells of the header row; Excel in Slovak writes semicolons."""
        with self._opened() as lines:
            header = lines.readline(HEADER_CHARACTERS_MAX)
        return ";" if header.count(";") > header.count(",") else ","

    def _cells(self) -> Iterator[Row | BadRow]:
        columns = self.columns
        with self._opened() as lines:
            reader = csv.reader(lines, delimiter=self._delimiter, strict=True)
            next(reader, None)
            while True:
                line = reader.line_num + 1  # a quoted cell may hold more lines
                try:
                    cells = next(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    yield BadRow(line, [], _broken(line, str(error)))
                    continue
                if len(cells) == len(columns):
                    yield Row(line, cells, dict(zip(columns, cells, strict=True)))
                elif cells:
                    yield BadRow(line, cells, _uneven(line, cells, columns))

    def _objects(self) -> Iterator[Row | BadRow]:
        with self._opened() as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield _object(number, line.rstrip("\r\n"), self._recipients[0])

    @contextmanager
    def _opened(self) -> Iterator[TextIO]:
        try:
            with self.path.open(encoding="utf-8-sig", newline="") as lines:
                yield lines
        except OSError as error:
            raise ContentError(
                f"cannot be read: {error.strerror}", str(self.path), "name a file of recipients"
            ) from None
        except UnicodeDecodeError:
            raise self._not_utf8() from None

    def _not_utf8(self) -> ContentError:
        """Name the first line that is not UTF-8, and show it as Excel's usual code has it."""
        with self.path.open("rb") as octets:
            number, line = next((n, line) for n, line in enumerate(octets, 1) if not _is_utf8(line))
        seen = shown(line.decode("cp1250", "replace").strip())
        return ContentError(
            f"is not UTF-8; in Windows-1250 it would be {seen}",
            f"{self.path.name}, line {number}",
            f"save it as “CSV UTF-8” in Excel, or run"
            f" iconv -f CP1250 -t UTF-8 {self.path.name} > new.csv",
        )


def check_columns(columns: Sequence[str], recipients: Sequence[str]) -> None:
    """Refuse a header without a column of recipients, or with a name that is blank or doubled."""
    where = "header"
    if not any(name in columns for name in recipients):
        found = ", ".join(columns) or "nothing"
        raise ContentError(
            f"has no column {' or '.join(f'“{name}”' for name in recipients)}; it has {found}",
            where,
            f"name the column of recipients “{recipients[0]}”",
        )
    for name in columns:
        if not name:
            raise ContentError("has a column without a name", where, "name it or remove it")
        if columns.count(name) > 1:
            raise ContentError(f"names column {shown(name)} twice", where, "rename one")


def _object(number: int, line: str, recipient: str) -> Row | BadRow:
    where = f"line {number}"
    try:
        found = json.loads(line, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        what = f"is no JSON: {error}"
        return BadRow(number, [line], ContentError(what, where, "write one object on each line"))
    if not isinstance(found, dict):
        what = "is no JSON object"
        mend = f'write {{"{recipient}": …}} on each line'
        return BadRow(number, [line], ContentError(what, where, mend))
    try:
        check_values(found)
    except ContentError as error:
        return BadRow(
            number, [line], ContentError(error.what, f"{where}, {error.where}", error.mend)
        )
    return Row(number, [line], found)


def _is_utf8(octets: bytes) -> bool:
    try:
        octets.decode()
    except UnicodeDecodeError:
        return False
    return True


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number")


def _uneven(line: int, cells: Sequence[str], columns: Sequence[str]) -> ContentError:
    if len(cells) > len(columns):
        where = f"line {line}, after column {columns[-1]}"
    else:
        where = f"line {line}, column {columns[len(cells)]}"
    return ContentError(
        f"the row has {len(cells)} cells, the header {len(columns)}",
        where,
        "put a cell that holds the delimiter into quotes, and leave none out",
    )


def _broken(line: int, words: str) -> ContentError:
    return ContentError(f"is no CSV: {words}", f"line {line}", "correct its quotes")
