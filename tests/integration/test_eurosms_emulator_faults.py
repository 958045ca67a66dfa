"""The emulator of the gateway: what it does wrong when asked to."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import requests

from tests.support.emulator import EmulatorProcess, order

NUMBER, OTHER = 421903622237, 421903622238


@pytest.fixture(scope="module")
def shared_gateway() -> Iterator[EmulatorProcess]:
    with EmulatorProcess("--report-after", "0") as process:
        yield process


@pytest.fixture
def gateway(shared_gateway) -> EmulatorProcess:
    shared_gateway.misbehave()
    return shared_gateway


def accepted(gateway: EmulatorProcess) -> int:
    count: int = gateway.figures()["figures"]["sms"]
    return count


def post(gateway: EmulatorProcess, number: int = NUMBER, **more: object) -> requests.Response:
    return gateway.call("v3/send/one", order(number), **more)


@pytest.mark.parametrize(
    ("kind", "taken"),
    [
        pytest.param("drop-before-reading", 0, id="reset before it is read"),
        pytest.param("drop-after-accept", 1, id="closed after it was accepted"),
        pytest.param("cut-off", 1, id="cut off within the answer"),
    ],
)
def test_a_connection_ends_without_a_whole_answer(gateway, kind, taken):
    before = accepted(gateway)
    gateway.misbehave({"kind": kind, "path": "send/*", "times": 1})

    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        post(gateway)

    assert accepted(gateway) - before == taken
    assert post(gateway).json()["err_code"] == "ENQUEUED"


def test_what_is_refused_is_not_lost_on_its_way_back(gateway):
    gateway.misbehave({"kind": "drop-after-accept"})

    assert gateway.call("v3/send/one", order(sgn="0")).json()["err_code"] == "WRONG_SIGNATURE"


@pytest.mark.parametrize(
    ("kind", "status", "words"),
    [
        pytest.param("error-json", 500, '"INTERNAL_ERROR"', id="500 in JSON"),
        pytest.param("error-html", 500, "<h1>Sorry</h1>", id="500 as a page"),
        pytest.param("html", 200, "<h1>Sorry</h1>", id="200 as a page"),
        pytest.param("redirect", 302, "", id="a redirect"),
    ],
)
@pytest.mark.parametrize("carry_out", [False, True])
def test_an_answer_lies_whether_or_not_the_sms_was_taken(gateway, kind, status, words, carry_out):
    before = accepted(gateway)
    gateway.misbehave({"kind": kind, "carry_out": carry_out})

    answer = post(gateway)

    assert (answer.status_code, words in answer.text) == (status, True)
    assert answer.headers["X-Kadencia"] == "EMULATOR"
    assert accepted(gateway) - before == carry_out


def test_half_of_the_json_can_be_the_whole_answer(gateway):
    gateway.misbehave({"kind": "truncated"})

    answer = post(gateway)

    assert answer.status_code == 200
    assert answer.text.startswith('{"uuid"')
    with pytest.raises(ValueError, match=r"delimiter|Unterminated|Expecting"):
        answer.json()


def test_a_slow_answer_comes_after_the_sms_was_taken(gateway):
    before = accepted(gateway)
    gateway.misbehave({"kind": "slow", "seconds": 0.3, "number": str(NUMBER)})

    began = time.monotonic()
    post(gateway, OTHER)
    between = time.monotonic()
    post(gateway)

    assert between - began < 0.3 <= time.monotonic() - between
    assert accepted(gateway) - before == 2


def test_a_chosen_code_is_given_to_a_number(gateway):
    gateway.misbehave({"kind": "refuse", "number": str(NUMBER), "code": "MADE_UP"})

    codes = [gateway.send(number)["err_code"] for number in (NUMBER, OTHER)]

    assert codes == ["MADE_UP", "ENQUEUED"]


def test_the_credit_can_be_used_up_after_some_sms(gateway):
    gateway.misbehave({"kind": "no-balance", "after": 2})

    codes = [gateway.send()["err_code"] for _ in range(4)]

    assert codes == ["ENQUEUED", "ENQUEUED", "NO_BALANCE", "NO_BALANCE"]


def test_a_lost_answer_of_reports_is_given_again_for_the_same_trxid(gateway):
    uuid = gateway.send()["uuid"][0].lower()
    gateway.misbehave({"kind": "lost-answer", "times": 1})

    with pytest.raises(requests.ConnectionError):
        gateway.changed("trxid-a1")

    assert uuid in [one["i"] for one in gateway.changed("trxid-a1")]
    assert gateway.changed("trxid-a2") == []


def test_a_fault_strikes_as_often_as_was_asked_and_is_counted(gateway):
    gateway.misbehave({"kind": "error-json", "times": 2}, {"kind": "slow", "path": "balance"})

    statuses = [post(gateway).status_code for _ in range(3)]

    listed = gateway._get("faults")["faults"]
    assert statuses == [500, 500, 200]
    assert [(one["kind"], one["struck"]) for one in listed] == [("error-json", 2), ("slow", 0)]


def test_a_fault_strikes_by_chance_the_same_way_for_the_same_seed():
    seen = []
    for _ in range(2):
        with EmulatorProcess("--seed", "7", faults=["error-json:chance=0.5"]) as gateway:
            seen.append([post(gateway).status_code for _ in range(20)])

    assert seen[0] == seen[1]
    assert set(seen[0]) == {200, 500}


def test_refusals_can_have_an_http_status_of_their_own():
    with EmulatorProcess("--refusal-status", "422") as gateway:
        refused = gateway.call("v3/send/one", order(sgn="0"))
        taken = post(gateway)

    assert (refused.status_code, refused.json()["err_code"]) == (422, "WRONG_SIGNATURE")
    assert taken.status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        pytest.param("faults", {"faults": [{"kind": "sulk"}]}, "is no fault", id="no fault"),
        pytest.param("faults", {"faults": [{}]}, "is no fault", id="a fault without a kind"),
        pytest.param("faults", {}, "the body has no 'faults'", id="no list"),
        pytest.param("faults", {"faults": ["slow"]}, "name its kind", id="a fault as text"),
        pytest.param("clock", {"forward_seconds": -1}, "does not run back", id="back in time"),
        pytest.param("balance", {"add": "x"}, "no amount", id="no amount"),
        pytest.param("faults", [], "not a JSON object", id="a list"),
    ],
)
def test_a_wrong_request_to_the_control_says_what_is_wrong(gateway, path, body, words):
    answer = gateway._http.post(f"{gateway.url}/emulator/{path}", json=body)

    assert (answer.status_code, words in answer.json()["error"]) == (400, True)


def test_an_unknown_request_to_the_control_is_told_what_there_is(gateway):
    answer = gateway._http.get(f"{gateway.url}/emulator/elsewhere")

    assert (answer.status_code, "POST faults" in answer.json()["error"]) == (404, True)
