"""What may become an envelope, and the transport that only records."""

from __future__ import annotations

import pytest

from worker.transports import Envelope
from worker.transports.transaction import stuffed


@pytest.mark.parametrize(
    ("sender", "recipients", "content"),
    [
        pytest.param("a@x", (), b"", id="nobody to write to"),
        pytest.param("a@x", ("",), b"", id="a recipient without an address"),
        pytest.param("a@x\r\nRCPT TO:<b@y>", ("c@z",), b"", id="a command in the sender"),
        pytest.param("a@x", ("b@y> NOTIFY=NEVER",), b"", id="a parameter in a recipient"),
        pytest.param("a@x", ("č@y",), b"", id="an address beyond ASCII without SMTPUTF8"),
        pytest.param("a@x", ("b@y",), b"a\n.\r\nb", id="a bare LF, and a dot behind it"),
        pytest.param("a@x", ("b@y",), b"a\r.\r\nb", id="a bare CR"),
        pytest.param("a@x", ("b@y",), b"a\n\rb\r\n", id="a line end the wrong way round"),
    ],
)
def test_what_could_break_out_of_its_place_is_no_envelope(sender, recipients, content):
    with pytest.raises(ValueError, match=r"address|recipients|ASCII|bare"):
        Envelope(sender, recipients, content)


def test_the_null_sender_and_international_addresses_make_an_envelope():
    assert Envelope("", ("č@y",), b"a\r\n", smtputf8=True).sender == ""


@pytest.mark.parametrize(
    ("content", "wire"),
    [
        (b"a\r\n.\r\nb\r\n", b"a\r\n..\r\nb\r\n"),
        (b".a\r\n..b\r\n", b"..a\r\n...b\r\n"),
        (b"a.\r\nb", b"a.\r\nb\r\n"),
        (b"", b"\r\n"),
    ],
)
def test_no_line_of_the_content_can_be_the_final_dot(content, wire):
    assert stuffed(content) == wire
