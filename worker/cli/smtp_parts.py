"""Options of `kadencia smtp` that only some accounts need: OAuth, certificates, reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row

from worker.cli.options import Table, option, read_password
from worker.cli.output import CommandError
from worker.core.dsn import read_notify
from worker.registers import smtp_parts as register
from worker.vault import Vault

CLIENT_SECRET, REFRESH_TOKEN = "client-secret", "refresh-token"

PARTS: Table = {
    "mechanism": option(
        str,
        "Log in by this alone: plain, login, cram-md5, xoauth2, oauthbearer; default: the best "
        "that the server offers.",
        metavar="NAME",
    ),
    "cert_file": option(str, "PEM file of our own certificate, on each worker's host."),
    "key_file": option(str, "PEM file of its key; default: it is in --cert-file."),
    "dsn": option(
        str, "Reports to ask for: some of failure,delay,success, or never.", metavar="EVENTS"
    ),
    "dsn_return": option(str, "What reports bring back: headers or full.", metavar="WHAT"),
    "oauth_token_url": option(
        str, "Log in by access tokens from here, as --username.", metavar="URL"
    ),
    "oauth_grant": option(str, "client_credentials (default) or refresh_token.", metavar="GRANT"),
    "oauth_client_id": option(str, "What the token server calls us.", metavar="ID"),
    "oauth_scope": option(str, "What the token is to be good for."),
    "oauth_ca_file": option(str, "PEM file of the authorities to trust for the token server."),
    "client_secret_file": option(
        str, "File whose first line is the client secret; - for standard input.", metavar="FILE"
    ),
    "refresh_token_file": option(
        str, "The same for the refresh token; both may not be standard input.", metavar="FILE"
    ),
}

_OAUTH = {
    "oauth_token_url": "token_url",
    "oauth_grant": "grant_type",
    "oauth_client_id": "client_id",
    "oauth_scope": "scope",
    "oauth_ca_file": "ca_file",
}
_OPTIONS = {"mechanism": "log_in", "cert_file": "cert_file", "key_file": "key_file"}


@dataclass(slots=True)
class Parts:
    """What was given of them: columns of `smtp_option` and of `smtp_oauth`."""

    options: dict[str, Any] = field(default_factory=dict)
    oauth: dict[str, Any] = field(default_factory=dict)
    drop_oauth: bool = False


def take_parts(given: dict[str, Any], has_oauth: bool) -> Parts:
    """Take these options out of those that were used; asks for secrets that are missing.

    Args:
        given: all options; those of an account are left in it.
        has_oauth: whether the account logs in by access tokens already.

    Raises:
        CommandError: a value is none, or a secret cannot be had.
    """
    own = {name: given.pop(name) for name in PARTS if name in given}
    oauth = {column: own[name] or None for name, column in _OAUTH.items() if name in own}
    if not has_oauth and not oauth:
        _refuse_secrets(own)
        return Parts(_options(own))
    if "username" in given:
        oauth["username"] = given.pop("username")
    if "password_file" in given:
        raise CommandError("an account with OAuth has no password; leave out --password-file")
    if not has_oauth:
        oauth.setdefault("grant_type", "client_credentials")
    oauth |= _secrets(own, oauth.get("grant_type") if not has_oauth else None)
    return Parts(_options(own), oauth)


def apply_parts(
    connection: Connection, account: Row[Any], vault: Vault, parts: Parts
) -> dict[str, Any]:
    """Change them within the transaction that changes the account; returns what differs."""
    changed: dict[str, Any] = {}
    if parts.drop_oauth:
        changed |= register.drop_oauth(connection, account.id)
    if parts.options:
        changed |= register.set_options(connection, account.id, parts.options)
    if parts.oauth:
        if not register.has_oauth(connection, account.id):
            parts.oauth.setdefault("username", account.username)
        changed |= register.set_oauth(connection, account.id, vault, parts.oauth)
    register.check_whole(connection, account)
    return changed


def _options(own: Mapping[str, Any]) -> dict[str, Any]:
    values = {column: own[name] or None for name, column in _OPTIONS.items() if name in own}
    if "mechanism" in own and values["log_in"]:
        values["log_in"] = values["log_in"].lower()
    if "dsn_return" in own:
        values["dsn_return"] = own["dsn_return"].lower() or None
    if "dsn" in own:
        try:
            values["dsn"] = list(read_notify(own["dsn"])) if own["dsn"] else None
        except ValueError as error:
            raise CommandError(f"--dsn: {error}") from None
        if values["dsn"] is None:
            values.setdefault("dsn_return", None)
    return values


def _secrets(own: Mapping[str, Any], grant: str | None) -> dict[str, Any]:
    """Those that were given, and what the grant of a new OAuth cannot do without."""
    source, other = own.get("client_secret_file"), own.get("refresh_token_file")
    if source == other == "-":
        raise CommandError("only one secret can come from standard input; put the other in a file")
    found = {}
    if source is not None or grant == "client_credentials":
        found["client_secret"] = read_password(source, word=CLIENT_SECRET)
    if other is not None or grant == "refresh_token":
        found["refresh_token"] = read_password(other, word=REFRESH_TOKEN)
    return found


def _refuse_secrets(own: Mapping[str, Any]) -> None:
    for name in ("client_secret_file", "refresh_token_file"):
        if name in own:
            raise CommandError(
                f"--{name.replace('_', '-')} is of OAuth, which this account does not have; "
                f"add --oauth-token-url"
            )
