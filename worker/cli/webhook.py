"""`kadencia webhook`: addresses that are told of each change of state, and the courier."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import typer
from sqlalchemy import Connection, Row

from worker import bootstrap, logs
from worker.cli import context
from worker.cli.channels import tell_of_next_page
from worker.cli.company import CompanyOption, zone_of
from worker.cli.drafting import read_time
from worker.cli.output import CommandError, Exit, JsonOption, say, show_one, show_rows
from worker.core.webhook_addresses import Network, parse_networks
from worker.registers.naming import find_company
from worker.webhooks import register, replaying, trying

app = typer.Typer(no_args_is_help=True, help="Tell other programs of each change of state.")

COLUMNS = ["id", "url", "events", "channels", "active", "failing_since", "disabled_why"]
DELIVERY_COLUMNS = ["id", "message_id", "state", "at", "standing", "attempts", "next_at",
                    "last_status", "last_why"]  # fmt: skip
SIGNALS = (signal.SIGTERM, signal.SIGINT)
ASK_SECONDS = 1.0

T = TypeVar("T")

NumberArgument = Annotated[int, typer.Argument(help="As `kadencia webhook list` shows it.")]
EventOption = Annotated[
    list[str] | None,
    typer.Option("--event", help="A state to be told; may be given several times; default: all."),
]
ChannelOption = Annotated[
    list[str] | None, typer.Option("--channel", help="email or sms; default: both.")
]


@app.command("add")
def add(
    url: Annotated[str, typer.Argument(help="Where to: https, at a public address.")],
    event: EventOption = None,
    channel: ChannelOption = None,
    company: CompanyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a webhook. Its secret is shown once: the receiver verifies signatures with it.

    Example: kadencia webhook add https://prijem.ruza.example/stav --event delivered --event failed
    """
    chosen = {"events": event, "channels": channel}
    given = {name: value for name, value in chosen.items() if value}
    with context.transaction() as connection:
        owner = find_company(connection, company)
        number, secret = register.add(
            connection, owner.id, context.vault(), _allowed(), url=url, **given
        )
    show_one({"id": number, "secret": secret}, as_json)


@app.command("list")
def listing(company: CompanyOption = None, as_json: JsonOption = False) -> None:
    """List a company's webhooks.

    Example: kadencia webhook list
    """
    with context.transaction() as connection:
        owner = find_company(connection, company)
        rows = register.webhooks(connection, owner.id)
    show_rows([dict(row._mapping) for row in rows], COLUMNS, as_json, zone_of(owner))


@app.command("show")
def show(
    number: NumberArgument, company: CompanyOption = None, as_json: JsonOption = False
) -> None:
    """Show a webhook, without its secret.

    Example: kadencia webhook show 1
    """
    with context.transaction() as connection:
        owner, webhook = _find(connection, company, number)
    show_one(dict(webhook._mapping), as_json, zone_of(owner))


@app.command("set")
def change(
    number: NumberArgument,
    url: Annotated[str | None, typer.Option(help="Where to.")] = None,
    event: EventOption = None,
    channel: ChannelOption = None,
    company: CompanyOption = None,
) -> None:
    """Change where a webhook leads, or what it is told.

    Example: kadencia webhook set 1 --event failed --event undelivered
    """
    chosen = {"url": url, "events": event or None, "channels": channel or None}
    given = {name: value for name, value in chosen.items() if value is not None}
    with context.transaction() as connection:
        _, webhook = _find(connection, company, number, lock=True)
        changed = register.change(connection, webhook, _allowed(), given)
    say(f"changed: {', '.join(changed) or 'nothing'}")


@app.command("disable")
def disable(number: NumberArgument, company: CompanyOption = None) -> None:
    """Tell a webhook nothing more. What happens meanwhile is kept, and can be replayed.

    Example: kadencia webhook disable 1
    """
    done = _move(number, company, register.disable)
    say(f"webhook {number} {'is disabled now' if done else 'was disabled already'}")


@app.command("enable")
def enable(number: NumberArgument, company: CompanyOption = None) -> None:
    """Tell a webhook again; what waits is told at once.

    Example: kadencia webhook enable 1
    """
    done = _move(number, company, register.enable)
    say(f"webhook {number} {'is enabled now' if done else 'was enabled; what waits is told now'}")


@app.command("remove")
def remove(number: NumberArgument, company: CompanyOption = None) -> None:
    """Take a webhook away, with what waits for it.

    Example: kadencia webhook remove 1
    """
    _move(number, company, register.remove)
    say(f"webhook {number} is removed")


