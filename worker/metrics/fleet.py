"""`kadencia metrics`: figures of the whole fleet, collected when Prometheus asks for them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import version

import redis
import structlog
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import ProgrammingError, SQLAlchemyError

from settings import Settings
from worker import db
from worker.figures import Day, Figure, Point, Seen, of_database, of_redis, schema
from worker.figures import catalogue as of
from worker.throttle import Throttle, ThrottleUnavailable

log = structlog.get_logger()

POSTGRESQL, REDIS = "postgresql", "redis"

FRESH_SECONDS = 5.0
"""Chosen: ten that scrape at once cost as one."""
SHARE = 20.0
"""Chosen: figures are kept for so many times what they took, so that however large the outbox
is, collecting takes at most a twentieth of one processor."""
ANSWER_SECONDS = 7.0
"""Chosen: a scrape is answered by then, below the 10 s after which Prometheus gives up."""


class Looker:
    """Collects the figures of the fleet; one look at a time.

    Args:
        engine: the database.
        throttle: the fleet's.
        settings: the window, and how long a hand-over may take.
    """

    def __init__(self, engine: Engine, throttle: Throttle, settings: Settings) -> None:
        self._engine = engine
        self._throttle = throttle
        self._settings = settings
        self._day = Day()

    def __call__(self) -> list[Point]:
        """All figures that can be had; `kadencia_up` says of what there are none."""
        began = time.monotonic()
        points = [Point(of.BUILD, 1, (version("kadencia"),))]
        seen = None
        try:
            with db.transaction(self._engine) as connection:
                points.append(schema(connection))
                seen = self._seen(connection)
            points.append(Point(of.UP, 1, (POSTGRESQL,)))
        except SQLAlchemyError as error:
            log.warning("no figures from the database", error=type(error).__name__)
            points.append(Point(of.UP, 0, (POSTGRESQL,)))
        points += [*(seen.points if seen else ()), *self._of_redis(seen)]
        return [*points, Point(of.COLLECT, time.monotonic() - began)]

    def _seen(self, connection: Connection) -> Seen | None:
        """None where the schema is older than this version, which `schema` tells."""
        try:
            with connection.begin_nested():
                return of_database(connection, self._settings, self._day)
        except ProgrammingError as error:
            log.warning("the schema is not this version's", error=type(error).__name__)
            return None

    def _of_redis(self, seen: Seen | None) -> list[Point]:
        try:
            if seen is None:  # nobody knows what Redis should be asked
                return [Point(of.UP, bool(self._throttle.client.ping()), (REDIS,))]
            points = of_redis(self._throttle, seen, tasks_in_redis=self._settings.tasks_in_redis)
        except (ThrottleUnavailable, redis.RedisError) as error:
            log.warning("no figures from Redis", error=type(error).__name__)
            return [Point(of.UP, 0, (REDIS,))]
        return [*points, Point(of.UP, 1, (REDIS,))]


AWAY = [Point(of.UP, 0, (POSTGRESQL,)), Point(of.UP, 0, (REDIS,))]
"""Told when a look has not ended in time."""


class Fleet(Collector):
    """Hands out figures a few seconds old, and has new ones collected when they are older.

    A server that hangs holds up one thread, not those who ask: they hear in time that it is away.

    Args:
        look: collects them.
        fresh_seconds: how old they may be.
        answer_seconds: how long somebody who asks is kept waiting.
    """

    def __init__(
        self,
        look: Callable[[], list[Point]],
        *,
        fresh_seconds: float = FRESH_SECONDS,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self._look = look
        self._fresh_seconds = fresh_seconds
        self._answer_seconds = answer_seconds
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._busy = False
        self._until = 0.0
        self._points: list[Point] = AWAY

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering this must not collect."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """The figures, as Prometheus's library wants them."""
        return families(self.points())

    def points(self) -> list[Point]:
        """The figures, new or a few seconds old."""
        with self._lock:
            if time.monotonic() < self._until:
                return self._points
            if not self._busy:
                self._busy = True
                self._ended = threading.Event()
                threading.Thread(target=self._run, args=(self._ended,), daemon=True).start()
            ended = self._ended
        return self._points if ended.wait(self._answer_seconds) else AWAY

    def _run(self, ended: threading.Event) -> None:
        began = time.monotonic()
        points = AWAY
        try:
            points = self._look()
        except Exception:  # a fault of ours must not end the metrics for good
            log.exception("figures could not be collected")
        finally:
            took = time.monotonic() - began
            with self._lock:
                self._points = points
                self._until = time.monotonic() + max(self._fresh_seconds, SHARE * took)
                self._busy = False
            ended.set()


def families(points: Iterable[Point]) -> Iterator[Metric]:
    """Points by their figure, as Prometheus's library wants them."""
    found: dict[Figure, CounterMetricFamily | GaugeMetricFamily] = {}
    for point in points:
        figure = point.figure
        if figure not in found:
            kind = CounterMetricFamily if figure.kind == "counter" else GaugeMetricFamily
            found[figure] = kind(figure.name, figure.help, labels=figure.labels)
        found[figure].add_metric(point.labels, float(point.value))
    return iter(found.values())
