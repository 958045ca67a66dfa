"""A letter as the octets that a server is given."""

from __future__ import annotations

import tracemalloc
import uuid
from datetime import UTC, datetime

import pytest

from tests.support.mime_reader import mailboxes, parameters, read
from worker.compose import (
    AttachmentPart,
    Letter,
    compose,
    needs_smtputf8,
    new_message_id,
)
from worker.core.addresses import AddressError, parse_address
from worker.core.content import ContentError

LOGO = AttachmentPart("logo.png", "image/png", b"\x89PNG", content_id="logo@firma")
INVOICE = AttachmentPart("faktúra.pdf", "application/pdf", b"%PDF")


def letter(**changes) -> Letter:
    fixed = {
        "message_id": "<7@firma.example>",
        "date": datetime(2026, 9, 1, 8, 30, tzinfo=UTC),
        "from_name": "Firma, s.r.o.",
        "from_address": parse_address("info@firma.example"),
        "to": (parse_address("Ján Novák <jan@a.example>"),),
        "subject": "Faktúra č. 7",
        "text": "Dobrý deň",
    }
    return Letter(**{**fixed, **changes})


def outline(part) -> object:
    """The tree of media types."""
    if not part.parts:
        return part.media_type
    return {part.media_type: [outline(child) for child in part.parts]}


def test_a_plain_letter_is_these_octets():
    assert compose(letter()) == (
        b"Date: Tue, 01 Sep 2026 08:30:00 +0000\r\n"
        b'From: "Firma, s.r.o." <info@firma.example>\r\n'
        b"To: =?utf-8?b?SsOhbiBOb3bDoWs=?= <jan@a.example>\r\n"
        b"Subject: =?utf-8?b?RmFrdMO6cmEgxI0uIDc=?=\r\n"
        b"Message-ID: <7@firma.example>\r\n"
        b"Auto-Submitted: auto-generated\r\n"
        b"MIME-Version: 1.0\r\n"
        b"Content-Type: text/plain; charset=utf-8\r\n"
        b"Content-Transfer-Encoding: quoted-printable\r\n"
        b"\r\n"
        b"Dobr=C3=BD de=C5=88\r\n"
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param(
            {"html": "<p>a</p>"},
            {"multipart/alternative": ["text/plain", "text/html"]},
            id="text and HTML",
        ),
        pytest.param(
            {"attachments": (INVOICE,)},
            {"multipart/mixed": ["text/plain", "application/pdf"]},
            id="text and a file",
        ),
        pytest.param(
            {"attachments": (LOGO,)},
            {"multipart/mixed": ["text/plain", "image/png"]},
            id="a picture with no HTML to show it is a file",
        ),
        pytest.param(
            {"html": "<img src='cid:logo@firma'>", "attachments": (INVOICE, LOGO)},
            {
                "multipart/mixed": [
                    {
                        "multipart/related": [
                            {"multipart/alternative": ["text/plain", "text/html"]},
                            "image/png",
                        ]
                    },
                    "application/pdf",
                ]
            },
            id="everything",
        ),
        pytest.param(
            {"text": None, "html": "<img src='cid:logo@firma'>", "attachments": (LOGO,)},
            {"multipart/related": ["text/html", "image/png"]},
            id="HTML with nothing to read has no text part",
        ),
    ],
)
def test_a_letter_has_only_the_levels_it_needs(changes, expected):
    assert outline(read(compose(letter(**changes)))) == expected


def test_a_picture_is_found_by_the_id_that_the_html_names():
    message = read(compose(letter(html="<img src='cid:logo@firma'>", attachments=(LOGO,))))

    picture = message.find("image/png")
    assert picture.raw("Content-ID") == "<logo@firma>"
    assert picture.raw("Content-Disposition").startswith("inline;")
    assert parameters(message.raw("Content-Type"))["type"] == "multipart/alternative"


def test_html_alone_is_sent_with_a_text_derived_from_it():
    html = "<h1>Ponuka</h1><p>Cena je <b>5 €</b>, viac <a href='https://firma.sk/p'>tu</a>.</p>"

    message = read(compose(letter(text=None, html=html)))

    assert message.find("text/plain").text == (
        "# Ponuka\r\n\r\nCena je **5 €** , viac [tu](https://firma.sk/p).\r\n"
    )


def test_html_that_the_library_cannot_read_only_loses_its_tags():
    html = "<style>p{}</style><![x y]><p>Dobrý&nbsp;deň</p>" + "<ul>" * 50 + "<li>a" * 50

    text = read(compose(letter(text=None, html=html))).find("text/plain").text

    assert text.startswith("Dobrý\xa0deň")
    assert "<" not in text


def test_cyrillic_is_sent_in_base64_and_slovak_in_quoted_printable():
    def encoding(text):
        return read(compose(letter(text=text))).raw("Content-Transfer-Encoding")

    assert encoding("Žltý kôň " * 50) == "quoted-printable"
    assert encoding("Приветмир" * 50) == "base64"


def test_hidden_recipients_leave_no_trace():
    message = read(compose(letter(to=())))

    assert message.raw("To") == "undisclosed-recipients:;"
    assert not message.has("Bcc")


def test_a_letter_with_copies_only_shows_them():
    message = read(compose(letter(to=(), cc=(parse_address("eva@b.example"),))))

    assert not message.has("To")
    assert mailboxes(message.raw("Cc")) == [("", "eva@b.example")]


