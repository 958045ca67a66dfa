"""Tokens of the HTTP API: made, listed and revoked by the command line, looked up by the API."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select, text

from models.tokens import ApiToken, Scope
from worker import db
from worker.core.content import shown
from worker.registers import RegisterError, audit
from worker.registers.naming import check_name, listed

SECRET_OCTETS = 32
BIGGEST_ID = 2**63 - 1
UNKNOWN = b"\0" * 32
"""Compared with when there is no such token, so that this takes as long."""

_WRITTEN = re.compile(r"kad_([1-9][0-9]{0,18})_([A-Za-z0-9_-]{43})")

# An update once a minute at most: else each request would write a row, and wait for its commit.
USED = text("""
    UPDATE api_token SET last_used_at = clock_timestamp()
    WHERE id = :id AND (last_used_at IS NULL
        OR last_used_at < clock_timestamp() - interval '1 minute')
""")

BY_ID = text("""
    SELECT t.id, t.company_id, t.name, t.scopes, t.digest,
        coalesce(t.revoked_at <= clock_timestamp(), false) AS revoked,
        coalesce(t.expires_at <= clock_timestamp(), false) AS expired,
        t.last_used_at IS NULL
            OR t.last_used_at < clock_timestamp() - interval '1 minute' AS unmarked
    FROM api_token t WHERE t.id = :id
""")


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token that was just made; its secret is kept nowhere else."""

    id: int
    written: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class KnownToken:
    """A token that is valid now."""

    id: int
    company_id: int
    name: str
    scopes: frozenset[str]


def add_token(
    connection: Connection,
    company: Row[Any],
    name: str,
    scopes: Iterable[Scope],
    expires_at: datetime | None = None,
) -> NewToken:
    """Make a token of a company.

    Args:
        connection: the caller's transaction.
        company: whose messages it may enqueue and see.
        name: of the service that will use it; unique among those that are not revoked.
        scopes: what it allows, at least one.
        expires_at: aware; absent: it lasts until it is revoked.

    Raises:
        RegisterError: the name is taken, there is no scope, or it would have expired already.
    """
    name = check_name(name, "token")
    wanted = [scope.value for scope in Scope if scope in set(scopes)]
    if not wanted:
        raise RegisterError("a token without a scope allows nothing", "give one with --scope")
    if _named(connection, company.id, name) is not None:
        raise RegisterError(f"the token {shown(name)} exists already", "revoke it, or rename this")
    if expires_at is not None and expires_at <= db.now(connection):
        raise RegisterError("the token would have expired already", "give a later --expires")
    secret = secrets.token_urlsafe(SECRET_OCTETS)
    values = {
        "company_id": company.id,
        "name": name,
        "scopes": wanted,
        "digest": digest_of(secret),
        "expires_at": expires_at,
    }
    made = audit.add(connection, ApiToken, "token", values)
    return NewToken(made, f"kad_{made}_{secret}")


def tokens(connection: Connection, company_id: int) -> list[dict[str, Any]]:
    """A company's tokens without what could be used, the newest first."""
    columns = ApiToken.__table__.c
    shown_columns = [one for one in columns if one.name not in ("digest", "company_id")]
    query = select(*shown_columns).where(columns.company_id == company_id)
    return [dict(row._mapping) for row in connection.execute(query.order_by(columns.id.desc()))]


def revoke_token(connection: Connection, company: Row[Any], name: str) -> int:
    """End a token at once; returns its id.

    Raises:
        RegisterError: the company has none of that name that is not revoked.
    """
    found = _named(connection, company.id, name.strip())
    if found is None:
        columns = ApiToken.__table__.c
        valid = select(columns.name).where(
            columns.company_id == company.id, columns.revoked_at.is_(None)
        )
        there = listed(list(connection.scalars(valid.order_by(columns.name))))
        raise RegisterError(
            f"{company.name} has no token {shown(name)} to revoke",
            f"it has {there}" if there else "it has none",
        )
    moment = db.now(connection)
    audit.change(connection, ApiToken, "token", found, {"revoked_at": moment}, "revoke")
    return found


def read_token(written: str) -> tuple[int, str] | None:
    """The id and the secret of a token as it is written; None if it is none.

    >>> read_token("kad_3_" + "x" * 43) == (3, "x" * 43)
    True
    >>> read_token("kad_3_short"), read_token("kad_9999999999999999999_" + "x" * 43)
    (None, None)
    """
    found = _WRITTEN.fullmatch(written)
    if found is None or int(found[1]) > BIGGEST_ID:
        return None
    return int(found[1]), found[2]


def recognise(connection: Connection, written: str) -> KnownToken | None:
    """The token that is written so, if it is valid now; marks its use, to the minute."""
    parts = read_token(written)
    if parts is None:
        return None
    token_id, secret = parts
    row = connection.execute(BY_ID, {"id": token_id}).one_or_none()
    fits = hmac.compare_digest(bytes(row.digest) if row else UNKNOWN, digest_of(secret))
    if row is None or not fits or row.revoked or row.expired:
        return None
    if row.unmarked:
        connection.execute(USED, {"id": token_id})
    return KnownToken(row.id, row.company_id, row.name, frozenset(row.scopes))


def digest_of(secret: str) -> bytes:
    """What is kept of a secret.

    A plain SHA-256: slow digests are for passwords, which can be guessed. Nobody goes through
    256 bits of chance, and each request pays for it.
    """
    return hashlib.sha256(secret.encode()).digest()


def scopes_of(names: Collection[str]) -> list[Scope]:
    """Scopes by their names.

    Raises:
        RegisterError: there is none of a name.

    >>> scopes_of(["emails:read"])
    [<Scope.EMAILS_READ: 'emails:read'>]
    """
    try:
        return [Scope(name) for name in names]
    except ValueError:
        wrong = next(name for name in names if name not in set(Scope))
        raise RegisterError(
            f"there is no scope {shown(wrong)}", f"the scopes are {', '.join(Scope)}"
        ) from None


def _named(connection: Connection, company_id: int, name: str) -> int | None:
    columns = ApiToken.__table__.c
    query = select(columns.id).where(
        columns.company_id == company_id, columns.name == name, columns.revoked_at.is_(None)
    )
    return connection.execute(query.with_for_update()).scalar()
