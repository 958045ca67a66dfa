"""What only some SMTP accounts have: OAuth, a mechanism, a client certificate, reports."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Connection, Row, delete, select
from sqlalchemy.dialects.postgresql import insert

from models.automation import Account
from models.base import Base
from models.smtp import SmtpOauth, SmtpOption
from worker.core.content import refuse_unsafe, shown
from worker.core.dsn import Dsn
from worker.core.oauth import GRANTS
from worker.core.sasl import IN_PRIVATE, WITH_TOKEN
from worker.registers import RegisterError, audit
from worker.vault import Vault

MECHANISMS = tuple(one.lower() for one in (*IN_PRIVATE, *WITH_TOKEN))
OPTIONS = ("log_in", "cert_file", "key_file", "dsn", "dsn_return")
OAUTH = (
    "username",
    "token_url",
    "ca_file",
    "grant_type",
    "client_id",
    "client_secret",
    "scope",
    "refresh_token",
)
SECRETS = ("client_secret", "refresh_token")
NO_TOKEN = dict.fromkeys(("access_token", "obtained_at", "renew_at", "expires_at"))
"""What was obtained with other credentials is not used with new ones."""


def has_oauth(connection: Connection, account_id: int) -> bool:
    """Whether an account logs in by access tokens."""
    return _row(connection, SmtpOauth, account_id) is not None


def parts_of(connection: Connection, account_id: int) -> dict[str, Any]:
    """What an account has of this, for people: without secrets; absent where nothing is set."""
    options = _row(connection, SmtpOption, account_id)
    oauth = _row(connection, SmtpOauth, account_id)
    known = {} if options is None else {name: getattr(options, name) for name in OPTIONS}
    if oauth is not None:
        known |= {f"oauth_{n}": getattr(oauth, n) for n in OAUTH if n not in SECRETS}
        known["oauth_token_expires_at"] = oauth.expires_at
    return {name: value for name, value in known.items() if value is not None}


def set_options(
    connection: Connection, account_id: int, values: Mapping[str, Any]
) -> dict[str, Any]:
    """Set some of `OPTIONS`; None clears one. Returns what differs.

    Raises:
        RegisterError: a value breaks a rule.
        ContentError: a text holds a control character.
    """
    before = _values(connection, SmtpOption, account_id, OPTIONS)
    after = {**before, **values}
    _check_options(after)
    return _write(connection, SmtpOption, account_id, before, after)


def set_oauth(
    connection: Connection, account_id: int, vault: Vault, values: Mapping[str, Any]
) -> dict[str, Any]:
    """Set some of `OAUTH`, secrets in the clear; returns what differs, secrets sealed.

    The account's password is forgotten, and so is a token that was obtained before.

    Raises:
        RegisterError: a value breaks a rule, or one that is needed is missing.
        ContentError: a text holds a control character.
        VaultError: there is no key to seal a secret with.
    """
    before = _values(connection, SmtpOauth, account_id, OAUTH)
    for name in OAUTH:
        if values.get(name) is not None:
            refuse_unsafe(str(values[name]), name.replace("_", " "))
    sealed = {
        name: vault.seal(value) if name in SECRETS and value is not None else value
        for name, value in values.items()
    }
    after = before | sealed
    if after["grant_type"] != "refresh_token":
        after["refresh_token"] = None
    _check_oauth(after)
    changed = _write(connection, SmtpOauth, account_id, before, after, NO_TOKEN)
    forget = {"username": None, "password": None}
    return changed | audit.change(connection, Account, "smtp", account_id, forget)


def drop_oauth(connection: Connection, account_id: int) -> dict[str, Any]:
    """Log in by access tokens no more; returns what differs."""
    before = _values(connection, SmtpOauth, account_id, OAUTH)
    if before["token_url"] is None:
        return {}
    connection.execute(delete(SmtpOauth).where(SmtpOauth.account_id == account_id))
    audit.record(connection, "change", f"smtp:{account_id}", before, {"oauth": None})
    return {"oauth": None}


def check_whole(connection: Connection, account: Row[Any]) -> None:
    """Refuse an account whose parts do not go together; the last step of each change.

    Args:
        connection: the caller's transaction.
        account: its row, as it is now.

    Raises:
        RegisterError: they do not.
    """
    options = _values(connection, SmtpOption, account.id, OPTIONS)
    oauth = has_oauth(connection, account.id)
    mechanism = options["log_in"]
    tokens = mechanism is not None and mechanism.upper() in WITH_TOKEN
    if mechanism is not None and tokens != oauth:
        needs = "OAuth (--oauth-token-url …)" if tokens else "a password, and there is OAuth"
        raise RegisterError(f"the mechanism {mechanism} needs {needs}", "choose another mechanism")
    if account.security != "none":
        return
    if options["cert_file"] is not None:
        raise RegisterError(
            "a client certificate is shown in TLS, and this account has none",
            "set --security starttls or tls",
        )
    if oauth and not _loopback(account.host):
        raise RegisterError(
            "an access token must not go over a network in the clear (RFC 7628 section 4)",
            "set --security starttls or tls",
        )


def _check_options(values: Mapping[str, Any]) -> None:
    if values["log_in"] is not None and values["log_in"] not in MECHANISMS:
        raise RegisterError(
            f"the mechanism is {shown(values['log_in'])}",
            f"it must be one of {', '.join(MECHANISMS)}",
        )
    for name, what in (("cert_file", "client certificate"), ("key_file", "key")):
        _check_path(values[name], what)
    if values["key_file"] is not None and values["cert_file"] is None:
        raise RegisterError("there is a key and no client certificate", "add --cert-file")
    if values["dsn"] is None:
        if values["dsn_return"] is not None:
            raise RegisterError(
                "no report is asked for that could bring anything back", "add --dsn"
            )
        return
    try:
        Dsn(tuple(values["dsn"]), values["dsn_return"])
    except ValueError as error:
        raise RegisterError(str(error), "correct --dsn or --dsn-return") from None


def _check_oauth(values: Mapping[str, Any]) -> None:
    needed = {
        "token_url": "--oauth-token-url",
        "client_id": "--oauth-client-id",
        "username": "--username, the mailbox that mail is sent as",
        "grant_type": f"--oauth-grant, one of {', '.join(GRANTS)}",
    }
    if values["grant_type"] == "refresh_token":
        needed["refresh_token"] = "--refresh-token-file"  # noqa: S105  an option's name
    if values["grant_type"] == "client_credentials":
        needed["client_secret"] = "--client-secret-file"  # noqa: S105
    missing = [how for name, how in needed.items() if not values[name]]
    if missing:
        raise RegisterError("what OAuth needs is not all there", f"add {'; '.join(missing)}")
    if values["grant_type"] not in GRANTS:
        raise RegisterError(
            f"the grant is {shown(values['grant_type'])}", f"it must be one of {', '.join(GRANTS)}"
        )
    _check_url(values["token_url"])
    _check_path(values["ca_file"], "CA file of the token server")


def _check_url(url: str) -> None:
    """Secrets are posted there: to whom, and that nobody reads along, must be certain."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        parts, host = urlsplit(""), None
    mend = "write it as https://login.provider.example/tenant/oauth2/v2.0/token"
    if not host or parts.username is not None or parts.fragment or " " in url:
        raise RegisterError("the address of the token server is none", mend)
    if parts.scheme != "https" and not (parts.scheme == "http" and _loopback(host)):
        raise RegisterError("the token server must be asked over https", mend)


