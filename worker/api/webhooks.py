"""Webhooks by HTTP: `/v1/webhooks`, each company its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from sqlalchemy import Connection, Row

from models.states import SLOVAK, MessageState
from models.tokens import Scope
from worker import bootstrap
from worker.api.cursors import cursor_of, last_of
from worker.api.description import ALWAYS, problems
from worker.api.desk import Desk, desk
from worker.api.given import Given
from worker.api.problems import Kind, Problem
from worker.api.reading import of_content, read
from worker.api.requests import JsonBody
from worker.api.security import Principal, require
from worker.api.webhook_shapes import (
    DeliveryPage,
    DeliveryShown,
    Replayed,
    ReplayGiven,
    SecretShown,
    WebhookGiven,
    WebhookMade,
    WebhookPage,
    WebhookPatch,
    WebhookShown,
)
from worker.core.content import ContentError
from worker.core.webhook_addresses import Network, parse_networks
from worker.vault import Vault, VaultError
from worker.webhooks import register, replaying

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"])

ID_MOST = 2**63 - 1
Number = Annotated[int, Path(ge=1, le=ID_MOST)]
Limit = Annotated[int, Query(ge=1, le=200)]
Cursor = Annotated[str | None, Query(max_length=40)]
Reads = Annotated[Principal, Depends(require(Scope.WEBHOOKS_READ))]
Writes = Annotated[Principal, Depends(require(Scope.WEBHOOKS_WRITE))]
AtDesk = Annotated[Desk, Depends(desk)]


def _takes(model: type[Given]) -> dict[str, Any]:
    content = {"application/json": {"schema": model.model_json_schema()}}
    return {"requestBody": {"required": True, "content": content}}


OF_LIST = problems(Kind.INVALID, *ALWAYS)
OF_ONE = problems(Kind.NOT_FOUND, Kind.INVALID, *ALWAYS)
OF_REPLAY = problems(Kind.NOT_FOUND, Kind.TOO_LATE, Kind.INVALID, *ALWAYS)
BODY = (Kind.MALFORMED, Kind.TOO_SLOW, Kind.TOO_LARGE, Kind.MEDIA_TYPE, Kind.INVALID, *ALWAYS)
OF_MAKING = problems(Kind.TAKEN, *BODY)
OF_CHANGE = problems(Kind.NOT_FOUND, *BODY)
OF_REPLAYS = problems(Kind.NOT_FOUND, Kind.TOO_LATE, *BODY)


@router.post("", status_code=201, responses=OF_MAKING, openapi_extra=_takes(WebhookGiven))
def make(body: JsonBody, principal: Writes, desk: AtDesk) -> WebhookMade:
    """Make a webhook."""
    given = read(WebhookGiven, body)
    vault = _vault(desk)
    with _work(principal, desk) as connection:
        number, secret = register.add(
            connection,
            principal.company_id,
            vault,
            _allowed(desk),
            **given.model_dump(exclude_none=True),
        )
        row = register.find(connection, principal.company_id, number)
    return WebhookMade(**_members(row), secret=secret)


@router.get("", responses=OF_LIST)
def listing(
    principal: Reads, desk: AtDesk, limit: Limit = 50, cursor: Cursor = None
) -> WebhookPage:
    """List the company's webhooks."""
    after = _last(cursor) or 0
    with _work(principal, desk) as connection:
        found = register.webhooks(connection, principal.company_id, after, limit + 1)
    items = [WebhookShown(**_members(row)) for row in found[:limit]]
    return WebhookPage(items=items, next_cursor=_next(found, limit))


@router.get("/{number}", responses=OF_ONE)
def show(number: Number, principal: Reads, desk: AtDesk) -> WebhookShown:
    """Show one webhook."""
    with _work(principal, desk) as connection:
        row = register.find(connection, principal.company_id, number)
    return WebhookShown(**_members(row))


@router.patch("/{number}", responses=OF_CHANGE, openapi_extra=_takes(WebhookPatch))
def change(number: Number, body: JsonBody, principal: Writes, desk: AtDesk) -> WebhookShown:
    """Change where a webhook leads, what it is told, or whether it is told at all."""
    values = read(WebhookPatch, body).model_dump(exclude_none=True)
    active = values.pop("active", None)
    with _work(principal, desk) as connection:
        webhook = register.find(connection, principal.company_id, number, lock=True)
        register.change(connection, webhook, _allowed(desk), values)
        if active is not None:
            (register.enable if active else register.disable)(connection, webhook)
        row = register.find(connection, principal.company_id, number)
    return WebhookShown(**_members(row))


