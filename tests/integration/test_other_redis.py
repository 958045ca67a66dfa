"""The throttle on the Redis that the system brings, where one is installed: users have them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.permits import SECOND, WINDOW, PlantedClock, asking, open_throttle
from tests.support.services import service_directory
from worker.embedded.directory import DataDirectory
from worker.embedded.valkey import EmbeddedValkey
from worker.throttle import LogLost

NOON = 1_800_000_000 * SECOND
SERVER = shutil.which("redis-server")

pytestmark = pytest.mark.skipif(SERVER is None, reason="no redis-server is installed")


class SystemRedis(EmbeddedValkey):
    """The system's server in the embedded one's place."""

    def __init__(self, data):
        super().__init__(data)
        self.binary = Path(str(SERVER))

    def reachable(self, binary, keep, copies):  # noqa: ARG002
        return binary


@pytest.fixture(scope="module")
def server():
    with service_directory() as root:
        running = SystemRedis(DataDirectory(root / "redis"))
        running.start()
        yield running
        running.kill()


def test_its_limit_holds_and_frees_as_entries_leave_the_window(server):
    throttle = open_throttle(server.url)
    clock = PlantedClock(throttle, server.url, NOON)
    permits = [asking(limit=100) for _ in range(100)]
    for one in permits:
        assert throttle.acquire(one) is None
        throttle.confirm(one.permit, one.budgets)

    assert throttle.acquire(asking(limit=100)) is not None
    assert throttle.acquire(permits[7]) is None, "asked again, it is the same permit"
    throttle.refund(permits[7].permit, permits[7].budgets)
    assert throttle.acquire(asking(limit=100)) is None

    clock.set(NOON + WINDOW)
    assert throttle.acquire(asking(limit=100)) is None


def test_a_restart_of_it_shuts_the_log(server):
    throttle = open_throttle(server.url)
    server.kill()
    server.start()

    with pytest.raises(LogLost):
        throttle.acquire(asking())
