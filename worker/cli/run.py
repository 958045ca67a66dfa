"""Running the product: `up`, `migrate`, `backup`, `restore`."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer
from alembic.util.exc import CommandError as NoSuchRevision
from sqlalchemy.exc import OperationalError

from settings import load
from settings.names import SERVER_NAME
from worker import backup as backups
from worker import bootstrap, db
from worker.backup import BackupError
from worker.cli import context
from worker.cli.output import CommandError, Exit
from worker.cli.worker import check_queues
from worker.embedded.directory import DataDirectory
from worker.fleet import up as whole
from worker.fleet.product import WATCHED, Addresses, Options


def up(
    server: Annotated[str, typer.Option(help="The OAC server that this machine is.")] = "local",
    processes: Annotated[
        int, typer.Option(min=1, max=100, help="How many e-mails it sends at once; of SMS, two.")
    ] = 4,
    queues: Annotated[
        str, typer.Option(help="What it sends: email, eurosms, or both with a comma between.")
    ] = "email,eurosms",
    api: Annotated[bool, typer.Option(help="Run the HTTP API, on loopback.")] = True,
    api_port: Annotated[
        int | None,
        typer.Option(min=1, max=65_535, help="Where the API listens; default: one that it keeps."),
    ] = None,
    metrics: Annotated[bool, typer.Option(help="Run what Prometheus asks, on loopback.")] = True,
    flower: Annotated[bool, typer.Option(help="Run Flower, which shows what Celery does.")] = True,
    log_format: Annotated[
        Literal["text", "json"] | None,
        typer.Option(help="How the log is written; default: KADENCIA_LOG_FORMAT, or text."),
    ] = None,
) -> None:
    """Run the whole product on this machine: servers, beat, a worker, the HTTP API and Flower.

    PostgreSQL and Valkey come along, each unless DATABASE_URL or REDIS_URL names another.
    Everything listens on loopback alone. Ctrl-C stops it in order.
    """
    _check_server(server)
    settings = load(os.environ)
    data = _data()
    check_queues(queues)
    wanted = {"api": api, "metrics": metrics, "flower": flower}
    listening = tuple(name for name in WATCHED if wanted[name])
    written = log_format or settings.log_format
    options = Options(server, processes, queues, listening, api_port, written)

    def tell(addresses: Addresses) -> None:
        if options.log_format == "json":
            places = {name: addresses.url(name) for name in WATCHED}
            line = {"process": "kadencia", "event": "running", **places}
            sys.stdout.write(json.dumps(line) + "\n")
        else:
            sys.stdout.write(_summary(data, addresses))
        sys.stdout.flush()

    code = whole.up(settings, data, os.environ, options, out=sys.stdout, tell=tell)
    raise typer.Exit(code)


def _check_server(name: str) -> None:
    if not SERVER_NAME.fullmatch(name):
        raise CommandError(
            f"--server: {name!r} cannot be an OAC server's name; "
            f"use a to z, 0 to 9 and -, at most 31, such as main"
        )


def _summary(data: DataDirectory, addresses: Addresses) -> str:
    lines = [
        "",
        "  Kadencia is running. Ctrl-C stops it; the data stay.",
        f"  data      {data.path}",
    ]
    said = {
        "api": ("HTTP API", "/v1, with a token"),
        "metrics": ("Metrics", "/metrics"),
        "flower": ("Flower", f"(user kadencia, password in {data.path / 'flower.password'})"),
    }
    lines += [
        f"  {said[name][0]:8}  {addresses.url(name)}  {said[name][1]}" for name in addresses.ports
    ]
    where = "" if os.environ.get("KADENCIA_DATA") is None else f"KADENCIA_DATA={data.path} "
    lines += [
        "",
        "  In another terminal:",
        f"    {where}kadencia init         set up the first company, account and task",
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
    engine = bootstrap.make_engine(context.settings(), "migrate", direct=True)
    try:
        revision = db.migrate(engine, to)
    except NoSuchRevision as error:
        raise CommandError(f"--to: {error}") from None
    except OperationalError as error:
        if not db.is_in_the_way(error):
            raise
        raise CommandError(
            "the tables were in use all the time; run it again, or stop the workers first",
            Exit.FAILED,
        ) from None
    finally:
        engine.dispose()
    sys.stdout.write(f"{revision or 'no schema'}\n")


def backup(
    file: Annotated[Path, typer.Argument(help="The file to write; it must not exist.")],
) -> None:
    """Write the database and the keys of its credentials into one file.

    Sending may go on meanwhile. Keep the file as safe as the passwords themselves.
    """
    try:
        with backups.reachable(context.settings(), _data(), make=False) as place:
            manifest = backups.backup(place, file.absolute())
    except BackupError as error:
        raise CommandError(str(error), Exit.FAILED) from None
    sys.stdout.write(f"{file} holds schema {manifest.schema} and the keys\n")


def restore(
    file: Annotated[Path, typer.Argument(help="A file that `kadencia backup` wrote.")],
    force: Annotated[
        bool, typer.Option("--force", help="Replace what the database holds; back it up first.")
    ] = False,
) -> None:
    """Bring a backup back into an empty database.

    Nobody knows what was sent since the backup: every unsent message becomes unknown, and
    nothing is sent until `kadencia start-all --reviewed`.
    """
    try:
        with backups.reachable(context.settings(), _data(), make=True) as place:
            before = place.data.path / f"before-restore-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.tar"
            place.data.prepare()
            manifest = backups.restore(place, file.absolute(), keep=before if force else None)
    except BackupError as error:
        raise CommandError(str(error), Exit.FAILED) from None
    if before.exists():
        sys.stdout.write(f"what was there before is in {before}\n")
    sys.stdout.write(
        f"restored the backup of {manifest.made_at[:16].replace('T', ' ')} UTC; "
        f"schema {manifest.schema}\n"
        "Nothing is sent now. Review the unknown messages, then run "
        "`kadencia start-all --reviewed`.\n"
    )


def _data() -> DataDirectory:
    return DataDirectory(bootstrap.data_directory(os.environ))
