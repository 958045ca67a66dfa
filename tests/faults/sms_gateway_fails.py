"""The gateway dies, is slow, is out of credit, breaks, or the line to it does."""

from __future__ import annotations

import time
from typing import Any

from tests.faults.crew import SLOTS
from tests.faults.fault import Fault, Strike
from tests.faults.ground import PATIENCE_SECONDS
from tests.faults.line import Rule
from tests.faults.sms_town import ANSWER_SECONDS, SmsTown
from tests.support.process_table import wait_until

ALL = 2 * SLOTS
"""As many SMS are on their way at once."""
TIMES = 4
KILLS, CUTS = 3, 5
AWAY_SECONDS, SLOW_SECONDS, STALLED_SECONDS = 8, 10, 3
LATE_SECONDS = 12
BODY = b'"iid"'
"""What only the body of a POST holds."""
GARBAGE = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n\xff{]oops]}"
CHARGED = """
    SELECT count(*) AS n FROM message m WHERE m.state = 'ready' AND m.attempts > (
        SELECT count(*) FROM attempt a WHERE a.message_id = m.id AND a.state <> 'deferred')
"""
SILENT = "SELECT FROM message WHERE state = 'unknown' AND unknowns = 1"
ONCE_MORE = "UPDATE automatic_task SET unknown_policy = :policy"


def killed_and_back(town: SmsTown) -> None:
    for _ in range(KILLS):
        _feed(town, 5)
        town.emulator.restart()
        time.sleep(1)


def away(town: SmsTown) -> None:
    """Nobody listens; a line without anybody behind it would take a POST first."""
    with town.gateway.troubled() as line:
        line.refuse()
        town.emulator.halt()
        time.sleep(AWAY_SECONDS)
        town.emulator.start()


def slow(town: SmsTown) -> None:
    with town.misbehaving({"kind": "slow", "seconds": 1.5}):
        _feed(town, 10)
        time.sleep(SLOW_SECONDS)


def slower_than_the_time_out(town: SmsTown) -> None:
    _struck(town, {"kind": "slow", "path": "send/*", "seconds": ANSWER_SECONDS + 2})


def sends(kind: str, **more: Any) -> Strike:
    """Some answers to a POST are missing or of no use."""
    return lambda town: _struck(town, {"kind": kind, "path": "send/*", **more})


def polls(kind: str) -> Strike:
    """Two answers with reports are missing or of no use; more would take minutes."""
    return lambda town: _struck(town, {"kind": kind, "path": "status/any"}, times=2)


def reports(kind: str) -> Strike:
    """For a while all reports come in another way than they should."""

    def strike(town: SmsTown) -> None:
        with town.misbehaving({"kind": kind, "seconds": LATE_SECONDS}):
            _feed(town, 15)
            time.sleep(SLOW_SECONDS)

    return strike


def refuses_all(kind: str) -> Strike:
    """The tasks pause, no SMS is charged for it, and go on once a person has mended it."""

    def strike(town: SmsTown) -> None:
        with town.misbehaving({"kind": kind, "path": "send/*"}):
            _feed(town, 10)
            wait_until(lambda: not _active(town), PATIENCE_SECONDS)
            time.sleep(1)
            refused = town.struck()
            assert refused <= ALL, f"asked {refused} times"
        charged = town.sql(CHARGED)[0].n
        assert not charged, f"{charged} SMS were charged with an attempt"
        town.sql("UPDATE automatic_task SET active = true, paused_why = NULL")

    return strike


def sent_once_more(town: SmsTown) -> None:
    """The policy has them sent again under the same own key, since reports come too late."""
    lost, late = {"kind": "drop-after-accept", "times": TIMES}, {"kind": "late"}
    town.sql("UPDATE sms_task SET unknown_hours = 0")
    town.sql(ONCE_MORE, policy="resend")
    with town.misbehaving(lost, {**late, "seconds": LATE_SECONDS}):
        _feed(town, 5)
        wait_until(lambda: town.emulator.faults()[0]["struck"] == TIMES, PATIENCE_SECONDS)
        wait_until(lambda: not town.sql(SILENT), PATIENCE_SECONDS)
    town.sql(ONCE_MORE, policy="hold")
    town.sql("UPDATE sms_task SET unknown_hours = 24")


