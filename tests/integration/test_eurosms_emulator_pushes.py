"""The emulator of the gateway: reports and inbound SMS that it brings to a receiver."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.support.emulator import EmulatorProcess


class Receiver(ThreadingHTTPServer):
    """Writes down every push, and answers what `answer` makes of its uuid."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.pushes: list[tuple[str, dict[str, str], bytes]] = []
        self.uuids: list[str] = []
        self.answer: Callable[[str], bytes] = lambda uuid: f"ok|{uuid}".encode()
        self.status = 200

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hook"

    def until(self, count: int) -> None:
        deadline = time.monotonic() + 10
        while len(self.pushes) < count:
            assert time.monotonic() < deadline, self.pushes
            time.sleep(0.01)


class Handler(BaseHTTPRequestHandler):
    """Reads all four forms of a push."""

    protocol_version = "HTTP/1.1"
    server: Receiver

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        text = urlsplit(self.path).query or body.decode()
        form = {} if text.startswith("{") else parse_qs(text, keep_blank_values=True)
        fields = {name: found[0] for name, found in form.items()}
        whole = fields.get("delivery_report", fields.get("received", text))
        keys = json.loads(whole) if whole.startswith("{") else fields
        self.server.uuids.append(keys["sms_uuid"])
        answer = self.server.answer(keys["sms_uuid"])
        self.server.pushes.append((self.command, fields, body))
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_POST = do_GET

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def quick_gateway() -> Iterator[EmulatorProcess]:
    with EmulatorProcess("--report-after", "0") as process:
        yield process


@pytest.fixture
def gateway(quick_gateway, receiver) -> EmulatorProcess:
    """One that pushes to the receiver."""
    quick_gateway.misbehave()
    push_to(quick_gateway, receiver)
    return quick_gateway


def push_to(gateway: EmulatorProcess, receiver: Receiver, **more: object) -> None:
    settings = {"url": receiver.url, "format": "query", "every_change": False}
    gateway.control("push", settings | {"repeat_seconds": 600} | more)


def confirmed(gateway: EmulatorProcess) -> object:
    return gateway.records()[-1]["confirmed"]


def until_confirmed(gateway: EmulatorProcess) -> None:
    gateway.until(lambda _: all(gateway.records()[-1]["confirmed"]))


def test_the_end_of_each_segment_is_pushed_once_it_is_confirmed(gateway, receiver):
    uuids = gateway.send(421905000000, "a" * 161)["uuid"]

    until_confirmed(gateway)

    assert len(receiver.pushes) == 2
    assert sorted(receiver.uuids) == sorted(uuid.lower() for uuid in uuids)
    method, fields, _ = receiver.pushes[0]
    assert method == "GET"
    assert (fields["sent_result"], fields["delivery_result"]) == ("OK", "DELIVRD")
    assert (fields["operator"], fields["price"]) == ("231.1", "0.029")
    assert {fields["segment"] for _, fields, _ in receiver.pushes} == {"1", "2"}
    assert "f" not in fields


def test_every_change_is_pushed_if_wanted(gateway, receiver):
    push_to(gateway, receiver, every_change=True)

    gateway.send()
    receiver.until(3)

    pushed = sorted(fields["delivery_result"] for _, fields, _ in receiver.pushes)
    assert pushed == ["ACCEPTD", "DELIVRD", "ENROUTE"]


@pytest.mark.parametrize(
    ("form", "method"),
    [("query", "GET"), ("form", "POST"), ("parameter", "GET"), ("json", "POST")],
)
def test_a_push_has_the_form_that_was_chosen(gateway, receiver, form, method):
    push_to(gateway, receiver, format=form)

    gateway.send()
    until_confirmed(gateway)

    ((said, fields, body),) = receiver.pushes
    assert said == method
    whole = {"parameter": fields.get("delivery_report", ""), "json": body.decode()}
    keys = json.loads(whole[form]) if form in whole else fields
    assert keys["delivery_result"] == "DELIVRD"
    assert len(fields) == {"query": 8, "form": 8, "parameter": 1, "json": 0}[form]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(lambda _: b"", id="nothing"),
        pytest.param(lambda _: b"ok", id="no uuid"),
        pytest.param(lambda uuid: f"ok|{uuid}\n".encode(), id="a line's end after it"),
        pytest.param(lambda uuid: f"ok:{uuid}".encode(), id="a colon"),
        pytest.param(lambda uuid: f"ok|{uuid.upper()}".encode(), id="upper case"),
        pytest.param(lambda _: json.dumps({"status": "ok"}).encode(), id="JSON without uuid"),
    ],
)
def test_what_is_not_confirmed_exactly_comes_again(gateway, receiver, answer):
    receiver.answer = answer
    gateway.send()
    receiver.until(1)
    before = confirmed(gateway)

    receiver.answer = lambda uuid: json.dumps({"sms_uuid": uuid, "status": "ok"}).encode()
    gateway.forward(601)
    receiver.until(2)
    until_confirmed(gateway)

    assert before == [False]
    assert receiver.uuids[0] == receiver.uuids[1]


