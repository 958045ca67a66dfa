"""The client repeats what failed on the way, under the same key, and says what went wrong."""

from __future__ import annotations

import json
import pickle
import time
from datetime import UTC, datetime

import pytest
from kadencia_client import (
    Client,
    Conflict,
    Email,
    Forbidden,
    Invalid,
    NotFound,
    Problem,
    Sms,
    Unavailable,
)
from kadencia_client.connection import quiet
from kadencia_client.retrying import Retrying

from tests.support.standin_api import DROP, Answer, StandIn

TOKEN = "kad_7_tajny-token"
QUICK = Retrying(tries=4, first_wait=0.01, longest_wait=5)
TAKEN = Answer(201, {"id": 17, "state": "ready", "created": True})
MAIL = Email(to=["jana@zakaznik.example"], subject="Faktúra", text="Dobrý deň")


@pytest.fixture
def server():
    with StandIn().running() as server:
        yield server


@pytest.fixture
def client(server):
    with Client(server.url, TOKEN, retrying=QUICK, timeout=(2, 0.5)) as client:
        yield client


def problem(status, kind="x", **headers):
    body = {"type": f"/problems/{kind}", "title": "Nie", "status": status, "detail": "lebo"}
    return Answer(status, body, headers)


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param([DROP], id="the line breaks after the request was sent"),
        pytest.param([problem(503), problem(503)], id="503 twice"),
        pytest.param([problem(429, **{"Retry-After": "0"})], id="too many requests"),
        pytest.param([Answer(502, b"<html>")], id="a proxy without a server behind it"),
        pytest.param([problem(409, "idempotency-under-way")], id="the first is under way"),
        pytest.param([Answer(201, {"id": 17}, cut=3)], id="the answer is cut off"),
        pytest.param([Answer(200, b"<html>captive")], id="an answer that is no JSON"),
    ],
)
def test_what_failed_on_the_way_is_sent_again_under_the_same_key(server, client, faults):
    server.answers(*faults, TAKEN)

    assert client.send_email(MAIL).id == 17

    assert len(server.asked) == len(faults) + 1
    assert len({one.json["idempotency_key"] for one in server.asked}) == 1
    assert server.asked[0].headers["Authorization"] == f"Bearer {TOKEN}"


def test_a_server_that_does_not_answer_is_asked_again(server, client):
    released = []

    def slowly(asked):
        if not released:
            released.append(asked)
            time.sleep(1)
        return TAKEN

    server.answer = slowly

    assert client.send_email(MAIL).id == 17


def test_a_server_is_given_the_time_that_it_asks_for(server, client):
    server.answers(problem(429, **{"Retry-After": "1"}), TAKEN)
    started = time.monotonic()

    client.send_sms(Sms(number="0903622237", text="Ahoj"))

    assert time.monotonic() - started >= 1


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        pytest.param(problem(422), Invalid, id="not valid"),
        pytest.param(problem(401), Forbidden, id="no valid token"),
        pytest.param(problem(404), NotFound, id="nothing there"),
        pytest.param(problem(409, "too-late"), Conflict, id="too late"),
        pytest.param(Answer(301, b"", {"Location": "/"}), Exception, id="sent elsewhere"),
    ],
)
def test_what_will_not_change_is_not_tried_again(server, client, answer, error):
    server.answers(answer)

    with pytest.raises(error) as raised:
        client.cancel(17)

    assert len(server.asked) == 1
    assert raised.value.problem.status == answer.status
    assert type(pickle.loads(pickle.dumps(raised.value))) is type(raised.value)


@pytest.mark.parametrize(
    ("answer", "tries"),
    [
        pytest.param(DROP, 4, id="no answer"),
        pytest.param(problem(503, **{"Retry-After": "3600"}), 1, id="an hour to wait"),
    ],
)
def test_who_gives_up_tells_the_key_and_not_the_token(server, client, answer, tries):
    server.answers(answer)

    with pytest.raises(Unavailable) as raised:
        client.send_email(Email(**{**asdict(MAIL), "idempotency_key": "faktura-7"}))

    assert len(server.asked) == tries
    assert "faktura-7" in str(raised.value)
    for words in (str(raised.value), repr(raised.value), repr(client), repr(vars(client))):
        assert "tajny" not in words
        assert "jana" not in words
    error = raised.value
    while error is not None:
        assert "tajny" not in f"{error!r} {getattr(error, 'request', '')!r}"
        assert getattr(error, "request", None) is None
        error = error.__context__


def asdict(draft):
    return {name: getattr(draft, name) for name in ("to", "subject", "text")}


