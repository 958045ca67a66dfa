"""The endpoint for pushed reports: a real server, to which a gateway's emulator pushes."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from datetime import timedelta

import pytest
import requests
import uvicorn
from sqlalchemy import text

from tests.support.emulator import EmulatorProcess
from tests.support.office import closed_port
from tests.support.process_table import wait_until
from tests.support.reports import Desk
from worker import db
from worker.push import BODY_BYTES, make_app
from worker.push.requests import secret_digest

SECRET = "velmi-tajna-cesta"
UUID = "60C525E2-b28a-4e92-9a0f-58dacfa23a86"
REPORT = {
    "sent_result": "OK",
    "sent_time": "2019-01-15 12:20:13",
    "delivery_result": "DELIVRD",
    "delivery_time": "2019-01-15 12:20:22",
    "operator": "231.1",
    "price": "0.031",
    "sms_uuid": UUID,
    "segment": "1",
}
SMS = {
    "sms_uuid": UUID,
    "recipient": "421902000000",
    "receive_time": "2026-03-01 13:00:00",
    "sender": "421903622237",
    "sms_text": "Ďakujem, prídem",
}

PROGRAM = """
import os, sys
from worker import bootstrap
from worker.push import serve
settings = bootstrap.read_settings(os.environ)
serve(settings, bootstrap.make_engine(settings, "push"), "127.0.0.1", 0)
"""


class Endpoint:
    """A running endpoint, and someone who pushes by hand."""

    def __init__(self, port):
        self.base = f"http://127.0.0.1:{port}"
        self.url = f"{self.base}/eurosms/{SECRET}"
        self.http = requests.Session()
        self.http.trust_env = False

    def push(self, url=None, **request):
        method = request.pop("method", "GET" if "params" in request else "POST")
        return self.http.request(method, url or self.url, timeout=10, **request)


@contextmanager
def running(engine):
    """The endpoint in a thread of this process."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(make_app(engine), log_config=None, lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        endpoint = Endpoint(listener.getsockname()[1])
        try:
            wait_until(lambda: server.started)
            yield endpoint
        finally:
            endpoint.http.close()
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def gateway():
    with EmulatorProcess("--report-after", "0") as process:
        yield process


@pytest.fixture
def desk(engine, gateway):
    gateway.control("push", {"url": None})
    return Desk(engine, gateway, push_secret=secret_digest(SECRET))


@pytest.fixture
def endpoint(engine, desk):
    with running(engine) as endpoint:
        yield endpoint


def rows(desk, table):
    with desk.engine.connect() as connection:
        return connection.execute(text(f"SELECT * FROM {table} ORDER BY id")).all()


def as_json(content):
    return json.dumps(content)


@pytest.mark.parametrize("form", ["query", "form", "parameter", "json"])
def test_a_gateway_s_pushes_are_taken_in_and_confirmed_in_every_form(desk, endpoint, form):
    desk.gateway.control("push", {"url": endpoint.url, "format": form, "every_change": True})

    made = desk.sent()
    desk.gateway.until(lambda _: all(desk.gateway.records()[-1]["confirmed"]))

    # A push may have come before the SMS was known here; the next poll finds such.
    desk.poll()
    assert desk.state(made) == "delivered"
    assert {one.source for one in rows(desk, "delivery_report")} >= {"push"}


@pytest.mark.parametrize(
    "request_of",
    [
        pytest.param({"params": REPORT}, id="a query"),
        pytest.param({"params": {"delivery_report": as_json(REPORT)}}, id="JSON in a query"),
        pytest.param({"data": REPORT}, id="a form"),
        pytest.param({"data": {"delivery_report": as_json(REPORT)}}, id="JSON in a form"),
        pytest.param({"json": REPORT}, id="JSON"),
        pytest.param({"json": {"delivery_report": REPORT}}, id="JSON in JSON"),
        pytest.param({"data": as_json(REPORT).encode()}, id="JSON that does not say so"),
        pytest.param({"params": REPORT, "method": "POST"}, id="a query that is posted"),
    ],
)
def test_a_report_is_confirmed_with_its_own_uuid_and_nothing_else(desk, endpoint, request_of):
    answer = endpoint.push(**request_of)

    assert (answer.status_code, answer.content) == (200, f"ok|{UUID}".encode())
    assert answer.headers["content-type"].startswith("text/plain")
    [kept] = rows(desk, "delivery_report")
    assert (kept.source, kept.uuid, kept.status) == ("push", UUID.lower(), "DELIVRD")
    assert kept.status_at.isoformat() == "2019-01-15T11:20:22+00:00"
    assert kept.message_id is None  # it may be that its send is not committed yet


def test_a_report_that_comes_again_is_confirmed_again_and_kept_once(desk, endpoint):
    answers = [endpoint.push(params=REPORT).text for _ in range(3)]

    assert answers == [f"ok|{UUID}"] * 3
    assert len(rows(desk, "delivery_report")) == 1


def test_an_sms_that_comes_in_through_the_gateway_is_kept_and_stop_is_heeded(desk, endpoint):
    desk.gateway.control("push", {"url": endpoint.url, "format": "parameter"})

    desk.gateway.control(
        "inbound", {"sender": "421903622237", "recipient": "421902000000", "text": "STOP"}
    )
    wait_until(lambda: rows(desk, "inbound_sms"))

    assert desk.row("SELECT address FROM suppression").address == "+421903622237"


