"""Storing a group of a batch's lines in one transaction, so that a bad one loses no good one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from worker.api.channels import AnyDraft, Side
from worker.api.desk import Desk
from worker.api.drafting import Drafting, digest_of_request, located
from worker.api.failures import code_of, is_away
from worker.api.given import EmailGiven, SmsGiven
from worker.api.lines import Line
from worker.api.problems import Kind, Problem
from worker.api.reading import of_content, read
from worker.api.security import Principal
from worker.api.taking import OTHER
from worker.core.content import ContentError
from worker.enqueueing import Draft
from worker.enqueueing.drafts import check_names
from worker.enqueueing.together import Become
from worker.outbox import api_requests
from worker.outbox.api_requests import Repeat

log = structlog.get_logger()

FILES_OCTETS = 8_000_000
"""Chosen: uploaded files that are held in memory before what names them is stored."""
TRIES = 3
"""Chosen: two batches with the same keys in different orders may deadlock, and one goes on."""
DEADLOCK = "40P01"

Answer = dict[str, Any] | Problem


@dataclass(frozen=True, slots=True)
class Asked:
    """What a line asks for."""

    given: EmailGiven | SmsGiven
    key: str | None


@dataclass(frozen=True, slots=True)
class Prepared:
    """A draft, and the digest of what was asked for."""

    draft: AnyDraft
    digest: bytes


class Groups:
    """Stores the lines of one batch.

    Args:
        desk: on whose database.
        principal: for whom.
        side: over which channel.
        key: of the whole request; lines without a key of their own get `key:number`.
    """

    def __init__(self, desk: Desk, principal: Principal, side: Side, key: str | None) -> None:
        self._desk = desk
        self._principal = principal
        self._side = side
        self._key = key

    def store(self, lines: Sequence[Line]) -> list[Answer]:
        """Store what can be stored; returns what is answered of each line, in their order.

        Raises:
            SQLAlchemyError: PostgreSQL is away, and nothing was stored.
        """
        verdict = self._desk.ingress.messages(self._principal.token_id, len(lines))
        if verdict is not None and not verdict.allowed:
            words = f"the token's messages of this minute are used up; ask again in {verdict.wait}"
            return [Problem(Kind.TOO_MANY, words)] * len(lines)
        octets = sum(len(line.octets or b"") for line in lines)
        return self._in_one_go([self._asked(line) for line in lines], octets)

    def _in_one_go(self, asked: list[Asked | Problem], octets: int) -> list[Answer]:
        for tries_left in reversed(range(TRIES)):
            try:
                with self._desk.transaction(self._principal.who, octets) as connection:
                    return self._all(connection, asked)
            except SQLAlchemyError as error:
                if is_away(error):
                    raise
                if code_of(error) == DEADLOCK and tries_left:
                    continue
                log.error("a group of lines was not stored", error=type(error).__name__)
                break
            except Exception as error:  # of whatever line: the others must not pay for it
                log.error("a group of lines was not stored", error=type(error).__name__)
                break
        if len(asked) == 1:
            words = "the line could not be stored; the fault is ours, and is in the log"
            return [Problem(Kind.INTERNAL, words)]
        return [answer for one in asked for answer in self._in_one_go([one], octets)]

    def _asked(self, line: Line) -> Asked | Problem:
        if line.octets is None:
            return Problem(Kind.TOO_LARGE, "the line is longer than an e-mail may be")
        try:
            given = read(self._side.given, line.octets)
        except Problem as problem:
            return problem
        number = None if self._key is None else f"{self._key}:{line.number}"
        key = given.idempotency_key or number
        try:
            check_names(key, given.reference)
        except ContentError as error:
            return of_content(error)
        return Asked(given, key)

    def _all(self, connection: Connection, asked: Sequence[Asked | Problem]) -> list[Answer]:
        drafting = Drafting(connection, self._principal.company_id)
        answers: list[Answer] = []
        waiting: list[Prepared | Problem] = []
        octets, last = 0, b""
        for one in asked:
            prepared = one if isinstance(one, Problem) else self._prepared(drafting, one)
            waiting.append(prepared)
            for content in _contents(prepared):
                octets += 0 if content is last else len(content)
                last = content
            if octets >= FILES_OCTETS:
                answers += self._stored(connection, waiting)
                waiting, octets = [], 0
        return answers + self._stored(connection, waiting)

    def _prepared(self, drafting: Drafting, asked: Asked) -> Prepared | Problem:
        try:
            draft = self._side.draft(drafting, asked.given, asked.key)
        except Problem as problem:
            return problem
        return Prepared(draft, digest_of_request(asked.given, draft))

    def _stored(
        self, connection: Connection, waiting: Sequence[Prepared | Problem]
    ) -> list[Answer]:
        found = self._beside_earlier(connection, waiting)
        new = [one for one in found if isinstance(one, Prepared)]
        become = self._side.together(connection, [one.draft for one in new], self._desk.settings)
        pairs = list(zip(new, become, strict=True))
        api_requests.remember(
            connection,
            {
                after.message_id: one.digest
                for one, after in pairs
                if not isinstance(after, ContentError) and after.created and _key(one)
            },
        )
        done = iter(pairs)
        all_of_them = [_answer(*next(done)) if isinstance(one, Prepared) else one for one in found]
        return self._with_states(connection, all_of_them)

    def _beside_earlier(
        self, connection: Connection, waiting: Sequence[Prepared | Problem]
    ) -> list[Prepared | Answer]:
        """Answer what repeats an earlier request, or uses its key for another."""
        keys = [key for one in waiting if isinstance(one, Prepared) and (key := _key(one))]
        company, channel = self._principal.company_id, self._side.channel.value
        earlier = api_requests.earlier(connection, company, channel, keys) if keys else {}
        seen: dict[str, bytes] = {}
        found: list[Prepared | Answer] = []
        for one in waiting:
            key = _key(one) if isinstance(one, Prepared) else None
            if isinstance(one, Problem) or key is None:
                found.append(one)
                continue
            before = earlier.get(key)
            repeat = Repeat.UNSURE if before is None else before.beside(one.digest)
            if repeat is Repeat.OTHER or seen.setdefault(key, one.digest) != one.digest:
                found.append(Problem(Kind.KEY_CONFLICT, OTHER))
            elif before is not None and repeat is Repeat.SAME:
                found.append({"id": before.message_id, "created": False})
            else:
                found.append(one)
        return found

    def _with_states(self, connection: Connection, answers: list[Answer]) -> list[Answer]:
        """Tell of what stood there already where it stands now."""
        ids = [one["id"] for one in answers if not isinstance(one, Problem) and not one["created"]]
        company = self._principal.company_id
        states = api_requests.states(connection, company, ids) if ids else {}
        return [
            one
            if isinstance(one, Problem)
            else {
                "id": one["id"],
                "state": states.get(one["id"], "ready"),
                "created": one["created"],
            }
            for one in answers
        ]


def _answer(prepared: Prepared, become: Become) -> Answer:
    if isinstance(become, ContentError):
        return located(become, prepared.draft)
    return {"id": become.message_id, "created": become.created}


def _key(prepared: Prepared) -> str | None:
    return prepared.draft.idempotency_key


def _contents(prepared: Prepared | Problem) -> list[bytes]:
    if isinstance(prepared, Problem) or not isinstance(prepared.draft, Draft):
        return []
    return [one.content for one in prepared.draft.attachments]
