"""`/v1/webhooks`: each company its own, by scopes, with problems that say what is wrong."""

from __future__ import annotations

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import text

from models.tokens import Scope
from tests.support.api import Caller, running_api, token_of
from tests.support.kernel import make_settings
from tests.support.rows import make_message, make_task
from tests.support.shared_database import shared_engine
from worker.webhooks.register import WEBHOOKS_MOST

URL = "https://prijem.firma.example/stav"
EVENTS = [
    "sent", "delivered", "undelivered", "failed", "suppressed", "expired", "cancelled", "unknown",
    "held",
]  # fmt: skip


@pytest.fixture(scope="module")
def engine(services):
    with shared_engine(services) as made:
        yield made


@pytest.fixture(scope="module")
def base(services, engine):
    services.flush_valkey()
    keys = Fernet.generate_key().decode()
    settings = make_settings(REDIS_URL=services.valkey_url(), KADENCIA_KEYS=keys)
    with running_api(engine, settings) as address:
        yield address


@pytest.fixture
def task(engine):
    with engine.begin() as connection:
        return make_task(connection)


@pytest.fixture
def ask(engine, base, task):
    with Caller(base, token_of(engine, task.company_id)) as caller:
        yield caller


def made(ask, **given):
    answer = ask.post("/v1/webhooks", json={"url": URL, **given})
    assert answer.status_code == 201, answer.text
    return answer.json()


def send(engine, task):
    with engine.begin() as connection:
        message = make_message(connection, task, state="sending", reference="FA-1")
        connection.execute(
            text("""
                UPDATE message SET state = 'sent', lease = NULL, deadline = NULL,
                    settled_at = now() WHERE id = :id"""),
            {"id": message.id},
        )
    return message.id


def problem(answer):
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    return answer.status_code, answer.json()["type"]


def test_a_webhook_is_made_shown_changed_and_removed_and_its_secret_is_shown_once(ask):
    new = made(ask)
    path = f"/v1/webhooks/{new['id']}"

    assert new["secret"].startswith("whsec_")
    assert (new["events"], new["channels"], new["active"]) == (EVENTS, ["email", "sms"], True)
    shown = ask.get(path).json()
    assert shown == {name: value for name, value in new.items() if name != "secret"}
    changed = ask.patch(path, json={"events": ["failed"], "active": False}).json()
    assert (changed["events"], changed["active"]) == (["failed"], False)
    assert ask.post(f"{path}/enable").json()["active"] is True
    assert ask.post(f"{path}/rotate").json()["secret"] not in ("", new["secret"])
    assert ask.delete(path).status_code == 204
    assert problem(ask.get(path)) == (404, "/problems/not-found")


def test_what_was_told_is_listed_page_by_page_and_replayed(engine, task, ask):
    path = f"/v1/webhooks/{made(ask)['id']}"
    messages = [send(engine, task) for _ in range(3)]

    first = ask.get(f"{path}/deliveries?limit=2").json()
    rest = ask.get(f"{path}/deliveries?limit=2&cursor={first['next_cursor']}").json()

    items = first["items"] + rest["items"]
    assert [one["message_id"] for one in items] == messages[::-1]
    assert rest["next_cursor"] is None
    assert {(one["standing"], one["state_sk"], one["reference"]) for one in items} == {
        ("waiting", "Odoslané", "FA-1")
    }
    again = ask.post(f"{path}/deliveries/{items[0]['id']}/replay")
    assert (again.status_code, again.json()) == (202, {"events": 1})
    since = {"since": "2026-01-01T00:00:00+01:00", "undelivered": True}
    assert ask.post(f"{path}/replay", json=since).json() == {"events": 3}
    nobody = f"{path}/deliveries/{items[0]['id'] + 1000}/replay"
    assert problem(ask.post(nobody)) == (404, "/problems/not-found")
    ask.patch(path, json={"active": False})
    assert problem(ask.post(f"{path}/replay", json=since)) == (409, "/problems/too-late")


