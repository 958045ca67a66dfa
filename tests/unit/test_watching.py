"""What Flower may show of what anybody may publish."""

from __future__ import annotations

import json

import pytest

from worker.core.watching import (
    HIDDEN,
    NO_TASK,
    shown_arguments,
    shown_broker,
    shown_event,
    shown_name,
)

OURS = {"kadencia.send", "kadencia.canary"}
ADDRESS = "jana@zakaznik.example"
ID = "0f3c1f0a-8c8b-4b8a-9a55-1f0e2f3a4b5c"


@pytest.mark.parametrize(
    "args",
    [
        pytest.param("(17, '0f3c1f0a-8c8b-4b8a-9a55-1f0e2f3a4b5c')", id="a row and a lease"),
        pytest.param("['0f3c1f0a-8c8b-4b8a-9a55-1f0e2f3a4b5c', 'send']", id="a part of a worker"),
        pytest.param("(17,)", id="one row"),
        pytest.param("()", id="nothing"),
    ],
)
def test_the_ids_of_our_own_tasks_are_shown(args):
    assert shown_arguments("kadencia.send", args, OURS) == {"args": args, "kwargs": ""}


@pytest.mark.parametrize(
    ("name", "args"),
    [
        pytest.param("kadencia.enqueue_email", "(17,)", id="of a task that takes content"),
        pytest.param("kadencia.send", f"('{ADDRESS}',)", id="that are an address"),
        pytest.param("kadencia.send", "('Jana Nováková',)", id="that are words"),
        pytest.param("kadencia.send", "[17, {'to': 1}]", id="that are nested"),
        pytest.param("kadencia.send", "('0f3c', ...)", id="that Celery has cut"),
        pytest.param("kadencia.send", None, id="that are missing"),
    ],
)
def test_other_arguments_are_hidden(name, args):
    assert shown_arguments(name, args, OURS) == {"args": HIDDEN, "kwargs": HIDDEN}


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        pytest.param("kadencia.send", "kadencia.send", id="of the fleet"),
        pytest.param("kadencia.enqueue_sms", "kadencia.enqueue_sms", id="of the interface"),
        pytest.param(ADDRESS, NO_TASK, id="that is an address"),
        pytest.param(None, NO_TASK, id="that is missing"),
    ],
)
def test_a_name(name, shown):
    assert shown_name(name, OURS) == shown


def test_no_field_of_a_foreign_task_carries_its_content_on():
    event = {
        "type": "task-sent",
        "hostname": "gen17@host",
        "timestamp": 1.5,
        "name": ADDRESS,
        "uuid": ADDRESS,
        "root_id": ADDRESS,
        "args": f"['{ADDRESS}']",
        "kwargs": f"{{'to': '{ADDRESS}'}}",
        "result": ADDRESS,
        "traceback": ADDRESS,
        "exception": f"InvalidMessage('{ADDRESS} has no domain')",
        "stamps": {"to": ADDRESS},
    }

    shown = shown_event(event, OURS)

    assert ADDRESS not in json.dumps(shown)
    assert shown["exception"] == "InvalidMessage"
    assert (shown["timestamp"], shown["hostname"]) == (1.5, "gen17@host")


def test_an_error_that_is_no_class_is_hidden():
    event = {"type": "task-failed", "uuid": ID, "exception": f"{ADDRESS} is unknown"}

    assert shown_event(event, OURS)["exception"] == HIDDEN


def test_the_id_of_a_task_is_kept_so_that_its_events_come_together():
    event = {"type": "task-succeeded", "uuid": ID, "runtime": 0.25}

    assert shown_event(event, OURS) == {"type": "task-succeeded", "uuid": ID, "runtime": 0.25}


def test_a_made_up_id_becomes_the_same_each_time():
    first, second = (shown_event({"type": "task-sent", "uuid": ADDRESS}, OURS) for _ in "ab")

    assert first == second
    assert first["uuid"] != ADDRESS


def test_a_worker_s_heartbeat_is_kept_whole():
    event = {"type": "worker-heartbeat", "hostname": "send.main@host", "active": 2}

    assert shown_event(event, OURS) == event


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        pytest.param("redis://:tajne@r.example:6379/0", "redis://r.example:6379/0", id="Redis"),
        pytest.param("redis://:t/a?j#n@e@r.example/0", "redis://r.example/0", id="odd characters"),
        pytest.param("rediss://u:p@r.example/0?p=tajne", "rediss://r.example/0", id="options"),
        pytest.param(
            "redis+socket://:tajne@/run/r.sock", "redis+socket:///run/r.sock", id="socket"
        ),
        pytest.param("amqp://u:tajne@q.example//", "amqp://q.example//", id="RabbitMQ"),
        pytest.param(
            "sentinel://:t;a@a.example/0;sentinel://:t@b.example/0",
            "sentinel://a.example/0; sentinel://b.example/0",
            id="Sentinels",
        ),
        pytest.param("redis://:tajne", HIDDEN, id="without a host"),
        pytest.param("tajne", HIDDEN, id="that is none"),
        pytest.param("Tajne://r.example", HIDDEN, id="with an odd scheme"),
    ],
)
def test_a_broker_s_address_is_shown_without_its_password(url, shown):
    assert shown_broker(url) == shown
