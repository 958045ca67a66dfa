"""How many segments a text takes, where it is parted, and what becomes of its diacritics."""

from __future__ import annotations

import unicodedata
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from worker.core.content import ContentError
from worker.core.sms_text import (
    Encoding,
    Measured,
    Saving,
    check_sms_text,
    measure,
    saving,
    split,
    transliterate,
)

# Written down again, by the table's rows of eight, so that a slip in the product shows.
BASIC = (
    "@£$¥èéùì" "òÇ\nØø\rÅå" "Δ_ΦΓΛΩΠΨ" "ΣΘΞÆæßÉ"
    " !\"#¤%&'" "()*+,-./" "01234567" "89:;<=>?"
    "¡ABCDEFG" "HIJKLMNO" "PQRSTUVW" "XYZÄÖÑÜ§"
    "¿abcdefg" "hijklmno" "pqrstuvw" "xyzäöñüà"
)  # fmt: skip
EXTENSION = "\f^{}\\[~]|€"
SLOVAK = "áäčďéíĺľňóôŕšťúýžÁÄČĎÉÍĹĽŇÓÔŔŠŤÚÝŽ"
EMOJI = "🐎"

GSM_TEXT = st.text(st.sampled_from(BASIC + EXTENSION * 4), max_size=700)
UCS2_TEXT = st.text(st.sampled_from("ač🐎𐍈€ "), max_size=300)
ANY_TEXT = st.one_of(GSM_TEXT, UCS2_TEXT, st.text(max_size=300))


def units(text: str, encoding: Encoding) -> int:
    if encoding is Encoding.GSM:
        return len(text) + sum(text.count(escaped) for escaped in EXTENSION)
    return len(text.encode("utf-16-be", "surrogatepass")) // 2


@pytest.mark.parametrize("character", BASIC)
def test_a_character_of_the_default_alphabet_is_one_septet(character):
    assert measure(character) == Measured(Encoding.GSM, 1, 1)


@pytest.mark.parametrize("character", EXTENSION)
def test_a_character_of_the_extension_table_is_two_septets(character):
    assert measure(character) == Measured(Encoding.GSM, 2, 1)


@pytest.mark.parametrize(
    ("text", "encoding", "count", "segments"),
    [
        pytest.param("", Encoding.GSM, 0, 1, id="nothing is one segment"),
        pytest.param("a" * 160, Encoding.GSM, 160, 1, id="160 septets"),
        pytest.param("a" * 161, Encoding.GSM, 161, 2, id="161 septets"),
        pytest.param("€" * 80, Encoding.GSM, 160, 1, id="80 escaped"),
        pytest.param("a" + "€" * 80, Encoding.GSM, 161, 2, id="80 escaped and one"),
        pytest.param("a" * 306, Encoding.GSM, 306, 2, id="twice 153"),
        pytest.param("a" * 307, Encoding.GSM, 307, 3, id="twice 153 and one"),
        pytest.param("a" * 612, Encoding.GSM, 612, 4, id="four times 153"),
        pytest.param("a" * 152 + "€" + "a" * 152, Encoding.GSM, 306, 3, id="an escape at 153"),
        pytest.param("a" * 151 + "€" + "a" * 153, Encoding.GSM, 306, 2, id="an escape up to 153"),
        pytest.param("č" * 70, Encoding.UCS2, 70, 1, id="70 units"),
        pytest.param("č" * 71, Encoding.UCS2, 71, 2, id="71 units"),
        pytest.param("€" * 70 + "č", Encoding.UCS2, 71, 2, id="no escapes in UCS-2"),
        pytest.param(EMOJI * 35, Encoding.UCS2, 70, 1, id="35 emoji"),
        pytest.param(EMOJI * 36, Encoding.UCS2, 72, 2, id="36 emoji"),
        pytest.param("č" * 134, Encoding.UCS2, 134, 2, id="twice 67"),
        pytest.param("č" * 135, Encoding.UCS2, 135, 3, id="twice 67 and one"),
        pytest.param("č" * 66 + EMOJI + "č" * 66, Encoding.UCS2, 134, 3, id="an emoji at 67"),
        pytest.param("č" * 65 + EMOJI + "č" * 67, Encoding.UCS2, 134, 2, id="an emoji up to 67"),
        pytest.param("\x1b", Encoding.UCS2, 1, 1, id="ESC is no character of the alphabet"),
        pytest.param("ç", Encoding.UCS2, 1, 1, id="only the capital cedilla is in it"),
    ],
)
def test_a_text_is_measured_to_the_unit(text, encoding, count, segments):
    assert measure(text) == Measured(encoding, count, segments)