def line_cut(town: SmsTown) -> None:
    """While each POST waits a little for its answer."""
    with town.misbehaving({"kind": "slow", "path": "send/*", "seconds": 0.4}):
        for _ in range(CUTS):
            _feed(town, 2)
            time.sleep(0.6)
            town.gateway.cut()


def line_stalls(town: SmsTown) -> None:
    with town.gateway.troubled() as line:
        line.stall()
        time.sleep(STALLED_SECONDS)


def at_posts(**rule: Any) -> Strike:
    """The line ends or garbles some POSTs."""

    def strike(town: SmsTown) -> None:
        made = Rule(**{"times": TIMES, **rule})
        with town.gateway.troubled(made):
            _feed(town, 5)
            wait_until(lambda: made.struck == TIMES, PATIENCE_SECONDS)
            time.sleep(ANSWER_SECONDS + 1)  # who is waiting for an answer shall not get it late

    return strike


def _struck(town: SmsTown, fault: dict[str, Any], times: int = TIMES) -> None:
    with town.misbehaving({**fault, "times": times}):
        _feed(town, 5)
        wait_until(lambda: town.struck() == times, PATIENCE_SECONDS)
        if fault["kind"] == "slow":
            time.sleep(fault["seconds"])


def _feed(town: SmsTown, count: int) -> None:
    for name in town.offices:
        town.enqueue(name, count)


def _active(town: SmsTown) -> int:
    count: int = town.sql("SELECT count(*) AS n FROM automatic_task WHERE active")[0].n
    return count


FAULTS = [
    Fault("SMS: gateway killed and started again, three times", killed_and_back, KILLS * ALL),
    Fault("SMS: gateway away for 8 s", away, unknowns=ALL),
    Fault("SMS: gateway slow", slow),
    Fault("SMS: gateway slower than the time-out", slower_than_the_time_out, unknowns=TIMES),
    Fault("SMS: taken, and hung up", sends("drop-after-accept"), unknowns=TIMES),
    Fault("SMS: hung up before it was read", sends("drop-before-reading"), unknowns=TIMES),
    Fault("SMS: half an answer, hung up", sends("cut-off"), unknowns=TIMES),
    Fault("SMS: half an answer", sends("truncated"), unknowns=TIMES),
    Fault("SMS: taken, and 500 in JSON", sends("error-json", carry_out=True), unknowns=TIMES),
    Fault("SMS: 500 in JSON", sends("error-json"), unknowns=TIMES),
    Fault("SMS: taken, and 500 in HTML", sends("error-html", carry_out=True), unknowns=TIMES),
    Fault("SMS: 500 in HTML", sends("error-html"), unknowns=TIMES),
    Fault("SMS: taken, and 200 in HTML", sends("html", carry_out=True), unknowns=TIMES),
    Fault("SMS: ERR_OTHER", sends("refuse")),
    Fault("SMS: out of credit, topped up and resumed", refuses_all("no-balance")),
    Fault("SMS: redirected, mended and resumed", refuses_all("redirect")),
    Fault(
        "SMS: unknown ones are sent once more",
        sent_once_more,
        unknowns=TIMES,
        resends=True,
        alone=True,
    ),
    Fault("SMS: reports lost on their way", polls("lost-answer")),
    Fault("SMS: half of the reports, hung up", polls("cut-off")),
    Fault("SMS: half of the reports", polls("truncated")),
    Fault("SMS: 500 in place of reports", polls("error-json")),
    Fault("SMS: reports 12 s late", reports("late")),
    Fault("SMS: reports doubled", reports("doubled")),
    Fault("SMS: reports out of order", reports("out-of-order")),
    Fault("SMS: line cut, five times", line_cut, unknowns=CUTS * ALL),
    Fault("SMS: line stalls for 3 s", line_stalls),
    Fault("SMS: line cut before the body", at_posts(pattern=b"POST /api"), unknowns=TIMES),
    Fault("SMS: line cut at the body", at_posts(pattern=BODY), unknowns=TIMES),
    Fault("SMS: line cut after the body", at_posts(pattern=BODY, forward=True), unknowns=TIMES),
    Fault("SMS: silence after the body", at_posts(pattern=BODY, hang_up=False), unknowns=TIMES),
    Fault(
        "SMS: taken, and garbage for an answer",
        at_posts(pattern=BODY, forward=True, answer=GARBAGE),
        unknowns=TIMES,
    ),
]
