"""What one sending process keeps open, one for each account that it uses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

from sqlalchemy import Row

KEPT = 8
"""Chosen: connections that an idle process may hold open; the longest unused goes first."""


class Closing(Protocol):
    """What holds a connection."""

    def close(self) -> None:
        """Close it."""


C = TypeVar("C", bound=Closing)


class Kept(Generic[C]):
    """Transports or clients by account; an account that was changed gets a new one.

    Args:
        make: makes one for an account's row; what it raises, `of` raises.
        fields: columns of the row on which one depends.
    """

    def __init__(self, make: Callable[[Row[Any]], C], fields: tuple[str, ...]) -> None:
        self._make = make
        self._fields = fields
        self._kept: dict[int, tuple[tuple[Any, ...], C]] = {}

    def of(self, account: Row[Any]) -> C:
        """That of an account, perhaps with a connection that is still open."""
        known = self._kept.pop(account.id, None)
        mark = tuple(_plain(getattr(account, name)) for name in self._fields)
        if known is not None and known[0] != mark:
            known[1].close()
            known = None
        if known is None:
            known = mark, self._make(account)
        self._kept[account.id] = known
        while len(self._kept) > KEPT:
            self._kept.pop(next(iter(self._kept)))[1].close()
        return known[1]

    def close(self) -> None:
        """Close all of them."""
        for _, one in self._kept.values():
            one.close()
        self._kept.clear()


def _plain(value: Any) -> Any:
    return bytes(value) if isinstance(value, memoryview) else value
