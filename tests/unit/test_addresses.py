"""Reading addresses as people write them, and refusing what cannot be written to."""

from __future__ import annotations

import pickle

import pytest

from worker.core.addresses import (
    Address,
    AddressError,
    ascii_domain,
    parse_address,
    parse_address_list,
)
from worker.core.content import ContentError, TooLargeError, check_text, refuse_unsafe, shown


@pytest.mark.parametrize(
    ("text", "name", "addr_spec"),
    [
        pytest.param("jan@firma.sk", None, "jan@firma.sk", id="a bare address"),
        pytest.param("<jan@firma.sk>", None, "jan@firma.sk", id="in angle brackets"),
        pytest.param('"" <jan@firma.sk>', None, "jan@firma.sk", id="with an empty name"),
        pytest.param(" Ján <Jan@Firma.SK> ", "Ján", "Jan@firma.sk", id="the domain's case goes"),
        pytest.param('"Novák, Ján" <j@a.sk>', "Novák, Ján", "j@a.sk", id="a quoted name"),
        pytest.param(r'"A \"B\" \\C" <j@a.sk>', 'A "B" \\C', "j@a.sk", id="escapes in it"),
        pytest.param("Novák, Ján <j@a.sk>", "Novák, Ján", "j@a.sk", id="a comma unquoted"),
        pytest.param("a < b <j@a.sk>", "a < b", "j@a.sk", id="a bracket in the name"),
        pytest.param("x@kôň.sk", None, "x@xn--k-xga6w.sk", id="a domain outside ASCII"),
        pytest.param("ján@a.sk", None, "ján@a.sk", id="a local part outside ASCII"),
        pytest.param("ja\u0301n@a.sk", None, "ján@a.sk", id="which becomes NFC"),
        pytest.param("o'neil+x@a.test", None, "o'neil+x@a.test", id="a domain for tests"),
    ],
)
def test_an_address_is_read_as_people_write_it(text, name, addr_spec):
    read = parse_address(text)

    assert (read.name, read.addr_spec) == (name, addr_spec)
    assert parse_address(str(read)) == read


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("", "no @-sign", id="nothing"),
        pytest.param("jan.firma.sk", "no @-sign", id="no at-sign"),
        pytest.param("jan@firma.sk>", "> without <", id="half a bracket"),
        pytest.param("jan@@firma.sk", "'jan@@firma.sk'", id="two at-signs"),
        pytest.param('"a b"@firma.sk', "quot", id="a quoted local part"),
        pytest.param("jan@firma", "period", id="a host without a domain"),
        pytest.param("jan@[10.0.0.1]", "bracket", id="an address in brackets"),
        pytest.param("jan@firma..sk", "period", id="an empty label"),
        pytest.param("jan@firma.sk\r\nBcc: x@y.sk", "U+000D", id="a line break"),
        pytest.param("Ján\n <jan@firma.sk>", "U+000A", id="a line break in the name"),
        pytest.param("jan\udc80@firma.sk", "U+DC80", id="a surrogate"),
        pytest.param("a" * 65 + "@firma.sk", "too long", id="too long a local part"),
        pytest.param("á" * 33 + "@firma.sk", "too long", id="too many octets before the at-sign"),
        pytest.param("á" * 65 + "@firma.sk", "too long", id="far too many"),
        pytest.param("x" * 257 + " <jan@firma.sk>", "longer than 256", id="too long a name"),
        pytest.param(f"{'a' * 60}@{'b.' * 98}sk", "too long", id="too long in all"),
    ],
)
def test_what_is_no_address_is_refused_in_words(text, words):
    with pytest.raises(AddressError) as refused:
        parse_address(text)

    assert words in str(refused.value)
    assert len(str(refused.value)) < 400


def test_an_address_built_by_hand_is_checked_as_well():
    with pytest.raises(AddressError, match="NFC"):
        Address("ja\u0301n", "a.sk", "a.sk")
    with pytest.raises(AddressError, match="no ASCII domain"):
        Address("jan", "kôň.sk", "kôň.sk")
    with pytest.raises(AddressError, match="U\\+000A"):
        Address("jan", "a.sk", "a.sk", "Ján\nBcc: x@y.sk")


def test_only_a_local_part_outside_ascii_needs_smtputf8():
    assert parse_address("ján@firma.sk").needs_smtputf8
    assert not parse_address("Ján <jan@kôň.sk>").needs_smtputf8


def test_an_address_is_suppressed_in_whatever_case_it_is_written():
    assert parse_address("Jan@FIRMA.sk").suppression_key == "jan@firma.sk"


def test_a_name_that_needs_no_quotes_has_none():
    assert str(parse_address('"Ján Novák" <jan@kôň.sk>')) == "Ján Novák <jan@kôň.sk>"
    assert str(parse_address("jan@kôň.sk")) == "jan@kôň.sk"


@pytest.mark.parametrize(
    ("text", "locals_"),
    [
        pytest.param("a@x.sk, b@x.sk;c@x.sk", ["a", "b", "c"], id="commas and semicolons"),
        pytest.param('"N, J; <x>" <a@x.sk>;b@x.sk', ["a", "b"], id="quoted separators"),
        pytest.param(r'"N\", J" <a@x.sk>,b@x.sk', ["a", "b"], id="an escaped quote"),
        pytest.param(" ,a@x.sk;; ", ["a"], id="empty places"),
        pytest.param("", [], id="nothing"),
    ],
)
def test_a_list_is_split_only_at_separators_outside_quotes(text, locals_):
    assert [address.local for address in parse_address_list(text)] == locals_


def test_a_wrong_entry_of_a_list_is_named():
    with pytest.raises(AddressError, match="'nikto'"):
        parse_address_list("a@x.sk, nikto")


def test_a_list_that_is_all_open_quotes_is_read_in_no_time():
    with pytest.raises(AddressError):
        parse_address_list('"\\' * 100_000)


def test_a_domain_becomes_ascii_and_lower_case():
    assert ascii_domain("KÔŇ.sk") == "xn--k-xga6w.sk"
    with pytest.raises(AddressError):
        ascii_domain("-")


@pytest.mark.parametrize("kind", [AddressError, ContentError, TooLargeError])
def test_an_error_comes_out_of_pickling_as_it_went_in(kind):
    error = kind("is wrong", "Subject", "mend it")

    copy = pickle.loads(pickle.dumps(error))

    assert type(copy) is kind
    assert vars(copy) == vars(error)
    assert str(copy) == "Subject: is wrong; mend it"


@pytest.mark.parametrize("character", ["\0", "\t", "\x7f", "\x85", "\u2028", "\ud800"])
def test_a_character_that_could_end_a_line_is_refused_and_placed(character):
    with pytest.raises(ContentError, match=f"U\\+{ord(character):04X} at position 3"):
        refuse_unsafe(f"ab{character}", "Subject")


def test_a_body_may_hold_line_breaks_but_nothing_that_has_no_octets():
    check_text("a\r\n\tb\x85\u2028", "text")
    with pytest.raises(ContentError, match=r"text: has the character U\+0000 at position 2"):
        check_text("a\0", "text")


def test_an_error_repeats_a_long_value_only_in_part():
    assert len(shown("x" * 10_000)) <= 82
