"""Access tokens of SMTP accounts, shared by the whole fleet through the database.

One process asks the token server, and the others wait for its token or go on with the one that is
still good. So the server is asked once for each token, and a refresh token that may be used only
once is never used twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar
from urllib.parse import urlsplit

import structlog
from sqlalchemy import Connection, Engine, Row, text
from sqlalchemy.exc import DBAPIError, OperationalError

from worker import db
from worker.core.oauth import Granted, Refused, TokenRequest
from worker.errors import AuthenticationFailed, TransportUnavailable
from worker.transports import token_server
from worker.vault import Vault, VaultError

log = structlog.get_logger()
T = TypeVar("T")

LOCK_SECONDS = 20
"""Chosen: longer than a token server may take."""

FIND = """
    SELECT q.*, coalesce(q.renew_at > clock_timestamp(), false) AS fresh,
        coalesce(q.expires_at > clock_timestamp() + interval '30 s', false) AS good,
        coalesce(q.obtained_at > clock_timestamp() - interval '1 min', false) AS just_obtained
    FROM smtp_oauth q WHERE q.account_id = :account {}
"""
LOOK = text(FIND.format(""))
LOCK = text(FIND.format("FOR UPDATE"))
LOCK_IF_FREE = text(FIND.format("FOR UPDATE SKIP LOCKED"))

WAIT = text(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")

# By compare and set: a refresh token that a person entered meanwhile stays.
STORE = text("""
    UPDATE smtp_oauth SET access_token = :access, refresh_token = coalesce(:refresh, refresh_token),
        obtained_at = clock_timestamp(), renew_at = clock_timestamp() + :renew_after,
        expires_at = clock_timestamp() + :good_for
    WHERE account_id = :account AND refresh_token IS NOT DISTINCT FROM :old
""")
STORE_REFRESH = text("""
    UPDATE smtp_oauth SET refresh_token = :refresh
    WHERE account_id = :account AND refresh_token = :old
""")
POSTPONE = text("""
    UPDATE smtp_oauth SET renew_at = least(expires_at, clock_timestamp() + interval '1 min')
    WHERE account_id = :account
