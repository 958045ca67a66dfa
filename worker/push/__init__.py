"""The HTTP endpoint to which EuroSMS pushes delivery reports and inbound SMS.

What is confirmed is stored: the gateway drops it then. What is not, it pushes again for 24 hours.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import Engine, Row, text
from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from settings import Settings
from worker import db, logs, serving
from worker.core.sms_reports import read_inbound, read_push
from worker.measures.http import Measured
from worker.outbox import sms_reports
from worker.push.requests import Malformed, contents, is_from, secret_digest

log = structlog.get_logger()

BODY_BYTES = 64 * 1024
"""Chosen: the longest SMS that can come in, each character escaped, with room."""

ACCOUNT = text("""
    SELECT e.account_id, e.push_secret, e.push_from, e.time_zone, a.name
    FROM eurosms_account e JOIN account a ON a.id = e.account_id
    WHERE e.push_secret = :digest
""")


class Endpoint:
    """Answers the gateway."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def respond(self, request: Request) -> Response:
        """Take in what is pushed, and confirm it once it is stored."""
        address = request.client.host if request.client else None
        secret = request.path_params["secret"]
        account = await asyncio.to_thread(self._account, secret, address)
        fields = await _contents(request)
        try:
            await asyncio.to_thread(self._take, account, fields)
        except Malformed as error:
            raise HTTPException(400, str(error)) from None
        return PlainTextResponse(f"ok|{fields['sms_uuid']}")

    def _account(self, secret: str, address: str | None) -> Row[Any]:
        """Whose path it is.

        Raises:
            HTTPException: nobody's, or it is pushed from elsewhere than that account allows.
        """
        digest = secret_digest(secret)
        with db.transaction(self._engine) as connection:
            account = connection.execute(ACCOUNT, {"digest": digest}).one_or_none()
        # The index compares digests, of which timing tells nothing of the secret.
        if account is None or not hmac.compare_digest(bytes(account.push_secret), digest):
            log.warning("pushed to a path that is nobody's", address=address)
            raise HTTPException(404)
        if not is_from(account.push_from, address):
            log.warning("pushed from elsewhere", account=account.name, address=address)
            raise HTTPException(403, "reports are not taken from this address")
        return account

    def _take(self, account: Row[Any], fields: Mapping[str, object]) -> None:
        """Store a report or an SMS, for good.

        Raises:
            Malformed: it is neither.
        """
        zone = ZoneInfo(account.time_zone)
        with db.transaction(self._engine, who=f"pushed to {account.name}") as connection:
            if "sms_text" in fields:
                sms = read_inbound(fields, zone)
                if sms is None:
                    raise Malformed("sms_text is no text")
                new = sms_reports.inbound(connection, account.account_id, sms)
                done = {"new": new}
            else:
                report = read_push(fields, zone)
                if report is None:
                    raise Malformed("sms_uuid is no uuid")
                stored = sms_reports.store(connection, account.account_id, "push", [report])
                done = {"new": bool(stored.new), "matched": bool(stored.matched)}
        what = "inbound SMS" if "sms_text" in fields else "pushed report"
        log.info(what, account=account.name, sms=fields["sms_uuid"], **done)


def make_app(engine: Engine) -> Starlette:
    """The endpoint as an ASGI application.

    Args:
        engine: of a process that was not forked since.
    """
    return Starlette(
        routes=[Route("/eurosms/{secret}", Endpoint(engine).respond, methods=["GET", "POST"])],
        exception_handlers={SQLAlchemyError: _not_stored},
        middleware=[Middleware(Measured)],
    )


def serve(settings: Settings, engine: Engine, host: str, port: int) -> None:
    """Take in what is pushed, until SIGTERM or SIGINT.

    Writes a line of JSON once it listens: `{"listening": "127.0.0.1:8096"}`.

    Args:
        settings: of the log.
        engine: on the product's database.
        host: to listen on; TLS is the business of a reverse proxy on this host.
        port: 0 takes a free one.

    Raises:
        OSError: it cannot listen there.
    """
    logs.configure(settings)
    serving.serve(make_app(engine), host, port, lifespan=False, stop_seconds=None)


async def _contents(request: Request) -> Mapping[str, object]:
    """What is pushed, of a bounded size.

    Raises:
        HTTPException: it is too long, or nothing that the gateway pushes.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES:
            raise HTTPException(413, f"a push has at most {BODY_BYTES} bytes")
    content_type = request.headers.get("content-type", "")
    try:
        return contents(request.url.query, content_type, bytes(body))
    except Malformed as error:
        raise HTTPException(400, str(error)) from None


async def _not_stored(_request: Request, error: Exception) -> Response:
    """Anything but a confirmation has the gateway push it again."""
    log.warning("not stored, to be pushed again", error=type(error).__name__)
    return PlainTextResponse("not stored; push it again later", 503)
