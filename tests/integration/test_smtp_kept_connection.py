"""A kept connection that has died, and what becomes of the mail that finds it so."""

from __future__ import annotations

import time

import pytest

from tests.support import scripted_smtp as scripted
from tests.support.mail import envelope, soon, transport
from tests.support.scripted_smtp import (
    GREET,
    TO_DATA,
    ScriptedServer,
    answer,
    read_content,
)
from worker.core.outcomes import Outcome
from worker.core.replies import Phase

ACCEPTED = [read_content, scripted.say(b"250 taken\r\n")]


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(answer(b""), id="the connection ends"),
        pytest.param(answer(b"421 4.4.2 idle for too long\r\n"), id="the server says good-bye"),
    ],
)
def test_a_kept_connection_found_dead_at_mail_is_replaced_once(end):
    first = [*TO_DATA, *ACCEPTED, end]
    with ScriptedServer(first, [*TO_DATA, *ACCEPTED]) as server:
        way_out = transport(server.port)
        replies = [way_out.send(envelope(), soon()) for _ in range(2)]
        way_out.close()

        assert [each.outcome for each in replies] == [Outcome.ACCEPTED] * 2
        assert len(server.peers) == 2


def test_a_good_bye_is_heard_before_the_next_mail_is_begun():
    first = [*TO_DATA, *ACCEPTED, scripted.say(b"421 4.4.2 bye\r\n"), scripted.read_line]
    with ScriptedServer(first, [*TO_DATA, *ACCEPTED]) as server:
        way_out = transport(server.port)
        way_out.send(envelope(), soon())
        time.sleep(0.05)
        reply = way_out.send(envelope(), soon())
        way_out.close()
        server.wait()

        assert reply.outcome is Outcome.ACCEPTED
        assert server.peers[0].heard.count(b"MAIL") == 1


def test_a_kept_connection_that_is_silent_at_mail_is_not_replaced():
    first = [*TO_DATA, *ACCEPTED, scripted.sleep]
    with ScriptedServer(first, [*TO_DATA, *ACCEPTED]) as server:
        way_out = transport(server.port, command_timeout=0.2)
        way_out.send(envelope(), soon())
        reply = way_out.send(envelope(), soon())
        way_out.close()

        assert (reply.outcome, reply.phase) == (Outcome.DEFERRED, Phase.MAIL)
        assert len(server.peers) == 1


def test_a_kept_connection_that_cannot_be_replaced_defers_the_mail_and_spends_the_permit():
    first = [*TO_DATA, *ACCEPTED, answer(b"")]
    with ScriptedServer(first, [scripted.say(b"554 go away\r\n")]) as server:
        way_out = transport(server.port)
        way_out.send(envelope(), soon())
        reply = way_out.send(envelope(), soon())

        assert (reply.outcome, reply.phase) == (Outcome.DEFERRED, Phase.MAIL)
        assert reply.spent
        assert reply.slow_down
        assert "554 go away" in reply.text


def test_a_fresh_connection_that_ends_at_mail_is_not_replaced():
    with ScriptedServer([*GREET, answer(b"")]) as server:
        reply = transport(server.port).send(envelope(), soon())

        assert reply.outcome is Outcome.DEFERRED
        assert len(server.peers) == 1


def test_a_kept_connection_that_does_not_answer_when_asked_is_replaced():
    hour = [0.0]
    first = [*TO_DATA, *ACCEPTED, answer(b"500 what?\r\n")]
    with ScriptedServer(first, [*TO_DATA, *ACCEPTED]) as server:
        way_out = transport(server.port, lambda: time.monotonic() + hour[0])
        way_out.send(envelope(), soon())
        hour[0] = 20.0
        reply = way_out.send(envelope(), soon(60))
        way_out.close()

        assert reply.outcome is Outcome.ACCEPTED
        assert server.peers[0].heard.endswith(b"RSET\r\n")


def test_after_a_refusal_that_cannot_be_reset_the_connection_is_not_used_again():
    first = [*GREET, answer(b"550 not you\r\n"), answer(b"500 what?\r\n"), scripted.sleep]
    with ScriptedServer(first, [*TO_DATA, *ACCEPTED]) as server:
        way_out = transport(server.port)
        refused = way_out.send(envelope(), soon())
        accepted = way_out.send(envelope(), soon())
        way_out.close()

        assert (refused.outcome, accepted.outcome) == (Outcome.REJECTED, Outcome.ACCEPTED)
        assert len(server.peers) == 2


def test_anything_unforeseen_closes_the_connection():
    class Interrupted(BaseException):
        """As a signal handler raises it in the middle of a dialogue."""

    def clock() -> float:
        wire = way_out._wire
        if wire is not None and wire.phase is Phase.DATA:
            raise Interrupted
        return time.monotonic()

    with ScriptedServer([*TO_DATA, read_content]) as server:
        way_out = transport(server.port, clock)
        with pytest.raises(Interrupted):
            way_out.send(envelope(), soon())
        server.wait()

        assert way_out._wire is None
        assert server.peers[0].heard.endswith(b"RCPT TO:<to@example.com>\r\n")