@pytest.mark.parametrize(
    ("text", "lengths"),
    [
        pytest.param("a" * 160, [160], id="what fits is not parted"),
        pytest.param("a" * 161, [153, 8], id="the first of two is full"),
        pytest.param("a" * 152 + "€" + "a" * 8, [152, 9], id="an escape moves on whole"),
        pytest.param("a" * 151 + "€" + "a" * 8, [152, 8], id="an escape that fits stays"),
        pytest.param("č" * 66 + EMOJI + "č" * 3, [66, 4], id="a surrogate pair moves on whole"),
        pytest.param("č" * 65 + EMOJI + "č" * 4, [66, 4], id="a surrogate pair that fits stays"),
    ],
)
def test_a_long_text_is_parted_between_characters(text, lengths):
    assert [len(part) for part in split(text)] == lengths


@given(ANY_TEXT)
@example("a" * 152 + "€" * 77)
@example("č" * 66 + EMOJI * 34)
def test_the_parts_make_up_the_text_each_fits_and_none_is_shorter_than_it_must_be(text):
    parts = split(text)

    measured = measure(text)
    single, multi = (160, 153) if measured.encoding is Encoding.GSM else (70, 67)
    most = single if len(parts) == 1 else multi
    assert "".join(parts) == text
    assert measured.segments == len(parts)
    assert measured.units == sum(units(part, measured.encoding) for part in parts)
    assert all(units(part, measured.encoding) <= most for part in parts)
    assert (measured.units <= single) == (len(parts) == 1)
    for part, following in pairwise(parts):
        assert units(part + following[0], measured.encoding) > multi


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        pytest.param(SLOVAK, "aäcdéillnoorstuyzAÄCDÉILLNOORSTUYZ", id="Slovak"),
        pytest.param("ěřůĚŘŮ", "eruERU", id="Czech"),
        pytest.param("ąćęłńśźżŁ", "acelnszzL", id="Polish"),
        pytest.param("őűŐŰ", "ouOU", id="Hungarian"),
        pytest.param("ăâîșțŞŢ", "aaistST", id="Romanian"),
        pytest.param("đĐ", "dD", id="Croatian"),
        pytest.param("ğıİşçÇ", "giIscÇ", id="Turkish"),
        pytest.param("œŒêëïÿ", "oeOEeeiy", id="French"),
        pytest.param("ðÞþ", "dThth", id="Icelandic"),
        pytest.param("ếậơ", "eao", id="Vietnamese"),
        pytest.param("ẞ", "SS", id="the capital of sharp s"),
        pytest.param("ǘǿ", "üø", id="one mark of two is kept"),
        pytest.param("äöüÄÖÜßéèàùìòåøæñÑ¿¡§", "äöüÄÖÜßéèàùìòåøæñÑ¿¡§", id="GSM's own"),
        pytest.param("c\u030cuda e\u0301", "cuda é", id="marks apart from their letters"),
        pytest.param("\u212b\u2126", "ÅΩ", id="units that are letters"),
        pytest.param("„a“ “b” «c» ‚d‘ ‘e’ ‹f›", "\"a\" \"b\" \"c\" 'd' 'e' 'f'", id="quotes"),
        pytest.param("a–b—c…", "a-b-c...", id="dashes and an ellipsis"),
        pytest.param("a\u00a0b\tc\u2028d", "a b c\nd", id="spaces and breaks"),
        pytest.param("a\u00adb\u200bc\ufeff", "abc", id="what has no width"),
        pytest.param("Жена 中文 🐎 각", "Жена 中文 🐎 각", id="other scripts and emoji stay"),
        pytest.param("й", "й", id="Cyrillic keeps its marks"),
        pytest.param("1½ ≠ 10²", "1½ ≠ 10²", id="what would change its meaning stays"),
        pytest.param("\u030c", "\u030c", id="a mark without a letter stays"),
    ],
)
def test_a_text_is_written_in_the_letters_of_gsm_as_far_as_they_go(text, plain):
    assert transliterate(text) == plain


