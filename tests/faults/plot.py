"""Curves over time as one SVG: a strip for each, on its own scale from zero."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, STRIP, LEFT, TOP = 760, 70, 190, 40


@dataclass(frozen=True, slots=True)
class Curve:
    """What is drawn: a name with the unit, seconds, and a value for each."""

    name: str
    at: Sequence[float]
    values: Sequence[float]


def svg(title: str, curves: Sequence[Curve]) -> str:
    """A picture of all curves over the same time.

    >>> svg("nothing", []).count("polyline")
    0
    """
    longest = max((max(curve.at, default=1.0) for curve in curves), default=1.0)
    height = TOP + STRIP * len(curves) + 30
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 20}" height="{height}"'
        ' font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="10" y="24" font-size="15">{escape(title)}</text>',
    ]
    for number, curve in enumerate(curves):
        parts += _strip(curve, longest, TOP + STRIP * number)
    parts.append(f'<text x="{LEFT}" y="{height - 10}">0 to {longest:.0f} s</text></svg>')
    return "\n".join(parts) + "\n"


def _strip(curve: Curve, longest: float, top: float) -> list[str]:
    most = max(curve.values, default=1.0) or 1.0
    floor, room = top + STRIP - 8, STRIP - 16
    points = " ".join(
        f"{LEFT + WIDTH * at / longest:.1f},{floor - room * value / most:.1f}"
        for at, value in zip(curve.at, curve.values, strict=True)
    )
    return [
        f'<line x1="{LEFT}" x2="{LEFT + WIDTH}" y1="{floor}" y2="{floor}" stroke="#ccc"/>',
        f'<text x="10" y="{top + 30}">{escape(curve.name)}</text>',
        f'<text x="10" y="{top + 46}" fill="#666">at most {most:.0f}</text>',
        f'<polyline points="{points}" fill="none" stroke="#06c" stroke-width="1.5"/>',
    ]
