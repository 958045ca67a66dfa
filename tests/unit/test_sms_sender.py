"""Who an SMS may come from, by the gateway's rules."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.core.content import ContentError
from worker.core.sms_sender import check_sender


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("RZi", id="a short name"),
        pytest.param("A", id="one letter"),
        pytest.param("Firma s.r.o", id="eleven characters"),
        pytest.param("E-shop 24", id="a hyphen, a space and digits"),
        pytest.param("24h", id="digits first"),
        pytest.param("-a.", id="a mark at either end"),
        pytest.param("1234567", id="a number of seven digits"),
        pytest.param("421903622237", id="a number in full"),
        pytest.param("123456789012345", id="a number of fifteen digits"),
    ],
)
def test_a_name_or_a_full_number_stays_as_it_is(text):
    assert check_sender(text) == text


def test_a_number_loses_its_plus():
    assert check_sender("+421903622237") == "421903622237"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("", "is blank; give a name or a number", id="nothing"),
        pytest.param(" \t", "is blank", id="blanks"),
        pytest.param(" Firma", "has a blank at an end; write 'Firma'", id="a blank before"),
        pytest.param("Firma\n", "has a blank at an end; write 'Firma'", id="a line break after"),
        pytest.param(
            "Kôň", "'ô' at position 2, which may cost the delivery; write 'Kon'", id="accents"
        ),
        pytest.param(
            "Café", "'é' at position 4, which may cost the delivery; write 'Cafe'", id="GSM's own"
        ),
        pytest.param(
            "Groß_Øre",
            "'ß' at position 4, which may cost the delivery; write 'Gross-Ore'",
            id="letters of no accent",
        ),
        pytest.param(
            "E_shop",
            "'_' at position 2, which may cost the delivery; write 'E-shop'",
            id="an underscore",
        ),
        pytest.param(
            "Ján & syn",
            "'á' at position 2, which may cost the delivery; write at most 11",
            id="what has no plain form",
        ),
        pytest.param(
            "Žltučký kôňik",
            "'Ž' at position 1, which may cost the delivery; write at most 11",
            id="accents and too long",
        ),
        pytest.param("ŽŽ\u200b \u200b", "write at most 11", id="a plain form that ends in a blank"),
        pytest.param(
            "_1",
            "'_' at position 1, which may cost the delivery; write at most 11",
            id="a plain form without a letter",
        ),
        pytest.param("Žltučký kôň", "write 'Zltucky kon'", id="accents in eleven characters"),
        pytest.param("a\0b", "'\\x00' at position 2", id="NUL"),
        pytest.param("a\ud83d", "'\\ud83d' at position 2", id="half an emoji"),
        pytest.param("Жена", "'Ж' at position 1", id="Cyrillic"),
        pytest.param("Firma s.r.o.", "has 12 characters of at most 11; shorten it", id="too long"),
        pytest.param("123-45", "is neither a name with a letter nor a number", id="no letter"),
        pytest.param("421 903 622 237", "is neither", id="a number with spaces"),
        pytest.param(
            "0903622237",
            "no full international number (7 to 15 digits, no zero first)",
            id="a national number",
        ),
        pytest.param(
            "00421903622237", "is no full international number", id="two zeros for the plus"
        ),
        pytest.param("+0903622237", "is no full international number", id="a plus and a zero"),
        pytest.param("123456", "is no full international number", id="a short code"),
        pytest.param("1234567890123456", "is no full international number", id="too long a number"),
        pytest.param("٤٢١٩٠٣٦٢٢٢٣٧", "'٤' at position 1", id="Arabic digits"),
    ],
)
def test_what_the_gateway_would_not_take_is_refused_with_a_mend(text, words):
    with pytest.raises(ContentError) as refused:
        check_sender(text)

    assert words in str(refused.value)
    assert refused.value.where == f"sender {text!r}"


@given(st.one_of(st.text(max_size=14), st.text(st.sampled_from("aŽß_+0123456789 .-"), max_size=16)))
def test_what_passes_fits_the_gateway_and_what_is_offered_instead_passes(text):
    try:
        sender = check_sender(text)
    except ContentError as refused:
        offered = re.fullmatch(r"write '([A-Za-z0-9 .-]*)'", refused.mend)
        if not offered or "blank" in refused.what:
            return
        sender = offered[1]

    assert re.fullmatch(r"[A-Za-z0-9 .-]{1,11}|[1-9][0-9]{6,14}", sender)
    assert check_sender(sender) == sender
