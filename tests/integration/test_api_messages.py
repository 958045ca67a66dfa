"""Messages by HTTP, one at a time: taken in once, shown with their evidence, cancelled in time."""

from __future__ import annotations

import base64
import threading

import pytest
from sqlalchemy import text

from tests.support.api import running_office
from tests.support.rows import make_attempt, make_message, make_sms

EMAIL = {"to": ["Jana Kováčová <jana@zakaznik.example>"], "subject": "Faktúra", "text": "Dobrý deň"}
SMS = {"number": "0903 622 237", "text": "Vaša zásielka je pripravená."}


@pytest.fixture(scope="module")
def office(services):
    with running_office(services) as office:
        yield office


@pytest.fixture
def eshop(office):
    return office.eshop


def problem(answer):
    """The kind of the problem, its status, and where it is."""
    assert answer.headers["Content-Type"] == "application/problem+json"
    found = answer.json()
    assert found["status"] == answer.status_code
    places = {one["pointer"]: one["detail"] for one in found.get("errors", ())}
    return found["type"].removeprefix("/problems/"), answer.status_code, places


def test_an_email_is_stored_and_shown_as_it_was_handed_in(eshop, office):
    made = eshop.post(
        "/v1/emails",
        json=EMAIL
        | {
            "cc": ["ucto@zakaznik.example"],
            "task": "faktury",
            "priority": "transactional",
            "reference": "FA-17",
            "headers": {"X-Order": "17"},
            "not_before": "2031-01-01T08:00:00+16:30",
            "expires_at": "2031-01-02T08:00:00Z",
        },
    )

    assert made.status_code == 201
    number = made.json()["id"]
    assert made.json() == {"id": number, "state": "ready", "created": True}
    assert made.headers["Location"] == f"/v1/emails/{number}"
    shown = eshop.get(made.headers["Location"]).json()
    assert shown["state_sk"] == "Pripravená na odoslanie"
    assert shown["not_before"] == "2030-12-31T15:30:00Z"
    assert (shown["task"], shown["priority"]) == ("faktury", "transactional")
    assert [one["address"] for one in shown["recipients"]] == [
        "jana@zakaznik.example",
        "ucto@zakaznik.example",
    ]
    assert shown["recipients"][0]["name"] == "Jana Kováčová"
    assert office.count('headers = \'[["X-Order", "17"]]\' AND id = :id', id=number) == 1


def test_an_sms_is_stored_and_shown_with_its_segments(eshop):
    number = eshop.post("/v1/sms", json=SMS | {"transliterate": True}).json()["id"]

    shown = eshop.get(f"/v1/sms/{number}").json()
    assert (shown["number"], shown["segments"]) == ("+421903622237", 1)
    assert shown["text"] == "Vasa zasielka je pripravena."
    assert eshop.get(f"/v1/emails/{number}").status_code == 404


def test_a_file_is_sent_along_or_uploaded_before(eshop, office):
    uploaded = eshop.post("/v1/attachments", data=b"%PDF-1.7 obsah").json()
    files = [
        {"filename": "a.pdf", "content_type": "application/pdf", **one}
        for one in (
            {"attachment": uploaded["attachment"]},
            {"content": base64.b64encode(b"%PDF-1.7 iny").decode()},
        )
    ]

    number = eshop.post("/v1/emails", json=EMAIL | {"attachments": files}).json()["id"]

    shown = eshop.get(f"/v1/emails/{number}").json()["attachments"]
    assert [one["size"] for one in shown] == [14, 12]
    assert shown[0]["attachment"] == uploaded["attachment"]


def test_a_file_that_another_company_uploaded_is_not_there(eshop, office):
    theirs = office.rival.post("/v1/attachments", data=b"tajne").json()["attachment"]
    files = [{"filename": "a.txt", "attachment": theirs}]

    answer = eshop.post("/v1/emails", json=EMAIL | {"attachments": files})

    kind, status, places = problem(answer)
    assert (kind, status, list(places)) == ("invalid", 422, ["/attachments/0/attachment"])


@pytest.mark.parametrize("header", ["objednavka-1", '"objednavka-2"'], ids=["bare", "in quotes"])
def test_a_repeat_under_a_key_has_the_same_answer_and_makes_no_message(eshop, office, header):
    first = eshop.post("/v1/emails", json=EMAIL, headers={"Idempotency-Key": header})
    again = eshop.post("/v1/emails", json=EMAIL | {"idempotency_key": header.strip('"')})

    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert office.count("idempotency_key = :key", key=header.strip('"')) == 1


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"text": "Iný text"}, id="another text"),
        pytest.param({"reference": "iná"}, id="another reference"),
        pytest.param({"not_before": "2031-01-01T00:00:00Z"}, id="another time"),
    ],
)
def test_another_request_under_the_same_key_is_refused(eshop, office, change):
    key = {"idempotency_key": f"zmena {change}"}
    eshop.post("/v1/emails", json=EMAIL | key)

    answer = eshop.post("/v1/emails", json=EMAIL | key | change)

    assert problem(answer)[:2] == ("idempotency-conflict", 422)
    assert office.count("idempotency_key = :key", key=key["idempotency_key"]) == 1


