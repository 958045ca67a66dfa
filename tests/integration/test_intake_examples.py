"""The four ways in, from a process and an environment of its own, as the documentation has them."""

from __future__ import annotations

import json
from base64 import b64decode

import pytest
import redis
from sqlalchemy import make_url, text

from models.states import Channel
from settings import load
from tests.support.api import running_api
from tests.support.elsewhere import Elsewhere, examples
from tests.support.rows import make_company
from tests.support.shared_database import shared_engine
from worker import db, intake
from worker.registers import sql_roles, tokens
from worker.registers.naming import find_company

EXAMPLES = examples()


@pytest.fixture(scope="module")
def engine(services):
    with shared_engine(services) as engine:
        with engine.begin() as connection:
            make_company(connection, name="Kvetinárstvo Ruža")
        yield engine


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    return Elsewhere(tmp_path_factory.mktemp("elsewhere") / "venv", client=True)


@pytest.fixture(scope="module")
def api(engine, services):
    """The environment of who speaks with the API."""
    with db.transaction(engine, who="tests") as connection:
        company = find_company(connection, None)
        scopes = tokens.scopes_of(["emails:write", "emails:read"])
        token = tokens.add_token(connection, company, "eshop", scopes, None).written
    database = engine.url.render_as_string(hide_password=False)
    settings = load({"DATABASE_URL": database, "REDIS_URL": services.valkey_url()})
    with running_api(engine, settings) as base:
        yield {"API_URL": base, "API_TOKEN": token}


@pytest.fixture(scope="module")
def shop(engine):
    """The environment of a service that has its tables beside ours."""
    with db.transaction(engine, who="tests") as connection:
        company = find_company(connection, None)
        password = sql_roles.allow(connection, company, "eshop_of_examples", rotate=False)
        connection.execute(text("CREATE SCHEMA shop"))
        connection.execute(text("CREATE TABLE shop.invoice (number int CHECK (number > 0))"))
        connection.execute(text("GRANT USAGE ON SCHEMA shop TO eshop_of_examples"))
        connection.execute(text("GRANT INSERT ON shop.invoice TO eshop_of_examples"))
    url = make_url(engine.url).set(
        drivername="postgresql", username="eshop_of_examples", password=password
    )
    return {"SHOP_DATABASE": url.render_as_string(hide_password=False)}


def messages(engine, key):
    with engine.connect() as connection:
        query = text("SELECT count(*) FROM message WHERE idempotency_key = :key")
        return connection.execute(query, {"key": key}).scalar_one()


def test_another_service_has_none_of_our_code(elsewhere):
    for package in ("worker", "models", "settings"):
        with pytest.raises(AssertionError, match="ModuleNotFoundError"):
            elsewhere.run(f"import {package}")


def test_the_client_hands_in_an_email_once(engine, elsewhere, api):
    first = elsewhere.run(EXAMPLES["client"], **api)
    again = elsewhere.run(EXAMPLES["client"], **api)

    assert first == again
    assert first.endswith(" ready\n")
    assert messages(engine, "faktura-2026-16") == 1


def test_the_client_needs_no_library_but_requests(elsewhere):
    others = "{'celery', 'sqlalchemy', 'pydantic'}"
    loaded = elsewhere.run(f"import sys, kadencia_client; print({others} & set(sys.modules))")

    assert loaded == "set()\n"


def test_curl_hands_in_an_email(engine, elsewhere, api):
    answer = json.loads(elsewhere.shell(EXAMPLES["http"], **api))

    assert answer["created"] is True
    assert messages(engine, "faktura-2026-18") == 1


def test_an_email_is_enqueued_with_the_callers_own_rows_or_not_at_all(engine, elsewhere, shop):
    with pytest.raises(AssertionError, match="CheckViolation"):
        elsewhere.run(EXAMPLES["sql"], INVOICE="-1", **shop)
    told = elsewhere.run(EXAMPLES["sql"], INVOICE="20", **shop)

    assert told.endswith(" waiting None\n")
    intake.take_in(engine, load({}))
    assert messages(engine, "faktura-20") == 1
    with engine.connect() as connection:
        assert connection.execute(text("SELECT number FROM shop.invoice")).scalars().all() == [20]
        keys = connection.execute(text("SELECT idempotency_key FROM intake")).scalars().all()
    assert keys == ["faktura-20"]


def test_an_application_that_knows_only_the_broker_hands_in_an_email(engine, elsewhere, services):
    services.flush_valkey()

    elsewhere.run(EXAMPLES["celery"], BROKER_URL=services.valkey_url())

    with redis.Redis.from_url(services.valkey_url()) as client:
        [raw] = client.lrange("kadencia.enqueue", 0, -1)
    task = json.loads(raw)
    arguments, keywords, _ = json.loads(b64decode(task["body"]))
    headers = task["headers"]
    assert headers["task"] == "kadencia.enqueue_email"
    assert "jana" not in json.dumps(headers)
    given = (Channel.EMAIL, arguments, keywords, headers["origin"])
    assert intake.hand_in(engine, load({}), *given)
    assert messages(engine, "faktura-2026-19") == 1
