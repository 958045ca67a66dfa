"""Redis over TLS, with an ACL user that may do no more than the product needs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import redis
from limits import parse
from limits.strategies import SlidingWindowCounterRateLimiter
from redis.exceptions import NoPermissionError

from settings import SettingsError, load
from tests.support.certificates import Authority
from tests.support.debian_servers import RedisServer
from tests.support.fleet import Fleet
from tests.support.rows import make_account, make_company, make_message, make_task
from tests.support.services import service_directory
from tests.support.sink import SinkProcess
from worker import broker, redis_servers
from worker.bootstrap import make_kit
from worker.doctor import Installation, Level, examine

pytestmark = pytest.mark.acceptance

MESSAGES = 40
PAGE = Path(__file__).parents[2] / "docs/brokers.md"


@pytest.fixture(scope="module")
def directory():
    with service_directory() as path:
        yield path


@pytest.fixture(scope="module")
def authority(directory):
    return Authority(directory)


@pytest.fixture(scope="module")
def documented_user():
    """The ACL user as docs/brokers.md has it."""
    found = re.search(r"^user kadencia .*$", PAGE.read_text(), re.MULTILINE)
    assert found is not None
    return found.group().replace(">password", ">tajne")


@pytest.fixture(scope="module")
def server(directory, authority, documented_user):
    ours = authority.issue("127.0.0.1")
    lines = [
        f"tls-cert-file {ours.certificate}",
        f"tls-key-file {ours.key}",
        f"tls-ca-cert-file {authority.ca}",
        "tls-auth-clients yes",
        "user default off",
        documented_user,
        "user admin on >hlavny ~* &* +@all",
    ]
    with RedisServer(directory / "redis", lines, tls=True) as running:
        yield running


@pytest.fixture(scope="module")
def variables(authority, server):
    client = authority.issue("kadencia@firma.example")
    return {
        "REDIS_URL": f"rediss://kadencia:tajne@127.0.0.1:{server.port}/0",
        "KADENCIA_REDIS_CA_FILE": str(authority.ca),
        "KADENCIA_REDIS_CERTIFICATE_FILE": str(client.certificate),
        "KADENCIA_REDIS_KEY_FILE": str(client.key),
    }


@pytest.fixture
def admin(variables, server):
    address = f"rediss://admin:hlavny@127.0.0.1:{server.port}/0"
    client = redis_servers.client(load({**variables, "REDIS_URL": address}))
    yield client
    client.close()


def test_a_fleet_sends_with_no_more_rights_than_documented(engine, variables, admin):
    with SinkProcess() as sink:
        with engine.begin() as connection:
            company = make_company(connection)
            account = make_account(connection, company, port=sink.port)
            task = make_task(connection, company, account)
            for number in range(MESSAGES):
                make_message(connection, task, recipients=[f"r{number}@firma.example"])
        url, *_ = variables.values()
        others = {name: value for name, value in variables.items() if name != "REDIS_URL"}
        with Fleet(engine, url, **others) as fleet:
            fleet.beat()
            fleet.worker(processes=2)

            states = fleet.settled(60)
            assert states == {"sent": MESSAGES}

    assert refused(admin) == []


def test_doctor_and_guard_of_the_api_need_no_more_rights_either(
    engine, database_url, variables, admin
):
    settings = load({**variables, "DATABASE_URL": database_url})
    kit = make_kit(settings, "tests")
    ours = kit.throttle.client

    guard = redis_servers.limits_storage(settings)
    assert SlidingWindowCounterRateLimiter(guard).hit(parse("2/minute"), "login", "ja")
    assert broker.clear_queues(ours, []) >= 0
    broker.count_refusal(ours, "no task")
    assert broker.refusals(ours) == {"no task": 1}
    kit_of_doctor = Installation(settings, engine, ours, kit.throttle, kit.vault, smtp=False)
    seen = list(examine(kit_of_doctor))

    kit.engine.dispose()
    assert not [one for one in seen if one.name.startswith("redis") and one.level is Level.FAULT]
    assert refused(admin) == []


def test_nobody_gets_in_without_a_certificate_and_no_more_than_allowed(variables, server):
    bare = {
        name: value
        for name, value in variables.items()
        if name in ("REDIS_URL", "KADENCIA_REDIS_CA_FILE")
    }
    with pytest.raises(redis.ConnectionError):
        redis_servers.client(load(bare)).ping()
    for_another = {**variables, "KADENCIA_REDIS_CA_FILE": variables["KADENCIA_REDIS_KEY_FILE"]}
    with pytest.raises(redis.ConnectionError):
        redis_servers.client(load(for_another)).ping()
    client = redis_servers.client(load(variables))
    with pytest.raises(NoPermissionError):
        client.flushall()
    with pytest.raises(NoPermissionError):
        client.get("another's")


def test_a_file_that_cannot_be_read_is_named(variables):
    settings = load({**variables, "KADENCIA_REDIS_CA_FILE": "/nowhere/ca.pem"})

    with pytest.raises(SettingsError, match=r"KADENCIA_REDIS_CA_FILE: /nowhere/ca.pem cannot"):
        redis_servers.client(settings)


def refused(admin):
    """What our user was not allowed to do."""
    return [entry for entry in admin.acl_log() if entry["username"] == "kadencia"]
