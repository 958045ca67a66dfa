"""Files of recipients, as people's programs write them."""

import pytest

from worker.core.content import ContentError
from worker.enqueueing import BadRow, MailingFile


@pytest.fixture
def written(tmp_path):
    def write(content, name="recipients.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return MailingFile(path)

    return write


def refusal(written, content, name="recipients.csv"):
    with pytest.raises(ContentError) as caught:
        list(written(content, name).rows())
    return str(caught.value)


def bad_rows(file):
    return [str(row.error) for row in file.rows() if isinstance(row, BadRow)]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("email,meno\na@a.example,Žofia\n", id="commas"),
        pytest.param("email;meno\r\na@a.example;Žofia\r\n", id="semicolons, as Excel in Slovak"),
        pytest.param(
            "\ufeffemail;meno\na@a.example;Žofia", id="a byte order mark, no last newline"
        ),
        pytest.param('"email","meno"\n\n"a@a.example","Žofia"\n\n', id="quotes and blank lines"),
        pytest.param(" email ; meno \na@a.example;Žofia\n", id="spaces around the names"),
    ],
)
def test_a_csv_file_is_read_however_it_was_written(written, content):
    file = written(content)

    (row,) = file.rows()

    assert row.values == {"email": "a@a.example", "meno": "Žofia"}


def test_a_cell_may_hold_the_delimiter_and_line_breaks(written):
    file = written('email;text\na@a.example;"jeden; dva\ntri"\nb@b.example;x\n')

    first, second = file.rows()

    assert first.values["text"] == "jeden; dva\ntri"
    assert (first.line, second.line) == (2, 4)


def test_a_file_in_windows_1250_is_refused_with_the_way_out(written):
    said = refusal(written, "email;meno\na@a.example;Eva\nb@b.example;Žofia\n".encode("cp1250"))

    assert "recipients.csv, line 3: is not UTF-8" in said
    assert "Žofia" in said
    assert "iconv -f CP1250 -t UTF-8" in said


def test_the_first_line_that_is_not_utf8_is_found_far_into_a_file(written):
    lines = [b"email;meno", *(b"a@a.example;Eva" for _ in range(20_000)), b"b@b.example;\x8eofia"]

    file = written(b"\n".join(lines))

    with pytest.raises(ContentError, match="line 20002"):
        list(file.rows())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param("", "has no column “email” or “to”; it has nothing", id="an empty file"),
        pytest.param("meno,mesto\n", "it has meno, mesto", id="no column of addresses"),
        pytest.param("email,a,a\n", "names column 'a' twice", id="a name twice"),
        pytest.param("email,,b\n", "a column without a name", id="a column without a name"),
        pytest.param('email,"a\n', "line 1: is no CSV", id="a quote that never closes"),
    ],
)
def test_a_header_that_cannot_be_used_is_refused(written, content, words):
    assert words in refusal(written, content)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ContentError, match=r"nothing\.csv: cannot be read"):
        MailingFile(tmp_path / "nothing.csv")


def test_a_row_with_too_few_or_too_many_cells_is_named_and_the_next_is_read(written):
    file = written("email,a,b\nx@x.example,1\ny@y.example,1,2,3\nz@z.example,1,2\n")

    assert [error.split(":")[0] for error in bad_rows(file)] == [
        "line 2, column b",
        "line 3, after column b",
    ]
    assert [row.line for row in file.rows()] == [2, 3, 4]


def test_an_open_quote_is_named_by_the_line_on_which_its_row_starts(written):
    file = written('email,a\nx@x.example,"never closed\ny@y.example,2\n')

    assert [error.split(":")[0] for error in bad_rows(file)] == ["line 2"]


def test_json_lines_keep_numbers_and_lists(written):
    file = written('{"email": "a@a.example", "n": 3, "l": [1, "x"]}\n\n', "recipients.jsonl")

    (row,) = file.rows()

    assert file.columns == ("email", "n", "l")
    assert row.values == {"email": "a@a.example", "n": 3, "l": [1, "x"]}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        pytest.param("{nothing", "line 2: is no JSON", id="no JSON"),
        pytest.param("[1]", "line 2: is no JSON object", id="no object"),
        pytest.param('{"email": NaN}', "NaN is not a number", id="what JSON does not know"),
        pytest.param(r'{"email": "\u0000"}', "line 2, field 'email': has the character", id="NUL"),
        pytest.param(r'{"a": ["\ud800"]}', "line 2, field 'a': has the char", id="half a pair"),
        pytest.param("[" * 100_000, "line 2: is no JSON", id="an absurd depth"),
    ],
)
def test_a_line_that_is_no_row_is_named(written, line, words):
    file = written(f'{{"email": "a@a.example"}}\n{line}\n', "recipients.jsonl")

    (error,) = bad_rows(file)

    assert words in error
