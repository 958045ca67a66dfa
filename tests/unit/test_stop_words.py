"""Who wants no more SMS."""

import pytest

from worker.core.stop_words import asks_to_stop


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("STOP", id="the word alone"),
        pytest.param("  stop\n", id="in small letters, with space around"),
        pytest.param("STOP ALL", id="of all"),
        pytest.param("stopall", id="of all, in one word"),
        pytest.param("Stop.", id="with a full stop"),
        pytest.param("„Stop“", id="in quotation marks"),
        pytest.param("UNSUBSCRIBE", id="unsubscribe"),
        pytest.param("End", id="end"),
        pytest.param("Koniec", id="in Slovak"),
        pytest.param("odhlásiť", id="with accents"),
        pytest.param("odhla\u0301sit\u030c", id="with accents as marks of their own"),
        pytest.param("ODHLASIT ma prosim", id="without accents, first of a sentence"),
        pytest.param("zrušiť", id="cancel"),
        pytest.param("Neposielať!!!", id="do not send"),
        pytest.param("Neposielajte mi to", id="do not send, politely"),
        pytest.param("ＳＴＯＰ", id="in wide letters"),
    ],
)
def test_a_stop_word_first_or_alone_asks_to_stop(text):
    assert asks_to_stop(text)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("?!", id="no word"),
        pytest.param("Ďakujem", id="thanks"),
        pytest.param("nonstop", id="a word that contains it"),
        pytest.param("stopky prosím", id="a word that begins with it"),
        pytest.param("Prosím stop", id="not first"),
        pytest.param("Áno, prídem. Koniec", id="at the end of something else"),
    ],
)
def test_any_other_answer_does_not(text):
    assert not asks_to_stop(text)
