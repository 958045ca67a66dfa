"""Where traces are made, one begins with the enqueue, and its number is kept with the message."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, text

from worker import tracing

# The column's default takes it from here, in this transaction alone.
SAY = text("SELECT set_config('kadencia.traceparent', :traceparent, true)")

P = ParamSpec("P")
T = TypeVar("T")


def traced(do: Callable[Concatenate[Connection, P], T]) -> Callable[Concatenate[Connection, P], T]:
    """Make a span of a function that stores messages, and theirs go on from it."""

    @functools.wraps(do)
    def within(connection: Connection, /, *args: P.args, **named: P.kwargs) -> T:
        with tracing.span("enqueue"):
            traceparent = tracing.traceparent()
            if traceparent is not None:
                connection.execute(SAY, {"traceparent": traceparent})
            return do(connection, *args, **named)

    return within
