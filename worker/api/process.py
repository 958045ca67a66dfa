"""One process of the API."""

from __future__ import annotations

from settings import Settings
from worker import bootstrap, logs, redis_servers, serving
from worker.api.app import make_app
from worker.api.desk import Desk
from worker.api.ingress import Ingress

STOP_SECONDS = 30
"""Chosen: what a batch under way has to end in; what it has answered by then is stored."""


def run(settings: Settings, host: str, port: int) -> None:
    """Serve the API until SIGTERM or SIGINT.

    Args:
        settings: of the installation.
        host: to listen on.
        port: 0 takes a free one.

    Raises:
        OSError: it cannot listen there.
        SettingsError: an address is missing.
    """
    logs.configure(settings)
    # As many connections as handlers may run at once, half of them kept.
    engine = bootstrap.make_engine(settings, "api", -(-settings.api_threads // 2))
    ingress = Ingress(redis_servers.limits_storage(settings), settings)
    serving.serve(
        make_app(Desk(engine, settings, ingress)),
        host,
        port,
        lifespan=True,
        stop_seconds=STOP_SECONDS,
    )
    engine.dispose()