def _check_path(path: str | None, what: str) -> None:
    if path is None:
        return
    refuse_unsafe(path, what)
    if not path.startswith("/"):
        raise RegisterError(
            f"the {what} {shown(path)} is no full path",
            "begin it with /; each worker reads it on its own host",
        )


def _loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _row(
    connection: Connection, table: type[Base], account_id: int, *, lock: bool = False
) -> Row[Any] | None:
    query = select(table.__table__).where(table.__table__.c.account_id == account_id)
    return connection.execute(query.with_for_update() if lock else query).one_or_none()


def _values(
    connection: Connection, table: type[Base], account_id: int, names: tuple[str, ...]
) -> dict[str, Any]:
    row = _row(connection, table, account_id, lock=True)
    return {name: None if row is None else getattr(row, name) for name in names}


def _write(
    connection: Connection,
    table: type[Base],
    account_id: int,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    also: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    changed = {name: value for name, value in after.items() if value != before[name]}
    if not changed:
        return {}
    values = {"account_id": account_id, **after, **(also or {})}
    upsert = insert(table).values(values)
    connection.execute(upsert.on_conflict_do_update(index_elements=["account_id"], set_=values))
    was = {name: before[name] for name in changed}
    audit.record(connection, "change", f"smtp:{account_id}", was, changed)
    return changed
