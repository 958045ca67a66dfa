"""The lines of many processes in one stream."""

from __future__ import annotations

import io
import json
import os

import pytest

from worker.fleet.output import LINE_BYTES, LineWriter, PipeLines


@pytest.fixture
def pipe():
    reader, writer = os.pipe()
    with open(reader, "rb") as ours, open(writer, "wb", buffering=0) as theirs:
        yield ours, theirs


def test_each_line_carries_the_name_of_its_process(pipe):
    out = io.StringIO()
    lines = PipeLines(pipe[0], "beat", LineWriter(out, "text"))

    pipe[1].write("prvý\n\ndruhý\nbez kon".encode())
    lines.read()
    pipe[1].write(b"ca\n")
    lines.read()

    assert out.getvalue() == "beat | prvý\nbeat | druhý\nbeat | bez konca\n"


def test_a_json_line_keeps_its_fields_and_another_line_is_wrapped():
    out = io.StringIO()
    LineWriter(out, "json").write("beat", '{"event": "tick"}', "plain", "[1]")

    assert [json.loads(line) for line in out.getvalue().splitlines()] == [
        {"event": "tick", "process": "beat"},
        {"process": "beat", "line": "plain"},
        {"process": "beat", "line": "[1]"},
    ]


def test_last_words_without_the_end_of_a_line_are_not_lost(pipe):
    out = io.StringIO()
    lines = PipeLines(pipe[0], "beat", LineWriter(out, "text"))

    pipe[1].write(b"fatal: no")
    lines.finish()

    assert out.getvalue() == "beat | fatal: no\n"


def test_an_endless_line_is_passed_on_in_pieces(pipe):
    out = io.StringIO()
    lines = PipeLines(pipe[0], "beat", LineWriter(out, "text"))

    for _ in range(40):
        pipe[1].write(b"x" * 4096)
        lines.read()

    assert out.getvalue().count("x") >= LINE_BYTES
    assert len(out.getvalue().splitlines()) > 1


def test_bytes_that_are_no_text_do_not_stop_the_stream(pipe):
    out = io.StringIO()
    lines = PipeLines(pipe[0], "beat", LineWriter(out, "text"))

    pipe[1].write(b"\xff\xfe\nnext\n")
    lines.read()

    assert out.getvalue().splitlines()[-1] == "beat | next"


def test_a_reader_that_went_away_stops_nothing():
    reader, writer = os.pipe()
    os.close(reader)
    with open(os.dup(writer), "w") as out:
        os.close(writer)
        lines = LineWriter(out, "text")
        lines.write("beat", "to nobody")
        lines.write("beat", "to nobody")
        with pytest.raises(BrokenPipeError):
            out.close()


def test_a_terminal_that_knows_only_ascii_still_shows_the_line():
    raw = io.BytesIO()
    with io.TextIOWrapper(raw, "ascii") as terminal:
        LineWriter(terminal, "text").write("beat", "prvý")

        assert raw.getvalue() == b"beat | prv\\xfd\n"
