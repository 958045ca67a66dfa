"""What makes messages of the rows of a file, whatever their channel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection

from worker.compose import check_template, render, template_fields
from worker.core.content import ContentError, check_text, shown
from worker.enqueueing.digests import canonical
from worker.enqueueing.drafts import KEY_CHARACTERS_MAX
from worker.enqueueing.files import Row
from worker.enqueueing.occurrences import Occurrences
from worker.enqueueing.places import Place

ROW_KEY_OCTETS = 16  # chosen: no two rows of any list have the same by chance


@dataclass(frozen=True, slots=True)
class Item:
    """One row that may be enqueued; `keyed` if it brought a key of its own."""

    line: int
    cells: list[str]
    keyed: bool
    key: str
    digest: bytes


AnItem = TypeVar("AnItem", bound=Item)


class Sheet(Protocol[AnItem]):
    """The templates of a mailing, checked once, and what makes and stores an item of each row."""

    def item(self, row: Row, seen: Occurrences) -> AnItem:
        """Check a row and fill the templates with it.

        Args:
            row: as it was read.
            seen: the rows before it, from the first on.

        Raises:
            ContentError: naming line and column.
        """

    def pack(self, item: AnItem) -> list[Any]:
        """An item as JSON can hold it, without its cells, which only a bad row needs."""

    def unpack(self, packed: list[Any]) -> AnItem:
        """The item that was packed."""

    def store(
        self,
        connection: Connection,
        where: Place,
        times: tuple[datetime, datetime],
        items: Sequence[AnItem],
    ) -> int:
        """Store items, but those whose key is taken; returns how many are new."""


class Templates:
    """Texts to be filled with each row.

    Args:
        sources: by the word that errors have for each; "HTML" is filled as such.
        columns: of the file.

    Raises:
        ContentError: one is no template, or uses what is no column.
    """

    def __init__(self, sources: Mapping[str, str], columns: Sequence[str]) -> None:
        self._sources = sources
        for where, source in sources.items():
            _check_fields(where, source, columns)
        self._fields = {w: template_fields(source) for w, source in sources.items()}
        self._constant = {
            where: self._render(where, {}) for where in sources if not self._fields[where]
        }

    def fill(self, where: str, row: Row) -> str:
        """One of them, filled with a row.

        Raises:
            ContentError: the row lacks a value, or the template fails with it.
        """
        constant = self._constant.get(where)
        if constant is not None:
            return constant
        for name in self._fields[where]:
            value = row.values.get(name)
            if value is None:
                raise ContentError("has no value", f"column {name}", "give every row one")
            if isinstance(value, str):
                check_text(value, f"column {name}")
        return self._render(where, row.values)

    def _render(self, where: str, values: Mapping[str, Any]) -> str:
        return render(self._sources[where], values, html=where == "HTML", where=where)


def row_key(row: Row, seen: Occurrences) -> str:
    """The row's own key, or one made of its content and of how often that stood before it.

    Raises:
        ContentError: its own key is no key, or stands in an earlier row too.
    """
    given = row.values.get("key")
    if given is None or given == "":
        content = sha256(canonical(row.values)).digest()[:ROW_KEY_OCTETS]
        before = seen.add(content)
        return f"{content.hex()}.{before}" if before else content.hex()
    where = f"line {row.line}, column key"
    if not isinstance(given, str) or not given.strip() or len(given) > KEY_CHARACTERS_MAX:
        raise ContentError(
            "is blank, no text or too long",
            where,
            f"give a text of at most {KEY_CHARACTERS_MAX} characters",
        )
    check_text(given, where)
    if seen.add(given.encode()):
        raise ContentError(
            f"{shown(given)} stands in an earlier row too", where, "give each row its own key"
        )
    return given


def _check_fields(where: str, source: str, columns: Sequence[str]) -> None:
    check_template(source, where)
    unknown = sorted(template_fields(source, where) - set(columns))
    if unknown:
        raise ContentError(
            f"uses {', '.join(map(shown, unknown))}, but the file has only the columns "
            f"{', '.join(columns)}",
            where,
            "add the column or correct the template",
        )