@app.command("rotate")
def rotate(number: NumberArgument, company: CompanyOption = None) -> None:
    """Make a new secret, shown once; for 24 hours the one before signs as well.

    Example: kadencia webhook rotate 1
    """
    say(_move(number, company, lambda c, webhook: register.rotate(c, webhook, context.vault())))


@app.command("deliveries")
def deliveries(
    number: NumberArgument,
    undelivered: Annotated[
        bool, typer.Option("--undelivered", help="Only what waits or was given up.")
    ] = False,
    before: Annotated[int | None, typer.Option(help="Only ids below: the next page.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="The most that are shown.")] = 50,
    company: CompanyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a webhook was told, the newest first.

    Example: kadencia webhook deliveries 1 --undelivered
    """
    with context.transaction() as connection:
        owner, webhook = _find(connection, company, number)
        found = replaying.deliveries(
            connection, webhook.id, before, limit + 1, undelivered=undelivered
        )
    rows = found[:limit]
    lines = [dict(row._mapping) for row in rows]
    show_rows(lines, DELIVERY_COLUMNS, as_json, zone_of(owner))
    tell_of_next_page(found, rows)


@app.command("replay")
def replay(
    number: NumberArgument,
    delivery: Annotated[int | None, typer.Option(help="One delivery, by its id.")] = None,
    since: Annotated[
        str | None, typer.Option(help="All that has happened since, as 2026-03-01T08:00.")
    ] = None,
    undelivered: Annotated[
        bool, typer.Option("--undelivered", help="With --since: leave out what was taken.")
    ] = False,
    company: CompanyOption = None,
) -> None:
    """Tell a webhook again: one delivery, or all since a time, also what it missed while disabled.

    Example: kadencia webhook replay 1 --since 2026-03-01T08:00 --undelivered
    """
    if (delivery is None) == (since is None):
        raise CommandError("give either --delivery ID or --since TIME")
    with context.transaction() as connection:
        owner, webhook = _find(connection, company, number, lock=True)
        count = 1
        if delivery is not None:
            replaying.replay(connection, webhook, delivery)
        elif begin := read_time(since, zone_of(owner), "--since"):
            count = replaying.replay_since(connection, webhook, begin, undelivered=undelivered)
    say(f"{count} {'event is' if count == 1 else 'events are'} told again")


@app.command("test")
def try_out(number: NumberArgument, company: CompanyOption = None) -> None:
    """Send a webhook a signed event of type `test`, from this host, and say what comes back.

    Example: kadencia webhook test 1
    """
    with context.transaction() as connection:
        _, webhook = _find(connection, company, number)
        secret = trying.secret_of(connection, webhook, context.vault())
    answer = trying.try_out(webhook, secret, context.settings())
    if answer.why is not None:
        raise CommandError(f"webhook {number} did not take it: {answer.why}", Exit.FAILED)
    say(f"webhook {number} took it: HTTP {answer.status}")


@app.command("run")
def run() -> None:
    """Tell webhooks, until Ctrl-C or SIGTERM. `kadencia api` does so as well; any number may run.

    Example: kadencia webhook run
    """
    from worker.webhooks.courier import Courier

    settings = context.settings()
    logs.configure(settings)
    context.engine().dispose()  # the schema was checked; the courier has an engine of its own
    engine = bootstrap.make_engine(settings, "webhooks", pool_size=4)
    stop = threading.Event()
    courier = Courier(engine, context.vault(), settings)
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # threads inherit it: they arrive here
    thread = threading.Thread(target=courier.run, args=(stop,), name="courier")
    thread.start()
    while thread.is_alive() and not signal.sigtimedwait(SIGNALS, ASK_SECONDS):
        pass
    died = not thread.is_alive()
    stop.set()
    thread.join()
    if died:
        raise CommandError("the courier has ended; see its log", Exit.FAILED)


def _find(
    connection: Connection, company: str | None, number: int, *, lock: bool = False
) -> tuple[Row[Any], Row[Any]]:
    owner = find_company(connection, company)
    return owner, register.find(connection, owner.id, number, lock=lock)


def _move(number: int, company: str | None, move: Callable[[Connection, Row[Any]], T]) -> T:
    with context.transaction() as connection:
        _, webhook = _find(connection, company, number, lock=True)
        return move(connection, webhook)


def _allowed() -> tuple[Network, ...]:
    return parse_networks(context.settings().webhook_allow or "")
