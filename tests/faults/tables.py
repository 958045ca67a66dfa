"""Verdicts as lines for people, and as tables for the documentation."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tests.faults.sms_verdict import SmsVerdict
from tests.faults.verdict import Verdict

HEAD = f"{'fault':<50} runs  mails lost dbl unknown worst   use resumed"

COLUMNS = (
    "| fault | runs | messages | lost | doubled | unknown | worst window ÷ limit | use | resumed |",
    "|---|---|---|---|---|---|---|---|---|",
)
SMS_COLUMNS = (
    "| fault | runs | SMS | lost | doubled | reports lost | unknown: settled, held | "
    "worst window ÷ limit | resumed |",
    "|---|---|---|---|---|---|---|---|---|",
)


def line(verdict: Verdict) -> str:
    """A verdict as a line of the table."""
    use = "    -" if verdict.use is None else f"{verdict.use:5.2f}"
    return (
        f"{verdict.name:<50} {verdict.runs:4d} {verdict.messages:6d} {verdict.lost:4d} "
        f"{verdict.doubled:3d} {verdict.unknown:3d}/{verdict.allowed:<3d} {verdict.worst:5.3f} "
        f"{use} {verdict.resumed:5.1f} s"
    )


def tell(verdict: Verdict) -> None:
    """Print a verdict at once."""
    print(line(verdict), flush=True)
    for words in verdict.broken:
        print(f"    BROKEN: {words}", flush=True)


def markdown(verdicts: Sequence[Verdict]) -> str:
    """All runs of each fault together, as a table for the documentation."""
    return _table(COLUMNS, verdicts, _row)


def sms_markdown(verdicts: Sequence[Verdict]) -> str:
    """The same of faults while SMS were sent."""
    return _table(SMS_COLUMNS, verdicts, _sms_row)


def _table(
    columns: Sequence[str], verdicts: Sequence[Verdict], row: Callable[[Verdict], str]
) -> str:
    by_name: dict[str, Verdict] = {}
    for one in verdicts:
        by_name[one.name] = by_name[one.name].plus(one) if one.name in by_name else one
    return "\n".join([*columns, *map(row, by_name.values())]) + "\n"


def _row(one: Verdict) -> str:
    use = "" if one.use is None else f"{one.use:.2f}"
    return (
        f"| {one.name} | {one.runs} | {one.messages:,} | {one.lost} | {one.doubled} | "
        f"{one.unknown} of {one.allowed} | {one.worst:.2f} | {use} | {one.resumed:.1f} s |"
    )


def _sms_row(one: Verdict) -> str:
    sms = one if isinstance(one, SmsVerdict) else SmsVerdict(one.name)
    return (
        f"| {one.name.removeprefix('SMS: ')} | {one.runs} | {one.messages:,} | {one.lost} | "
        f"{one.doubled} | {sms.unreported} | {sms.settled}, {sms.held} of {one.allowed} | "
        f"{one.worst:.2f} | {one.resumed:.1f} s |"
    )
