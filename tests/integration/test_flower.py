"""Flower behind its one door: who gets in, and what it shows of tasks that others publish."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import requests
from celery import Celery

from tests.support.fleet import Fleet
from tests.support.flower import PASSWORD, running_flower
from tests.support.process_table import wait_until
from tests.support.services import Services
from worker import db

PLANTED = "jana.novakova@zakaznik.example"

PATHS = (
    *("/", "/workers", "/tasks", "/broker", "/metrics", "/healthcheck"),
    *("/api/workers", "/api/tasks", "/api/queues/length", "/static/css/flower.css", "/nowhere"),
)
PAGES = (
    *("/", "/workers", "/tasks", "/broker", "/metrics", "/healthcheck"),
    *("/api/workers", "/api/workers?refresh=1", "/api/tasks", "/api/task/types"),
)


@pytest.fixture(scope="module")
def valkey(services: Services):
    with services.extra_valkey() as server:
        yield server


@pytest.fixture(scope="module")
def flower(services: Services, valkey):
    engine = db.make_engine(services.postgres.url_of("postgres"), name="tests")
    with Fleet(engine, valkey.url) as fleet, running_flower(fleet) as running:
        yield running
    engine.dispose()


@pytest.fixture(scope="module")
def stranger(valkey):
    """A Celery application that shares the broker and knows nothing of us."""
    app = Celery("stranger", broker=valkey.url, set_as_current=False)
    app.conf.update(task_send_sent_event=True, result_backend=None)
    yield app
    app.close()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "password",
    [
        pytest.param(None, id="without a password"),
        pytest.param("ine-heslo", id="with a wrong one"),
        pytest.param("žltý kôň".encode(), id="with one beyond ASCII"),
    ],
)
def test_nobody_sees_anything(flower, path, password):
    answer = flower.get(path, password)

    assert answer.status_code == 401
    assert answer.text == "the user's name and password are needed\n"


def test_the_password_opens_every_page_and_is_in_no_argument(flower):
    found = {path: flower.get(path).status_code for path in PATHS}

    assert found == dict.fromkeys(PATHS, 200) | {"/nowhere": 404}
    assert PASSWORD not in Path(f"/proc/{flower.process.pid}/cmdline").read_text()


@pytest.mark.parametrize(
    "path",
    [
        "/api/worker/shutdown/any",
        "/api/task/send-task/kadencia.retain",
        "/api/task/revoke/any",
        "/api/worker/queue/add-consumer/any",
    ],
)
def test_nothing_can_be_changed(flower, path):
    answer = requests.post(flower.url + path, auth=("kadencia", PASSWORD), timeout=15)

    assert answer.status_code == 404


def listens(flower, stranger):
    """Whether events arrive; what was sent before it listened, Flower never sees."""
    stranger.send_task("kadencia.retain", queue="q")
    return any(task["name"] == "kadencia.retain" for task in tasks_of(flower).values())


def tasks_of(flower):
    return flower.get("/api/tasks").json()


def test_the_content_of_a_stranger_s_tasks_is_shown_nowhere(flower, stranger):
    wait_until(lambda: listens(flower, stranger), 30)
    content = {"to": [PLANTED], "text": f"Dobrý deň, {PLANTED}"}
    sent = [
        stranger.send_task("kadencia.enqueue_email", kwargs=content, queue="q"),
        stranger.send_task("kadencia.send", args=[PLANTED], queue="q"),
        stranger.send_task(PLANTED, args=[PLANTED], task_id=PLANTED, queue="q"),
        stranger.send_task("kadencia.send", args=[17, "0f3c"], queue="q"),
    ]

    def seen():
        found = tasks_of(flower).items()
        return {number: task for number, task in found if task["name"] != "kadencia.retain"}

    wait_until(lambda: len(seen()) == len(sent), 30)
    tasks = list(seen().values())
    assert sorted((task["name"], task["args"]) for task in tasks) == [
        ("(no task of ours)", "(hidden)"),
        ("kadencia.enqueue_email", "(hidden)"),
        ("kadencia.send", "(hidden)"),
        ("kadencia.send", "[17, '0f3c']"),
    ]
    details = [f"/task/{task}" for task in seen()]
    table = "/tasks/datatable?draw=1&start=0&length=50&order[0][column]=0&order[0][dir]=asc"
    search = f"{table}&columns[0][data]=name&search[value]={PLANTED}"
    for path in (*PAGES, *details, table, search):
        answer = flower.get(path)
        assert answer.status_code == 200, path
        assert "zakaznik" not in answer.text.replace(PLANTED if path == search else "", ""), path
    assert flower.get(search).json()["recordsFiltered"] == 0


def test_the_broker_s_password_is_on_no_page(flower, valkey):
    password = valkey.url.partition("://:")[2].partition("@")[0]

    assert len(password) > 8
    assert [path for path in PAGES if password in flower.get(path).text] == []
    assert valkey.url.replace(f":{password}@", "") in flower.get("/broker").text


def test_it_is_not_healthy_while_the_broker_is_away(flower, valkey):
    """The last one: it ends the broker."""
    valkey.kill()

    answer = flower.get("/healthcheck")

    assert answer.status_code == 503
    assert answer.text.startswith("the broker does not answer (")
    assert flower.get("/workers").status_code == 200
    flower.process.send_signal(signal.SIGTERM)
    assert flower.process.wait(20) == 0