def test_a_token_never_goes_unencrypted_over_a_network_by_mistake():
    with pytest.raises(ValueError, match="unencrypted"):
        Client("http://kadencia.firma.example", TOKEN)
    with pytest.raises(ValueError, match="must be http"):
        Client("ftp://kadencia.firma.example", TOKEN)
    with pytest.raises(ValueError, match="the token is none"):
        Client("https://kadencia.firma.example", "tajny\ntoken")
    with Client("http://kadencia.firma.example", TOKEN, plain_http=True) as client:
        assert repr(client) == "<Client of http://kadencia.firma.example>"


def test_a_time_without_a_zone_is_refused_before_anything_is_sent(server, client):
    naive = datetime(2026, 3, 1)  # noqa: DTZ001

    with pytest.raises(ValueError, match="not_before has no time zone"):
        client.send_sms(Sms(number="0903622237", text="Ahoj", not_before=naive))
    assert server.asked == []


def answers_of(lines, first=1):
    return b"".join(
        json.dumps(
            {"line": n, "id": int(line["reference"]), "state": "ready", "created": True}
        ).encode()
        + b"\n"
        for n, line in enumerate(lines, start=first)
    )


def mails(count):
    for number in range(count):
        yield Email(to=["a@b.example"], subject="A", text="B", reference=str(number))


def test_a_batch_is_sent_as_it_comes_and_answered_in_order(server, client):
    server.answer = lambda asked: Answer(200, answers_of(asked.lines))

    results = list(client.send_emails(mails(1_201)))

    assert [one.result().id for one in results] == list(range(1_201))
    assert [one.index for one in results] == list(range(1_201))
    assert [len(one.lines) for one in server.asked] == [500, 500, 201]


def test_a_batch_that_breaks_off_goes_on_with_what_was_not_answered(server, client):
    def half(asked):
        if len(server.asked) == 1:
            return Answer(200, answers_of(asked.lines[:3]) + b'{"line": 4, "id"')
        return Answer(200, answers_of(asked.lines))

    server.answer = half

    results = list(client.send_emails(mails(10)))

    assert [one.result().id for one in results] == list(range(10))
    first, second = (one.lines for one in server.asked)
    assert second == first[3:]


def test_a_bad_line_has_its_problem_and_a_passing_one_is_sent_again(server, client):
    bad = {"type": "/problems/invalid", "title": "Nie", "status": 422, "detail": "to"}

    def some(asked):
        found = [
            {"line": n, "id": int(one["reference"]), "state": "ready", "created": True}
            for n, one in enumerate(asked.lines, start=1)
        ]
        if len(asked.lines) == 3:
            found[0] = {"line": 1, "error": bad}
            found[1] = {"line": 2, "error": {**bad, "status": 503}}
        return Answer(200, b"".join(json.dumps(one).encode() + b"\n" for one in found))

    server.answer = some

    first, second, third = client.send_emails(mails(3))

    assert first.problem == Problem.of(bad, 422)
    with pytest.raises(Invalid):
        first.result()
    assert (second.result().id, third.result().id) == (1, 2)
    assert [len(one.lines) for one in server.asked] == [3, 1]


def test_what_of_a_batch_was_done_is_told_before_giving_up(server, client):
    server.answer = lambda asked: Answer(
        200, answers_of(asked.lines[:2]) if len(asked.lines) == 5 else b""
    )
    results = client.send_emails(mails(5))

    assert [next(results).result().id, next(results).result().id] == [0, 1]
    with pytest.raises(Unavailable):
        next(results)


def test_a_batch_is_not_given_up_as_long_as_it_gets_on(server, client):
    server.answer = lambda asked: Answer(200, answers_of(asked.lines[:1]))

    results = list(client.send_emails(mails(8)))

    assert [one.result().id for one in results] == list(range(8))


def test_pages_are_fetched_as_they_are_needed(server, client):
    message = {
        "id": 1, "state": "sent", "state_sk": "Odoslané", "why": None, "attempts": 1,
        "created_at": datetime.now(UTC).isoformat(),
    }  # fmt: skip
    server.answer = lambda asked: Answer(
        200, {"items": [message], "next_cursor": None if "cursor=b" in asked.path else "b"}
    )

    found = client.emails(state="sent", reference="7")

    assert next(found).state == "sent"
    assert len(server.asked) == 1
    assert len(list(found)) == 1
    assert "state=sent&reference=7&limit=100&cursor=b" in server.asked[1].path


def test_an_error_that_is_none_of_the_librarys_passes_as_it_is():
    with pytest.raises(KeyError), quiet():
        raise KeyError("x")
