"""`kadencia smtp`: the SMTP servers that mail goes through."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from models.states import Channel
from worker.accounts import smtp_settings
from worker.cli import context
from worker.cli.company import CompanyOption, zone_of
from worker.cli.options import ACCOUNT, read_password, refuse_missing, takes
from worker.cli.output import CommandError, Exit, JsonOption, say, show_one, show_rows, warn
from worker.cli.smtp_parts import PARTS, Parts, apply_parts, take_parts
from worker.core.outcomes import Outcome
from worker.errors import AuthenticationFailed, TransportUnavailable
from worker.outbox import routes
from worker.registers import accounts as register
from worker.registers import probe, smtp_parts
from worker.registers.naming import find_account, find_company
from worker.registers.rates import per_hour

app = typer.Typer(no_args_is_help=True, help="SMTP accounts, and whether they work.")

COLUMNS = [
    "name",
    "host",
    "port",
    "security",
    "username",
    "enabled",
    "most_connections",
    "hourly_limit",
    "domain_hourly_limit",
]
LIFTED = ("hourly_limit", "domain_hourly_limit")
CLEARED = ("ca_file", "helo_name")

NameArgument = Annotated[str, typer.Argument(help="Unique in its company.")]


def account_values(given: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of an account, from the options that were used; asks for the password."""
    values = dict(given)
    source = values.pop("password_file", None)
    if source is not None or values.get("username"):
        values["password"] = read_password(source)
    if "security" in values:
        values["security"] = str(values["security"])
    for name in ("hourly_limit", "domain_hourly_limit"):
        if name in values:
            values[name] = per_hour(str(values[name]))
    return values


def warn_of(values: Mapping[str, Any]) -> None:
    """Say what is allowed and yet not safe."""
    local = str(values.get("host", "")) in ("localhost", "127.0.0.1", "::1")
    if values.get("security") == "none" and not local:
        clear = "credentials and mail go" if values.get("username") else "mail goes"
        warn(f"without encryption {clear} over the network in the clear")
    if values.get("verify") is False:
        warn("the server's certificate is not checked; anybody on the way could pose as it")


@app.command("add")
@takes(ACCOUNT, PARTS)
def add(name: NameArgument, company: CompanyOption = None, *, given: dict[str, Any]) -> None:
    """Make an SMTP account. The password is asked for, or read from a file.

    Example: kadencia smtp add relay --host smtp.firma.example --username posta
    """
    refuse_missing(given, ("host",))
    parts = take_parts(given, has_oauth=False)
    values = {"security": "starttls", "name": name, **account_values(given)}
    with context.transaction() as connection:
        owner = find_company(connection, company)
        register.add_account(connection, owner, context.vault(), values)
        account = find_account(connection, name, owner.id, Channel.EMAIL, lock=True)
        apply_parts(connection, account, context.vault(), parts)
    warn_of(values)
    say(f"SMTP account {name} of {owner.name} is made; try it with `kadencia smtp test {name}`")


@app.command("set")
@takes(ACCOUNT, PARTS)
def change(
    name: NameArgument,
    new_name: Annotated[str | None, typer.Option("--name", help="As it shall be called.")] = None,
    no_log_in: Annotated[bool, typer.Option("--no-log-in", help="Send without log-in.")] = False,
    no_oauth: Annotated[bool, typer.Option("--no-oauth", help="No access tokens.")] = False,
    company: CompanyOption = None,
    *,
    given: dict[str, Any],
) -> None:
    """Change an SMTP account. A limit of 0 lifts it; a --ca-file or --helo-name of "" goes.

    Example: kadencia smtp set relay --hourly-limit 2000 --password-file new.txt
    """
    if no_log_in and ("username" in given or "password_file" in given):
        raise CommandError("--no-log-in and a user name or password exclude each other")
    parts = _parts_to_change(name, company, given, no_oauth or no_log_in)
    values = account_values(given)
    values |= {column: None for column in LIFTED if values.get(column) == 0}
    values |= {column: None for column in CLEARED if values.get(column) == ""}
    values |= {"username": None, "password": None} if no_log_in else {}
    values |= {"name": new_name} if new_name is not None else {}
    with context.transaction() as connection:
        owner = find_company(connection, company)
        account = find_account(connection, name, owner.id, Channel.EMAIL, lock=True)
        changed = register.set_account(connection, account, context.vault(), values)
        account = find_account(connection, values.get("name", name), owner.id, Channel.EMAIL)
        more = apply_parts(connection, account, context.vault(), parts)
        if more:
            register.changed_account(connection, account.id)
    changed |= more
    warn_of(values)
    say(f"changed: {', '.join(changed).replace('_', ' ') or 'nothing'}")


