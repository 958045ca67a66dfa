"""What an automatic task allows of a text, how much room is left, and what it will cost."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.core.content import ContentError
from worker.core.sms_price import Range, estimate
from worker.core.sms_rules import SEGMENTS_MAX, TextRules, fit, units_left
from worker.core.sms_text import Encoding, measure

FREE = TextRules()
PLAIN = TextRules("SMS", diacritics=False)
SHORT = TextRules("SMS", long_texts=False)
LETTERS = st.text(st.sampled_from("až€🙂 \n"), min_size=1, max_size=400)


@pytest.mark.parametrize(
    ("rules", "transliterated", "sent"),
    [
        pytest.param(FREE, None, "žltý", id="a task that allows everything leaves the text alone"),
        pytest.param(FREE, True, "zlty", id="unless who enqueues it wants it plain"),
        pytest.param(PLAIN, None, "zlty", id="a task without diacritics drops them"),
        pytest.param(SHORT, None, "žltý", id="a short text may have them in a task of short ones"),
    ],
)
def test_a_text_is_made_what_its_task_allows(rules, transliterated, sent):
    assert fit("žltý", rules, transliterated) == sent


@pytest.mark.parametrize(
    ("text", "rules", "transliterated", "words"),
    [
        pytest.param("žltý", PLAIN, False, "has 'ž', 'ý', which GSM", id="never transliterated"),
        pytest.param("дом", PLAIN, None, "has 'д', 'о', 'м', which", id="Cyrillic stays"),
        pytest.param("абвгдежзийклм", PLAIN, None, "'й' and 3 more, which", id="no endless list"),
        pytest.param(
            "ž" * 71, SHORT, None, "allows no long texts; drop the diacritics: 2 → 1", id="long"
        ),
        pytest.param(
            "ž" * 171, SHORT, None, "takes 3 segments, and automatic task 'SMS'", id="too long"
        ),
        pytest.param("z" * 161, SHORT, None, "no long texts; shorten it, or", id="long and plain"),
        pytest.param("z" * 1531, FREE, None, "11 segments of at most 10", id="longer than any"),
        pytest.param("  ", FREE, None, "is blank", id="blank"),
    ],
)
def test_what_a_task_does_not_allow_is_refused_with_a_way_out(text, rules, transliterated, words):
    with pytest.raises(ContentError, match=re.escape(words)):
        fit(text, rules, transliterated)


@given(LETTERS)
def test_a_plain_task_sends_nothing_but_gsm(text):
    try:
        sent = fit(text, PLAIN)
    except ContentError:
        return

    assert measure(sent).encoding is Encoding.GSM
    assert measure(sent).segments <= SEGMENTS_MAX


@given(LETTERS)
def test_exactly_as_many_letters_as_are_left_fit_into_the_last_segment(text):
    left, segments = units_left(text), measure(text).segments

    assert measure(text + "a" * left).segments == segments
    assert measure(text + "a" * (left + 1)).segments == segments + 1


def test_prices_that_were_seen_go_before_one_that_was_set():
    seen = {"231.1": Decimal("0.031"), "": Decimal("0.029"), "231.6": Decimal("0.030")}

    assert estimate(seen, Decimal("0.05")) == Range(Decimal("0.029"), Decimal("0.031"))
    assert estimate({}, Decimal(0)) == Range(Decimal(0), Decimal(0))
    assert estimate({}, None) is None


def test_each_segment_is_paid_for():
    one = Range(Decimal("0.029"), Decimal("0.031"))

    assert one.times(3) == Range(Decimal("0.087"), Decimal("0.093"))
