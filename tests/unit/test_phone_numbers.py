"""Reading phone numbers as people write them, and refusing what no SMS can reach."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from worker.core.content import ContentError
from worker.core.phone_numbers import PhoneNumber, check_country, parse_number

ORDINARY = [
    *range(901, 913), *range(914, 920), 940, *range(943, 946), *range(947, 960)
]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("+421903622237", id="in full"),
        pytest.param("0903 622 237", id="in the national form"),
        pytest.param("903622237", id="without its zero"),
        pytest.param("00421 903 622 237", id="with the international prefix"),
        pytest.param("421903622237", id="as the gateway wants it"),
        pytest.param("+421-903-622-237", id="with dashes"),
        pytest.param("+421–903–622–237", id="with long dashes"),
        pytest.param("(0903) 622.237", id="with brackets and a full stop"),
        pytest.param("0903/622 237", id="with a slash"),
        pytest.param("(+421) 903 622 237", id="with the code in brackets"),
        pytest.param("+421 (0)903 622 237", id="with both prefixes"),
        pytest.param("0903\u00a0622\u202f237", id="with hard spaces"),
        pytest.param("\u202a+421903622237\u202c", id="with an address book's invisible marks"),
        pytest.param("  0903622237 ", id="with blanks about it"),
        pytest.param("٠٩٠٣٦٢٢٢٣٧", id="in Arabic digits"),
    ],
)
def test_a_number_is_read_as_people_write_it(text):
    assert parse_number(text, "SK") == PhoneNumber("+421903622237", "+421", "SK")


@pytest.mark.parametrize("prefix", ORDINARY)
def test_every_ordinary_slovak_mobile_range_passes(prefix):
    assert parse_number(f"0{prefix} 123 456", "SK").e164 == f"+421{prefix}123456"


@pytest.mark.parametrize(
    ("text", "country", "number"),
    [
        pytest.param("601 123 456", "CZ", PhoneNumber("+420601123456", "+420", "CZ"), id="Czech"),
        pytest.param(
            "+420601123456", "SK", PhoneNumber("+420601123456", "+420", "CZ"), id="abroad"
        ),
        pytest.param(
            "512345678", "pl", PhoneNumber("+48512345678", "+48", "PL"), id="small letters"
        ),
        pytest.param(
            "+881612345678", "SK", PhoneNumber("+881612345678", "+881", None), id="a satellite's"
        ),
        pytest.param(
            "(650) 253-0000",
            "US",
            PhoneNumber("+16502530000", "+1", "US"),
            id="mobile or landline, nobody knows",
        ),
    ],
)
def test_a_number_names_its_calling_code_and_country(text, country, number):
    assert parse_number(text, country) == number


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("", "is no phone number", id="nothing"),
        pytest.param("Ján", "is no phone number", id="a word"),
        pytest.param("0903622237, 0904111222", "is no phone number", id="two numbers"),
        pytest.param("0903+622237", "is no phone number", id="a plus within"),
        pytest.param("+999 123 456 789", "no calling code that exists", id="no country's code"),
        pytest.param("00", "is too short", id="only a prefix"),
        pytest.param("0042", "is too short", id="hardly more than a prefix"),
        pytest.param("+421 9", "is too short", id="hardly more than a code"),
        pytest.param("158", "is too short", id="an emergency number"),
        pytest.param("116 111", "not in the numbering plan of +421", id="a short code"),
        pytest.param("0903 622 2377", "is too long", id="a digit too many"),
        pytest.param("0903 622 23", "not in the numbering plan of +421", id="a digit too few"),
        pytest.param("+41 55 5555 5555", "more or fewer digits", id="a length that no number has"),
        pytest.param("420601123456", "is too long", id="another country's without its plus"),
        pytest.param("9" * 300, "is too long", id="an absurd number of digits"),
        pytest.param("+1 253 0000", "lacks its area code", id="no area code"),
        pytest.param("0913 622 237", "not in the numbering plan of +421", id="a range nobody has"),
        pytest.param("02/5555 5555", "is a landline", id="a landline"),
        pytest.param("0800 123 456", "is a toll-free number", id="toll-free"),
        pytest.param("0900 123 456", "is a premium-rate number", id="premium"),
        pytest.param("0850 123 456", "is a shared-cost number", id="shared cost"),
        pytest.param("0961 234 567", "is a company's access number", id="an access number"),
        pytest.param("+420 910 123 456", "is an internet telephony number", id="over the internet"),
        pytest.param("+44 7012 345 678", "is a personal number", id="personal"),
        pytest.param("+44 7640 123456", "is a pager", id="a pager"),
        pytest.param("+41 860 123 456 789", "is a voice mailbox", id="a voice mailbox"),
        pytest.param("0903 622 237 ext. 5", "has an extension", id="an extension"),
        pytest.param("+421903622237;ext=5", "has an extension", id="an extension of a tel: link"),
        pytest.param("0903 FLOWER", "has the character 'F' at position 6", id="letters to dial"),
        pytest.param("Ján 0903622237", "has the character 'J' at position 1", id="a name before"),
        pytest.param("0903622237\n", "has the character '\\n' at position 11", id="a line break"),
    ],
)
def test_what_no_sms_can_reach_is_refused_in_words(text, words):
    with pytest.raises(ContentError) as refused:
        parse_number(text, "SK")

    assert words in refused.value.what
    assert refused.value.where.startswith("number ")
    assert repr(text)[1:40] in refused.value.where
    assert len(str(refused.value)) < 250


@given(
    st.one_of(
        st.text(max_size=40),
        st.text(st.sampled_from("+0123456789 -()/.x,;#"), max_size=30),
        st.from_regex(r"(\+|00)?[1-9][0-9]{6,12}", fullmatch=True),
    ),
    st.sampled_from(["SK", "CZ", "US", "IT", "AR"]),
)
@example("+390612345678", "SK")
@example("011 15 2345-6789", "AR")
def test_whatever_is_read_is_in_full_and_reads_the_same_again(text, country):
    try:
        number = parse_number(text, country)
    except ContentError:
        return

    assert re.fullmatch(r"\+[1-9][0-9]{6,14}", number.e164)
    assert number.e164.startswith(number.calling_code)
    assert parse_number(number.e164, "SK") == number


@pytest.mark.parametrize(
    ("text", "code"),
    [
        pytest.param("SK", "SK", id="as in the standard"),
        pytest.param(" cz ", "CZ", id="small and with blanks"),
    ],
)
def test_a_country_is_read_in_either_case(text, code):
    assert check_country(text) == code


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("SVK", id="three letters"),
        pytest.param("XX", id="nobody's letters"),
        pytest.param("ß", id="what becomes SS in capitals"),
        pytest.param("421", id="a calling code"),
        pytest.param("001", id="the library's word for no country"),
    ],
)
def test_what_is_no_country_is_refused_in_words(text):
    with pytest.raises(
        ContentError, match="no country with a numbering plan; give the two letters"
    ):
        check_country(text)


def test_a_number_is_refused_for_its_company_s_country_even_in_full():
    with pytest.raises(ContentError, match="country 'XX'"):
        parse_number("+421903622237", "XX")