def test_a_key_of_the_command_line_is_the_same_key_here(eshop, office):
    from settings import load
    from worker.enqueueing import Draft, enqueue

    with office.engine.begin() as connection:
        draft = Draft(
            company_id=office.task.company_id,
            to=EMAIL["to"],
            subject=EMAIL["subject"],
            text=EMAIL["text"],
            idempotency_key="spolocny",
        )
        before = enqueue(connection, draft, load({})).message_id

    same = eshop.post("/v1/emails", json=EMAIL | {"idempotency_key": "spolocny"})
    other = eshop.post("/v1/emails", json=EMAIL | {"idempotency_key": "spolocny", "text": "x"})

    assert (same.json()["id"], same.headers["Idempotent-Replayed"]) == (before, "true")
    assert problem(other)[:2] == ("idempotency-conflict", 422)


def test_a_key_of_an_email_is_no_key_for_an_sms(eshop):
    key = {"idempotency_key": "oboje"}
    assert eshop.post("/v1/emails", json=EMAIL | key).status_code == 201

    assert problem(eshop.post("/v1/sms", json=SMS | key))[:2] == ("idempotency-conflict", 422)


def test_while_the_first_request_is_under_way_the_second_is_told_to_wait(eshop, office):
    held = text("SELECT pg_advisory_xact_lock(hashtextextended('api ' || :company || ' subeh', 0))")

    with office.engine.begin() as connection:
        connection.execute(held, {"company": str(office.task.company_id)})
        answer = eshop.post("/v1/emails", json=EMAIL | {"idempotency_key": "subeh"})

    assert problem(answer)[:2] == ("idempotency-under-way", 409)
    assert answer.headers["Retry-After"] == "1"
    assert eshop.post("/v1/emails", json=EMAIL | {"idempotency_key": "subeh"}).status_code == 201


