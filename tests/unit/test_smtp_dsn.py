"""How reports are asked for: what goes together, and what may stand in a parameter."""

from __future__ import annotations

import re

import pytest

from worker.core.dsn import LONGEST_ENVID, LONGEST_ORCPT, Dsn, read_notify, unitext, xtext


@pytest.mark.parametrize(
    ("notify", "returned"),
    [
        pytest.param((), None, id="nothing"),
        pytest.param(("never", "failure"), None, id="never and something else"),
        pytest.param(("always",), None, id="an event that is none"),
        pytest.param(("failure",), "body", id="a part that cannot come back"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(notify, returned):
    with pytest.raises(ValueError, match="a report can"):
        Dsn(notify, returned)


def test_a_list_of_events_is_put_in_order_and_read_in_any_case():
    assert read_notify("SUCCESS, failure") == ("failure", "success")
    assert read_notify("never") == ("never",)
    with pytest.raises(ValueError, match="a report can be asked of"):
        read_notify("failure,sometimes")


def test_what_is_not_known_is_left_out():
    assert Dsn(("failure",)).of_mail(None) == ""
    assert Dsn(("failure",), "full").of_mail(None) == " RET=FULL"
    assert Dsn(("never",), "full").of_mail("1@x") == ""


def test_what_is_longer_than_allowed_is_left_out():
    assert "ENVID" in Dsn(("failure",)).of_mail("1" * LONGEST_ENVID)
    assert "ENVID" not in Dsn(("failure",)).of_mail("1" * LONGEST_ENVID + "1")
    assert "ORCPT" not in Dsn(("failure",)).of_recipient("+" * LONGEST_ORCPT)


def test_every_character_of_ascii_survives_as_xtext():
    for number in range(128):
        text = xtext(chr(number))

        assert re.fullmatch(r"[!-*,-<>-~]|\+[0-9A-F]{2}", text)
        assert chr(int(text[1:], 16) if len(text) == 3 else ord(text)) == chr(number)


def test_an_international_address_keeps_its_letters_and_hides_what_would_end_it():
    assert unitext("žofia b@x") == r"žofia\x{20}b@x"
    assert unitext("a\\=b") == r"a\x{5C}\x{3D}b"
