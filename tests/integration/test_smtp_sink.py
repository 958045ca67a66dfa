"""The sink: how it starts, stops, and misbehaves when asked to."""

from __future__ import annotations

import os
import signal
import socket
import time

import pytest

from tests.support.mail import envelope, soon, transport
from tests.support.sink import SinkProcess
from worker.core.outcomes import Outcome
from worker.errors import TransportUnavailable
from worker.smtp_sink.faults import Fault, Faults, Kind
from worker.smtp_sink.server import main


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["--fault", "sulk:*"], "is no fault; choose from", id="an unknown fault"),
        pytest.param(["--fault", "defer"], "write defer:* for everybody", id="a fault for nobody"),
        pytest.param(["--fault", "defer:*:x"], "is not a number", id="a fault x times"),
        pytest.param(["--fault", "slow:*:-1"], "must be 0 or more", id="an answer in the past"),
        pytest.param(["--port", "70000"], "70000 is not a port", id="no port"),
        pytest.param(["--size", "0"], "less than 1", id="no size"),
        pytest.param(["--delay", "nan"], "not a time in seconds", id="no time"),
        pytest.param(["--tls", "starttls"], "--tls needs --cert", id="TLS without a certificate"),
        pytest.param(["--user", "me"], "go together", id="a user without a password"),
        pytest.param(
            ["--user", "me", "--password-file", "/no/file"], "No such file", id="no such file"
        ),
    ],
)
def test_bad_options_are_refused_with_a_reason(arguments, words, capsys):
    assert main(arguments) == 2
    assert words in capsys.readouterr().err


def test_help_shows_examples(capsys):
    assert main(["--help"]) == 0
    assert "--fault 'drop-after-dot:lost@*'" in capsys.readouterr().out


def test_a_port_that_is_taken_is_said_in_one_line(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["--port", str(port)]) == 1

    error = capsys.readouterr().err
    assert error.startswith(f"kadencia: smtp-sink cannot listen on 127.0.0.1:{port}, ")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["--tls", "starttls", "--cert", "/no/cert.pem"], id="a certificate"),
        pytest.param(["--journal", "/no/journal"], id="a journal"),
        pytest.param(["--directory", "/dev/null/mails"], id="a directory"),
    ],
)
def test_a_file_that_cannot_be_used_is_said_in_one_line(arguments, capsys):
    assert main(arguments) == 1
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_cleanly_and_writes_down_what_was_going_on(number):
    with SinkProcess() as sink, socket.create_connection(("127.0.0.1", sink.port)) as client:
        client.sendall(b"EHLO me\r\nMAIL FROM:<a@x>\r\n")
        heard = b""
        while b"2.1.0" not in heard:
            heard += client.recv(4096)
        os.kill(sink._process.pid, number)

        assert sink._process.wait(timeout=5) == 0
        assert [entry["sender"] for entry in sink.journal()] == ["a@x"]


def test_a_recipient_is_deferred_as_often_as_was_asked():
    with SinkProcess(faults=["defer:*@later.example:2"]) as sink:
        way_out = transport(sink.port)
        mail = envelope("a@later.example")
        outcomes = [way_out.send(mail, soon()).outcome for _ in range(3)]
        other = way_out.send(envelope("b@later.example"), soon())
        way_out.close()

    assert outcomes == [Outcome.DEFERRED, Outcome.DEFERRED, Outcome.ACCEPTED]
    assert other.outcome is Outcome.DEFERRED


def test_an_answer_can_be_slow_for_one_recipient_or_for_all():
    with SinkProcess("--delay", "0.1", faults=["slow:slow@*:0.2"]) as sink:
        way_out = transport(sink.port)
        began = time.monotonic()
        way_out.send(envelope(), soon())
        between = time.monotonic()
        way_out.send(envelope("slow@x"), soon())
        ended = time.monotonic()
        way_out.close()

    assert 0.1 <= between - began < 0.3
    assert ended - between >= 0.3


def test_only_so_many_clients_are_served_at_once():
    with SinkProcess("--max-connections", "1") as sink:
        first, second = transport(sink.port), transport(sink.port)
        first.ready()
        with pytest.raises(TransportUnavailable, match="greeting: 421"):
            second.ready()
        first.close()
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            try:
                second.ready()
                break
            except TransportUnavailable:
                time.sleep(0.01)
        assert second.send(envelope(), soon()).outcome is Outcome.ACCEPTED
        second.close()


def test_a_full_disk_defers_the_mail():
    with SinkProcess() as sink:
        way_out = transport(sink.port)
        sink.directory.rmdir()
        reply = way_out.send(envelope(), soon())
        way_out.close()

    assert (reply.outcome, reply.code) == (Outcome.DEFERRED, 451)


def test_a_greylisted_recipient_opens_after_a_while_for_the_same_sender_only():
    now = [0.0]
    faults = Faults([Fault.parse("greylist:*@GREY.example:60")], lambda: now[0])

    assert faults.greylisted("a@x", "b@grey.example")
    assert not faults.greylisted("a@x", "b@elsewhere.example")
    now[0] = 61.0
    assert not faults.greylisted("a@x", "B@grey.example".lower())
    assert faults.greylisted("c@x", "b@grey.example")


def test_a_fault_strikes_each_address_by_itself():
    faults = Faults([Fault(Kind.REFUSE, "*@x", 1)])

    struck = [faults.strike(Kind.REFUSE, [address]) for address in ("a@x", "a@x", "b@x", "c@y")]

    assert [fault is not None for fault in struck] == [True, False, True, False]