def test_everything_asked_for_is_in_the_header():
    message = read(
        compose(
            letter(
                from_name=None,
                from_address=parse_address("Účtovníctvo <uct@firma.example>"),
                reply_to=(parse_address("obchod@firma.example"),),
                list_unsubscribe=("https://firma.example/o",),
                headers=(("X-Cislo", "7"), ("References", "<1@a.example>")),
                bulk=True,
                redirected_from=("jan@a.example", "ján@b.example"),
            )
        )
    )

    assert mailboxes(message.raw("From")) == [("Účtovníctvo", "uct@firma.example")]
    assert message.raw("Reply-To") == "obchod@firma.example"
    assert message.raw("List-Unsubscribe") == "<https://firma.example/o>"
    assert message.raw("List-Unsubscribe-Post") == "List-Unsubscribe=One-Click"
    assert message.raw("Precedence") == "bulk"
    assert message.raw("Auto-Submitted") == "auto-generated"
    assert message.words("X-Kadencia-Redirected-From") == "jan@a.example, ján@b.example"
    assert (message.raw("X-Cislo"), message.raw("References")) == ("7", "<1@a.example>")


def test_the_same_letter_is_the_same_octets_and_another_has_other_boundaries():
    def octets(message_id):
        return compose(letter(message_id=message_id, html="<p>a", attachments=(INVOICE,)))

    assert octets("<1@a.example>") == octets("<1@a.example>")
    boundary = parameters(read(octets("<1@a.example>")).raw("Content-Type"))["boundary"]
    assert boundary.encode() not in octets("<2@a.example>")


def test_only_a_local_part_outside_ascii_makes_a_letter_need_smtputf8():
    wide = letter(cc=(parse_address("Ján <ján@kôň.sk>"),))

    assert not needs_smtputf8(letter())
    assert compose(letter()).isascii()
    assert needs_smtputf8(wide)
    assert mailboxes(read(compose(wide)).raw("Cc")) == [("Ján", "ján@xn--k-xga6w.sk")]


def test_a_large_attachment_is_not_held_many_times_over():
    content = bytes(range(256)) * 8_192
    large = letter(attachments=(AttachmentPart("a.bin", "application/octet-stream", content),))

    tracemalloc.start()
    try:
        octets = compose(large)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert read(octets).find("application/octet-stream").content == content
    assert len(content) + peak < 3 * len(content)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"name": "a\r\nb"}, r"U\+000D", id="a line break in the name"),
        pytest.param({"name": "../a.pdf"}, "no file name", id="a folder"),
        pytest.param({"name": "C:\\a.pdf"}, "no file name", id="a folder on Windows"),
        pytest.param({"name": " "}, "no file name", id="no name"),
        pytest.param({"name": "a" * 256}, "more than 255", id="too long a name"),
        pytest.param({"media_type": "pdf"}, "malformed type", id="half a type"),
        pytest.param({"media_type": "a/b\r\nX: y"}, "malformed type", id="a header of its own"),
        pytest.param({"media_type": "message/rfc822"}, "use application/oct", id="a message"),
        pytest.param({"content_id": "<a>"}, "malformed Content-ID", id="brackets in the id"),
        pytest.param({"content_id": ""}, "malformed Content-ID", id="an empty id"),
        pytest.param({"content_id": "a" * 201}, "malformed Content-ID", id="too long an id"),
    ],
)
def test_a_file_that_cannot_be_attached_is_refused(changes, words):
    with pytest.raises(ContentError, match=words):
        AttachmentPart(**{"name": "a.csv", "media_type": "text/csv", "content": b"", **changes})


def test_a_text_file_may_say_its_charset():
    file = AttachmentPart("a.csv", "text/csv; charset=windows-1250", "č".encode("cp1250"))

    part = read(compose(letter(attachments=(file,)))).find("text/csv")

    assert part.text == "č"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        pytest.param({"subject": "a\nb"}, ContentError, id="a line break in the subject"),
        pytest.param({"text": None}, ContentError, id="nothing to say"),
        pytest.param({"text": "a\0"}, ContentError, id="a NUL in the text"),
        pytest.param({"html": "\ud800"}, ContentError, id="a surrogate in the HTML"),
        pytest.param({"date": datetime(2026, 9, 1)}, ValueError, id="no time zone"),  # noqa: DTZ001
        pytest.param({"message_id": "7@a.example"}, ValueError, id="no angle brackets"),
        pytest.param({"message_id": f"<{'7' * 500}@a>"}, ValueError, id="too long an id"),
    ],
)
def test_a_letter_that_cannot_be_sent_cannot_be_made(changes, error):
    with pytest.raises(error):
        letter(**changes)


def test_what_a_letter_says_is_not_in_its_repr():
    shown = repr(letter(text="tajomstvo", html="tajomstvo", attachments=(INVOICE,)))

    assert "tajomstvo" not in shown
    assert "%PDF" not in shown


def test_a_message_id_is_of_the_senders_domain():
    assert new_message_id("Kôň.sk", uuid.UUID(int=255)) == f"<{255:032x}@xn--k-xga6w.sk>"
    with pytest.raises(AddressError):
        new_message_id("a b", uuid.UUID(int=1))
