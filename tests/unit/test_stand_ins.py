"""Which OAC server is in charge of an automatic task."""

from __future__ import annotations

from datetime import timedelta

import pytest

from worker.core.stand_ins import STAY, Decision, ServerFacts, Step, TaskFacts, decide

AFTER = timedelta(seconds=60)


def seconds(count):
    return timedelta(seconds=count)


def alive(number, name, **changes):
    facts = {"quiet": seconds(1), "alive": True, "stands_in": True, "up": AFTER, **changes}
    return ServerFacts(number, name, **facts)


def dead(number, name, quiet=90, **changes):
    return ServerFacts(number, name, quiet=None if quiet is None else seconds(quiet), **changes)


MAIN, RESERVE, THIRD = alive(1, "main"), alive(2, "reserve"), alive(3, "third")
NO_MAIN, NO_RESERVE = dead(1, "main"), dead(2, "reserve")


def task(own=NO_MAIN, stand_ins=(RESERVE, THIRD), acting=None, back_for=None, after=AFTER):
    return TaskFacts(own, stand_ins, acting, after, back_for)


def change(to, why):
    return Decision(Step.CHANGE, to, why)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        pytest.param(task(MAIN), STAY, id="a server that lives keeps its task"),
        pytest.param(task(dead(1, "main", 60)), STAY, id="the time of silence is not over yet"),
        pytest.param(
            task(), change(RESERVE, "main has been silent for 90 s"), id="the first one takes over"
        ),
        pytest.param(
            task(dead(1, "main", None)),
            change(RESERVE, "main has never been heard of"),
            id="a server that never came is silent",
        ),
        pytest.param(
            task(stand_ins=(NO_RESERVE, THIRD)),
            change(THIRD, "main has been silent for 90 s"),
            id="a silent stand-in is passed over",
        ),
        pytest.param(
            task(stand_ins=(alive(2, "reserve", paused=True), THIRD)),
            change(THIRD, "main has been silent for 90 s"),
            id="a paused stand-in is passed over",
        ),
        pytest.param(
            task(stand_ins=(alive(2, "reserve", alive=False), THIRD)),
            change(THIRD, "main has been silent for 90 s"),
            id="one without a process for the channel is passed over",
        ),
        pytest.param(
            task(stand_ins=(alive(2, "reserve", stands_in=False), THIRD)),
            change(THIRD, "main has been silent for 90 s"),
            id="one of a version that cannot stand in is passed over",
        ),
        pytest.param(
            task(stand_ins=(alive(2, "reserve", quiet=seconds(20)), THIRD), after=seconds(10)),
            change(THIRD, "main has been silent for 90 s"),
            id="one that is silent for longer than the task bears is passed over",
        ),
        pytest.param(
            task(stand_ins=(alive(2, "reserve", up=seconds(59)), THIRD)),
            change(THIRD, "main has been silent for 90 s"),
            id="one that has just come is passed over: the silent one may be on its way",
        ),
        pytest.param(task(stand_ins=(NO_RESERVE,)), STAY, id="nobody is there to take over"),
        pytest.param(
            task(dead(1, "main", paused=True)), STAY, id="a paused server keeps its tasks at rest"
        ),
        pytest.param(
            task(acting=NO_MAIN),
            change(RESERVE, "main has been silent for 90 s"),
            id="its own server may be named as the one in charge",
        ),
        pytest.param(task(acting=RESERVE), STAY, id="a stand-in stays while the own is silent"),
        pytest.param(
            task(MAIN, acting=RESERVE), Decision(Step.SEEN_BACK), id="the own server is seen back"
        ),
        pytest.param(
            task(MAIN, acting=RESERVE, back_for=seconds(59)), STAY, id="it is not back for long"
        ),
        pytest.param(
            task(MAIN, acting=RESERVE, back_for=seconds(60)),
            change(MAIN, "main has been back for 60 s"),
            id="it has been back for long and takes its task again",
        ),
        pytest.param(
            task(alive(1, "main", stands_in=False), acting=RESERVE, back_for=seconds(61)),
            change(alive(1, "main", stands_in=False), "main has been back for 61 s"),
            id="an older version takes its own task back",
        ),
        pytest.param(
            task(acting=RESERVE, back_for=seconds(30)),
            Decision(Step.NOT_BACK),
            id="it went away once more",
        ),
        pytest.param(
            task(dead(1, "main", 5), acting=RESERVE, back_for=seconds(61)),
            Decision(Step.NOT_BACK),
            id="one that was stopped a moment ago is not back",
        ),
        pytest.param(
            task(alive(1, "main", paused=True), acting=RESERVE, back_for=seconds(61)),
            Decision(Step.NOT_BACK),
            id="a paused server takes nothing back",
        ),
        pytest.param(
            task(acting=NO_RESERVE),
            change(THIRD, "reserve has been silent for 90 s"),
            id="the next one takes over from a silent stand-in",
        ),
        pytest.param(
            task(MAIN, acting=NO_RESERVE),
            change(MAIN, "reserve has been silent for 90 s"),
            id="the own server takes over from a silent stand-in at once",
        ),
        pytest.param(
            task(acting=alive(2, "reserve", paused=True)),
            change(THIRD, "reserve is paused"),
            id="the next one takes over from a paused stand-in",
        ),
        pytest.param(
            task(stand_ins=(NO_RESERVE,), acting=NO_RESERVE),
            STAY,
            id="all are silent, and the task stays where it is",
        ),
        pytest.param(
            task(acting=THIRD, stand_ins=(RESERVE, THIRD)),
            STAY,
            id="a better stand-in that comes back changes nothing",
        ),
        pytest.param(
            task(MAIN, stand_ins=(), acting=RESERVE),
            change(MAIN, "reserve stands in for it no more"),
            id="a stand-in that is named no more goes at once",
        ),
        pytest.param(
            task(stand_ins=(THIRD,), acting=RESERVE),
            change(THIRD, "reserve stands in for it no more"),
            id="another is named in its place",
        ),
        pytest.param(
            task(stand_ins=(), acting=RESERVE),
            change(NO_MAIN, "reserve stands in for it no more"),
            id="none is named any more, and the own server is still silent",
        ),
    ],
)
def test_one_server_at_a_time_is_in_charge_of_a_task(facts, expected):
    assert decide(facts) == expected
