"""Whatever is put into a letter comes out of it, for two readers that share no code with us."""

from __future__ import annotations

import email
import re
from datetime import UTC, datetime
from email import policy

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support import mime_reader
from worker.compose import AttachmentPart, Letter, compose, estimate_size
from worker.core.addresses import Address

LINE = st.text(
    st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=120
).filter(str.strip)
SLOVAK = st.text(
    "aáäbcčdďeéfghiíjkĺľlmnňoóôprŕsštťuúvyýzž ČŠŽ,.\"'?=_<>()@:;\\", min_size=1
).filter(str.strip)
ONE_LINE = st.one_of(SLOVAK, LINE)
BODY = st.one_of(
    st.text("aáčž .=\t\r\n", max_size=400),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=300),
)
FILE_NAME = ONE_LINE.map(lambda name: name.replace("/", "").replace("\\", "").strip()).filter(bool)
ANY = settings(max_examples=60, deadline=None, database=None)


def letter(**changes) -> Letter:
    fixed = {
        "message_id": "<7@firma.example>",
        "date": datetime(2026, 9, 1, 8, 30, tzinfo=UTC),
        "from_name": None,
        "from_address": Address("info", "firma.example", "firma.example"),
        "to": (Address("jan", "a.example", "a.example"),),
        "subject": "S",
        "text": "t",
    }
    return Letter(**{**fixed, **changes})


def by_library(octets: bytes):
    return email.message_from_bytes(octets, policy=policy.default)


def normalized(text: str) -> str:
    """Line ends as CRLF, and one at the end: all that composing may change of a text."""
    lines = re.sub(r"\r\n?|\n", "\n", text)
    return (lines if lines.endswith("\n") else lines + "\n").replace("\n", "\r\n")


def unspaced(text: str) -> str:
    return "".join(text.split())


@ANY
@given(ONE_LINE)
@example("=?utf-8?q?not_decoded?=")
@example("a  b")
@example("x" * 200)
@example("Faktúra č. 7 " + "žltý kôň " * 30)
def test_a_subject_is_read_as_it_was_written(subject):
    octets = compose(letter(subject=subject))

    assert mime_reader.read(octets).words("Subject") == subject.strip()
    assert by_library(octets)["Subject"] == subject.strip()
    assert all(len(line) <= 76 for line in octets.split(b"\r\n"))


@ANY
@given(st.lists(ONE_LINE.map(str.strip), min_size=1, max_size=4))
@example(["Novák, Ján", 'Ján "Jano" Novák', "Firma s.r.o.", "a\\b"])
def test_names_of_recipients_are_read_as_they_were_written(names):
    to = tuple(Address("a", "b.example", "b.example", name) for name in names)

    octets = compose(letter(to=to))

    expected = [(name, "a@b.example") for name in names]
    assert mime_reader.mailboxes(mime_reader.read(octets).raw("To")) == expected
    # Python 3.11 miscounts spaces in names: it merges them, and keeps one between encoded words.
    read = [(unspaced(a.display_name), a.addr_spec) for a in by_library(octets)["To"].addresses]
    assert read == [(unspaced(name), address) for name, address in expected]


@ANY
@given(BODY, BODY)
@example("From here\r\n.\r\n..\r\n trailing \r\n=", "x" * 2000)
@example("\r\r\n\n", "Привет мир " * 20)
def test_texts_are_read_as_they_were_written_save_their_line_ends(text, html):
    octets = compose(letter(text=text, html=html))

    ours, library = mime_reader.read(octets), by_library(octets)
    if text:
        assert ours.find("text/plain").text == normalized(text)
        assert normalized(library.get_body(["plain"]).get_content()) == normalized(text)
    assert ours.find("text/html").text == normalized(html)
    assert normalized(library.get_body(["html"]).get_content()) == normalized(html)


@ANY
@given(FILE_NAME, st.binary(max_size=500))
@example("faktúra č. 7.pdf", b"\r\n--=_\r\n.\r\n")
@example("ž" * 255, b"")
@example("100%.pdf", b"\0" * 60_000)
@example("it's; a=b.pdf", b"-")
def test_files_are_read_as_they_were_attached(name, content):
    octets = compose(letter(attachments=(AttachmentPart(name, "application/pdf", content),)))

    ours = mime_reader.read(octets).find("application/pdf")
    assert (ours.file_name, ours.content) == (name, content)
    (library,) = by_library(octets).iter_attachments()
    # Not get_filename(), which takes angle brackets off.
    read_name = library["Content-Disposition"].params["filename"]
    assert (read_name, library.get_content()) == (name, content)


@ANY
@given(
    ONE_LINE, st.one_of(st.none(), BODY), BODY, st.lists(FILE_NAME, max_size=2), st.integers(1, 3)
)
@example("😀" * 998, None, "<ul>" * 20 + "<li>a" * 20, ["😀" * 255] * 2, 3)
def test_a_message_is_never_larger_than_it_was_estimated(line, text, html, names, recipients):
    address = Address("a" * 64, "b.example", "b.example", line[:256])
    composed = letter(
        subject=line,
        text=text,
        html=html,
        to=(address,) * recipients,
        attachments=tuple(AttachmentPart(name, "a/b", b"x" * 999) for name in names),
        headers=(("X-Long", line[:998]),) * 2,
    )

    size = len(compose(composed))

    assert size <= estimate_size(text, html, [999] * len(names), recipients)


@ANY
@given(st.text("<>!-[]/abltdrpui&; ='\"\n", max_size=200))
@example("<![x]>")
@example("<![if !mso]><table><tr><td>a</table><![endif]>")
@example("<ol start='x'><li>a")
def test_no_html_keeps_a_message_from_being_composed(html):
    mime_reader.read(compose(letter(text=None, html=html)))
