"""What is not ours is refused by workers, named, counted, and does no harm."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import redis
from celery.security.certificate import Certificate as SignersCertificate
from celery.security.key import PrivateKey
from celery.security.serialization import SecureSerializer
from kombu import Connection, Queue
from kombu.serialization import dumps

from settings import load
from settings.names import sweep_queue
from tests.support.certificates import Authority
from tests.support.fleet import Fleet
from tests.support.process_table import wait_until
from tests.support.rows import make_account, make_company, make_message, make_task
from tests.support.sink import SinkProcess
from worker import broker, redis_servers

pytestmark = pytest.mark.acceptance

SECRET = "tajna.adresa@zakaznik.example"
"""In each message that is refused; no log may repeat it."""
PAGE = Path(__file__).parents[2] / "docs/brokers.md"
SERVICE = """
import os
from celery import Celery
app = Celery(broker=os.environ["BROKER_URL"])
{block}
document = {{
    "schema": 1, "idempotency_key": "faktura-1",
    "to": ["jana@zakaznik.example"], "subject": "Faktúra", "text": "Dobrý deň.",
}}
app.send_task("kadencia.enqueue_email", kwargs={{"document": document}}, queue="kadencia.enqueue")
"""
TASK = [[1, SECRET], {}, {}]


@pytest.fixture
def sink():
    with SinkProcess() as running:
        yield running


def enqueue(engine, sink, messages):
    with engine.begin() as connection:
        company = make_company(connection)
        account = make_account(connection, company, port=sink.port)
        task = make_task(connection, company, account)
        for number in range(messages):
            make_message(connection, task, recipients=[f"r{number}@firma.example"])


def publish(redis_url, body, content_type, encoding, task="kadencia.sweep"):
    """Put a message into the queue of sweeps as anybody can who reaches the broker."""
    headers = {"task": task, "id": "1", "argsrepr": SECRET, "kwargsrepr": "{}", "lang": "py"}
    with Connection(redis_url) as connection, connection.Producer() as producer:
        producer.publish(
            body,
            exchange="",
            routing_key=sweep_queue("main"),
            content_type=content_type,
            content_encoding=encoding,
            headers=headers if task else {},
            declare=[Queue(sweep_queue("main"))],
        )


def publish_as(redis_url, serializer):
    content_type, encoding, body = dumps(TASK, serializer=serializer)
    publish(redis_url, body, content_type, encoding)


def signed_by(certificate):
    """A task that the holder of a certificate has signed."""
    key = PrivateKey(certificate.key.read_text())
    return SecureSerializer(key, SignersCertificate(certificate.certificate.read_text())).serialize(
        TASK
    )


def enqueue_by_a_service(redis_url, authority, directory):
    """A service with a key of its own enqueues as docs/brokers.md says, in a process of its own."""
    ours = authority.issued("service@firma.example")
    (block,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    for path, mine in (
        ("/etc/service/signing.key", ours.key),
        ("/etc/service/signing.pem", ours.certificate),
        ("/etc/service/trusted", directory / "trusted"),
    ):
        block = block.replace(path, str(mine))
    script = SERVICE.format(block=block)
    return subprocess.run(
        [sys.executable, "-c", script],
        env={"BROKER_URL": redis_url},
        capture_output=True,
        text=True,
    )


def tampered(certificate):
    """A task that was signed, with another number in it."""
    genuine = base64.b64decode(signed_by(certificate))
    return base64.b64encode(genuine.replace(b"[[1,", b"[[2,")).decode()


def refusals(redis_url):
    client = redis_servers.client(load({"REDIS_URL": redis_url}))
    try:
        return broker.refusals(client)
    except redis.RedisError:
        return {}
    finally:
        client.close()


def test_signed_tasks_pass_and_everything_else_is_refused(engine, redis_url, sink, tmp_path):
    authority = Authority(tmp_path)
    stranger = authority.issue("stranger@firma.example")
    trusted = tmp_path / "trusted"
    trusted.mkdir()
    for name in ("fleet", "service"):
        made = authority.issue(f"{name}@firma.example")
        (trusted / f"{name}.pem").write_bytes(made.certificate.read_bytes())
    fleet_certificate = authority.issued("fleet@firma.example")
    enqueue(engine, sink, 10)
    signing = {
        "KADENCIA_SIGNING_KEY_FILE": str(fleet_certificate.key),
        "KADENCIA_SIGNING_CERTIFICATE_FILE": str(fleet_certificate.certificate),
        "KADENCIA_SIGNING_TRUSTED_DIRECTORY": str(trusted),
    }
    with Fleet(engine, redis_url, **signing) as fleet:
        fleet.beat()
        fleet.worker(processes=1)
        assert fleet.settled(30) == {"sent": 10}

        publish_as(redis_url, "json")
        publish_as(redis_url, "pickle")
        for forged in (json.dumps(TASK), signed_by(stranger), tampered(fleet_certificate)):
            publish(redis_url, forged, "application/data", "utf-8")
        wait_until(lambda: sum(refusals(redis_url).values()) == 5, 20)
        done = enqueue_by_a_service(redis_url, authority, tmp_path)
        assert done.returncode == 0, done.stderr
        wait_until(lambda: fleet.states().total() == 11, 20)

        assert fleet.settled(30) == {"sent": 11}
        assert refusals(redis_url) == {"not accepted": 2, "unreadable or wrongly signed": 3}
        assert fleet.log.read_text().count("a message was refused") == 5
        assert SECRET not in fleet.log.read_text()


@pytest.mark.slow
def test_without_signing_json_is_taken_and_what_could_run_code_is_refused(engine, redis_url, sink):
    with Fleet(engine, redis_url) as fleet:
        fleet.beat()
        fleet.worker(processes=1)

        publish_as(redis_url, "pickle")
        publish_as(redis_url, "yaml")
        publish(redis_url, "{", "application/json", "utf-8")
        publish(redis_url, "[]", "application/json", "utf-8", task="kadencia.unknown")
        publish(redis_url, "[]", "application/json", "utf-8", task="")
        wait_until(lambda: sum(refusals(redis_url).values()) == 5, 20)
        enqueue(engine, sink, 5)

        assert fleet.settled(30) == {"sent": 5}
        assert refusals(redis_url) == {
            "not accepted": 2,
            "unreadable or wrongly signed": 1,
            "no such task": 1,
            "no task": 1,
        }
        assert SECRET not in fleet.log.read_text()
