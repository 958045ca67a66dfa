"""What callers may put into a header, and how it is written."""

from __future__ import annotations

import pytest

from tests.support.mime_reader import decode_words, parameters
from worker.core.addresses import Address
from worker.core.content import ContentError
from worker.core.folding import address_field, encoded_words, fold, parameter_field, text_field
from worker.core.headers import (
    check_list_unsubscribe,
    check_own_headers,
    check_subject,
    own_field,
    unsubscribe_fields,
)


def unfolded(field: str) -> str:
    return field.replace("\r\n", "").partition(": ")[2]


@pytest.mark.parametrize(
    ("subject", "words"),
    [
        pytest.param("a\r\nBcc: x@y.sk", r"U\+000D at position 2", id="a header of its own"),
        pytest.param(" \xa0 ", "is blank", id="blanks only"),
        pytest.param("x" * 999, "longer than 998", id="too long"),
    ],
)
def test_a_subject_that_cannot_be_sent_is_refused(subject, words):
    with pytest.raises(ContentError, match=words):
        check_subject(subject)


def test_own_headers_are_named_as_standards_name_them():
    given = [("references", "<a@b.sk>  <c@d.sk>"), ("X-Cislo", " 7 ")]

    assert check_own_headers(given) == (("References", "<a@b.sk>  <c@d.sk>"), ("X-Cislo", "7"))


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        pytest.param("Bcc", "x@y.sk", "may not be set", id="a recipient"),
        pytest.param("subject", "x", "may not be set", id="a field of ours"),
        pytest.param("Auto-Submitted", "no", "may not be set", id="what we always say"),
        pytest.param("X-Kadencia-Redirected-From", "x", "may not be set", id="our own X"),
        pytest.param("X-A\r\nBcc", "x", "name that is not ASCII", id="a line break in the name"),
        pytest.param("X-A:", "x", "name that is not ASCII", id="a colon in the name"),
        pytest.param("X-" + "a" * 39, "x", "name of more than 40", id="too long a name"),
        pytest.param("X-A", "a\nBcc: x@y.sk", r"U\+000A", id="a line break in the value"),
        pytest.param("X-A", "  ", "blank", id="no value"),
        pytest.param("X-A", "a" * 901, "a word of more than 900", id="a line that cannot fold"),
        pytest.param("X-A", "a" + " " * 901 + "b", "a word of more than 900", id="or of spaces"),
        pytest.param("X-A", "a " * 4096 + "b", "exceed 8192 octets", id="too much"),
        pytest.param("Feedback-ID", "č", "not ASCII", id="letters where only ASCII may be"),
        pytest.param("In-Reply-To", "a@b.sk", "not a list of message", id="no message identifier"),
    ],
)
def test_an_own_header_that_could_do_harm_is_refused(name, value, words):
    with pytest.raises(ContentError, match=words):
        check_own_headers([(name, value)])


def test_an_own_header_is_given_once_unless_it_may_be_repeated():
    check_own_headers([("X-A", "1"), ("X-A", "2"), ("Comments", "1"), ("comments", "2")])
    with pytest.raises(ContentError, match="Importance: is given more than once"):
        check_own_headers([("Importance", "high"), ("importance", "low")])
    with pytest.raises(ContentError, match="more than 50"):
        check_own_headers([("X-A", "1")] * 51)


def test_an_own_header_in_ascii_is_only_folded():
    value = "a  b " + "{json:1}" * 20 + " =?utf-8?q?=C4=8D?="

    written = own_field("X-Data", value)

    assert unfolded(written) == value
    assert written.count("\r\n") == 3


def test_an_own_header_outside_ascii_is_encoded():
    assert decode_words(unfolded(own_field("Organization", "Žltý kôň"))) == "Žltý kôň"


def test_keywords_stay_apart_when_they_are_encoded():
    written = unfolded(own_field("Keywords", "faktúra, predaj s.r.o., žltý kôň"))

    assert [decode_words(word.strip()) for word in written.split(",")] == [
        "faktúra",
        '"predaj s.r.o."',
        "žltý kôň",
    ]


@pytest.mark.parametrize(
    "uri",
    [
        pytest.param("http://a.sk/x", id="not encrypted"),
        pytest.param("javascript:alert(1)", id="another scheme"),
        pytest.param("https:///x", id="no host"),
        pytest.param("https://user:pass@a.sk/", id="credentials"),
        pytest.param("mailto:a", id="no address"),
        pytest.param("https://a.sk/>, <https://b.sk", id="two in one"),
        pytest.param("https://a.sk/č", id="letters outside ASCII"),
        pytest.param("https://a.sk/\r\nBcc: x@y.sk", id="a line break"),
        pytest.param("https://a.sk/" + "x" * 900, id="too long"),
    ],
)
def test_a_way_to_unsubscribe_is_an_https_or_mailto_uri(uri):
    with pytest.raises(ContentError, match="List-Unsubscribe"):
        check_list_unsubscribe([uri])


