"""Addresses of Redis, RabbitMQ and their files: what is wrong is named, and never repeated."""

from __future__ import annotations

import pytest

from settings import SettingsError, load
from settings.celery import broker_config
from settings.client_options import broker_tls

SECRET = "tajneheslo"


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        pytest.param({"REDIS_URL": f"http://:{SECRET}@a"}, "must begin as", id="another scheme"),
        pytest.param(
            {"REDIS_URL": f"redis://:{SECRET}@a,b/0"}, "need Sentinel", id="two hosts, no Sentinel"
        ),
        pytest.param(
            {"REDIS_URL": f"redis://:{SECRET}@a:0/0"}, "host is missing", id="port nought"
        ),
        pytest.param({"REDIS_URL": f"redis://:{SECRET}@a:99999"}, "port must be", id="no port"),
        pytest.param({"REDIS_URL": f"redis://:{SECRET}@/0"}, "host is missing", id="no host"),
        pytest.param({"REDIS_URL": f"redis://:{SECRET}@a/nula"}, "number of", id="no database"),
        pytest.param(
            {"REDIS_URL": f"rediss://:{SECRET}@a/0?ssl_cert_reqs=none"},
            "nothing may follow",
            id="an option that would trust anybody",
        ),
        pytest.param(
            {"REDIS_URL": f"redis+sentinel://:{SECRET}@a"}, "name of the master", id="no master"
        ),
        pytest.param(
            {"KADENCIA_BROKER_URL": f"redis://:{SECRET}@a"},
            "amqp://",
            id="a broker of another kind",
        ),
        pytest.param(
            {"KADENCIA_REDIS_KEY_FILE": "/k"},
            "without KADENCIA_REDIS_CERTIFICATE_FILE",
            id="a key without its certificate",
        ),
        pytest.param(
            {"KADENCIA_SIGNING_KEY_FILE": "/k"},
            "KADENCIA_SIGNING_CERTIFICATE_FILE and KADENCIA_SIGNING_TRUSTED_DIRECTORY",
            id="a third of what signing needs",
        ),
    ],
)
def test_a_wrong_address_is_refused_without_being_repeated(variables, words):
    with pytest.raises(SettingsError, match=words) as refused:
        load(variables)

    assert SECRET not in str(refused.value)


def test_celery_finds_the_master_through_every_sentinel_with_the_password_kept_whole():
    settings = load(
        {
            "REDIS_URL": "redis+sentinel://ja:p%40ss%3Bw%3Ard@s1.example,s2.example:5000/hlavny/3",
            "KADENCIA_SENTINEL_PASSWORD": SECRET,
        }
    )

    config = broker_config(settings)

    first, second = config["broker_url"].split(";")
    assert first == "sentinel://ja:p%40ss%3Bw%3Ard@s1.example:26379/3"
    assert second == "sentinel://ja:p%40ss%3Bw%3Ard@s2.example:5000/3"
    options = config["broker_transport_options"]
    assert options["master_name"] == "hlavny"
    assert options["sentinel_kwargs"]["password"] == SECRET
    assert SECRET not in repr(settings)


def test_rabbitmq_over_tls_is_asked_for_the_name_in_its_address():
    settings = load({"KADENCIA_BROKER_URL": "amqps://ja:heslo@rabbit.example/firma"})

    assert broker_tls(settings)["server_hostname"] == "rabbit.example"
