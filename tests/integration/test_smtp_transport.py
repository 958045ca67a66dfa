"""Mail over SMTP to a server that behaves: who gets it, and over which connection."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.support.mail import CONTENT, envelope, soon, transport
from tests.support.sink import SinkProcess
from worker.core.outcomes import Outcome
from worker.core.replies import Phase
from worker.errors import TransportUnavailable
from worker.transports.smtp import SmtpTransport

FAULTS = [
    "refuse:nobody@*",
    "defer:busy@*",
    "refuse-data:spam@*",
    "defer-data:full@*",
    "drop-after-dot:lost@*",
    "drop-before-data:cut@*",
    "busy:unloved@*",
]


class Clock:
    """The monotonic clock, which a test can put forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


@pytest.fixture(scope="module")
def sink() -> Iterator[SinkProcess]:
    with SinkProcess(faults=FAULTS) as running:
        yield running


@pytest.fixture
def smtp(sink: SinkProcess) -> Iterator[SmtpTransport]:
    way_out = transport(sink.port)
    yield way_out
    way_out.close()


def connections(sink: SinkProcess, mails: int) -> list[int]:
    """The numbers of the connections over which the last mails came."""
    return [entry["connection"] for entry in sink.journal()[-mails:]]


def test_a_mail_arrives_as_it_was_composed(sink, smtp):
    content = CONTENT + b".\r\n..\r\n.hidden\r\nlast"

    reply = smtp.send(envelope(content=content), soon())

    assert reply.outcome is Outcome.ACCEPTED
    assert (reply.phase, reply.code, reply.enhanced) == (Phase.DOT, 250, "2.0.0")
    assert reply.spent
    assert not reply.slow_down
    assert sink.mails()[-1] == content + b"\r\n"
    assert sink.journal()[-1]["message_id"] == "<1@example.com>"


def test_a_recipient_who_is_refused_does_not_keep_the_mail_from_the_others(sink, smtp):
    reply = smtp.send(envelope("nobody@x.example", "a@x.example", "busy@x.example"), soon())

    assert reply.outcome is Outcome.ACCEPTED
    assert [(each.outcome, each.code) for each in reply.recipients] == [
        (Outcome.REJECTED, 550),
        (Outcome.ACCEPTED, 250),
        (Outcome.DEFERRED, 450),
    ]
    assert sink.journal()[-1]["recipients"] == {
        "nobody@x.example": 550,
        "a@x.example": 250,
        "busy@x.example": 450,
    }


@pytest.mark.parametrize(
    ("recipients", "outcome", "code"),
    [
        pytest.param(["nobody@x", "nobody@y"], Outcome.REJECTED, 550, id="all for good"),
        pytest.param(["nobody@x", "busy@x"], Outcome.DEFERRED, 450, id="one only for now"),
    ],
)
def test_a_mail_without_recipients_is_not_handed_over(sink, smtp, recipients, outcome, code):
    reply = smtp.send(envelope(*recipients), soon())
    after = smtp.send(envelope(), soon())

    assert (reply.outcome, reply.phase, reply.code) == (outcome, Phase.RCPT, code)
    assert reply.spent
    assert after.outcome is Outcome.ACCEPTED
    assert len(set(connections(sink, 2))) == 1


@pytest.mark.parametrize(
    ("recipient", "outcome", "code"),
    [
        pytest.param("spam@x", Outcome.REJECTED, 554, id="refused for good"),
        pytest.param("full@x", Outcome.DEFERRED, 451, id="put off"),
    ],
)
def test_a_refusal_after_the_dot_holds_for_all_who_were_taken(smtp, recipient, outcome, code):
    reply = smtp.send(envelope("nobody@x", recipient, "other@x"), soon())

    assert reply.outcome is outcome
    assert [each.code for each in reply.recipients] == [550, code, code]
    assert [each.outcome for each in reply.recipients] == [Outcome.REJECTED, outcome, outcome]


def test_a_connection_that_ends_after_the_dot_leaves_the_mail_unknown(sink, smtp):
    reply = smtp.send(envelope("lost@x", "nobody@x"), soon())

    assert (reply.outcome, reply.phase, reply.code) == (Outcome.UNKNOWN, Phase.DOT, None)
    assert [each.outcome for each in reply.recipients] == [Outcome.UNKNOWN, Outcome.REJECTED]
    assert sink.journal()[-1]["file"] is not None  # it did arrive, which nobody can know


def test_a_connection_that_ends_before_the_content_defers_the_mail(smtp):
    reply = smtp.send(envelope("cut@x"), soon())

    assert (reply.outcome, reply.phase, reply.spent) == (Outcome.DEFERRED, Phase.DATA, True)
    assert smtp.send(envelope(), soon()).outcome is Outcome.ACCEPTED