def test_ways_to_unsubscribe_are_few():
    with pytest.raises(ContentError, match="more than 4"):
        check_list_unsubscribe(["mailto:a@b.sk"] * 5)


def test_one_click_is_promised_only_where_an_https_uri_can_keep_it():
    post = "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
    mail, web = "mailto:odhlas@firma.sk?subject=odhlas", "HTTPS://firma.sk/odhlas"

    assert unsubscribe_fields(check_list_unsubscribe([])) == ""
    assert unsubscribe_fields(check_list_unsubscribe([mail])) == f"List-Unsubscribe: <{mail}>\r\n"
    assert unsubscribe_fields(check_list_unsubscribe([web, mail])) == (
        f"List-Unsubscribe: <{web}>,\r\n <{mail}>\r\n{post}"
    )


def test_lines_are_folded_between_words_and_never_within_one():
    long = "x" * 100

    assert fold("References", [" <a>", f" <{long}>", " <b>"]) == (
        f"References: <a>\r\n <{long}>\r\n <b>\r\n"
    )
    assert fold("References", [f" <{long}>"]) == f"References: <{long}>\r\n"


@pytest.mark.parametrize("text", ["Faktúra č. 7 " * 20, "Привет " * 30, "😀" * 100])
def test_encoded_words_hold_whole_characters_in_at_most_75_octets(text):
    words = encoded_words(text, first=40)

    assert max(map(len, words)) <= 75
    assert len(words[0]) <= 40
    assert "".join(map(decode_words, words)) == text


@pytest.mark.parametrize(
    ("name", "written"),
    [
        pytest.param("Jan Novak", "Jan Novak <a@b.sk>", id="atoms stand as they are"),
        pytest.param("Firma, s.r.o.", '"Firma, s.r.o." <a@b.sk>', id="specials are quoted"),
        pytest.param('J "J" N', r'"J \"J\" N" <a@b.sk>', id="quotes are escaped"),
        pytest.param("Ján", "=?utf-8?q?J=C3=A1n?= <a@b.sk>", id="Slovak is encoded"),
        pytest.param("=?x", "=?utf-8?b?PT94?= <a@b.sk>", id="what looks encoded is encoded"),
        pytest.param("", "a@b.sk", id="no name, no brackets"),
    ],
)
def test_a_name_is_written_so_that_every_reader_reads_it(name, written):
    assert unfolded(address_field("To", [Address("a", "b.sk", "b.sk", name)])) == written


def test_a_local_part_outside_ascii_stands_raw_and_its_domain_does_not():
    field = address_field("To", [Address("ján", "xn--k-xga6w.sk", "kôň.sk", "Ján")])

    assert unfolded(field) == "=?utf-8?q?J=C3=A1n?= <ján@xn--k-xga6w.sk>"


def test_many_recipients_take_many_short_lines():
    field = address_field("To", [Address(f"a{n}", "b.example", "b.example") for n in range(50)])

    assert max(map(len, field.split("\r\n"))) <= 76
    assert unfolded(field).count(",") == 49


@pytest.mark.parametrize(
    ("name", "written"),
    [
        pytest.param("a.pdf", "filename=a.pdf", id="a token"),
        pytest.param("a b.pdf", 'filename="a b.pdf"', id="a space is quoted"),
        pytest.param('a"b', "filename*=utf-8''a%22b", id="a quote is escaped by percent"),
        pytest.param("č.pdf", "filename*=utf-8''%C4%8D.pdf", id="Slovak as well"),
    ],
)
def test_a_file_name_is_written_in_the_plainest_form_that_holds_it(name, written):
    field = parameter_field("Content-Disposition", "attachment", [("filename", name)])

    assert unfolded(field) == f"attachment; {written}"


def test_a_long_file_name_is_continued_over_short_lines():
    name = "Žiadosť o vydanie potvrdenia " * 8 + ".pdf"

    field = parameter_field("Content-Disposition", "attachment", [("filename", name)])

    assert max(map(len, field.split("\r\n"))) <= 76
    assert parameters(unfolded(field))["filename"] == name


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(lambda: text_field("Subject", "a\r\nb"), id="a text"),
        pytest.param(lambda: own_field("X-A", "a\nb"), id="an own field"),
        pytest.param(lambda: parameter_field("X", "a", [("filename", "a\rb")]), id="a parameter"),
    ],
)
def test_no_field_is_ever_written_with_a_line_break_of_the_callers(write):
    with pytest.raises(ContentError, match=r"U\+000[AD]"):
        write()