def test_webhooks_are_listed_page_by_page(ask):
    numbers = [made(ask)["id"] for _ in range(3)]

    first = ask.get("/v1/webhooks?limit=2").json()
    rest = ask.get(f"/v1/webhooks?limit=2&cursor={first['next_cursor']}").json()

    assert [one["id"] for one in first["items"] + rest["items"]] == numbers
    assert rest["next_cursor"] is None
    assert problem(ask.get("/v1/webhooks?cursor=x")) == (422, "/problems/invalid")


def test_a_webhook_of_another_company_is_not_there(engine, base, ask):
    path = f"/v1/webhooks/{made(ask)['id']}"
    with engine.begin() as connection:
        other = make_task(connection)

    with Caller(base, token_of(engine, other.company_id)) as stranger:
        answers = [
            stranger.get(path),
            stranger.patch(path, json={"active": False}),
            stranger.delete(path),
            stranger.post(f"{path}/enable"),
            stranger.post(f"{path}/rotate"),
            stranger.get(f"{path}/deliveries"),
            stranger.post(f"{path}/deliveries/1/replay"),
            stranger.post(f"{path}/replay", json={"since": "2026-01-01T00:00:00Z"}),
        ]
        assert stranger.get("/v1/webhooks").json()["items"] == []

    assert [problem(one) for one in answers] == [(404, "/problems/not-found")] * len(answers)
    assert ask.get(path).json()["active"] is True


def test_who_may_only_read_changes_nothing_and_who_may_neither_sees_nothing(
    engine, base, task, ask
):
    path = f"/v1/webhooks/{made(ask)['id']}"
    scopes = (Scope.WEBHOOKS_READ,), (Scope.EMAILS_WRITE, Scope.SMS_READ)
    reader, stranger = [
        Caller(base, token_of(engine, task.company_id, f"s{number}", one))
        for number, one in enumerate(scopes)
    ]
    with reader, stranger:
        assert reader.get(path).status_code == 200
        refused = [
            reader.post("/v1/webhooks", json={"url": URL}),
            reader.patch(path, json={}),
            reader.delete(path),
            reader.post(f"{path}/rotate"),
            stranger.get(path),
            stranger.get(f"{path}/deliveries"),
        ]

    assert {problem(one) for one in refused} == {(403, "/problems/scope-missing")}


@pytest.mark.parametrize(
    ("given", "pointer"),
    [
        pytest.param({"url": "https://169.254.169.254/"}, "/url", id="metadata"),
        pytest.param({"url": "http://firma.example/"}, "/url", id="in the clear"),
        pytest.param({"url": URL, "events": ["ready"]}, "/events/0", id="no event"),
        pytest.param({"url": URL, "events": []}, "/events", id="no events"),
        pytest.param({"url": URL, "channels": ["fax"]}, "/channels/0", id="no channel"),
        pytest.param({"url": 1}, "/url", id="no text"),
        pytest.param({"url": URL, "secret": "x"}, "", id="a member that is not known"),
        pytest.param({}, "/url", id="nothing"),
    ],
)
def test_what_is_wrong_is_told_by_its_place(ask, given, pointer):
    answer = ask.post("/v1/webhooks", json=given)

    assert problem(answer) == (422, "/problems/invalid")
    assert [one["pointer"] for one in answer.json()["errors"]] == [pointer]
    assert ask.get("/v1/webhooks").json()["items"] == []


def test_a_company_that_has_all_its_webhooks_gets_no_more(ask):
    for _ in range(WEBHOOKS_MOST):
        made(ask)

    assert problem(ask.post("/v1/webhooks", json={"url": URL})) == (409, "/problems/taken")


def test_without_a_key_for_secrets_no_webhook_is_made(services, engine, task):
    settings = make_settings(REDIS_URL=services.valkey_url())
    token = token_of(engine, task.company_id)
    with running_api(engine, settings) as address, Caller(address, token) as ask:
        refused = ask.post("/v1/webhooks", json={"url": URL})
        assert ask.get("/v1/webhooks").json()["items"] == []

    assert problem(refused) == (503, "/problems/unavailable")
