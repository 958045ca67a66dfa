"""Reading bounces as mail systems write them."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.states import RecipientState
from tests.support.bounces import EXCHANGE, GMAIL, ORIGINAL, acted, bounce, failed
from worker.core.receipts import Action, Receipt, Report, ReportError, read_report
from worker.core.report_parts import _decoded, _groups
from worker.outbox.receipts import settled_by

R = RecipientState
POSTFIX = bounce(failed("anna@ina.example"))
STATUS = POSTFIX[POSTFIX.index(b"Reporting-MTA") : POSTFIX.index(b"User unknown") + 13]


def read(octets: bytes) -> Report:
    return read_report(octets, "bounce.eml")


def only(octets: bytes) -> Receipt:
    (receipt,) = read(octets).receipts
    return receipt


@pytest.mark.parametrize(
    ("octets", "address", "action", "status", "begins"),
    [
        pytest.param(
            POSTFIX,
            "anna@ina.example",
            Action.FAILED,
            "5.1.1",
            "550 5.1.1 <anna@ina.example>: Recipient address rejected: User unknown",
            id="Postfix, with the mail",
        ),
        pytest.param(
            EXCHANGE,
            "eva@ina.example",
            Action.FAILED,
            "5.1.10",
            "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient eva@ina.example not found",
            id="Exchange, with nothing of the mail",
        ),
        pytest.param(
            GMAIL,
            "jan@velka-posta.example",
            Action.DELAYED,
            "4.2.2",
            "452-4.2.2 The recipient's inbox is out of storage space. 452 4.2.2 Please",
            id="Gmail, with the headers of the mail",
        ),
    ],
)
def test_a_report_says_of_which_mail_and_what_became_of_whom(
    octets, address, action, status, begins
):
    report = read(octets)

    (receipt,) = report.receipts
    assert report.message_id == ORIGINAL
    assert (receipt.addresses, receipt.action, receipt.status) == ((address,), action, status)
    assert (receipt.diagnostic or "").startswith(begins)
    assert report.reporting_mta


def test_each_recipient_has_a_receipt_of_its_own():
    report = read(bounce(failed("a@ina.example"), acted("b@ina.example", "delivered")))

    assert [(one.addresses[0], one.action) for one in report.receipts] == [
        ("a@ina.example", Action.FAILED),
        ("b@ina.example", Action.DELIVERED),
    ]


def test_recipients_are_told_apart_even_without_a_blank_line_between_them():
    report = read(bounce(failed("a@ina.example") + "\n" + failed("b@ina.example")))

    assert [one.addresses[0] for one in report.receipts] == ["a@ina.example", "b@ina.example"]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param("rfc822; anna+2Bx@ina.example", "anna+x@ina.example", id="xtext"),
        pytest.param("rfc822;<anna@ina.example>", "anna@ina.example", id="in angle brackets"),
        pytest.param("anna@ina.example", "anna@ina.example", id="without its type"),
        pytest.param(r"utf-8; j\x{E1}n@ina.example", "ján@ina.example", id="escaped Unicode"),
        pytest.param("utf-8; ján@ina.example", "ján@ina.example", id="plain Unicode"),
    ],
)
@pytest.mark.parametrize("kind", ["message/delivery-status", "message/global-delivery-status"])
def test_an_address_is_read_in_each_of_its_forms(fields, expected, kind):
    group = f"Final-Recipient: {fields}\nAction: failed\nStatus: 5.1.1"

    assert expected in only(bounce(group, kind=kind)).addresses


@pytest.mark.parametrize(
    ("fields", "action", "status"),
    [
        pytest.param("Status: 5.1.1 (bad mailbox)", "failed", "5.1.1", id="no action"),
        pytest.param("Action: FAILED (for good)\nStatus: 5.7.1", "failed", "5.7.1", id="a comment"),
        pytest.param("Action: failed", "failed", None, id="no status"),
        pytest.param("Action: vymazané\nStatus: 4.4.1", "delayed", "4.4.1", id="a word unheard of"),
        pytest.param(
            "Action: failed\nStatus: 5.0.0\nDiagnostic-Code: smtp; 550-5.1.1 no such user",
            "failed",
            "5.1.1",
            id="a vague status and a clear reply",
        ),
        pytest.param("Action: failed\nStatus: 5.01.010", "failed", "5.1.10", id="leading zeros"),
    ],
)
def test_what_was_done_is_read_from_what_there_is(fields, action, status):
    receipt = only(bounce("Final-Recipient: rfc822; anna@ina.example\n" + fields))

    assert (receipt.action, receipt.status) == (action, status)


@pytest.mark.parametrize("kind", [b"message/delivery-status", b"message/global-delivery-status"])
def test_a_status_in_base64_is_read_although_no_standard_allows_it(kind):
    encoded = base64.encodebytes(STATUS)
    octets = POSTFIX.replace(STATUS, encoded).replace(
        b"message/delivery-status", kind + b"\nContent-Transfer-Encoding: base64"
    )

    assert only(octets).diagnostic == only(POSTFIX).diagnostic


def test_a_report_that_was_forwarded_as_an_attachment_is_found():
    octets = (
        b"From: eva@firma.example\nContent-Type: multipart/mixed; boundary=x\n\n"
        b"--x\nContent-Type: text/plain\n\nPozri\n--x\nContent-Type: message/rfc822\n\n"
        + POSTFIX
        + b"\n--x--\n"
    )

    assert read(octets).message_id == ORIGINAL


def test_a_mail_with_other_mails_attached_is_no_report():
    octets = (
        b"From: eva@firma.example\nContent-Type: multipart/mixed; boundary=x\n\n"
        b"--x\nContent-Type: message/rfc822\n\nFrom: a@b.example\n\nAhoj\n--x--\n"
    )

    with pytest.raises(ReportError):
        read(octets)


@pytest.mark.parametrize(
    ("text", "encoding", "read"),
    [
        pytest.param("abc", "base64", "abc", id="no base64 is read as it stands"),
        pytest.param("YQ==", "base64", "a", id="base64"),
        pytest.param("a=20b", "quoted-printable", "a b", id="quoted-printable"),
        pytest.param("a=20b", "7bit", "a=20b", id="nothing to decode"),
    ],
)
def test_a_status_part_is_decoded_as_it_says(text, encoding, read):
    assert _decoded(text, encoding) == read


def test_a_continuation_of_nothing_is_passed_over():
    assert list(_groups(" of what?\nAction: failed\n")) == [{"action": "failed"}]


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param("Action: failed\nno field at all\n", id="what is no field"),
        pytest.param("Action: failed\nAction: delivered\n and more\n", id="a doubled field"),
    ],
)
def test_lines_that_say_nothing_are_passed_over(lines):
    assert list(_groups(lines)) == [{"action": "failed"}]


def test_recipients_of_whom_nothing_is_said_have_no_receipt():
    silent = "Final-Recipient: rfc822; b@ina.example", "Action: failed\nStatus: 5.1.1"

    report = read(bounce(failed("a@ina.example"), *silent))

    assert [one.addresses[0] for one in report.receipts] == ["a@ina.example"]


def test_the_report_in_a_mail_that_bounced_itself_is_not_taken_for_it():
    inner = bounce(failed("inner@ina.example"), message_id="<inner@firma.example>").decode()
    inner = inner.replace("4C3D", "5D4E").replace("<20261124", ORIGINAL[:-1] + ".not")
    returned = f"Content-Type: message/rfc822\n\nMessage-ID: {ORIGINAL}\n{inner}"

    report = read(bounce(failed("outer@ina.example"), returned=returned))

    assert report.message_id == ORIGINAL
    assert [one.addresses[0] for one in report.receipts] == ["outer@ina.example"]


def test_what_is_kept_of_a_report_holds_no_control_characters_and_an_end():
    group = failed("anna@ina.example", words="\x1b[2J\x00zle " + "a" * 50_000)

    receipt = only(bounce(group))

    assert receipt.diagnostic is not None
    assert receipt.diagnostic.isprintable()
    assert len(receipt.diagnostic) <= 2_000


def test_the_way_by_which_a_report_came_does_not_make_it_another():
    again = b"Received: from elsewhere.firma.example\r\n" + POSTFIX.replace(b"\n", b"\r\n")

    assert only(again).digest == only(POSTFIX).digest
    other = bounce(failed("anna@ina.example"), report_id="<2@relay.firma.example>")
    assert only(other).digest != only(POSTFIX).digest


@pytest.mark.parametrize(
    ("octets", "says"),
    [
        pytest.param(b"", "is no e-mail", id="nothing"),
        pytest.param(b"From: a@b.example\n\nAhoj", "holds no part message/deliv", id="a letter"),
        pytest.param(
            b"Content-Type: multipart/report; report-type=disposition-notification;"
            b" boundary=x\n\n--x--\n",
            "is no bounce but a note that a mail was read",
            id="a note that it was read",
        ),
        pytest.param(bounce(), "names no recipient", id="nobody is named"),
        pytest.param(
            bounce(failed("a@b.example"), returned=""), "does not say which mail", id="no mail"
        ),
        pytest.param(b"a: b\n" + b"x" * 100_000_001, "is larger than", id="too much"),
    ],
)
def test_what_is_of_no_use_is_refused_with_a_reason(octets, says):
    with pytest.raises(ReportError) as refused:
        read(octets)

    assert str(refused.value).startswith("bounce.eml: ")
    assert says in str(refused.value)


def test_parts_within_parts_without_end_are_refused():
    octets = b""
    for number in range(3_000):
        octets += b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (number, number)

    with pytest.raises(ReportError):
        read(octets)


def test_a_charset_that_can_decode_no_text_is_no_matter():
    octets = POSTFIX.replace(b"charset=us-ascii", b"charset=idna").replace(b"I'm", b"\xff'm")

    assert read(octets).message_id == ORIGINAL


@given(st.binary(max_size=500))
def test_no_octets_are_more_than_refused(octets):
    with pytest.raises(ReportError):
        read(octets)


@given(
    st.sampled_from([POSTFIX, EXCHANGE, GMAIL]),
    st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 40), st.binary(max_size=20))),
)
def test_a_report_that_was_damaged_is_read_or_refused(octets, damages):
    for at, length, put in damages:
        octets = octets[:at] + put + octets[at + length :]

    try:
        report = read(octets)
    except ReportError:
        return
    assert report.receipts
    for receipt in report.receipts:
        "".join([report.message_id, *receipt.addresses, receipt.words]).encode()


def test_a_report_that_brings_back_the_envelope_id_alone_says_which_mail_it_is_about():
    bare = ORIGINAL.strip("<>").encode()
    whole = b"Original-Envelope-Id: " + bare + b"\nReporting-MTA"

    octets = bounce(failed("anna@ina.example"), returned="").replace(b"Reporting-MTA", whole, 1)

    assert read(octets).message_id == ORIGINAL


def test_nobody_can_ever_be_reached_at_an_address_that_does_not_exist():
    assert only(bounce(failed("anna@ina.example"))).no_such_address


@pytest.mark.parametrize(
    ("action", "state", "doubt", "arrived", "becomes"),
    [
        pytest.param("failed", R.UNKNOWN, False, False, R.UNDELIVERED, id="it had gone"),
        pytest.param("failed", R.SENT, False, False, R.UNDELIVERED, id="it bounced"),
        pytest.param("failed", R.PENDING, False, False, R.UNDELIVERED, id="before a resend"),
        pytest.param("failed", R.PENDING, True, False, R.PENDING, id="during a resend"),
        pytest.param("failed", R.DELIVERED, False, False, R.UNDELIVERED, id="after relaying"),
        pytest.param("failed", R.DELIVERED, False, True, R.DELIVERED, id="after delivery"),
        pytest.param("failed", R.FAILED, False, False, R.FAILED, id="it was refused as well"),
        pytest.param("delivered", R.UNKNOWN, False, False, R.DELIVERED, id="it arrived"),
        pytest.param("relayed", R.SENT, False, False, R.DELIVERED, id="it was relayed"),
        pytest.param("expanded", R.SENT, False, False, R.DELIVERED, id="it reached a list"),
        pytest.param("delivered", R.FAILED, False, False, R.DELIVERED, id="an earlier one arrived"),
        pytest.param("delivered", R.SUPPRESSED, False, False, R.SUPPRESSED, id="barred since"),
        pytest.param("delayed", R.UNKNOWN, False, False, R.UNKNOWN, id="it is late"),
    ],
)
def test_a_receipt_settles_what_it_proves(action, state, doubt, arrived, becomes):
    assert settled_by(Action(action), state, in_doubt=doubt, arrived=arrived) is becomes
