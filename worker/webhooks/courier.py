"""The courier: takes what is due, tells it, and notes what became of it. Any number may run."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import structlog
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoConnectionFree

from settings import Settings
from worker import db
from worker.core.content import ContentError
from worker.core.webhook_addresses import parse_networks, read_url
from worker.core.webhook_retry import Answer
from worker.core.webhook_signatures import headers
from worker.vault import Vault, VaultError
from worker.webhooks import deliveries, register
from worker.webhooks.deliveries import Delivery
from worker.webhooks.posting import authorities, post

log = structlog.get_logger()

WHO = "webhook courier"
"""In the audit log."""

THREADS = 32
"""Chosen: eight slow receivers at four POSTs each. A thread that waits costs next to nothing."""
FAILING_MOST = THREADS // 2
"""Chosen: half of the threads is never kept by receivers that are away."""
POLL_SECONDS = 0.5
"""Chosen: what changed is told within a second. Asking costs two look-ups in an index; being
notified would cost every change of state a lock of the whole database at its commit."""
AWAY_SECONDS = 1.0
UNOPENED = timedelta(seconds=60)
"""Chosen: how long a webhook waits whose secret this host has no key for."""


class Courier:
    """Tells webhooks.

    Args:
        engine: on the product's database; each thread takes a connection for a moment.
        vault: opens the secrets.
        settings: which networks are allowed, and how patient to be.

    Raises:
        SettingsError: the file of authorities cannot be used.
    """

    def __init__(self, engine: Engine, vault: Vault, settings: Settings) -> None:
        self._engine = engine
        self._vault = vault
        self._allowed = parse_networks(settings.webhook_allow or "")
        self._ca_file = authorities(settings)
        self._patience = timedelta(days=settings.webhook_disable_days)
        self._wake = threading.Event()
        self._guard = threading.Lock()
        self._running = 0
        self._failing = 0

    def run(self, stop: threading.Event) -> None:
        """Tell what is due until `stop` is set; then end what was begun, in seconds.

        The database may come and go meanwhile.
        """
        with ThreadPoolExecutor(THREADS, "webhook") as pool:
            while not stop.is_set():
                try:
                    self._take_up(pool)
                except SQLAlchemyError as error:
                    log.warning("the database is away", error=type(error).__name__)
                    stop.wait(AWAY_SECONDS)
                self._wake.wait(POLL_SECONDS)
                self._wake.clear()

    def _take_up(self, pool: ThreadPoolExecutor) -> None:
        for failing in (False, True):
            room = self._room(failing=failing)
            if room <= 0:
                continue
            with db.transaction(self._engine) as connection:
                taken = deliveries.claim(connection, room, failing=failing)
            for delivery in taken:
                self._count(delivery, 1)
                pool.submit(self._carry, delivery)

    def _room(self, *, failing: bool) -> int:
        with self._guard:
            free = THREADS - self._running
            return min(free, FAILING_MOST - self._failing) if failing else free

    def _count(self, delivery: Delivery, step: int) -> None:
        with self._guard:
            self._running += step
            self._failing += step if delivery.failing else 0

    def _carry(self, delivery: Delivery) -> None:
        """One delivery, in a thread of its own; nobody asks what it returns."""
        try:
            self._tell(delivery, deadline=time.monotonic() + deliveries.LEASE.total_seconds())
        except Exception:  # its lease ends, and it is told again
            log.exception("a webhook was not told", webhook=delivery.webhook)
        finally:
            self._count(delivery, -1)
            self._wake.set()

    def _tell(self, delivery: Delivery, deadline: float) -> None:
        try:
            secrets = [self._vault.open(one) for one in delivery.secrets]
        except VaultError as error:
            log.warning("a webhook's secret stays shut", webhook=delivery.webhook, why=str(error))
            self._note(deadline, lambda c: deliveries.give_back(c, delivery, UNOPENED))
            return
        answer = self._post(delivery, secrets)
        log.debug(
            "webhook told",
            webhook=delivery.webhook,
            event_id=delivery.told.id,
            attempt=delivery.attempts,
            status=answer.status,
            why=answer.why,
        )
        self._note(deadline, lambda c: self._settle(c, delivery, answer))

    def _post(self, delivery: Delivery, secrets: list[str]) -> Answer:
        told = delivery.told
        body = told.body
        try:
            target = read_url(delivery.url, self._allowed)
        except ContentError as error:  # what an administrator allowed once
            return Answer(None, f"refused: its URL {error.what}")
        signed = headers(secrets, told.id, int(time.time()), body)
        return post(target, body, signed, self._allowed, self._ca_file)

    def _settle(self, connection: Connection, delivery: Delivery, answer: Answer) -> None:
        jitter = random.random()  # noqa: S311  it guards nothing
        why = deliveries.settle(connection, delivery, answer, self._patience, jitter)
        if why is not None:
            register.disable_failing(connection, delivery.webhook, why)
            log.warning("webhook disabled", webhook=delivery.webhook, why=why)

    def _note(self, deadline: float, note: Callable[[Connection], None]) -> None:
        """Write down what is known, for as long as the lease is ours."""
        while True:
            try:
                with db.transaction(self._engine, who=WHO) as connection:
                    note(connection)
                return
            except (DBAPIError, NoConnectionFree) as error:
                gone = not isinstance(error, DBAPIError) or db.is_gone(error)
                if not gone or time.monotonic() > deadline:
                    raise
                time.sleep(AWAY_SECONDS)
