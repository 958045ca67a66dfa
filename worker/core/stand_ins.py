"""Which OAC server is in charge of an automatic task: its own, or one that stands in for it.

The task keeps one server at a time. A stand-in comes when the server in charge has been silent
for the task's time, and stays until the task's own server has been back for a while, since two
that take turns every minute would leave released messages behind each time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

BACK_AFTER = timedelta(seconds=60)
"""Chosen: a server that crashes and is restarted again and again does not come so far."""


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """An OAC server, as a task looks at it.

    Attributes:
        id: its number.
        name: as people know it.
        paused: by a person; it is asked to do nothing.
        quiet: how long ago a process was heard that sends messages of the task's channel, or
            the last was stopped in order; None if there never was one.
        alive: such a process is there, and was heard of late enough for any sweep.
        stands_in: all that are there know how to take another server's tasks.
        up: how long the first of them has been there.
    """

    id: int
    name: str
    paused: bool = False
    quiet: timedelta | None = None
    alive: bool = False
    stands_in: bool = False
    up: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class TaskFacts:
    """An active automatic task and the servers that may be in charge of it.

    Attributes:
        own: its own server.
        stand_ins: those that take over, in this order.
        acting: the one in charge; None if that is its own.
        after: how long a server may be silent.
        back_for: how long its own server has been seen back; None if it has not been.
    """

    own: ServerFacts
    stand_ins: Sequence[ServerFacts]
    acting: ServerFacts | None
    after: timedelta
    back_for: timedelta | None = None


class Step(Enum):
    """What is to be done about who is in charge."""

    STAY = "stay"
    """Nothing."""
    CHANGE = "change"
    """Another server takes charge."""
    SEEN_BACK = "seen back"
    """Its own server is there again: from now on the time counts."""
    NOT_BACK = "not back"
    """It was seen back, and has gone once more."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done; with a change, by whom and why."""

    step: Step
    to: ServerFacts | None = None
    why: str = ""


STAY = Decision(Step.STAY)


def decide(task: TaskFacts) -> Decision:
    """Who shall be in charge of a task.

    A server that a person has paused is not silent: its tasks wait with it. It takes no task
    from another either.

    Args:
        task: as it is now.

    Returns:
        What is to be done. Nobody to take over is no reason to move the task.

    >>> main = ServerFacts(1, "main", quiet=timedelta(seconds=90))
    >>> hour = timedelta(hours=1)
    >>> reserve = ServerFacts(2, "reserve", False, timedelta(0), True, True, up=hour)
    >>> decide(TaskFacts(main, [reserve], None, after=timedelta(seconds=60))).why
    'main has been silent for 90 s'
    """
    if task.acting is None or task.acting.id == task.own.id:
        return _while_own_acts(task)
    if all(one.id != task.acting.id for one in task.stand_ins):
        to = task.own if _is_back(task) else _first(task.stand_ins, task.after) or task.own
        return Decision(Step.CHANGE, to, f"{task.acting.name} stands in for it no more")
    if task.acting.paused or _is_silent(task.acting, task.after):
        return _without(task, task.acting)
    return _until_own_is_back(task)


def _while_own_acts(task: TaskFacts) -> Decision:
    if task.own.paused or not _is_silent(task.own, task.after):
        return STAY
    to = _first(task.stand_ins, task.after)
    return STAY if to is None else Decision(Step.CHANGE, to, _silence(task.own))


def _without(task: TaskFacts, acting: ServerFacts) -> Decision:
    """The stand-in is of no use either: its own server need not wait, if it is there."""
    others = [one for one in task.stand_ins if one.id != acting.id]
    to = task.own if _is_back(task) else _first(others, task.after)
    if to is None:
        return STAY
    return Decision(
        Step.CHANGE, to, f"{acting.name} is paused" if acting.paused else _silence(acting)
    )


def _until_own_is_back(task: TaskFacts) -> Decision:
    if not _is_back(task):
        return STAY if task.back_for is None else Decision(Step.NOT_BACK)
    if task.back_for is None:
        return Decision(Step.SEEN_BACK)
    if task.back_for < BACK_AFTER:
        return STAY
    seconds = round(task.back_for.total_seconds())
    return Decision(Step.CHANGE, task.own, f"{task.own.name} has been back for {seconds} s")


def _is_silent(server: ServerFacts, after: timedelta) -> bool:
    return server.quiet is None or server.quiet > after


def _is_back(task: TaskFacts) -> bool:
    own = task.own
    return own.alive and not own.paused and not _is_silent(own, task.after)


def _first(servers: Sequence[ServerFacts], after: timedelta) -> ServerFacts | None:
    """The first that may take over. Where a whole fleet starts, nobody is missed who is late."""
    fit = (
        one
        for one in servers
        if one.alive
        and one.stands_in
        and one.up >= after
        and not one.paused
        and not _is_silent(one, after)
    )
    return next(fit, None)


def _silence(server: ServerFacts) -> str:
    if server.quiet is None:
        return f"{server.name} has never been heard of"
    return f"{server.name} has been silent for {round(server.quiet.total_seconds())} s"