@pytest.mark.parametrize(
    "request_of",
    [
        pytest.param({"params": {"received": as_json(SMS)}}, id="JSON in a query"),
        pytest.param({"data": SMS}, id="a form"),
        pytest.param({"json": {"received": SMS}}, id="JSON"),
    ],
)
def test_an_sms_that_comes_in_is_kept_once_as_it_is(desk, endpoint, request_of):
    answers = [endpoint.push(**request_of).text for _ in range(2)]

    assert answers == [f"ok|{UUID}"] * 2
    [kept] = rows(desk, "inbound_sms")
    assert (kept.sender, kept.text, kept.stop) == ("421903622237", "Ďakujem, prídem", False)


def test_an_unknown_secret_is_answered_as_any_path_that_is_not_there(desk, endpoint):
    wrong = endpoint.push(f"{endpoint.base}/eurosms/hadaj", params=REPORT)
    elsewhere = endpoint.push(f"{endpoint.base}/hadaj", params=REPORT)

    assert (wrong.status_code, wrong.content) == (elsewhere.status_code, elsewhere.content)
    assert wrong.status_code == 404
    assert rows(desk, "delivery_report") == []


@pytest.mark.parametrize(
    ("networks", "status"),
    [
        ('["192.0.2.0/24", "127.0.0.0/8"]', 200),
        ('["192.0.2.0/24", "2001:db8::/32"]', 403),
        ("[]", 403),
    ],
)
def test_pushes_are_taken_from_the_account_s_networks_alone(desk, endpoint, networks, status):
    with desk.engine.begin() as connection:
        query = text("UPDATE eurosms_account SET push_from = CAST(:networks AS jsonb)")
        connection.execute(query, {"networks": networks})

    answer = endpoint.push(params=REPORT)

    assert answer.status_code == status
    assert len(rows(desk, "delivery_report")) == (status == 200)


@pytest.mark.parametrize(
    ("request_of", "words"),
    [
        pytest.param({"params": {}}, "sms_uuid is missing", id="nothing"),
        pytest.param({"params": {"sms_uuid": ""}}, "sms_uuid is missing", id="an empty uuid"),
        pytest.param({"json": {"sms_uuid": ["a"]}}, "no uuid", id="a uuid that is a list"),
        pytest.param({"params": {"sms_uuid": "a\nb"}}, "no uuid", id="a uuid of two lines"),
        pytest.param({"params": {"delivery_report": "{"}}, "no JSON object", id="broken JSON"),
        pytest.param({"json": [REPORT]}, "no JSON object", id="a list"),
        pytest.param({"params": {"sms_uuid": "v:"}}, "no uuid", id="only the mark of Viber"),
        pytest.param({"json": SMS | {"sms_text": 5}}, "sms_text is no text", id="a text of none"),
        pytest.param({"files": {"sms_uuid": "a"}}, "multipart is not taken", id="multipart"),
    ],
)
def test_what_is_no_push_is_refused_with_what_it_lacks(desk, endpoint, request_of, words):
    answer = endpoint.push(**request_of)

    assert answer.status_code == 400
    assert words in answer.text
    assert rows(desk, "delivery_report") == []


def test_a_body_without_end_is_cut_off(endpoint):
    answer = endpoint.push(data=REPORT | {"more": "x" * BODY_BYTES})

    assert answer.status_code == 413


def test_without_a_database_nothing_is_confirmed():
    with closed_port() as port:
        away = db.make_engine(f"postgresql://u:p@127.0.0.1:{port}/none", name="tests")
        with running(away) as endpoint:
            answer = endpoint.push(params=REPORT)
        away.dispose()

    assert (answer.status_code, "ok" in answer.text) == (503, False)


def test_what_could_not_be_stored_is_pushed_again_until_it_is(desk, endpoint):
    push_to = {"url": endpoint.url, "format": "query", "every_change": False}
    desk.gateway.control("push", push_to | {"repeat_seconds": 600})
    with desk.engine.begin() as connection:
        connection.execute(text("ALTER TABLE delivery_report RENAME TO away"))
    before = desk.gateway.figures()["pushes"]["sent"]
    made = desk.sent()
    desk.gateway.until(lambda figures: figures["pushes"]["sent"] > before)
    unconfirmed = desk.gateway.records()[-1]["confirmed"]

    with desk.engine.begin() as connection:
        connection.execute(text("ALTER TABLE away RENAME TO delivery_report"))
    desk.gateway.forward(timedelta(minutes=11).total_seconds())
    desk.gateway.until(lambda _: all(desk.gateway.records()[-1]["confirmed"]))

    assert unconfirmed == [False]
    assert desk.state(made) == "delivered"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_process_serves_until_it_is_told_to_end_and_keeps_the_secret(desk, tmp_path, number):
    log = tmp_path / "log"
    with (
        log.open("wb") as errors,
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            env=desk.environment(tmp_path),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        listening = json.loads(process.stdout.readline())["listening"]
        endpoint = Endpoint(listening.rpartition(":")[2])
        answers = [endpoint.push(params=REPORT).text, endpoint.push(json=[]).text]
        endpoint.http.close()
        process.send_signal(number)
        code = process.wait(20)

    assert answers[0] == f"ok|{UUID}"
    assert code == 0
    written = log.read_text()
    assert "pushed report" in written
    assert SECRET not in written
