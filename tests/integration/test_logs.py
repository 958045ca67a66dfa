"""What stands in the log, and what must never stand there."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from settings import load
from worker import logs


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()


def configured(**variables: str) -> io.StringIO:
    stream = io.StringIO()
    logs.configure(load({f"KADENCIA_{k.upper()}": v for k, v in variables.items()}), stream)
    return stream


@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize(
    "words",
    [
        pytest.param("cannot connect to redis://:pa55word@cache.example:6379//", id="Redis"),
        pytest.param("postgresql://eva:pa55word@db.example/kadencia is away", id="PostgreSQL"),
        pytest.param("amqp://eva:pa55@word@mq.example//", id="an @ within the password"),
        pytest.param("connection {'userid': 'eva', 'password': 'pa55word'}", id="kombu's own"),
        pytest.param("DSN host=db.example password=pa55word dbname=k", id="libpq's words"),
        pytest.param("AUTH PLAIN pa55word", id="SMTP's log-in"),
    ],
)
def test_a_password_in_a_librarys_own_words_is_masked(log_format, words):
    stream = configured(log_format=log_format)

    logging.getLogger("celery.worker").warning("%s", words)

    assert "pa55" not in stream.getvalue()
    assert "***" in stream.getvalue()


def test_a_password_in_a_traceback_is_masked():
    stream = configured()

    try:
        raise ConnectionError("redis://:pa55word@cache.example refused")
    except ConnectionError:
        logging.getLogger("kombu").exception("lost the connection")

    assert "ConnectionError: redis://***@cache.example refused" in stream.getvalue()


def test_a_password_as_a_value_is_masked_however_deep():
    stream = configured(log_format="json")

    structlog.get_logger("worker.app").info(
        "options", password="pa55word", broker={"urls": ["redis://:pa55word@cache.example"]}
    )

    entry = json.loads(stream.getvalue())
    assert entry["password"] == "***"
    assert entry["broker"] == {"urls": ["redis://***@cache.example"]}


def test_a_line_for_people_has_the_time_in_utc_and_each_value_under_its_name():
    stream = configured()

    structlog.get_logger("worker.sweeps").info("released", task=3, why="no more work")

    moment, rest = stream.getvalue().split(" ", 1)
    assert moment.endswith("Z")
    assert rest == "INFO released task=3 why='no more work'\n"


def test_an_event_of_several_lines_cannot_pass_for_several_events():
    stream = configured()

    logging.getLogger("worker.delivery").info("250 ok\n2026-01-01T00:00:00Z INFO all is well")

    assert len(stream.getvalue().splitlines()) == 1


@pytest.mark.parametrize("source", ["structlog", "the standard library"])
def test_json_has_the_same_fields_whoever_logs(source):
    stream = configured(log_format="json")

    if source == "structlog":
        structlog.get_logger("worker.beat").warning("late")
    else:
        logging.getLogger("worker.beat").warning("late")

    entry = json.loads(stream.getvalue())
    assert entry["event"] == "late"
    assert (entry["level"], entry["logger"]) == ("warning", "worker.beat")
    assert entry["timestamp"].endswith("Z")


def test_what_is_below_the_level_is_left_out():
    stream = configured(log_level="WARNING")

    structlog.get_logger("worker.beat").info("tick")
    logging.getLogger("worker.beat").info("tick")

    assert stream.getvalue() == ""


def test_statements_with_addresses_are_not_logged_even_for_debugging():
    stream = configured(log_level="DEBUG")

    logging.getLogger("sqlalchemy.engine.Engine").info("[{'address': 'anna@firma.example'}]")

    assert stream.getvalue() == ""


PLANTED = ("eva@firma.example", "žofia.ž@firma.example", "o'neil+x@[192.0.2.1]", "+421903622237")


@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize("address", PLANTED)
def test_an_address_in_a_servers_words_is_hidden(log_format, address):
    stream = configured(log_format=log_format)

    structlog.get_logger().warning("given back", why=f"550 5.1.1 <{address}>: no such user")
    logging.getLogger("celery.worker").error("Task failed: %s", {"to": [address]})

    assert "550 5.1.1 <(" in stream.getvalue()
    assert address not in stream.getvalue()


def test_an_address_and_the_values_of_a_row_are_hidden_in_a_traceback():
    stream = configured()
    words = "<eva@firma.example> refused\nDETAIL:  Failing row contains (7, Tajné)."

    try:
        raise ValueError(words)
    except ValueError:
        structlog.get_logger().exception("it failed")

    assert "ValueError: <(address)> refused" in stream.getvalue()
    assert "Tajné" not in stream.getvalue()


def test_addresses_are_shown_to_who_asks_for_them():
    stream = configured(log_addresses="true")

    structlog.get_logger().warning("given back", why="<eva@firma.example>: no such user")

    assert "<eva@firma.example>" in stream.getvalue()


def test_names_of_celery_and_of_hosts_are_no_addresses():
    stream = configured()
    node, url = "send.main.0f3c2d1e@mx1.firma.example", "redis://***@cache.example:6379/0"

    logging.getLogger("celery.worker").warning("%s ready, connected to %s", node, url)

    assert f"{node} ready, connected to {url}" in stream.getvalue()


def test_a_line_says_which_process_wrote_it_and_about_which_message():
    process = "3ab0b66d-68c8-49b8-8d2b-53222299c834"
    stream = configured(log_format="json", server="main", process=process)

    with structlog.contextvars.bound_contextvars(message=17):
        structlog.get_logger().info("handed over", outcome="accepted")
        logging.getLogger("celery.worker").warning("Celery's own line")

    for line in stream.getvalue().splitlines():
        told = json.loads(line)
        assert (told["message"], told["server"], told["worker"]) == (17, "main", "3ab0b66d")
        assert told["pid"] > 0
