"""A request to the gateway, and an answer of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from functools import cached_property
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from worker.eurosms_emulator.protocol import MOST_MESSAGES, recipient

JSON = "application/json; charset=utf-8"
HTML = "text/html; charset=utf-8"
PLAIN = "text/plain; charset=utf-8"


@dataclass(frozen=True)
class Request:
    """What a client asks for.

    Attributes:
        method: of HTTP.
        target: path and query, as they came.
        body: as it came.
    """

    method: str
    target: str
    body: bytes = b""

    @cached_property
    def parts(self) -> list[str]:
        """The path, parted at its slashes and decoded."""
        return [unquote(one) for one in urlsplit(self.target).path.strip("/").split("/")]

    @cached_property
    def query(self) -> dict[str, str]:
        """The parameters; of several with one name, the last."""
        return {name: found[-1] for name, found in parse_qs(urlsplit(self.target).query).items()}

    @property
    def name(self) -> str:
        """What is asked, as faults and counters call it.

        >>> Request("GET", "/api/v3/status/one/60c525e2").name
        'status/one'
        """
        if self.parts[:2] == ["api", "v2"]:
            return "/".join(self.parts[2:3])
        return "/".join(self.parts[2:4]) if self.parts[:2] == ["api", "v3"] else "other"

    @cached_property
    def fields(self) -> Mapping[str, Any] | None:
        """The JSON object in the body; None if there is none."""
        try:
            found = json.loads(self.body)
        except ValueError:
            return None
        return found if isinstance(found, dict) else None

    @cached_property
    def numbers(self) -> list[str]:
        """The recipients in the body."""
        fields = self.fields or {}
        messages = [fields, *(one for one in _list(fields, "msgs") if isinstance(one, dict))]
        given = [
            one
            for message in messages[: MOST_MESSAGES + 1]
            for one in [message.get("rcpt"), *_list(message, "rcpts")]
        ]
        return [found.digits for one in given if (found := recipient(one)).digits]


class End(Enum):
    """How an exchange ends."""

    KEPT = auto()
    """The connection stays open."""
    CLOSED = auto()
    """No answer; the connection closes."""
    RESET = auto()
    """No answer; the connection is reset."""
    CUT = auto()
    """Half the body; the connection closes."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the client gets.

    Attributes:
        body: of the content type.
        status: of HTTP.
        kind: content type.
        location: where a redirect leads.
        is_done: what was asked for has been done.
        end: what becomes of the connection.
    """

    body: bytes = b""
    status: int = 200
    kind: str = JSON
    location: str | None = None
    is_done: bool = False
    end: End = End.KEPT


def as_json(content: Any, status: int = 200, *, is_done: bool = False) -> Answer:
    """An answer in JSON."""
    return Answer(json.dumps(content, ensure_ascii=False).encode(), status, is_done=is_done)


def _list(fields: Mapping[str, Any], name: str) -> list[Any]:
    found = fields.get(name)
    return found if isinstance(found, list) else []