@given(st.one_of(ANY_TEXT, st.text(st.sampled_from("aouœØ=й\u00ad\u00a0\u030c\u0308\u0301\u0323"))))
def test_writing_a_text_plainly_again_changes_nothing(text):
    plain = transliterate(text)

    assert transliterate(plain) == plain


@given(st.text(st.sampled_from(BASIC + EXTENSION)))
def test_a_text_that_gsm_has_stays_as_it_is(text):
    assert transliterate(text) == text


@given(st.text(st.characters(categories=["Lu", "Ll"], max_codepoint=0x17E)))
def test_a_text_is_written_alike_whether_its_marks_are_apart_or_not(text):
    assert transliterate(unicodedata.normalize("NFD", text)) == transliterate(text)


def test_a_letter_under_a_heap_of_marks_is_written_in_no_time():
    assert transliterate("a" + "\u0301\u0323" * 500_000) == "a"


def test_the_saving_is_told_in_both_languages():
    saved = saving("á" * 150)

    assert saved == Saving(
        Measured(Encoding.UCS2, 150, 3), Measured(Encoding.GSM, 150, 1), "a" * 150
    )
    assert str(saved) == "drop the diacritics: 3 → 1 segments"
    assert saved.slovak == "bez diakritiky: 3 → 1 SMS"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("á" * 70, id="one segment anyway"),
        pytest.param("a" * 500, id="nothing to drop"),
        pytest.param("á" * 100 + EMOJI, id="an emoji needs UCS-2 anyway"),
    ],
)
def test_where_no_segment_is_saved_there_is_no_saving(text):
    assert saving(text) is None


def test_a_text_keeps_all_but_its_windows_line_breaks():
    assert check_sms_text(" Dobrý deň,\r\n\tkôň\n€ ", most_segments=1) == " Dobrý deň,\n\tkôň\n€ "


def test_a_windows_line_break_counts_once():
    text = "a" * 158 + "\r\n" + "b"

    assert measure(check_sms_text(text, most_segments=1)).units == 160


@pytest.mark.parametrize(
    ("text", "most", "words"),
    [
        pytest.param("", 4, "text: is blank; write one", id="nothing"),
        pytest.param(" \r\n\u00a0", 4, "text: is blank; write one", id="blanks"),
        pytest.param("a\0", 4, "text: has the character U+0000 at position 2; remove it", id="NUL"),
        pytest.param("\ud83d", 4, "U+D83D at position 1", id="half an emoji"),
        pytest.param(
            "a" * 307, 2, "text: takes 3 segments of at most 2; shorten it", id="too long"
        ),
        pytest.param(
            "á" * 201,
            2,
            "takes 3 segments of at most 2; drop the diacritics: 3 → 2 segments, or shorten it",
            id="too long with diacritics only",
        ),
        pytest.param(
            "á" * 306, 1, "takes 5 segments of at most 1; shorten it", id="too long without too"
        ),
    ],
)
def test_a_text_that_cannot_go_is_refused_in_words(text, most, words):
    with pytest.raises(ContentError) as refused:
        check_sms_text(text, most)

    assert words in str(refused.value)


def test_a_text_of_just_as_many_segments_as_may_be_passes():
    assert check_sms_text("a" * 306, most_segments=2) == "a" * 306
