"""The steps of sending a message, each measured and, where traces are made, a span of its own."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from models.states import Channel
from worker import tracing
from worker.measures import STEP_SECONDS


class Step(StrEnum):
    """In this order."""

    CONNECT = "connect"
    CLAIM = "claim"
    PERMIT = "permit"
    HAND_OVER = "hand-over"
    SETTLE = "settle"


class Sending(Protocol):
    """What sends over a channel."""

    channel: Channel


P = ParamSpec("P")
T = TypeVar("T")
S = TypeVar("S", bound=Sending)


@contextmanager
def taking(channel: Channel, step: Step) -> Iterator[None]:
    """Measure one step."""
    with tracing.span(step), STEP_SECONDS.timing(channel=channel, step=step):
        yield


def measured(
    step: Step,
) -> Callable[[Callable[Concatenate[S, P], T]], Callable[Concatenate[S, P], T]]:
    """Measure a method that is one step."""

    def around(do: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], T]:
        @functools.wraps(do)
        def taken(self: S, /, *args: P.args, **named: P.kwargs) -> T:
            with taking(self.channel, step):
                return do(self, *args, **named)

        return taken

    return around
