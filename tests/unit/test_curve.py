"""The curve of what was sent in the hour up to each moment, and its drawing."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.audit.drawing import BOTTOM, HEIGHT, LEFT, TOP, WIDTH, draw
from worker.core.curve import Curve
from worker.core.windows import worst_window

LENGTH = 10
HAND_OVERS = st.lists(st.tuples(st.integers(1, 200), st.integers(1, 3)), max_size=60)


def drawn(hand_overs, since=0, until=200, points=7):
    curve = Curve(LENGTH, since_us=since, until_us=until, points=points)
    for at, cost in sorted(hand_overs):
        curve.add(at, cost)
    return curve


@given(HAND_OVERS, st.integers(1, 250))
def test_its_highest_point_is_the_fullest_window_however_few_points_there_are(hand_overs, points):
    curve = drawn(hand_overs, points=points)

    assert max(curve.finished()) == worst_window(hand_overs, LENGTH).total


@given(HAND_OVERS, st.integers(1, 50), st.integers(0, 150), st.integers(20, 50))
def test_each_point_is_the_fullest_window_that_ends_in_its_stretch(
    hand_overs, points, since, length
):
    until = since + length
    curve = drawn(hand_overs, since, until, points)
    most, starts = curve.finished(), [*curve.starts(), until + 1]

    for number, found in enumerate(most):
        begin, end = starts[number], starts[number + 1]
        inside = [at for at, _ in hand_overs if max(begin, since + 1) <= at < end]
        held = [
            sum(cost for at, cost in hand_overs if last - LENGTH < at <= last) for last in inside
        ]
        reaching_in = sum(
            cost for at, cost in hand_overs if begin - LENGTH < at < begin or at == begin == since
        )
        assert found == max([reaching_in, *held])


def test_what_went_before_the_time_is_in_its_first_windows():
    assert drawn([(95, 2), (99, 1)], since=100, until=140, points=4).finished() == [3, 0, 0, 0]


def test_what_comes_after_the_time_is_left_out():
    assert drawn([(5, 1), (25, 9)], until=20, points=2).finished() == [1, 1]


@pytest.mark.parametrize(("until", "points"), [(0, 3), (5, 0)])
def test_a_curve_of_no_time_or_no_points_is_refused(until, points):
    with pytest.raises(ValueError, match="needs a time"):
        Curve(LENGTH, since_us=0, until_us=until, points=points)


NUMBERS = re.compile(r"([ML])([\d.]+) ([\d.]+)")


@given(
    st.lists(st.integers(0, 5000), min_size=1, max_size=30),
    st.lists(st.one_of(st.none(), st.integers(1, 5000)), min_size=1, max_size=4),
)
def test_a_drawing_stays_within_its_plane(most, limits):
    until = 10 * len(most)
    limit = [(until * n // len(limits), one) for n, one in enumerate(limits)]

    made = draw([10 * n for n in range(len(most))], most, until, limit)

    for _, x, y in NUMBERS.findall(made.curve + made.limit):
        assert LEFT <= float(x) <= WIDTH
        assert TOP <= float(y) <= HEIGHT - BOTTOM


def test_a_limit_is_drawn_in_steps_and_parted_where_there_was_none():
    made = draw([0, 50], [1, 2], 100, [(0, 100), (20, 200), (40, None), (60, 50)])

    assert [move for move, _, _ in NUMBERS.findall(made.limit)] == list("MLLLML")


def test_the_marks_of_the_axes_cover_the_time_and_the_limit():
    made = draw([0, 50], [90, 20], 100, [(0, 100)])

    assert [tick.value for tick in made.ticks_y] == [0, 30, 60, 90, 120]
    assert [made.ticks_x[0].value, made.ticks_x[-1].value] == [0, 100]
