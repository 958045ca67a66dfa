"""What a fault is, and how many unknowns it may leave."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Strike = Callable[[Any], None]
"""Is given the town in which it strikes."""


class CannotBeMade(Exception):
    """This machine cannot have this fault; the text says what it lacks."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong, while a backlog is being sent, and is mended again.

    Attributes:
        name: in words, as the table of results has it.
        strike: makes it, waits, and mends it; sending could go on as soon as it returns.
        unknowns: how many messages it may leave unknown: the sends between claim and settle of
            what it kills, or the mails whose answer it takes away. 0 for everything else.
        resends: the policy sends unknown messages once more.
        alone: needs a town of its own.
        times: settings of that town that differ from `ground.TIMES`.
    """

    name: str
    strike: Strike
    unknowns: int = 0
    resends: bool = False
    alone: bool = False
    times: Mapping[str, str] = field(default_factory=dict)