def test_a_busy_server_defers_the_mail_and_slows_the_account_down(smtp):
    reply = smtp.send(envelope(sender="unloved@example.com"), soon())

    assert (reply.outcome, reply.phase, reply.code) == (Outcome.DEFERRED, Phase.MAIL, 421)
    assert reply.slow_down
    assert reply.spent


def test_mails_share_a_connection_until_it_has_carried_its_share(sink):
    way_out = transport(sink.port, connection_messages=2)

    for _ in range(3):
        way_out.send(envelope(), soon())
    way_out.close()

    first, second, third = connections(sink, 3)
    assert first == second != third


@pytest.mark.parametrize(
    ("ahead", "kept"),
    [
        pytest.param(10, True, id="one that idled a little is asked, and kept"),
        pytest.param(61, False, id="one that idled long is not used again"),
    ],
)
def test_a_connection_is_kept_only_while_the_server_may_be_expected_to(sink, ahead, kept):
    clock = Clock()
    way_out = transport(sink.port, clock)

    way_out.send(envelope(), clock() + 10)
    clock.ahead = ahead
    way_out.send(envelope(), clock() + 10)
    way_out.close()

    before, after = connections(sink, 2)
    assert (before == after) is kept


def test_a_connection_in_steady_use_is_still_replaced_when_it_is_old(sink):
    clock = Clock()
    way_out = transport(sink.port, clock)

    for ahead in (0, 50, 100, 150, 200, 250, 301):
        clock.ahead = ahead
        way_out.send(envelope(), clock() + 10)
    way_out.close()

    *young, old = connections(sink, 7)
    assert len(set(young)) == 1
    assert old not in young


def test_a_connection_that_the_server_gave_up_is_replaced_before_mail_is_said():
    with SinkProcess("--idle", "0.2") as impatient:
        way_out = transport(impatient.port)
        way_out.send(envelope(), soon())
        time.sleep(0.4)
        reply = way_out.send(envelope(), soon())
        way_out.close()

        assert reply.outcome is Outcome.ACCEPTED
        assert connections(impatient, 2) == [1, 2]


def test_a_mail_is_not_begun_when_its_time_is_over(sink, smtp):
    smtp.ready()
    before = len(sink.journal())

    reply = smtp.send(envelope(), time.monotonic() - 0.001)

    assert (reply.outcome, reply.spent) == (Outcome.DEFERRED, False)
    assert "time for the final dot was over" in reply.text
    smtp.close()
    assert len(sink.journal()) == before


@pytest.mark.parametrize(
    ("arguments", "mail", "text"),
    [
        pytest.param(["--size", "1000"], envelope(content=b"x" * 1001), "at most 1000", id="size"),
        pytest.param(["--no-8bitmime"], envelope(content=b"\xff\r\n"), "8BITMIME", id="8 bit"),
        pytest.param(
            ["--no-smtputf8"], envelope("č@x.example", smtputf8=True), "SMTPUTF8", id="utf-8"
        ),
    ],
)
def test_a_mail_that_the_server_says_it_cannot_take_is_rejected_unsent(arguments, mail, text):
    with SinkProcess(*arguments) as narrow:
        way_out = transport(narrow.port)
        reply = way_out.send(mail, soon())
        fitting = way_out.send(envelope(), soon())
        way_out.close()

        assert (reply.outcome, reply.spent, reply.code) == (Outcome.REJECTED, False, None)
        assert text in reply.text
        assert fitting.outcome is Outcome.ACCEPTED


def test_8_bit_content_and_international_addresses_go_where_they_are_taken(sink, smtp):
    content = "Subject: Žiadosť\r\n\r\nDobrý deň\r\n".encode()

    reply = smtp.send(envelope("čaj@x.example", content=content, smtputf8=True), soon())

    assert reply.outcome is Outcome.ACCEPTED
    assert sink.mails()[-1] == content
    assert list(sink.journal()[-1]["recipients"]) == ["čaj@x.example"]


def test_a_server_that_turns_us_away_at_the_door_is_unavailable():
    with SinkProcess(faults=["closed:*:1"]) as shy:
        way_out = transport(shy.port)
        with pytest.raises(TransportUnavailable, match=r"greeting: 421 4\.3\.2 too busy"):
            way_out.ready()
        way_out.ready()
        way_out.close()


def test_a_port_where_nobody_listens_and_a_name_without_an_address_are_unavailable(sink):
    with SinkProcess() as gone:
        port = gone.port
    with pytest.raises(TransportUnavailable, match=r"connect: .*refused"):
        transport(port).ready()
    for name in ("no.such.host.invalid", "a..b", "x" * 70):
        with pytest.raises(TransportUnavailable, match="main is unavailable: connect: "):
            transport(sink.port, host=name).ready()
