"""Before any handler: who asks, how often, how much. After it: headers that every answer has."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass

import structlog
from anyio import to_thread
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from worker import db
from worker.api.bodies import Bodies
from worker.api.desk import Desk
from worker.api.failures import problem_of
from worker.api.ingress import Verdict
from worker.api.problems import Kind, Problem
from worker.api.security import Principal, token_needed
from worker.registers import tokens

log = structlog.get_logger()

OPEN = frozenset({"/v1/openapi.json"})
"""What needs no token below /v1."""
KNOWN_MOST = 1000
EVERYWHERE = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


class Gate:
    """ASGI middleware around the whole application.

    A token is looked at before the body is read, so that nobody without one can make the process
    hold anything.

    Args:
        app: the application.
        desk: what it works with.
    """

    def __init__(self, app: ASGIApp, desk: Desk) -> None:
        self._app = app
        self._desk = desk
        self._bodies = Bodies(desk)
        self._doors = Doors(desk)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or answer it with a problem; ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = Answer(send, is_head=scope["method"] == "HEAD")
        if answer.is_head:  # as GET, without the body (RFC 9110 section 9.3.2)
            scope = {**scope, "method": "GET"}
        try:
            await self._admit(scope, answer)
            async with self._bodies.guarded(scope, receive) as guarded:
                await self._app(scope, guarded, answer.send)
        except Exception as error:
            if not answer.begun:
                await problem_of(error).response()(scope, receive, answer.send)
            elif not answer.ended:
                raise

    async def _admit(self, scope: Scope, answer: Answer) -> None:
        """See to the token of whatever needs one.

        Raises:
            Problem: there is none that is valid, or it has asked too often.
        """
        if not scope["path"].startswith("/v1/") or scope["path"] in OPEN:
            return
        principal = await to_thread.run_sync(self._doors.principal, scope)
        scope.setdefault("state", {})["principal"] = principal
        verdict = await to_thread.run_sync(self._desk.ingress.request, principal.token_id)
        if verdict is None:
            return
        answer.verdict = verdict
        if not verdict.allowed:
            words = f"the token's requests of this minute are used up; ask again in {verdict.wait}"
            headers = {"Retry-After": str(verdict.reset_seconds)}
            raise Problem(Kind.TOO_MANY, words, headers=headers)


@dataclass(slots=True)
class Answer:
    """The way of one answer out."""

    _send: Send
    is_head: bool
    begun: bool = False
    ended: bool = False
    verdict: Verdict | None = None

    async def send(self, message: Message) -> None:
        """Send on, with the headers that every answer has; ASGI."""
        if message["type"] == "http.response.start":
            self.begun = True
            headers = MutableHeaders(scope=message)
            headers.update(EVERYWHERE)
            headers.update(self.verdict.headers if self.verdict else {})
        elif self.is_head:
            message = {**message, "body": b""}
        self.ended = message["type"] == "http.response.body" and not message.get("more_body")
        await self._send(message)


class Doors:
    """Recognises tokens.

    Args:
        desk: with the database and the limits.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._known: OrderedDict[bytes, None] = OrderedDict()

    def principal(self, scope: Scope) -> Principal:
        """Whose token a request shows; called in a thread.

        An address from which too many log-ins failed is refused without a look into the database,
        unless the token was valid here before: others may come from the same address.

        Raises:
            Problem: there is none that is valid.
        """
        address = scope["client"][0] if scope.get("client") else None
        written = _bearer(Headers(scope=scope).get("authorization", ""))
        digest = hashlib.sha256(written.encode()).digest()
        if digest not in self._known and self._desk.ingress.bars(address):
            words = "too many log-ins from this address have failed; ask again in a minute"
            raise Problem(Kind.TOO_MANY, words, headers={"Retry-After": "60"})
        with db.transaction(self._desk.engine) as connection:
            found = tokens.recognise(connection, written) if written else None
        if found is None:
            self._known.pop(digest, None)
            self._desk.ingress.failure(address)
            log.warning("a log-in failed", shown=bool(written))
            raise token_needed()
        self._known[digest] = None
        if len(self._known) > KNOWN_MOST:
            self._known.popitem(last=False)
        who = f"token {found.id} ({found.name})"
        return Principal(found.company_id, found.id, who, found.scopes)


def _bearer(header: str) -> str:
    """The token of an Authorization header, "" if there is none (RFC 6750 section 2.1)."""
    scheme, _, token = header.strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
