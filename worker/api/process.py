"""One process of the API, with the courier that tells webhooks beside it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from settings import Settings
from worker import bootstrap, logs, redis_servers, serving
from worker.api.app import make_app
from worker.api.desk import Desk
from worker.api.ingress import Ingress
from worker.webhooks.courier import Courier

STOP_SECONDS = 30
"""Chosen: what a batch under way has to end in; what it has answered by then is stored."""


def run(settings: Settings, host: str, port: int, *, webhooks: bool = True) -> None:
    """Serve the API until SIGTERM or SIGINT.

    Args:
        settings: of the installation.
        host: to listen on.
        port: 0 takes a free one.
        webhooks: whether this process tells them, too.

    Raises:
        OSError: it cannot listen there.
        SettingsError: an address is missing.
    """
    logs.configure(settings)
    # As many connections as handlers may run at once, half of them kept.
    engine = bootstrap.make_engine(settings, "api", -(-settings.api_threads // 2))
    ingress = Ingress(redis_servers.limits_storage(settings), settings)
    app = make_app(Desk(engine, settings, ingress))
    with _courier(settings, wanted=webhooks):
        serving.serve(
            app,
            host,
            port,
            lifespan=True,
            stop_seconds=STOP_SECONDS,
            proxies=settings.api_proxies,
        )
    engine.dispose()


@contextmanager
def _courier(settings: Settings, *, wanted: bool) -> Iterator[None]:
    """The courier in a thread; its engine is its own, so that neither waits for the other."""
    if not wanted:
        yield
        return
    engine = bootstrap.make_engine(settings, "courier")
    courier = Courier(engine, bootstrap.make_vault(settings), settings)
    stop = threading.Event()
    thread = threading.Thread(target=courier.run, args=(stop,), name="courier")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        engine.dispose()