def test_of_many_at_once_under_one_key_one_is_stored(office):
    statuses = []

    def hand_in():
        answer = office.eshop.post("/v1/sms", json=SMS | {"idempotency_key": "naraz"})
        statuses.append(answer.status_code)

    threads = [threading.Thread(target=hand_in) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert set(statuses) <= {201, 409}
    assert 201 in statuses
    assert office.count("idempotency_key = 'naraz'") == 1


@pytest.mark.parametrize(
    ("sent", "pointer"),
    [
        pytest.param({"to": ["dobra@x.example", "tajomna adresa"]}, "/to/1", id="an address"),
        pytest.param({"reply_to": ["tajomna@"]}, "/reply_to/0", id="an address for answers"),
        pytest.param({"subject": "a\ntajomny"}, "/subject", id="a subject of two lines"),
        pytest.param({"text": None}, "", id="neither text nor HTML"),
        pytest.param({"html": "<img src='cid:tajomne'>"}, "/html", id="a file that is not there"),
        pytest.param({"task": "tajomna"}, "/task", id="a task that is not there"),
        pytest.param({"establishment": "tajomna"}, "/establishment", id="no such establishment"),
        pytest.param({"task": "upomienky"}, "/task", id="a task that sends SMS"),
        pytest.param({"headers": {"Tajomne": "x"}}, "/headers", id="a header that is not allowed"),
        pytest.param({"fields": {"a": 1}, "text": "{{ tajomne }}"}, "/text", id="no such field"),
        pytest.param({"not_before": "2031-01-01T00:00:00"}, "/not_before", id="a time of no zone"),
        pytest.param({"not_before": 1893456000}, "/not_before", id="seconds since 1970"),
        pytest.param({"expires_at": "1999-01-01T00:00:00Z"}, "/expires_at", id="expired already"),
        pytest.param({"idempotency_key": "a\0"}, "/idempotency_key", id="a key with U+0000"),
        pytest.param({"reference": "a\0"}, "/reference", id="a reference with U+0000"),
        pytest.param({"task": "a\0"}, "/task", id="a task with U+0000"),
        pytest.param({"priority": "tajomna"}, "/priority", id="a priority that is none"),
        pytest.param({"tajomne": "x"}, "", id="a member that is not known"),
        pytest.param({"to": "tajomna@x.example"}, "/to", id="a text in place of a list"),
        pytest.param(
            {"attachments": [{"filename": "a", "content": "*tajomne*"}]},
            "/attachments/0/content",
            id="no base64",
        ),
        pytest.param(
            {"attachments": [{"filename": "tajomne/a", "content": ""}]},
            "/attachments/0",
            id="a file name with a folder",
        ),
    ],
)
def test_what_is_wrong_is_told_by_its_place_and_never_repeated(eshop, office, sent, pointer):
    before = office.count()

    answer = eshop.post("/v1/emails", json=EMAIL | sent)

    kind, status, places = problem(answer)
    assert (kind, status) == ("invalid", 422)
    assert list(places) == [pointer]
    assert "tajomn" not in answer.text
    (line,) = eshop.batch("/v1/emails/batch", [EMAIL | sent])
    assert line["error"] == answer.json()
    assert office.count() == before


@pytest.mark.parametrize(
    ("request_", "kind", "status"),
    [
        pytest.param({"data": b"{"}, "malformed", 400, id="no JSON"),
        pytest.param({"data": b'"\\ud800"'}, "malformed", 400, id="half a character"),
        pytest.param({"data": b"{}", "type": "text/plain"}, "media-type", 415, id="another type"),
        pytest.param({"data": b" " * 34_000_000}, "too-large", 413, id="too much"),
        pytest.param(
            {"data": b'{"fields": {"a": [' + b"[]," * 500_000 + b"[]]}}"},
            "too-large",
            413,
            id="more values than memory should hold",
        ),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(eshop, request_, kind, status):
    headers = {"Content-Type": request_.get("type", "application/json")}

    answer = eshop.post("/v1/emails", data=request_["data"], headers=headers)

    assert problem(answer)[:2] == (kind, status)


def test_a_body_of_unknown_length_is_counted(eshop):
    chunks = (b" " * 1_000_000 for _ in range(40))

    answer = eshop.post("/v1/emails", data=chunks, headers={"Content-Type": "application/json"})

    assert problem(answer)[:2] == ("too-large", 413)


def test_a_key_in_header_and_body_must_be_the_same(eshop):
    answer = eshop.post(
        "/v1/emails", json=EMAIL | {"idempotency_key": "a"}, headers={"Idempotency-Key": "b"}
    )

    assert list(problem(answer)[2]) == ["/idempotency_key"]


def test_attempts_show_the_far_side_s_words_on_each_recipient(eshop, office):
    people = ["anna@firma.example", "peter@firma.example"]
    with office.engine.begin() as connection:
        message = make_message(connection, office.task, recipients=people, state="failed")
        make_attempt(
            connection, office.task, message.id, state="rejected", phase="rcpt", code=550,
            enhanced="5.1.1", text="no such user",
            replies=[[0, "rejected", "550 anna"], [1, "accepted", None]],
        )  # fmt: skip

    (attempt,) = eshop.get(f"/v1/emails/{message.id}/attempts").json()["items"]

    assert (attempt["outcome"], attempt["phase"], attempt["code"]) == ("rejected", "rcpt", 550)
    assert attempt["text"] == "no such user"
    assert [(one["address"], one["outcome"]) for one in attempt["replies"]] == [
        ("anna@firma.example", "rejected"),
        ("peter@firma.example", "accepted"),
    ]


@pytest.mark.parametrize("path", ["emails", "sms"])
def test_a_list_is_read_page_by_page_to_its_end(eshop, office, path):
    sent = EMAIL if path == "emails" else SMS
    made = [
        eshop.post(f"/v1/{path}", json=sent | {"reference": "strany"}).json()["id"]
        for _ in range(6)
    ]

    seen, pages, cursor = [], 0, None
    while True:
        asked = {"reference": "strany", "limit": 2, "state": "ready", "cursor": cursor}
        page = eshop.get(f"/v1/{path}", params=asked).json()
        seen += [one["id"] for one in page["items"]]
        pages += 1
        cursor = page["next_cursor"]
        if cursor is None:
            break

    assert (seen, pages) == (made[::-1], 3)


def test_a_list_can_begin_at_a_time(eshop, office):
    last = eshop.post("/v1/emails", json=EMAIL).json()["id"]
    moment = eshop.get(f"/v1/emails/{last}").json()["created_at"]

    found = eshop.get("/v1/emails", params={"created_since": moment}).json()

    assert [one["id"] for one in found["items"]] == [last]
    assert found["next_cursor"] is None


@pytest.mark.parametrize(
    "asked",
    [{"limit": 201}, {"limit": 0}, {"cursor": "nic"}, {"state": "x"}, {"created_since": "0.5"}],
    ids=["too many", "none", "no cursor", "no state", "no time"],
)
def test_a_list_that_is_asked_for_wrongly_is_refused(eshop, asked):
    assert problem(eshop.get("/v1/emails", params=asked))[:2] == ("invalid", 422)


@pytest.mark.parametrize("state", ["ready", "held", "unknown"])
def test_what_was_not_handed_over_can_be_cancelled_and_stays_so(eshop, office, state):
    with office.engine.begin() as connection:
        message = make_sms(connection, office.sms_task, state=state)

    first = eshop.post(f"/v1/sms/{message.id}/cancel")
    again = eshop.post(f"/v1/sms/{message.id}/cancel")

    assert first.json() == {"id": message.id, "state": "cancelled", "state_sk": "Zrušená"}
    assert again.json() == first.json()
    (log,) = office.rows(
        "SELECT who, action FROM audit_log WHERE subject = :it", it=f"message:{message.id}"
    )
    assert log.action == "cancel"
    assert log.who.startswith("token ")


@pytest.mark.parametrize("state", ["sending", "sent", "failed"])
def test_what_was_handed_over_cannot_be_cancelled_and_why_is_told(eshop, office, state):
    with office.engine.begin() as connection:
        message = make_message(connection, office.task, state=state)

    answer = eshop.post(f"/v1/emails/{message.id}/cancel")

    assert problem(answer)[:2] == ("too-late", 409)
    assert f"is {state}" in answer.json()["detail"]
