"""Reports that servers are asked for (RFC 3461), and that they are known again."""

from __future__ import annotations

import pytest

from tests.support.kernel import make_settings, make_throttle
from tests.support.mail import envelope, soon, transport
from tests.support.office import Office
from tests.support.shared_database import shared_engine
from tests.support.sink import SinkProcess
from worker.core.dsn import Dsn
from worker.core.outcomes import Outcome
from worker.core.receipts import read_report

FAILURES = Dsn(("failure", "delay"), "headers")
REPORT = """\
From: MAILER-DAEMON@relay.example
To: {to}
Subject: Undelivered
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; relay.example
Original-Envelope-Id: {envelope_id}

Final-Recipient: rfc822; anna@firma.example
Action: failed
Status: 5.1.1

--b--
"""


@pytest.fixture(scope="module")
def sink():
    with SinkProcess("--dsn") as running:
        yield running


def asked(sink: SinkProcess) -> list[str]:
    return list(sink.journal()[-1]["dsn"])


def test_reports_are_asked_for_of_each_recipient(sink):
    mail = envelope("anna@x.example", "jana+a@x.example", envelope_id="17@firma.example")
    way_out = transport(sink.port, dsn=FAILURES)

    assert way_out.send(mail, soon()).outcome is Outcome.ACCEPTED
    way_out.close()

    assert asked(sink) == [
        "RET=HDRS ENVID=17@firma.example",
        "NOTIFY=FAILURE,DELAY ORCPT=rfc822;anna@x.example",
        "NOTIFY=FAILURE,DELAY ORCPT=rfc822;jana+2Ba@x.example",
    ]


def test_an_international_address_is_named_as_it_is(sink):
    way_out = transport(sink.port, dsn=FAILURES)

    assert way_out.send(envelope("jožo@x.example", smtputf8=True), soon()).outcome is (
        Outcome.ACCEPTED
    )
    way_out.close()

    assert asked(sink)[-1] == "NOTIFY=FAILURE,DELAY ORCPT=utf-8;jožo@x.example"


def test_nobody_is_to_be_told_of_anything(sink):
    way_out = transport(sink.port, dsn=Dsn(("never",)))

    way_out.send(envelope(envelope_id="17@firma.example"), soon())
    way_out.close()

    assert asked(sink) == ["NOTIFY=NEVER ORCPT=rfc822;to@example.com"]


def test_a_server_that_does_not_offer_it_is_not_asked():
    with SinkProcess() as plain:
        way_out = transport(plain.port, dsn=FAILURES)

        assert way_out.send(envelope(), soon()).outcome is Outcome.ACCEPTED
        way_out.close()


def test_a_report_that_brings_back_only_the_envelope_id_is_of_the_message(services, sink):
    services.flush_valkey()  # another database's tasks had the same numbers
    with shared_engine(services) as engine:
        throttle = make_throttle(engine, services.valkey_url(), make_settings())
        office = Office(engine, throttle, sink)
        task = office.task()
        made = office.released(task)
        with engine.begin() as connection:
            connection.exec_driver_sql(
                "INSERT INTO smtp_option (account_id, dsn, dsn_return)"
                " VALUES (%s, ARRAY['failure', 'delay'], 'headers')",
                (task.account_id,),
            )

        assert office.send(made).state == "sent"
        office.delivery.close()

        mark = asked(sink)[0].removeprefix("RET=HDRS ENVID=")
        report = read_report(REPORT.format(to="a@b", envelope_id=mark).encode(), "bounce.eml")
        assert report.message_id == office.row(made).message_id
