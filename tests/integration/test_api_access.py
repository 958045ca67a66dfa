"""Who may do what over the API: tokens, scopes, companies, limits; and what never leaks."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text

from models.organisation import Company
from models.tokens import Scope
from settings import load
from tests.support.api import Caller, running_api, running_office, token_of
from tests.support.rows import make_attempt, make_message, make_sms
from worker import vault
from worker.api.app import routes
from worker.registers import tokens

EMAIL = {"to": ["jana@zakaznik.example"], "subject": "Faktúra", "text": "Dobrý deň"}
SMS = {"number": "+421903622237", "text": "Ahoj"}
BODIES = {
    "/v1/emails": EMAIL,
    "/v1/sms": SMS,
    "/v1/webhooks": {"url": "https://prijemca.example/hook"},
    "/v1/webhooks/{number}": {"active": False},
    "/v1/webhooks/{number}/replay": {"since": "2026-01-01T00:00:00Z"},
}
NDJSON = {"Content-Type": "application/x-ndjson"}
WITH_ROWS_OF_OTHERS = [route for route in routes() if "{" in route.path]
LISTS = ["/v1/emails", "/v1/sms", "/v1/webhooks"]


@pytest.fixture(scope="module")
def office(services):
    with running_office(services, KADENCIA_KEYS=vault.new_key()) as office:
        yield office


@pytest.fixture(scope="module")
def theirs(office):
    """The ids of what the first company has, by the routes that name them."""
    with office.engine.begin() as connection:
        message = make_message(connection, office.task)
        make_attempt(connection, office.task, message.id, state="deferred")
        sms = make_sms(connection, office.sms_task)
    made = office.eshop.post("/v1/webhooks", json=BODIES["/v1/webhooks"])
    assert made.status_code == 201, made.text
    return {"emails": message.id, "sms": sms.id, "webhooks": made.json()["id"]}


def call(caller, route, number=1, scope=None):
    """Call a route with a fit body."""
    (method,) = route.methods
    path = re.sub(r"\{[^}]*\}", str(number), route.path_format)
    if route.path_format.endswith("/batch"):
        return caller.post(path, data=b"", headers=NDJSON)
    if route.path_format == "/v1/attachments":
        return caller.post(path, data=b"obsah")
    body = BODIES.get(route.path_format) if method in ("POST", "PATCH") else None
    return caller.request(method, path, json=body)


def name(route):
    return f"{' '.join(route.methods)} {route.path_format}"


@pytest.mark.parametrize("route", [r for r in routes() if r.path.startswith("/v1/")], ids=name)
def test_without_a_valid_token_no_route_does_anything(office, route):
    answer = call(office.stranger, route)

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("route", [r for r in routes() if r.path.startswith("/v1/")], ids=name)
def test_a_token_without_the_scope_is_refused_and_told_which_it_lacks(office, route, without):
    reads = "GET" in route.methods
    what = route.path.split("/")[2].replace("attachments", "emails")
    scope = Scope(f"{what}:{'read' if reads else 'write'}")

    answer = call(without[scope], route)

    assert answer.status_code == 403
    assert f'scope="{scope}"' in answer.headers["WWW-Authenticate"]


@pytest.fixture(scope="module")
def without(office):
    """Callers that lack one scope each."""
    callers = {}
    for scope in Scope:
        token = token_of(
            office.engine, office.task.company_id, f"bez {scope}", set(Scope) - {scope}
        )
        callers[scope] = Caller(office.eshop.base, token)
    yield callers
    for caller in callers.values():
        caller.close()


@pytest.mark.parametrize("route", WITH_ROWS_OF_OTHERS, ids=name)
def test_what_belongs_to_another_company_is_not_there(office, theirs, route):
    number = theirs[route.path.split("/")[2]]

    answer = call(office.rival, route, number)

    assert answer.status_code == 404
    assert office.count("state = 'cancelled'") == 0


@pytest.mark.parametrize("path", LISTS)
def test_a_list_shows_the_own_company_s_alone(office, theirs, path):
    assert office.eshop.get(path).json()["items"] != []
    assert office.rival.get(path).json() == {"items": [], "next_cursor": None}


def test_another_company_s_task_and_key_mean_nothing_here(office):
    key = {"idempotency_key": "ten isty"}
    ours = office.eshop.post("/v1/emails", json=EMAIL | key).json()["id"]

    named = office.rival.post("/v1/emails", json=EMAIL | {"task": "faktury"})
    own = office.rival.post("/v1/emails", json=EMAIL | key)
    lines = office.rival.batch("/v1/emails/batch", [EMAIL | key, EMAIL | {"task": "faktury"}])

    assert named.status_code == 422
    assert "faktury" not in named.json()["errors"][0]["detail"]
    assert (own.status_code, own.json()["created"]) == (201, True)
    assert own.json()["id"] != ours
    assert lines[0]["id"] == own.json()["id"]
    assert "error" in lines[1]
    with office.engine.begin() as connection:
        connection.execute(
            text("DELETE FROM message WHERE id = ANY(:ids)"), {"ids": [ours, own.json()["id"]]}
        )


@pytest.mark.parametrize("how", ["revoked", "expired", "of another secret"])
def test_a_token_that_is_valid_no_more_is_refused_at_once(office, how):
    written = token_of(office.engine, office.task.company_id, how)
    with Caller(office.eshop.base, written) as caller:
        assert caller.get("/v1/emails").status_code == 200
        with office.engine.begin() as connection:
            company = connection.execute(
                select(Company.__table__).where(Company.id == office.task.company_id)
            ).one()
            if how == "revoked":
                tokens.revoke_token(connection, company, how)
            elif how == "expired":
                past = datetime.now(UTC) - timedelta(seconds=1)
                connection.execute(
                    text("UPDATE api_token SET expires_at = :past WHERE name = :name"),
                    {"past": past, "name": how},
                )
            else:
                caller.headers["Authorization"] = f"Bearer {written[:-4]}AAAA"

        assert caller.get("/v1/emails").status_code == 401


def test_the_last_use_of_a_token_is_kept_to_the_minute(office):
    with office.engine.begin() as connection:
        connection.execute(
            text("UPDATE api_token SET last_used_at = now() - interval '2 min' WHERE id = 1")
        )
    office.eshop.get("/v1/emails")
    (first,) = office.rows("SELECT last_used_at FROM api_token WHERE id = 1")
    office.eshop.get("/v1/emails")
    (second,) = office.rows("SELECT last_used_at FROM api_token WHERE id = 1")

    assert first.last_used_at == second.last_used_at
    assert datetime.now(UTC) - first.last_used_at < timedelta(minutes=1)


def test_every_answer_may_be_kept_by_nobody_and_shown_by_no_page(office):
    for answer in (
        office.eshop.get("/v1/emails"),
        office.stranger.get("/v1/emails"),
        office.stranger.get("/nowhere"),
        office.eshop.post("/v1/emails/batch", data=b"", headers=NDJSON),
    ):
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "Access-Control-Allow-Origin" not in answer.headers


def test_a_path_tells_its_methods_and_head_is_get_without_a_body(office):
    told = office.eshop.options("/v1/emails")
    head = office.eshop.head("/v1/emails")
    refused = office.eshop.delete("/v1/emails")

    assert (told.status_code, told.headers["Allow"]) == (204, "GET, HEAD, OPTIONS, POST")
    assert (head.status_code, head.content) == (200, b"")
    assert (refused.status_code, refused.headers["Allow"]) == (405, told.headers["Allow"])


def test_pages_that_would_load_scripts_from_elsewhere_are_not_served(office):
    statuses = {office.stranger.get(path).status_code for path in ("/docs", "/redoc")}

    assert statuses == {404}


@pytest.fixture
def limited(services, engine, database_url):
    """An API that takes little, and a token."""
    services.flush_valkey()

    def start(redis_url=None, **limits):
        environ = {"DATABASE_URL": database_url, "REDIS_URL": redis_url or services.valkey_url()}
        return running_api(engine, load(environ | limits))

    yield start
    services.flush_valkey()


@pytest.fixture
def token(engine):
    from tests.support.rows import make_task

    with engine.begin() as connection:
        task = make_task(connection)
    return token_of(engine, task.company_id)


def test_a_token_that_asks_too_often_is_told_when_to_ask_again(limited, token):
    with limited(KADENCIA_API_REQUESTS_MINUTE="3") as base, Caller(base, token) as caller:
        answers = [caller.get("/v1/emails") for _ in range(4)]

    assert [one.status_code for one in answers] == [200, 200, 200, 429]
    assert answers[0].headers["RateLimit-Policy"] == '"requests";q=3;w=60'
    assert answers[0].headers["RateLimit"].startswith('"requests";r=2;')
    assert 1 <= int(answers[3].headers["Retry-After"]) <= 60


def test_messages_of_a_minute_are_counted_singly_and_by_lines(limited, token, engine):
    with limited(KADENCIA_API_MESSAGES_MINUTE="5") as base, Caller(base, token) as caller:
        answers = caller.batch("/v1/emails/batch", [EMAIL] * 7)
        single = caller.post("/v1/emails", json=EMAIL)

    assert ["id" in one for one in answers] == [True] * 5 + [False] * 2
    assert answers[5]["error"]["status"] == 429
    assert single.status_code == 429
    assert "Retry-After" in single.headers


def test_an_address_that_guesses_is_barred_but_not_a_token_that_was_valid(limited, token):
    with limited(KADENCIA_API_FAILURES_MINUTE="3") as base, Caller(base, token) as known:
        assert known.get("/v1/emails").status_code == 200
        with Caller(base, f"kad_1_{'x' * 43}") as guesser:
            guessed = [guesser.get("/v1/emails").status_code for _ in range(5)]
        still = known.get("/v1/emails").status_code

    assert guessed == [401, 401, 401, 429, 429]
    assert still == 200


def test_without_redis_nothing_is_counted_and_everything_is_taken_in(limited, token):
    nobody = "redis://127.0.0.1:1/0"
    with limited(nobody, KADENCIA_API_REQUESTS_MINUTE="1") as base, Caller(base, token) as caller:
        answers = [caller.post("/v1/emails", json=EMAIL) for _ in range(3)]

    assert [one.status_code for one in answers] == [201] * 3
    assert "RateLimit" not in answers[0].headers
