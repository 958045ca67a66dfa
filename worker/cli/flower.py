"""`kadencia flower`: what Celery does, in a browser."""

from __future__ import annotations

import json
import sys
from functools import partial
from typing import Annotated

import typer

from settings import Settings, SettingsError
from worker import broker, logs, redis_servers
from worker.cli import context
from worker.cli.output import CommandError, Exit

HostOption = Annotated[
    str, typer.Option(help="Where to listen; TLS is the business of a proxy on this host.")
]


def flower(
    host: HostOption = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 takes any that is free.")] = 5555,
) -> None:
    """Show workers, queues and tasks in a browser, until Ctrl-C or SIGTERM.

    The user is kadencia, the password that of KADENCIA_FLOWER_PASSWORD. Nothing can be changed
    here, and no message's content is shown. It is a live view: the record is in PostgreSQL.

    Example: kadencia flower --port 5555
    """
    from worker.app import app
    from worker.fleet.flower import serve

    settings = context.settings()
    password = _password(settings)
    lengths = partial(broker.lengths, settings, redis_servers.client(settings))
    logs.configure(settings)
    try:
        serve(app, lengths, host, port, password, lambda bound: _tell(host, bound))
    except OSError as error:
        where = f"{host}:{port}"
        raise CommandError(f"cannot listen on {where}: {error.strerror}", Exit.FAILED) from None


def _password(settings: Settings) -> str:
    if settings.flower_password is None:
        raise SettingsError(
            "KADENCIA_FLOWER_PASSWORD is not set; give one of at least 12 characters, or name a "
            "file that holds it in KADENCIA_FLOWER_PASSWORD_FILE"
        )
    return settings.flower_password.get_secret_value()


def _tell(host: str, port: int) -> None:
    shown = f"[{host}]" if ":" in host else host
    sys.stdout.write(json.dumps({"listening": f"{shown}:{port}"}) + "\n")
    sys.stdout.flush()
