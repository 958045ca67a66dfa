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


def test_sms_have_processes_of_their_own_and_polls_do_not_wait_behind_a_backlog():
    both = WorkerProcess(uuid.uuid4(), "main", "mx1", pid=1, version="1", slots=2, sms_slots=3)

    started = {one.name: one for one in specs(load({}), both, {})}

    assert list(started) == ["eurosms", "send", "control"]
    assert queues(started["eurosms"])[1:] == [
        "oac.main.eurosms.first",
        "oac.main.eurosms.reports",
        "oac.main.eurosms",
    ]
    assert started["eurosms"].argv[started["eurosms"].argv.index("-c") + 1] == "3"


def test_a_worker_without_sending_processes_for_a_channel_takes_none_of_its_queues():
    sms_only = WorkerProcess(uuid.uuid4(), "main", "mx1", pid=1, version="1", slots=0, sms_slots=1)

    started = [one.name for one in specs(load({}), sms_only, {})]

    assert started == ["eurosms", "control"]


def test_transactional_messages_are_taken_before_others(worker):
    [send] = [one for one in specs(load({}), worker, {}) if one.name == "send"]

    assert queues(send)[1:] == ["oac.main.first", "oac.main"]
