"""RabbitMQ carries the tasks in quorum queues, and Redis counts the permits."""

from __future__ import annotations

import amqp
import kombu
import pytest
from celery import Celery
from kombu import pools
from sqlalchemy import text

from models.states import Priority
from settings import load
from settings.names import first_queue, own_queue, send_queue, sweep_queue
from tests.support.debian_rabbitmq import RabbitMQ
from tests.support.fleet import Fleet
from tests.support.judge import judge
from tests.support.process_table import wait_until
from tests.support.rows import make_account, make_company, make_message, make_task
from tests.support.services import service_directory
from tests.support.sink import SinkProcess
from worker import broker
from worker.bootstrap import make_throttle
from worker.doctor import Installation, Level, brokers
from worker.vault import Vault

pytestmark = pytest.mark.acceptance

WINDOW_SECONDS = 10
CADENCE = 150
MESSAGES = 160
TIMES = {
    "KADENCIA_WINDOW_SECONDS": str(WINDOW_SECONDS),
    "KADENCIA_BURST_SECONDS": "2",
    "KADENCIA_RELEASED_DEADLINE_SECONDS": "3",
}


@pytest.fixture(scope="module")
def rabbitmq():
    with service_directory() as directory, RabbitMQ(directory / "rabbitmq") as server:
        yield server


@pytest.fixture
def sink():
    with SinkProcess() as running:
        yield running


@pytest.fixture
def fleet(engine, redis_url, rabbitmq):
    with Fleet(engine, redis_url, KADENCIA_BROKER_URL=rabbitmq.url, **TIMES) as made:
        yield made


def backlog(engine, sink):
    with engine.begin() as connection:
        company = make_company(connection)
        account = make_account(connection, company, port=sink.port, most_connections=8)
        task = make_task(connection, company, account, cadence=CADENCE)
        for number in range(MESSAGES):
            make_message(connection, task, recipients=[f"r{number}@firma.example"])
        return set(connection.execute(text("SELECT message_id FROM message")).scalars())


def test_a_broker_killed_and_started_again_in_mid_load_costs_nothing_but_time(
    engine, fleet, rabbitmq, sink
):
    enqueued = backlog(engine, sink)
    fleet.beat()
    fleet.worker(processes=3)
    wait_until(lambda: len(sink.journal()) >= 50, 40)

    rabbitmq.kill()
    rabbitmq.start()
    states = fleet.settled(90)

    assert states == {"sent": MESSAGES}
    found = judge(engine, sink.journal(), enqueued, WINDOW_SECONDS * 1_000_000)
    assert (found.lost, found.doubled, found.accepted) == (0, 0, MESSAGES)
    assert found.worst <= CADENCE


@pytest.mark.slow
def test_a_transactional_task_passes_the_backlog_but_not_what_is_taken_in_advance(
    engine, redis_url, rabbitmq
):
    patient = {**TIMES, "KADENCIA_RELEASED_DEADLINE_SECONDS": "60"}
    addresses = {"KADENCIA_BROKER_URL": rabbitmq.url}
    with (
        SinkProcess("--delay", "0.3") as sink,
        Fleet(engine, redis_url, **addresses, **patient) as fleet,
    ):
        with engine.begin() as connection:
            company = make_company(connection)
            account = make_account(connection, company, port=sink.port, most_connections=40)
            task = make_task(connection, company, account, cadence=3000)
            for number in range(30):
                bulk = [f"r{number}@firma.example"]
                make_message(connection, task, recipients=bulk, priority=Priority.BULK)
        fleet.beat()
        fleet.worker(processes=1)
        wait_until(lambda: len(sink.journal()) >= 2, 30)

        with engine.begin() as connection:
            urgent = ["teraz@firma.example"]
            make_message(connection, task, recipients=urgent, priority=Priority.TRANSACTIONAL)
        before = len(sink.journal())
        wait_until(lambda: place(sink, urgent[0]) is not None, 30)

        # One is in hand, one is taken in advance, and one or two go while the sweep begins.
        assert place(sink, urgent[0]) - before <= 5


def place(sink, address):
    """How many mails came before that to an address; None while it has not come."""
    arrived = [next(iter(entry["recipients"])) for entry in sink.journal()]
    return arrived.index(address) if address in arrived else None


def test_queues_are_quorum_queues_and_those_of_a_process_go_by_themselves(
    engine, fleet, rabbitmq, sink
):
    fleet.beat()
    fleet.worker(processes=1)
    task_to_send_with(engine, sink)
    enqueue_by_a_service(rabbitmq, task_create_missing_queue_type="quorum")
    wait_until(lambda: fleet.states() == {"sent": 1}, 30)
    with pytest.raises(amqp.PreconditionFailed):
        enqueue_by_a_service(rabbitmq)
    with engine.connect() as connection:
        process = connection.execute(text("SELECT id FROM process")).scalar_one()

    with kombu.Connection(rabbitmq.url) as connection:
        for name in (send_queue("main"), first_queue("main"), sweep_queue("main")):
            assert_declared(connection, name, {"x-queue-type": "quorum"})
        assert_declared(connection, own_queue(str(process), "send"), broker.OWN)


def task_to_send_with(engine, sink):
    with engine.begin() as connection:
        company = make_company(connection)
        make_task(connection, company, make_account(connection, company, port=sink.port))


def enqueue_by_a_service(rabbitmq, **settings):
    """Enqueue as another Celery application would."""
    pools.reset()  # or it would share a connection, and what is known to be declared there
    service = Celery("service", broker=rabbitmq.url, set_as_current=False)
    service.conf.update(task_publish_retry=False, **settings)
    document = {
        "schema": 1,
        "idempotency_key": "faktura-1",
        "to": ["jana@zakaznik.example"],
        "subject": "Faktúra",
        "text": "Dobrý deň.",
    }
    name, queue = "kadencia.enqueue_email", "kadencia.enqueue"
    service.send_task(name, kwargs={"document": document}, queue=queue)
    service.close()


def assert_declared(connection, name, arguments):
    """RabbitMQ refuses a declaration that differs from the queue that there is."""
    channel = connection.channel()
    channel.queue_declare(name, durable=True, auto_delete=False, arguments=arguments)
    channel.close()


def about_the_broker(engine, rabbitmq, redis_url):
    """What the doctor says of what carries the tasks."""
    settings = load({"KADENCIA_BROKER_URL": rabbitmq.url, "REDIS_URL": redis_url})
    throttle = make_throttle(settings)
    at = Installation(settings, engine, throttle.client, throttle, Vault([]))
    return list(brokers.carriers(at))


def test_the_doctor_says_whether_rabbitmq_answers(engine, rabbitmq, redis_url):
    assert [one.level for one in about_the_broker(engine, rabbitmq, redis_url)] == [Level.OK]

    rabbitmq.kill()
    found = about_the_broker(engine, rabbitmq, redis_url)
    rabbitmq.start()

    assert [(one.name, one.level) for one in found] == [("rabbitmq", Level.FAULT)]