@app.command("list")
def listing(company: CompanyOption = None, as_json: JsonOption = False) -> None:
    """List a company's SMTP accounts.

    Example: kadencia smtp list
    """
    with context.transaction() as connection:
        owner = find_company(connection, company)
        rows = register.accounts(connection, owner.id)
    show_rows(rows, COLUMNS, as_json, zone_of(owner))


@app.command("show")
def show(name: NameArgument, company: CompanyOption = None, as_json: JsonOption = False) -> None:
    """Show an SMTP account; its password is never shown.

    Example: kadencia smtp show relay
    """
    with context.transaction() as connection:
        owner = find_company(connection, company)
        account = find_account(connection, name, owner.id, Channel.EMAIL)
        shown = register.shown_account(connection, account)
    show_one(shown, as_json, zone_of(owner))


@app.command("test")
def try_out(
    name: NameArgument,
    to: Annotated[str | None, typer.Option("--to", help="Send it a test mail.")] = None,
    sender: Annotated[
        str | None, typer.Option("--from", help="Its sender; default: an automatic task's.")
    ] = None,
    company: CompanyOption = None,
) -> None:
    """Log in to the SMTP server, for real; with --to, send a test mail as well.

    The test mail goes at once. It belongs to no automatic task, and no cadence counts it.

    Example: kadencia smtp test relay --to spravca@firma.example
    """
    with context.transaction() as connection:
        owner = find_company(connection, company)
        known = find_account(connection, name, owner.id, Channel.EMAIL)
        account = routes.account(connection, known.id)
        route = None
        if to is not None:
            route = (
                probe.sender_of(connection, account, sender),
                *probe.recipient_of(connection, to),
            )
    timeout = context.settings().answer_timeout_seconds
    settings = smtp_settings(account, context.vault(), context.engine(), timeout)
    with _refusals():
        probe.log_in(settings)
        say(f"{settings.host}:{settings.port} lets us in, {_as_whom(account)}")
        if route is not None:
            _send(settings, owner, *route)


@app.command("disable")
def disable(name: NameArgument, company: CompanyOption = None) -> None:
    """Let nothing go through an SMTP account until it is enabled.

    Example: kadencia smtp disable relay
    """
    with context.transaction() as connection:
        done = register.disable_account(connection, find_company(connection, company), name)
    say(f"SMTP account {name} {'is disabled now' if done else 'was disabled already'}")


@app.command("enable")
def enable(name: NameArgument, company: CompanyOption = None) -> None:
    """Use a disabled SMTP account again; also closes its breaker.

    Example: kadencia smtp enable relay
    """
    with context.transaction() as connection:
        done = register.enable_account(connection, find_company(connection, company), name)
    say(f"SMTP account {name} {'is enabled now' if done else 'was enabled'}; its breaker is closed")


def _parts_to_change(
    name: str, company: str | None, given: dict[str, Any], drop_oauth: bool
) -> Parts:
    """What is to change of them; whether a user name needs a password depends on the account."""
    if drop_oauth and any(option.startswith("oauth_") for option in given):
        raise CommandError("OAuth cannot be set and ended at once; give one")
    with context.transaction() as connection:
        owner = find_company(connection, company)
        account = find_account(connection, name, owner.id, Channel.EMAIL)
        has_oauth = smtp_parts.has_oauth(connection, account.id)
    parts = take_parts(given, has_oauth and not drop_oauth)
    parts.drop_oauth = drop_oauth
    return parts


def _as_whom(account: Any) -> str:
    if account.oauth_username is not None:
        return f"as {account.oauth_username}, by an access token"
    return "without a log-in" if account.username is None else f"as {account.username}"


def _send(settings: Any, owner: Any, sender: Any, meant: Any, recipient: Any) -> None:
    dot_by = context.settings().dot_by_seconds
    reply = probe.send_test(settings, owner, sender, meant, recipient, dot_by)
    words = " ".join(str(part) for part in (reply.code, reply.enhanced, reply.text) if part)
    if reply.outcome is not Outcome.ACCEPTED:
        raise CommandError(f"the test mail is {reply.outcome}: {words}", Exit.FAILED)
    aside = "" if meant == recipient else f", redirected from {meant} by the safety mode"
    say(f"a test mail to {recipient} was accepted{aside}: {words}")


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except AuthenticationFailed as error:
        raise CommandError(f"{error}; correct it with `kadencia smtp set`", Exit.FAILED) from None
    except TransportUnavailable as error:
        raise CommandError(str(error), Exit.AWAY) from None
