"""Bodies that come too slowly, and lines as they are cut from a stream."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.api.bodies import counted
from worker.api.lines import Answers, Splitter, grouped
from worker.api.problems import Kind, Problem


def test_a_body_that_does_not_come_is_given_up():
    async def never():
        await asyncio.Event().wait()

    with pytest.raises(Problem) as refused:
        asyncio.run(counted(never, most=10, seconds=0.01)())

    assert refused.value.kind is Kind.TOO_SLOW


def test_what_follows_a_body_is_waited_for_as_long_as_it_takes():
    sent = [{"type": "http.request", "body": b"abc"}, {"type": "http.disconnect"}]

    async def receive():
        if len(sent) == 1:
            await asyncio.sleep(0.05)
        return sent.pop(0)

    async def both():
        receiving = counted(receive, most=10, seconds=0.02)
        return [await receiving(), await receiving()]

    assert [one["type"] for one in asyncio.run(both())] == ["http.request", "http.disconnect"]


@given(
    lines=st.lists(st.binary(max_size=12).filter(lambda line: b"\n" not in line), max_size=20),
    sizes=st.lists(st.integers(1, 9), min_size=1),
)
def test_lines_are_the_same_however_the_stream_is_cut(lines, sizes):
    stream = b"\n".join(lines)
    cut, at, turn = Splitter(most=8), 0, 0
    found = []
    while at < len(stream):
        size = sizes[turn % len(sizes)]
        found += cut.feed(stream[at : at + size])
        at, turn = at + size, turn + 1
    found += cut.end()

    wanted = [
        (number, line if len(line) <= 8 else None)
        for number, line in enumerate(lines, 1)
        if len(line) > 8 or line.strip()
    ]
    assert [(one.number, one.octets) for one in found] == wanted


def test_a_group_ends_at_its_lines_or_its_octets():
    async def stream():
        yield b"a\nb\nc\n" + b"x" * 30 + b"\nd\n"
        yield b"e"

    async def groups():
        return [
            [line.number for line in group]
            async for group in grouped(stream(), Splitter(most=100), lines=3, octets=20)
        ]

    assert asyncio.run(groups()) == [[1, 2, 3], [4], [5, 6]]


def test_answers_that_nobody_reads_yet_are_kept_in_their_order():
    async def both():
        answers = Answers()
        for number in range(2000):
            answers.add(b"%06d" % number * 40)
        answers.end()
        read = b"".join([chunk async for chunk in answers.chunks()])
        answers.close()
        return read

    assert asyncio.run(both()) == b"".join(b"%06d" % number * 40 for number in range(2000))
