"""What the transport knows when a server misbehaves: deferred if certain, unknown if not."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from tests.support import scripted_smtp as scripted
from tests.support.mail import envelope, soon, transport
from tests.support.scripted_smtp import (
    ENVELOPE,
    GREET,
    TO_DATA,
    ScriptedServer,
    answer,
    read_content,
    read_line,
)
from worker.core.outcomes import Outcome
from worker.core.replies import Phase
from worker.errors import TransportUnavailable

BIG = b"x" * 998 + b"\r\n"
ACCEPTED = [read_content, scripted.say(b"250 taken\r\n")]


def send_to(*scripts, mail=None, dot_by=None, **settings):
    with ScriptedServer(*scripts) as server:
        way_out = transport(server.port, **settings)
        try:
            return way_out.send(mail or envelope(), dot_by or soon())
        finally:
            way_out.close()


@pytest.mark.parametrize(
    ("script", "phase"),
    [
        pytest.param([*GREET, read_line], Phase.MAIL, id="MAIL"),
        pytest.param([*GREET, *ENVELOPE[:1], read_line], Phase.RCPT, id="RCPT"),
        pytest.param([*GREET, *ENVELOPE, read_line], Phase.DATA, id="DATA"),
        pytest.param([*GREET, *ENVELOPE, answer(b"354 go on")], Phase.DATA, id="half an answer"),
        pytest.param([*GREET, answer(b"999 what\r\n")], Phase.MAIL, id="nonsense"),
        pytest.param([*GREET, answer(b"250-a\r\n550 b\r\n")], Phase.MAIL, id="two codes"),
        pytest.param([*GREET, answer(b"250-" + b"x" * 9000)], Phase.MAIL, id="an endless line"),
        pytest.param([*GREET, answer(b"250-x\r\n" * 300)], Phase.MAIL, id="endless lines"),
    ],
)
def test_a_dialogue_that_breaks_before_the_content_defers_the_mail(script, phase):
    reply = send_to(script)

    assert (reply.outcome, reply.phase, reply.code) == (Outcome.DEFERRED, phase, None)
    assert reply.spent
    assert reply.text.startswith(f"{phase}: ")


@pytest.mark.parametrize(
    "after",
    [
        pytest.param([], id="the connection ends"),
        pytest.param([scripted.say(b"250 ta")], id="in the middle of the answer"),
        pytest.param([scripted.say(b"250-taken\r\n")], id="before the answer's last line"),
        pytest.param([scripted.say(b"OK\r\n")], id="the answer has no code"),
        pytest.param([scripted.say(b"354 go on\r\n")], id="the answer fits no content"),
        pytest.param([scripted.say(b"\xff\x00\r\n")], id="the answer is noise"),
    ],
)
def test_whatever_is_no_answer_after_the_dot_leaves_the_mail_unknown(after):
    reply = send_to([*TO_DATA, read_content, *after])

    assert (reply.outcome, reply.phase) == (Outcome.UNKNOWN, Phase.DOT)
    assert reply.recipients[0].outcome is Outcome.UNKNOWN


@pytest.mark.parametrize("after", [scripted.sleep, scripted.drip(b"250 " + b"x" * 99, 0.05)])
def test_no_answer_is_waited_for_longer_than_the_time_for_it(after):
    began = time.monotonic()
    reply = send_to([*TO_DATA, read_content, after], answer_timeout=0.3)

    assert reply.outcome is Outcome.UNKNOWN
    assert 0.3 <= time.monotonic() - began < 1.5


@pytest.mark.parametrize(
    "script",
    [
        pytest.param([scripted.drip(b"220 slow motion\r\n", 0.1)], id="greeting"),
        pytest.param(
            [GREET[0], read_line, scripted.drip(b"250-x\r\n" * 9, 0.02)], id="many short lines"
        ),
    ],
)
def test_a_server_that_drips_its_welcome_is_unavailable(script):
    began = time.monotonic()
    with pytest.raises(TransportUnavailable, match="timed out"):
        send_to(script, command_timeout=0.3)

    assert time.monotonic() - began < 1.5


def test_a_dripping_envelope_ends_with_the_time_for_the_final_dot():
    began = time.monotonic()
    reply = send_to([*GREET, read_line, scripted.drip(b"250 x" * 9, 0.1)], dot_by=soon(0.3))

    assert (reply.outcome, reply.phase) == (Outcome.DEFERRED, Phase.MAIL)
    assert time.monotonic() - began < 1.5


def test_the_final_dot_is_not_sent_after_its_time():
    with ScriptedServer([*TO_DATA, scripted.sleep]) as server:
        way_out = transport(server.port)
        began = time.monotonic()
        # More than the buffers of both ends hold, to a server that never reads.
        reply = way_out.send(envelope(content=BIG * 20_000), soon(0.5))

        assert (reply.outcome, reply.phase) == (Outcome.DEFERRED, Phase.BODY)
        assert "timed out while writing" in reply.text
        assert time.monotonic() - began < 2
        way_out.close()


def test_a_process_that_slept_before_the_dot_does_not_send_it():
    asked_in_body = 0

    def clock() -> float:
        """Real, until it is asked a second time after the content was begun: then a minute on."""
        nonlocal asked_in_body
        wire = way_out._wire
        asked_in_body += wire is not None and wire.phase is Phase.BODY
        return time.monotonic() + (60 if asked_in_body > 1 else 0)

    with ScriptedServer([*TO_DATA, read_content]) as server:
        way_out = transport(server.port, clock)
        reply = way_out.send(envelope(), soon())
        server.wait()

        assert (reply.outcome, reply.phase) == (Outcome.DEFERRED, Phase.BODY)
        assert "time for the final dot was over" in reply.text
        assert server.peers[0].heard.endswith(b"Good day.\r\n")


def test_content_that_cannot_be_written_defers_the_mail():
    def hang_up(peer):
        time.sleep(0.05)  # some of the content is on its way

    reply = send_to([*TO_DATA, hang_up], mail=envelope(content=BIG * 20_000))

    assert (reply.outcome, reply.phase) == (Outcome.DEFERRED, Phase.BODY)


@pytest.mark.parametrize(
    ("early", "outcome"),
    [
        pytest.param(b"250 taken\r\n", Outcome.DEFERRED, id="an acceptance counts for nothing"),
        pytest.param(b"552 5.3.4 too big\r\n", Outcome.REJECTED, id="a refusal counts"),
        pytest.param(b"421 bye\r\n", Outcome.DEFERRED, id="a good-bye defers"),
        pytest.param(b"", Outcome.DEFERRED, id="a closed connection defers"),
    ],
)
def test_what_the_server_says_before_the_dot_is_not_the_answer_to_it(early, outcome):
    mail = envelope(content=BIG * 3000)  # takes a moment to write

    def interrupt(peer):
        peer.until(BIG)
        if early:
            peer.say(early)
            peer.until(b"\r\n.\r\n")

    reply = send_to([*TO_DATA, interrupt], mail=mail)

    assert (reply.outcome, reply.phase) == (outcome, Phase.BODY)


def test_a_second_answer_to_one_command_ends_the_dialogue_before_the_content():
    reply = send_to([*GREET, answer(b"250 ok\r\n250 ok\r\n"), *ENVELOPE, read_content])

    assert (reply.outcome, reply.phase) == (Outcome.DEFERRED, Phase.RCPT)
    assert "out of turn" in reply.text


@pytest.mark.parametrize(
    ("script", "phase"),
    [
        pytest.param([*GREET, answer(b"421 bye\r\n")], Phase.MAIL, id="MAIL"),
        pytest.param([*TO_DATA[:3], answer(b"421 bye\r\n")], Phase.RCPT, id="the first RCPT"),
        pytest.param([*TO_DATA[:4], answer(b"421 bye\r\n")], Phase.RCPT, id="the second RCPT"),
        pytest.param(
            [*GREET, *ENVELOPE, ENVELOPE[1], answer(b"421 bye\r\n")], Phase.DATA, id="DATA"
        ),
        pytest.param(
            [*TO_DATA[:-1], ENVELOPE[1], TO_DATA[-1], read_content, scripted.say(b"421 bye\r\n")],
            Phase.DOT,
            id="the dot",
        ),
    ],
)
def test_a_good_bye_at_any_time_defers_all_and_slows_the_account_down(script, phase):
    with ScriptedServer([*script, read_line]) as server:
        reply = transport(server.port).send(envelope("a@x", "b@x"), soon())
        server.wait()

        assert (reply.outcome, reply.phase, reply.code) == (Outcome.DEFERRED, phase, 421)
        assert [each.outcome for each in reply.recipients] == [Outcome.DEFERRED] * 2
        assert [each.code for each in reply.recipients] == [421] * 2
        assert reply.slow_down
        assert b"RSET" not in server.peers[0].heard


@pytest.mark.parametrize(
    ("code", "outcome"), [(451, Outcome.DEFERRED), (554, Outcome.REJECTED), (250, Outcome.DEFERRED)]
)
def test_a_refusal_of_the_content_holds_for_all_who_were_taken(code, outcome):
    reply = send_to([*GREET, *ENVELOPE, answer(f"{code} no\r\n".encode()), answer(b"250 ok\r\n")])

    assert (reply.outcome, reply.phase, reply.code) == (outcome, Phase.DATA, code)


def test_an_old_server_is_greeted_in_its_own_way():
    old = [GREET[0], answer(b"502 EHLO?\r\n"), answer(b"250 hello\r\n"), *ENVELOPE]
    reply = send_to([*old, answer(b"354 go on\r\n"), *ACCEPTED])

    assert reply.outcome is Outcome.ACCEPTED


def test_a_mail_is_written_once_with_its_size_and_its_dots_doubled():
    hello = [GREET[0], answer(b"250-scripted\r\n250-SIZE\r\n250 8BITMIME\r\n")]
    with ScriptedServer([*hello, *ENVELOPE, answer(b"354 go on\r\n"), *ACCEPTED]) as server:
        way_out = transport(server.port)
        way_out.send(envelope(content=b"\xc5\xbe\r\n.\r\n"), soon())
        way_out.close()
        server.wait()

        assert server.peers[0].heard == (
            b"ehlo client.example\r\n"
            b"MAIL FROM:<from@example.com> SIZE=7 BODY=8BITMIME\r\n"
            b"RCPT TO:<to@example.com>\r\n"
            b"DATA\r\n"
            b"\xc5\xbe\r\n..\r\n.\r\n"
        )


KILLED_AT = """
import sys, time
from pathlib import Path
from tests.support.mail import envelope, transport
from worker import crashpoints
crashpoints.arm(Path(sys.argv[1]))
transport(int(sys.argv[2])).send(envelope(), time.monotonic() + 10)
"""


@pytest.mark.parametrize(
    ("point", "heard"),
    [
        ("before-mail", b"ehlo client.example\r\n"),
        ("before-data", b"RCPT TO:<to@example.com>\r\n"),
        ("dot-sent", b"\r\n.\r\n"),
    ],
)
def test_a_process_can_be_killed_at_each_step_of_the_hand_over(point, heard, tmp_path):
    (tmp_path / point).touch()
    with ScriptedServer([*TO_DATA, read_content, scripted.read_line]) as server:
        done = subprocess.run(
            [sys.executable, "-c", KILLED_AT, str(tmp_path), str(server.port)],
            check=False,
            env={**os.environ, "PYTHONPATH": os.getcwd()},
        )
        server.wait()

        assert done.returncode == -9
        assert server.peers[0].heard.endswith(heard)
