"""A line carries everything, and fails as it is told to."""

from __future__ import annotations

import smtplib

import pytest

from tests.faults.line import DOT, Rule, Switchboard
from tests.support.sink import SinkProcess

MAIL = "Message-ID: <1@firma.example>\r\nSubject: Ponuka\r\n\r\nDobrý deň\r\n".encode()


@pytest.fixture(scope="module")
def sink():
    with SinkProcess() as running:
        yield running


@pytest.fixture
def line(sink):
    board = Switchboard()
    yield board.line("smtp", sink.port)
    board.close()


def send(line, *to, seconds=5):
    with smtplib.SMTP("127.0.0.1", line.port, timeout=seconds) as client:
        client.sendmail("info@firma.example", to or ("anna@firma.example",), MAIL)


def test_it_keeps_the_time_of_each_final_dot_that_a_client_wrote(line, sink):
    send(line, "anna@firma.example", "jan@obchod.example")

    [dot] = line.dots
    assert dot.message_id == "<1@firma.example>"
    assert dot.recipients == ("anna@firma.example", "jan@obchod.example")
    assert 0 <= sink.journal()[-1]["dot_us"] - dot.at_us < 1_000_000


def test_an_answer_is_lost_after_the_server_gave_it(line, sink):
    before = len(sink.journal())
    rule = line.on(Rule(DOT, forward=True))

    with pytest.raises(smtplib.SMTPServerDisconnected):
        send(line)

    assert rule.struck == 1
    assert len(sink.journal()) == before + 1


def test_a_request_is_lost_on_its_way(line, sink):
    before = len(sink.journal())
    line.on(Rule(b"mail FROM"))

    with pytest.raises(smtplib.SMTPServerDisconnected):
        send(line)

    assert len(sink.journal()) == before


def test_an_answer_is_put_in_the_servers_mouth(line):
    line.on(Rule(b"rcpt TO", answer=b"421 4.3.2 closing\r\n"))

    with pytest.raises(smtplib.SMTPRecipientsRefused):
        send(line)


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(lambda line: line.stall(), id="stalled"),
        pytest.param(lambda line: line.trickle(down=True), id="one byte a second"),
        pytest.param(lambda line: line.on(Rule(b"ehlo", hang_up=False)), id="silent"),
    ],
)
def test_a_client_waits_in_vain_until_the_line_is_restored(line, trouble):
    with line.troubled():
        trouble(line)
        with pytest.raises((TimeoutError, smtplib.SMTPServerDisconnected)):
            send(line, seconds=0.3)

    send(line)


def test_a_line_that_refuses_is_not_there_until_it_is_restored(line):
    with line.troubled():
        line.refuse()
        with pytest.raises(ConnectionRefusedError):
            send(line)

    send(line)
