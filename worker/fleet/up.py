"""The whole product on one machine, as one tree of processes: `kadencia up`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TextIO

from pydantic import SecretStr

from settings import Settings
from worker import bootstrap, db
from worker.embedded.directory import DataDirectory
from worker.embedded.postgres import EmbeddedPostgres
from worker.embedded.processes import ProcessSpec
from worker.embedded.valkey import EmbeddedValkey
from worker.fleet import supervisor
from worker.fleet.product import Addresses, Options, choose_ports, product_specs
from worker.rebuild import rebuild


def up(
    settings: Settings,
    data: DataDirectory,
    environ: Mapping[str, str],
    options: Options,
    *,
    out: TextIO,
    tell: Callable[[Addresses], None],
) -> int:
    """Run everything that is not run elsewhere, until SIGINT, SIGTERM or SIGHUP.

    Args:
        settings: with the addresses of servers that are not to be started; those that are
            absent come embedded.
        data: the data directory; held locked all the while.
        environ: what the processes inherit.
        options: what a person chose.
        out: takes the log of all processes.
        tell: called once when everything works.

    Returns:
        0 after an ordered stop; 1 if something did not start.

    Raises:
        EmbeddedError: the data directory is held by another, or can't serve.
        sqlalchemy.exc.OperationalError: a PostgreSQL that was named does not answer.
    """
    with data.lock():
        postgres = None if settings.database_url else EmbeddedPostgres(data)
        valkey = None if settings.redis_url else EmbeddedValkey(data)
        for server in (postgres, valkey):
            if server is not None:
                server.prepare()
        if settings.keys is None and settings.keys_file is None:
            data.ensure_keys()
        addresses = Addresses(
            postgres.url if postgres else settings.require_database_url(),
            valkey.url if valkey else settings.require_redis_url(),
            choose_ports(data, options),
        )
        if postgres is None:
            migrate(settings.require_direct_url())

        def started() -> None:
            data.write_endpoints(addresses.as_endpoints())
            tell(addresses)

        return supervisor.run(
            [
                *server_specs(settings, addresses, postgres, valkey),
                *product_specs(settings, data, environ, options, addresses),
            ],
            log_format=options.log_format,
            out=out,
            on_started=started,
        )


def migrate(url: str) -> str:
    """Bring a database to this version's schema; the revision that is then in force."""
    engine = db.make_engine(url, name="migrate")
    try:
        return db.migrate(engine)
    finally:
        engine.dispose()


def open_log(settings: Settings, addresses: Addresses) -> None:
    """Fill the throttle's log, which no restart of Redis leaves whole.

    `recover` would do it too, within seconds in which nothing is sent.
    """
    located = settings.model_copy(
        update={
            "database_url": SecretStr(addresses.database_url),
            "redis_url": SecretStr(addresses.redis_url),
        }
    )
    engine = bootstrap.make_engine(located, "up")
    try:
        rebuild(engine, bootstrap.make_throttle(located))
    finally:
        engine.dispose()


def server_specs(
    settings: Settings,
    addresses: Addresses,
    postgres: EmbeddedPostgres | None,
    valkey: EmbeddedValkey | None,
) -> Iterator[ProcessSpec]:
    """The embedded servers, prepared; schema and log are in place before the product starts."""
    if postgres is not None:
        yield replace(postgres.spec(), then=lambda: _discard(migrate(addresses.database_url)))
    if valkey is not None:
        yield replace(valkey.spec(), then=lambda: open_log(settings, addresses))


def _discard(_: object) -> None:
    """`then` wants a function without a result."""
