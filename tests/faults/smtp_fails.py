"""The SMTP server hangs up, refuses, is silent, talks nonsense, or is very slow."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace

from tests.faults.crew import SLOTS
from tests.faults.fault import Fault, Strike
from tests.faults.ground import ANSWER_SECONDS, PATIENCE_SECONDS
from tests.faults.line import DOT, Line, Rule
from tests.faults.town import Town
from tests.support.process_table import wait_until

GARBAGE = b"\x16\x03\x01 !!\xff no code here\r\n"
BUSY = b"421 4.3.2 closing, try later\r\n"
TIMES = 2
"""On each of the two lines."""
PHASES = {
    "EHLO": b"ehlo",
    "MAIL": b"MAIL FROM",
    "RCPT": b"RCPT TO",
    "DATA": b"DATA\r\n",
    "dot": DOT,
}
SILENCE_SECONDS = 8
SLOW_SECONDS = 15
LONGEST_COMMAND = 200
ALL_SLOTS = 3 * SLOTS
"""Each may have been waiting for the answer to a dot."""


def _answered(rule: Rule) -> Strike:
    """As the rule has it, on each line."""

    def strike(town: Town) -> None:
        with ExitStack() as stack:
            rules = [replace(rule) for _ in town.smtp_lines]
            for line, one in zip(town.smtp_lines, rules, strict=True):
                stack.enter_context(line.troubled(one))
            wait_until(lambda: _struck(town, rules), PATIENCE_SECONDS)
            if not rule.hang_up:
                time.sleep(SILENCE_SECONDS)

    return strike


def _struck(town: Town, rules: list[Rule]) -> bool:
    """Whether all have happened; until then there is mail to be sent, over new connections."""
    town.stock_up(20)
    return all(rule.struck >= TIMES for rule in rules)


def _for_a_while(trouble: Callable[[Line], None], seconds: float) -> Strike:
    def strike(town: Town) -> None:
        with ExitStack() as stack:
            for line in town.smtp_lines:
                trouble(stack.enter_context(line.troubled()))
            time.sleep(seconds)

    return strike


def _silent_greeting(line: Line) -> None:
    line.stall()
    line.cut()


def _reads_slowly(beyond: int) -> Strike:
    """Judged by the bytes written; the server sees the dots when the slow time is over."""

    def strike(town: Town) -> None:
        since = time.time_ns() // 1000
        _for_a_while(lambda line: line.trickle(up=True, beyond=beyond), SLOW_SECONDS)(town)
        # The last bytes come at most so late: one was on its way, the others follow at once.
        town.late.append((since, time.time_ns() // 1000 + 3_000_000))

    return strike


def policy_resends(town: Town) -> None:
    """An unknown message goes once more, with the same Message-ID."""
    _set_policy(town, "resend")
    _answered(Rule(DOT, forward=True, times=TIMES))(town)
    _set_policy(town, "hold")


def filter_that_drops_all(town: Town) -> None:
    """Whatever one account hands over is taken, and never answered."""
    line = town.offices["other"].smtp
    with line.troubled(Rule(DOT, forward=True, times=None)) as troubled:
        town.enqueue("other", 40)
        time.sleep(15)
        assert troubled.dots


def _set_policy(town: Town, policy: str) -> None:
    town.sql("UPDATE automatic_task SET unknown_policy = :policy", policy=policy)


def _phases(what: str, rule: Rule) -> list[Fault]:
    """A fault for each phase; after the dot the truth is lost."""
    return [
        Fault(
            f"SMTP: {what} {phase}",
            _answered(replace(rule, pattern=pattern, times=TIMES)),
            unknowns=2 * TIMES if phase == "dot" and rule.answer != BUSY else 0,
        )
        for phase, pattern in PHASES.items()
    ]


SERVER_TOOK = Rule(DOT, forward=True, times=TIMES)

FAULTS = [
    Fault("SMTP: dropped after the final dot", _answered(SERVER_TOOK), unknowns=2 * TIMES),
    # The content may have been followed by the dot before its loss was noticed.
    Fault(
        "SMTP: dropped within the content",
        _answered(Rule(b"Subject: ", times=TIMES)),
        unknowns=2 * TIMES,
    ),
    Fault("SMTP: dropped at DATA", _answered(Rule(b"DATA\r\n", times=TIMES))),
    *_phases("421 to", Rule(b"", answer=BUSY)),
    *_phases("no answer to", Rule(b"", hang_up=False)),
    *_phases("garbage to", Rule(b"", answer=GARBAGE)),
    Fault(
        "SMTP: took the mail, then garbage",
        _answered(replace(SERVER_TOOK, answer=GARBAGE)),
        unknowns=2 * TIMES,
    ),
    Fault("SMTP: no greeting", _for_a_while(_silent_greeting, SILENCE_SECONDS), unknowns=ALL_SLOTS),
    Fault(
        "SMTP: connections refused", _for_a_while(Line.refuse, SILENCE_SECONDS), unknowns=ALL_SLOTS
    ),
    Fault(
        "SMTP: answers one byte a second",
        _for_a_while(lambda line: line.trickle(down=True), SLOW_SECONDS),
        unknowns=ALL_SLOTS,
    ),
    Fault("SMTP: reads one byte a second", _reads_slowly(0), unknowns=ALL_SLOTS),
    Fault(
        "SMTP: reads the content one byte a second",
        _reads_slowly(LONGEST_COMMAND),
        unknowns=ALL_SLOTS * SLOW_SECONDS // ANSWER_SECONDS,
    ),
    Fault("SMTP: a filter drops all after the dot", filter_that_drops_all, unknowns=16),
    Fault(
        "SMTP: unknown ones are sent once more", policy_resends, unknowns=2 * TIMES, resends=True
    ),
]
