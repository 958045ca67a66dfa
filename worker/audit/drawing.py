"""A curve under its limit as coordinates of a drawing, for SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 960, 260
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 12, 26
"""Room for the labels of the axes."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis: where, and the number or the moment (in µs) that it stands for."""

    place: float
    value: int


@dataclass(frozen=True, slots=True)
class Drawing:
    """What a template needs to draw a curve.

    Attributes:
        width, height: of the whole, in units of the drawing.
        left, right, top, bottom: edges of the plane within the axes.
        curve: an SVG path: steps, closed along the bottom.
        limit: SVG paths of the limit; parted where there was none.
        ticks_x: moments in µs.
        ticks_y: numbers.
    """

    width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int
    curve: str
    limit: str
    ticks_x: tuple[Tick, ...]
    ticks_y: tuple[Tick, ...]


def draw(
    starts: Sequence[int],
    most: Sequence[int],
    until_us: int,
    limit: Sequence[tuple[int, int | None]],
) -> Drawing:
    """Lay a curve and its limit out.

    Args:
        starts: where each stretch begins, in µs; the first is where the time begins.
        most: how much the fullest window of each stretch holds.
        until_us: where the time ends.
        limit: from when on which limit, oldest first; None is none.
    """
    scale = _Scale(starts[0], until_us, _top([*most, *(n for _, n in limit if n is not None)]))
    ends = [*starts[1:], until_us]
    points = [
        (x, scale.y(n))
        for a, b, n in zip(starts, ends, most, strict=True)
        for x in (scale.x(a), scale.x(b))
    ]
    base = scale.y(0)
    curve = f"M{LEFT} {base}" + "".join(f"L{x} {y}" for x, y in points)
    return Drawing(
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
        right=WIDTH - RIGHT,
        top=TOP,
        bottom=HEIGHT - BOTTOM,
        curve=f"{curve}L{scale.x(until_us)} {base}Z",
        limit=_limit(scale, limit, until_us),
        ticks_x=tuple(Tick(scale.x(at), at) for at in _moments(starts[0], until_us)),
        ticks_y=tuple(Tick(scale.y(n), n) for n in _numbers(scale.most)),
    )


@dataclass(frozen=True, slots=True)
class _Scale:
    since_us: int
    until_us: int
    most: int

    def x(self, at_us: int) -> float:
        part = (at_us - self.since_us) / (self.until_us - self.since_us)
        return round(LEFT + part * (WIDTH - LEFT - RIGHT), 2)

    def y(self, number: int) -> float:
        return round(HEIGHT - BOTTOM - number / self.most * (HEIGHT - TOP - BOTTOM), 2)


def _limit(scale: _Scale, steps: Sequence[tuple[int, int | None]], until_us: int) -> str:
    """Level lines, joined where one limit followed another."""
    path, joined = "", False
    for number, (at_us, limit) in enumerate(steps):
        end_us = steps[number + 1][0] if number + 1 < len(steps) else until_us
        if limit is not None:
            path += f"{'L' if joined else 'M'}{scale.x(at_us)} {scale.y(limit)}"
            path += f"L{scale.x(end_us)} {scale.y(limit)}"
        joined = limit is not None
    return path


def _top(numbers: Sequence[int]) -> int:
    """A round number above all of them.

    >>> _top([0]), _top([97]), _top([3000])
    (10, 120, 4000)
    """
    wanted, size = max(numbers, default=0) * 1.05, 10
    while True:
        for step in (10, 12, 16, 20, 30, 40, 60, 80):
            if step * size // 10 >= wanted:
                return step * size // 10
        size *= 10


def _numbers(most: int) -> list[int]:
    return [most * quarter // 4 for quarter in range(5)]


def _moments(since_us: int, until_us: int) -> list[int]:
    return [since_us + (until_us - since_us) * part // 6 for part in range(7)]
