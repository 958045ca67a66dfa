"""What the server answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from kadencia_client.errors import Problem, error_of


@dataclass(frozen=True, slots=True)
class Enqueued:
    """A message that was taken in.

    Attributes:
        id: its number.
        state: where it stands.
        created: False if it stood there already under its key.
    """

    id: int
    state: str
    created: bool

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Enqueued:
        """Read an answer."""
        return cls(int(given["id"]), str(given["state"]), bool(given["created"]))


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What became of one item of a batch.

    Attributes:
        index: of the item, from 0.
        key: its idempotency key.
        done: the message that was taken in; None if it was not.
        problem: why it was not.
    """

    index: int
    key: str
    done: Enqueued | None = None
    problem: Problem | None = None

    def result(self) -> Enqueued:
        """The message.

        Raises:
            ApiError: it was not taken in.
        """
        if self.done is None:
            raise error_of(self.problem or Problem.of(None, 500))
        return self.done


@dataclass(frozen=True, slots=True)
class Recipient:
    """One recipient of an e-mail, with its own state and the far side's last words."""

    kind: str
    address: str = field(repr=False)
    name: str | None = field(repr=False)
    state: str
    reply: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Message:
    """An e-mail or an SMS as it stands.

    Attributes:
        state_sk: the state as people read it in Slovak.
        why: why it stands where it stands.
        attempts: how many were charged.
        recipients: of an e-mail; of an SMS there are none, see `raw`.
        raw: all that the server said, with what newer ones may add.
    """

    id: int
    state: str
    state_sk: str
    why: str | None
    reference: str | None
    idempotency_key: str | None
    attempts: int
    created_at: datetime
    settled_at: datetime | None
    recipients: tuple[Recipient, ...]
    raw: Mapping[str, Any] = field(repr=False)

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Message:
        """Read an answer."""
        people = given.get("recipients", ())
        names = ("kind", "address", "name", "state", "reply")
        return cls(
            **{name: given[name] for name in ("id", "state", "state_sk", "why", "attempts")},
            reference=given.get("reference"),
            idempotency_key=given.get("idempotency_key"),
            created_at=datetime.fromisoformat(given["created_at"]),
            settled_at=_moment(given.get("settled_at")),
            recipients=tuple(Recipient(*(one.get(n) for n in names)) for one in people),
            raw=given,
        )


@dataclass(frozen=True, slots=True)
class Attempt:
    """One hand-over: its outcome, and the far side's words in `raw`."""

    id: str
    outcome: str
    opened_at: datetime
    closed_at: datetime | None
    code: int | None
    raw: Mapping[str, Any] = field(repr=False)

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Attempt:
        """Read an answer."""
        return cls(
            id=str(given["id"]),
            outcome=str(given["outcome"]),
            opened_at=datetime.fromisoformat(given["opened_at"]),
            closed_at=_moment(given.get("closed_at")),
            code=given.get("code"),
            raw=given,
        )


def _moment(given: str | None) -> datetime | None:
    return None if given is None else datetime.fromisoformat(given)