def test_an_error_confirms_nothing_whatever_it_says(gateway, receiver):
    receiver.status = 500
    gateway.send()
    receiver.until(1)
    gateway.forward(601)
    receiver.until(2)
    before = confirmed(gateway)
    receiver.status = 200
    gateway.forward(1201)
    until_confirmed(gateway)

    assert before == [False]


def test_an_unconfirmed_push_comes_again_for_24_hours(receiver):
    receiver.answer = lambda _: b"later"
    with EmulatorProcess("--report-after", "0", "--push-url", receiver.url) as gateway:
        gateway.send()
        for hours in range(1, 24):  # after the first few tries, one an hour
            receiver.until(hours)
            gateway.forward(3600)
        gateway.until(lambda figures: figures["pushes"]["given_up"] == 1)

        assert confirmed(gateway) == [False]
        assert len(receiver.pushes) == 24


def test_a_push_comes_again_ever_more_rarely(receiver):
    receiver.answer = lambda _: b"later"
    arguments = ("--report-after", "0", "--push-url", receiver.url, "--push-repeat", "600")
    with EmulatorProcess(*arguments) as gateway:
        gateway.send()
        receiver.until(1)
        gateway.forward(601)
        receiver.until(2)
        gateway.forward(601)
        too_early = len(receiver.pushes)
        gateway.forward(601)
        receiver.until(3)

    assert too_early == 2


def test_a_push_can_come_twice(gateway, receiver):
    gateway.misbehave({"kind": "doubled", "path": "push"})

    gateway.send()
    receiver.until(2)

    assert len(set(receiver.uuids)) == 1


@pytest.mark.parametrize("form", ["query", "form", "parameter", "json"])
def test_an_inbound_sms_is_pushed_in_json(gateway, receiver, form):
    push_to(gateway, receiver, format=form)
    sms = {"sender": "421903622237", "recipient": "421950000000", "text": "STOP, prosím"}

    uuid = gateway.control("inbound", sms)["sms_uuid"]
    receiver.until(1)

    ((_, fields, body),) = receiver.pushes
    keys = json.loads(body if form == "json" else fields["received"])
    assert keys.pop("receive_time")
    assert keys == {
        "sms_uuid": uuid,
        "sender": "421903622237",
        "recipient": "421950000000",
        "sms_text": "STOP, prosím",
    }


def test_an_inbound_sms_needs_a_receiver(quick_gateway):
    quick_gateway.control("push", {"url": None})
    sms = {"sender": "421903622237", "recipient": "421950000000", "text": "STOP"}

    answer = quick_gateway._http.post(f"{quick_gateway.url}/emulator/inbound", json=sms)

    assert answer.status_code == 400
    assert "no receiver" in answer.json()["error"]


def test_a_receiver_elsewhere_is_refused(quick_gateway):
    answer = quick_gateway._http.post(
        f"{quick_gateway.url}/emulator/push", json={"url": "http://shop.example/hook"}
    )

    assert answer.status_code == 400
    assert "not a URL on loopback" in answer.json()["error"]


def test_a_killed_gateway_brings_what_was_not_confirmed_and_nothing_else(receiver):
    arguments = ("--report-after", "0", "--push-url", receiver.url, "--push-repeat", "600")
    with EmulatorProcess(*arguments) as gateway:
        gateway.send()
        until_confirmed(gateway)
        receiver.answer = lambda _: b"later"
        open_uuid = gateway.send()["uuid"][0].lower()
        receiver.until(2)

        receiver.answer = lambda uuid: f"ok|{uuid}".encode()
        gateway.restart()
        until_confirmed(gateway)

    assert receiver.uuids[2:] == [open_uuid]
