"""What makes two bodies, or two enqueued messages, the same."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any

from worker.compose import AttachmentPart
from worker.outbox.inbox import NewBody, NewFile

_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode
"""Made once: `json.dumps` would make one for each row of a mailing."""


def body_of(
    text: str | None, html: str | None, template: bool, attachments: Iterable[AttachmentPart]
) -> NewBody:
    """The body of this content, with the digests under which it is kept once."""
    files = tuple(
        NewFile(sha256(a.content).digest(), a.name, a.media_type, a.content_id, a.content)
        for a in attachments
    )
    named = [[f.digest.hex(), f.filename, f.content_type, f.content_id] for f in files]
    digest = digest_of([text, html, template, named])
    return NewBody(digest, text, html, template, files)


def digest_of(content: Mapping[str, Any] | list[Any]) -> bytes:
    """SHA-256 of what JSON can hold; the order of names does not matter.

    >>> digest_of({"a": 1, "b": None}) == digest_of({"b": None, "a": 1})
    True
    """
    return sha256(canonical(content)).digest()


def canonical(content: Mapping[str, Any] | list[Any]) -> bytes:
    """JSON that is the same for the same content."""
    return _encode(content).encode()
