"""E-mails to a real exim4: encryption, log-ins, refusals, reports, and a whole delivery."""

from __future__ import annotations

import email
from dataclasses import replace
from typing import Any

import pytest

from tests.support.certificates import Authority
from tests.support.exim import PASSWORD, PER_CONNECTION, USER, EximServer
from tests.support.kernel import make_delivery, make_settings, make_throttle
from tests.support.mail import CONTENT, envelope, soon
from tests.support.office import Office
from tests.support.rows import make_body
from tests.support.services import service_directory
from tests.support.shared_database import shared_engine
from worker.core.dsn import Dsn
from worker.core.outcomes import Outcome
from worker.core.receipts import Action, read_report
from worker.errors import AuthenticationFailed, TransportUnavailable
from worker.transports.smtp import SmtpSettings, SmtpTransport
from worker.vault import Vault, new_key


@pytest.fixture(scope="module")
def directory():
    with service_directory() as path:
        yield path


@pytest.fixture(scope="module")
def authority(directory):
    return Authority(directory)


@pytest.fixture(scope="module")
def exim(directory, authority):
    with EximServer(directory / "exim", authority) as running:
        yield running


@pytest.fixture(scope="module")
def strict(directory, authority):
    """One that demands a log-in."""
    with EximServer(directory / "strict", authority, log_in=True) as running:
        yield running


@pytest.fixture
def way_out(exim, authority):
    transport = SmtpTransport(settings_of(exim, authority))
    yield transport
    transport.close()


def settings_of(server: EximServer, authority: Authority, **more: Any) -> SmtpSettings:
    known = SmtpSettings(
        name="exim",
        host="127.0.0.1",
        port=server.port,
        security="starttls",
        ca_file=str(authority.ca),
        helo_name="client.example",
        command_timeout=10.0,
    )
    return replace(known, **more)


@pytest.mark.parametrize("security", ["starttls", "tls"])
@pytest.mark.parametrize("mechanism", ["plain", "login", "cram-md5", None])
def test_a_mail_goes_out_encrypted_after_a_log_in(strict, authority, security, mechanism):
    mailbox = f"{security}-{mechanism}"
    way_out = SmtpTransport(
        settings_of(
            strict,
            authority,
            security=security,
            port=strict.port if security == "starttls" else strict.tls_port,
            username=USER,
            password=PASSWORD,
            log_in=mechanism,
        )
    )

    reply = way_out.send(envelope(f"{mailbox}@firma.example"), soon())
    way_out.close()

    assert reply.outcome is Outcome.ACCEPTED
    [mail] = strict.mails(mailbox)
    assert mail.endswith(b"\n\nGood day.\n")
    by = {None: "plain", "cram-md5": "cram"}.get(mechanism, mechanism)
    assert f"A={by}:{USER}" in strict.said()


def test_without_encryption_only_what_hides_the_password_is_offered_and_used(strict, authority):
    settings = settings_of(strict, authority, security="none", username=USER, password=PASSWORD)
    way_out = SmtpTransport(settings)

    assert way_out.send(envelope("clear@firma.example"), soon()).outcome is Outcome.ACCEPTED
    way_out.close()

    with pytest.raises(AuthenticationFailed, match="offers CRAM-MD5, and this account can use"):
        SmtpTransport(replace(settings, log_in="plain")).ready()


@pytest.mark.parametrize("mechanism", ["plain", "login", "cram-md5"])
def test_a_wrong_password_is_refused_in_its_own_words(strict, authority, mechanism):
    settings = settings_of(strict, authority, username=USER, password="wrong-one")

    with pytest.raises(AuthenticationFailed, match="auth: 535 Incorrect authentication") as failed:
        SmtpTransport(replace(settings, log_in=mechanism)).ready()

    assert "wrong-one" not in str(failed.value)


def test_a_server_that_wants_a_log_in_does_not_make_the_mail_fail_for_good(strict, authority):
    way_out = SmtpTransport(settings_of(strict, authority))

    reply = way_out.send(envelope("anna@firma.example"), soon())
    way_out.close()

    assert (reply.outcome, reply.code, reply.slow_down) == (Outcome.DEFERRED, 530, True)


def test_a_certificate_of_an_authority_that_is_not_known_is_refused(exim, authority):
    settings = settings_of(exim, authority, ca_file=None)

    with pytest.raises(TransportUnavailable, match="certificate verify failed"):
        SmtpTransport(settings).ready()