""")


@dataclass(frozen=True, slots=True)
class _Unstored:
    """A refresh token that came while the database went away, sealed, and the one before it."""

    old: bytes
    new: bytes


class StoredTokens:
    """The access tokens of one account, as `worker.transports.log_in.Tokens` wants them.

    Args:
        engine: the database.
        vault: seals and opens them.
        account_id: SMTP account.
        name: as it is called in errors.
        username: whose mailbox they are for.
    """

    def __init__(
        self, engine: Engine, vault: Vault, account_id: int, name: str, username: str
    ) -> None:
        self._engine = engine
        self._vault = vault
        self._account_id = account_id
        self._name = name
        self._username = username
        self._unstored: _Unstored | None = None

    @property
    def username(self) -> str:
        """Whose mailbox they are for."""
        return self._username

    def token(self) -> str:
        """One that is good now: the stored one, or a new one some minutes before its end.

        Raises:
            AuthenticationFailed: the token server gives none until a person mends the account.
            TransportUnavailable: there is none to be had now.
        """
        return self._safely(self._token)

    def after_refusal(self, refused: str) -> str | None:
        """Another in place of one that the SMTP server refused; None if that one was fresh.

        Raises:
            AuthenticationFailed, TransportUnavailable: as `token`.
        """
        return self._safely(lambda: self._after_refusal(refused))

    def _token(self) -> str:
        self._store_what_is_left()
        with db.transaction(self._engine) as connection:
            stored = self._row(connection, LOOK)
        if stored is not None and stored.fresh:
            return self._access(stored)
        with db.transaction(self._engine) as connection:
            good = stored is not None and stored.good
            row = self._row(connection, LOCK_IF_FREE if good else LOCK)
            if row is None and good:
                return self._access(stored)  # another process is asking, and this one serves
            row = self._must(row)
            return self._access(row) if row.fresh else self._renewed(connection, row, row.good)

    def _after_refusal(self, refused: str) -> str | None:
        self._store_what_is_left()
        with db.transaction(self._engine) as connection:
            row = self._must(self._row(connection, LOCK))
            same = row.access_token is None or self._access(row) == refused
            if not same and row.good:
                return self._access(row)
            if same and row.just_obtained:
                return None
            return self._renewed(connection, row, False)

    def _row(self, connection: Connection, query: Any) -> Row[Any] | None:
        connection.execute(WAIT)
        return connection.execute(query, {"account": self._account_id}).one_or_none()

    def _must(self, row: Row[Any] | None) -> Row[Any]:
        if row is None:
            raise AuthenticationFailed(self._name, "auth: the account has no OAuth any more")
        return row

    def _access(self, row: Any) -> str:
        return self._vault.open(bytes(row.access_token))

    def _renewed(self, connection: Connection, row: Row[Any], still_good: bool) -> str:
        """A new token from its server, stored; the old one if there is none and it is good."""
        request = self._request(row)
        answer = token_server.ask(request)
        if isinstance(answer, Granted):
            self._store(connection, row, answer)
            log.info("access token obtained", account=self._account_id, seconds=answer.seconds)
            return answer.access
        error = self._error(request, answer)
        if not still_good:
            raise error
        connection.execute(POSTPONE, {"account": self._account_id})
        log.warning("access token not renewed", account=self._account_id, why=error.reason)
        return self._access(row)

    def _request(self, row: Row[Any]) -> TokenRequest:
        def opened(sealed: Any) -> str | None:
            return None if sealed is None else self._vault.open(bytes(sealed))

        return TokenRequest(
            url=row.token_url,
            grant=row.grant_type,
            client_id=row.client_id,
            client_secret=opened(row.client_secret),
            scope=row.scope,
            refresh_token=opened(row.refresh_token),
            ca_file=row.ca_file,
        )

    def _error(self, request: TokenRequest, refused: Refused) -> TransportUnavailable:
        words = refused.words
        for secret in filter(None, (request.client_secret, request.refresh_token)):
            words = words.replace(secret, "***")
        kind = AuthenticationFailed if refused.for_good else TransportUnavailable
        host = urlsplit(request.url).hostname
        return kind(self._name, f"auth: the token server {host}: {words}", refused.retry_after)

    def _store(self, connection: Connection, row: Row[Any], granted: Granted) -> None:
        old = None if row.refresh_token is None else bytes(row.refresh_token)
        new = self._vault.seal(granted.refresh) if granted.refresh and old else None
        if new is not None and old is not None:
            self._unstored = _Unstored(old, new)  # until the commit is known to have worked
        connection.execute(
            STORE,
            {
                "account": self._account_id,
                "access": self._vault.seal(granted.access),
                "refresh": new,
                "old": old,
                "renew_after": timedelta(seconds=granted.renew_after),
                "good_for": timedelta(seconds=granted.seconds),
            },
        )

    def _store_what_is_left(self) -> None:
        """A refresh token that a lost connection kept from being stored; harmless if it was."""
        left = self._unstored
        if left is None:
            return
        values = {"account": self._account_id, "old": left.old, "refresh": left.new}
        with db.transaction(self._engine) as connection:
            connection.execute(STORE_REFRESH, values)
        self._unstored = None

    def _safely(self, find: Callable[[], T]) -> T:
        """Whatever keeps us from a token, nothing was handed over."""
        try:
            return find()
        except VaultError as error:
            raise TransportUnavailable(self._name, f"auth: {error}") from None
        except DBAPIError as error:
            if not isinstance(error, OperationalError) and not db.is_gone(error):
                raise
            what = "the database is away, or another process waits for the token server"
            raise TransportUnavailable(self._name, f"auth: no access token: {what}") from None
