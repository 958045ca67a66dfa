"""How the Celery workers of one `kadencia worker` are started."""

from __future__ import annotations

import uuid

import pytest

from settings import load
from settings.names import own_queue
from worker.fleet.worker import specs
from worker.registry import WorkerProcess


@pytest.fixture
def worker():
    return WorkerProcess(uuid.uuid4(), "main", "mx1", pid=1, version="1", slots=2)


def queues(spec):
    return spec.argv[spec.argv.index("-Q") + 1].split(",")


def test_canaries_are_taken_before_all_else_or_a_backlog_would_starve_them(worker):
    for spec in specs(load({}), worker, {}):
        assert queues(spec)[0] == own_queue(str(worker.id), spec.name)


def test_transactional_messages_are_taken_before_others(worker):
    [send] = [one for one in specs(load({}), worker, {}) if one.name == "send"]

    assert queues(send)[1:] == ["oac.main.first", "oac.main"]