def test_each_recipient_has_its_own_answer(exim, way_out):
    people = ("anna@firma.example", "later@firma.example", "nobody@firma.example")

    reply = way_out.send(envelope(*people), soon())

    assert [(one.outcome.value, one.code, one.enhanced) for one in reply.recipients] == [
        ("accepted", 250, None),
        ("deferred", 451, "4.2.1"),
        ("rejected", 550, "5.1.1"),
    ]
    assert exim.mails("anna")


def test_content_arrives_as_it_was_whatever_lines_begin_with_a_dot(exim, way_out):
    body = ".\r\n..two\r\n.three\r\n\r\nžluťoučký kůň\r\n".encode() + b"x" * 990 + b"\r\n.\r\n"
    mail = envelope("dots@firma.example", content=CONTENT + body)

    assert way_out.send(mail, soon()).outcome is Outcome.ACCEPTED

    [arrived] = exim.mails("dots")
    assert arrived.endswith((CONTENT + body).replace(b"\r\n", b"\n"))


def test_a_connection_that_may_carry_no_more_is_replaced_by_a_fresh_one(exim, way_out):
    outcomes = [
        way_out.send(envelope("many@firma.example"), soon()).outcome
        for _ in range(PER_CONNECTION + 2)
    ]

    assert set(outcomes) == {Outcome.ACCEPTED}
    assert len(exim.mails("many", PER_CONNECTION + 2)) == PER_CONNECTION + 2
    assert "too many messages in one connection" in exim.said()


def test_an_answer_that_takes_its_time_is_waited_for(exim, way_out):
    assert way_out.send(envelope("slow@firma.example"), soon()).outcome is Outcome.ACCEPTED

    assert len(exim.mails("slow")) == 1


def test_a_server_that_hangs_up_before_the_content_has_taken_nothing(exim, way_out):
    reply = way_out.send(envelope("cut@firma.example"), soon())

    assert (reply.outcome, reply.code) == (Outcome.REJECTED, 554)
    assert way_out.send(envelope("after@firma.example"), soon()).outcome is Outcome.ACCEPTED
    assert exim.mails("after")


def test_a_report_that_was_asked_for_comes_and_names_the_mail(exim, authority):
    way_out = SmtpTransport(settings_of(exim, authority, dsn=Dsn(("success",), "headers")))
    mail = envelope(
        "jana+a@firma.example", sender="bounces@ruza.example", envelope_id="1+7@ruza.example"
    )

    assert way_out.send(mail, soon()).outcome is Outcome.ACCEPTED
    way_out.close()

    [octets] = exim.mails("bounces")
    report = read_report(octets, "report.eml")
    assert report.envelope_id == "1+7@ruza.example"
    assert report.message_id == "<1@example.com>"
    [receipt] = report.receipts
    assert receipt.action in (Action.DELIVERED, Action.RELAYED)
    assert "jana+a@firma.example" in receipt.addresses


def test_a_whole_delivery_goes_through_it(services, exim, strict, authority):
    services.flush_valkey()  # another database's tasks had the same numbers
    vault = Vault([new_key()])
    account = {
        "port": strict.tls_port,
        "security": "tls",
        "ca_file": str(authority.ca),
        "username": USER,
        "password": vault.seal(PASSWORD),
    }
    with shared_engine(services) as engine:
        throttle = make_throttle(engine, services.valkey_url(), make_settings())
        office = Office(engine, throttle, exim)  # type: ignore[arg-type]  only its port is used
        office.delivery = make_delivery(engine, throttle, office.settings, vault)
        task = office.task(account=account, envelope_sender="bounces@ruza.example")
        with engine.begin() as connection:
            body = make_body(connection, text="Dobrý deň,\n.bodka na začiatku\nDovidenia")
        people = ["celá@firma.example", "later@firma.example", "nobody@firma.example"]
        made = office.released(task, to=people, body_id=body)

        row = office.send(made)
        office.delivery.close()

        assert (row.state, row.attempts) == ("ready", 1)
        assert office.recipients(made) == ["sent", "pending", "failed"]
        [octets] = strict.mails("celá")
        mail = email.message_from_bytes(octets)
        assert mail["Message-ID"] == row.message_id
        [text] = [part for part in mail.walk() if part.get_content_type() == "text/plain"]
        content = text.get_payload(decode=True)
        assert isinstance(content, bytes)
        assert content.decode().splitlines() == ["Dobrý deň,", ".bodka na začiatku", "Dovidenia"]
