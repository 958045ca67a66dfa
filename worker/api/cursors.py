"""Where a list goes on: the last id of its part before, in a form that nobody need read."""

from __future__ import annotations

import base64
import binascii


def cursor_of(last_id: int) -> str:
    """Where a list goes on, for whoever asked for its first part.

    >>> cursor_of(17), last_of(cursor_of(17))
    ('MTc', 17)
    """
    return base64.urlsafe_b64encode(str(last_id).encode()).decode().rstrip("=")


def last_of(cursor: str) -> int | None:
    """The id after which a list goes on; None if this is no cursor.

    >>> last_of("nonsense"), last_of("MTc=")
    (None, None)
    """
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
        found = int(text) if text.isdecimal() and len(text) < 19 else 0
    except (binascii.Error, ValueError):
        return None
    return found if found and cursor_of(found) == cursor else None
