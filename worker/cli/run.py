"""Running the product: `up`, `migrate`, `backup`, `restore`."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Literal

import typer
from alembic.util.exc import CommandError as NoSuchRevision

from settings import load
from settings.names import SERVER_NAME
from worker import bootstrap, db
from worker.cli import context
from worker.cli.output import CommandError
from worker.embedded.directory import DataDirectory
from worker.fleet import up as whole
from worker.fleet.up import FLOWER_USER, Addresses, Options


def up(
    server: Annotated[str, typer.Option(help="The OAC server that this machine is.")] = "local",
    processes: Annotated[
        int, typer.Option(min=1, max=100, help="How many messages may be sent at once.")
    ] = 4,
    flower: Annotated[bool, typer.Option(help="Run Flower, which shows what Celery does.")] = True,
    log_format: Annotated[
        Literal["text", "json"] | None,
        typer.Option(help="How the log is written; default: KADENCIA_LOG_FORMAT, or text."),
    ] = None,
) -> None:
    """Run the whole product on this machine: servers, beat, a worker and Flower.

    PostgreSQL and Valkey come along, each unless DATABASE_URL or REDIS_URL names another.
    Ctrl-C stops everything in order.
    """
    if not SERVER_NAME.fullmatch(server):
        raise CommandError(
            f"--server: {server!r} cannot be an OAC server's name; "
            f"use a to z, 0 to 9 and -, at most 31, such as main"
        )
    settings = load(os.environ)
    data = DataDirectory(bootstrap.data_directory(os.environ))
    options = Options(server, processes, flower, log_format or settings.log_format)

    def tell(addresses: Addresses) -> None:
        if options.log_format == "text":
            sys.stdout.write(_summary(data, addresses))
            sys.stdout.flush()

    code = whole.up(settings, data, os.environ, options, out=sys.stdout, tell=tell)
    raise typer.Exit(code)


def _summary(data: DataDirectory, addresses: Addresses) -> str:
    lines = [
        "",
        "  Kadencia is running. Ctrl-C stops it; the data stay.",
        f"  data      {data.path}",
    ]
    if addresses.flower_url is not None:
        password = data.path / "flower.password"
        lines.append(
            f"  Flower    {addresses.flower_url}  (user {FLOWER_USER}, password in {password})"
        )
    where = "" if os.environ.get("KADENCIA_DATA") is None else f"KADENCIA_DATA={data.path} "
    lines += [
        "",
        "  In another terminal:",
        f"    {where}kadencia doctor       does everything work?",
        f"    {where}kadencia --help       what else there is",
        "",
    ]
    return "\n".join(lines) + "\n"


def migrate(
    to: Annotated[
        str, typer.Option("--to", metavar="REV", help="A revision; `base` drops everything.")
    ] = "head",
) -> None:
    """Bring the database to this version's schema, and print the revision in force."""
    engine = bootstrap.make_engine(context.settings(), "migrate")
    try:
        revision = db.migrate(engine, to)
    except NoSuchRevision as error:
        raise CommandError(f"--to: {error}") from None
    finally:
        engine.dispose()
    sys.stdout.write(f"{revision or 'no schema'}\n")