@router.delete("/{number}", status_code=204, responses=OF_ONE)
def remove(number: Number, principal: Writes, desk: AtDesk) -> None:
    """Take a webhook away, with what waits for it."""
    with _work(principal, desk) as connection:
        webhook = register.find(connection, principal.company_id, number, lock=True)
        register.remove(connection, webhook)


@router.post("/{number}/enable", responses=OF_ONE)
def enable(number: Number, principal: Writes, desk: AtDesk) -> WebhookShown:
    """Tell a webhook again; what waits is told at once."""
    with _work(principal, desk) as connection:
        webhook = register.find(connection, principal.company_id, number, lock=True)
        register.enable(connection, webhook)
        row = register.find(connection, principal.company_id, number)
    return WebhookShown(**_members(row))


@router.post("/{number}/rotate", responses=OF_ONE)
def rotate(number: Number, principal: Writes, desk: AtDesk) -> SecretShown:
    """Make a new secret."""
    vault = _vault(desk)
    with _work(principal, desk) as connection:
        webhook = register.find(connection, principal.company_id, number, lock=True)
        return SecretShown(secret=register.rotate(connection, webhook, vault))


@router.get("/{number}/deliveries", responses=OF_ONE)
def deliveries(
    number: Number,
    principal: Reads,
    desk: AtDesk,
    limit: Limit = 50,
    cursor: Cursor = None,
    undelivered: bool = False,
) -> DeliveryPage:
    """List what a webhook was told, and what became of it."""
    before = _last(cursor)
    with _work(principal, desk) as connection:
        webhook = register.find(connection, principal.company_id, number)
        found = replaying.deliveries(
            connection, webhook.id, before, limit + 1, undelivered=undelivered
        )
    items = [
        DeliveryShown(**row._mapping, state_sk=SLOVAK[MessageState(row.state)])
        for row in found[:limit]
    ]
    return DeliveryPage(items=items, next_cursor=_next(found, limit))


@router.post("/{number}/deliveries/{delivery}/replay", status_code=202, responses=OF_REPLAY)
def replay(number: Number, delivery: Number, principal: Writes, desk: AtDesk) -> Replayed:
    """Tell one event again, under the same id."""
    with _work(principal, desk) as connection:
        webhook = register.find(connection, principal.company_id, number, lock=True)
        replaying.replay(connection, webhook, delivery)
    return Replayed(events=1)


@router.post(
    "/{number}/replay",
    status_code=202,
    responses=OF_REPLAYS,
    openapi_extra=_takes(ReplayGiven),
)
def replay_since(number: Number, body: JsonBody, principal: Writes, desk: AtDesk) -> Replayed:
    """Tell again all that has happened since a time, also while the webhook was disabled."""
    given = read(ReplayGiven, body)
    with _work(principal, desk) as connection:
        webhook = register.find(connection, principal.company_id, number, lock=True)
        count = replaying.replay_since(
            connection, webhook, given.since, undelivered=given.undelivered
        )
    return Replayed(events=count)


@contextmanager
def _work(principal: Principal, desk: Desk) -> Iterator[Connection]:
    """A transaction whose refusals are told as problems.

    Raises:
        Problem: what was asked for is not there, or is refused.
    """
    try:
        with desk.transaction(principal.who) as connection:
            yield connection
    except register.NotThere as error:
        raise Problem(Kind.NOT_FOUND, f"{error.what}") from None
    except register.Disabled as error:
        raise Problem(Kind.TOO_LATE, f"{error.what}; enable it first") from None
    except register.TooMany as error:
        raise Problem(Kind.TAKEN, f"{error.what}; {error.mend}") from None
    except ContentError as error:
        raise of_content(error, "/url") from None
    except VaultError:
        raise Problem(Kind.UNAVAILABLE, "there is no key to seal the secret with") from None


def _vault(desk: Desk) -> Vault:
    return bootstrap.make_vault(desk.settings)


def _allowed(desk: Desk) -> tuple[Network, ...]:
    return parse_networks(desk.settings.webhook_allow or "")


def _members(row: Row[Any]) -> dict[str, Any]:
    return {name: row._mapping[name] for name in WebhookShown.model_fields}


def _last(cursor: str | None) -> int | None:
    """Raises Problem where it is none of ours."""
    if cursor is None:
        return None
    found = last_of(cursor)
    if found is None:
        raise Problem(Kind.INVALID, "cursor is none that was answered; leave it out")
    return found


def _next(found: list[Row[Any]], limit: int) -> str | None:
    return cursor_of(found[limit - 1].id) if len(found) > limit else None
