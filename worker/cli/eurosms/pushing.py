"""`kadencia eurosms push-path` and `push`: where EuroSMS pushes its reports to."""

from __future__ import annotations

from typing import Annotated

import typer

from worker.cli import context
from worker.cli.company import CompanyOption
from worker.cli.eurosms.making import NameArgument
from worker.cli.measuring import MetricsPortOption, measure_here
from worker.cli.output import CommandError, Exit, say
from worker.registers import eurosms as register
from worker.registers.naming import find_company

PORT_MOST = 65_535


def push_path(
    name: NameArgument,
    remove: Annotated[
        bool, typer.Option("--remove", help="Make none, and take no more pushed reports.")
    ] = False,
    company: CompanyOption = None,
) -> None:
    """Make a secret path to which EuroSMS may push reports; it is shown once, the last one ends.

    Example: kadencia eurosms push-path brána
    """
    with context.transaction() as connection:
        owner = find_company(connection, company)
        account = register.find_eurosms(connection, owner, name, lock=True)
        if remove:
            done = register.end_push(connection, account)
            say("no pushed reports are taken any more" if done else "none were taken before")
            return
        path = register.push_path(connection, account)
    say(path)


def push(
    listen: Annotated[
        str, typer.Option(help="Where; TLS is the business of a proxy on this host.")
    ] = "127.0.0.1:8096",
    metrics_port: MetricsPortOption = None,
) -> None:
    """Take in delivery reports and SMS that EuroSMS pushes, until Ctrl-C or SIGTERM.

    Any number of them may run, on any hosts.

    Example: kadencia eurosms push --listen 127.0.0.1:8096
    """
    from worker.push import serve  # an HTTP server, which no other command needs

    host, port = read_listen(listen)
    measure_here(context.settings().metrics_host, metrics_port)
    try:
        serve(context.settings(), context.engine(), host, port)
    except OSError as error:
        raise CommandError(f"cannot listen on {listen}: {error.strerror}", Exit.FAILED) from None


def read_listen(text: str) -> tuple[str, int]:
    """Host and port to listen on.

    Raises:
        CommandError: it is no such pair.

    >>> read_listen("127.0.0.1:8096"), read_listen("[::1]:0")
    (('127.0.0.1', 8096), ('::1', 0))
    """
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > PORT_MOST:
        raise CommandError(f"--listen: {text} is no host and port; write it as 127.0.0.1:8096")
    return host.removeprefix("[").removesuffix("]"), int(port)
