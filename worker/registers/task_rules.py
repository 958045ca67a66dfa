"""What an automatic task may be set to; each refusal says why."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from models.states import Channel
from worker.core.addresses import parse_address
from worker.core.content import shown
from worker.registers import RegisterError
from worker.registers.naming import check_name

CADENCE_LEAST = {Channel.EMAIL: 100, Channel.SMS: 10}
CADENCE_MOST = 3_000
"""The original's bounds for e-mails; an administrator may raise the upper one. Chosen for SMS."""

UNITS = {Channel.EMAIL: "e-mails", Channel.SMS: "segments"}
"""What a cadence counts."""

SENT_AGAIN = {Channel.EMAIL: "Message-ID", Channel.SMS: "own key"}
"""What a message keeps when it is sent again."""

DEFAULTS: dict[str, Any] = {
    "cadence_ceiling": CADENCE_MOST,
    "reserve": 0,
    "retry_first": 60.0,
    "retry_longest": 7200.0,
    "most_attempts": 50,
    "unknown_policy": "hold",
}
"""As in `models.automation.AutomaticTask`; a new task is checked with them."""


def normalised(values: Mapping[str, Any]) -> dict[str, Any]:
    """Names and addresses in the form in which they are kept.

    Raises:
        RegisterError: a name is blank or too long.
        AddressError: an address is none.
    """
    new = dict(values)
    if "name" in new:
        new["name"] = check_name(new["name"], "automatic task")
    if "sender_name" in new:
        new["sender_name"] = check_name(new["sender_name"], "sender")
    for column in ("sender_address", "envelope_sender"):
        if new.get(column) is not None:
            new[column] = _bare(new[column], column.replace("_", " "))
    return new


def check_numbers(task: Mapping[str, Any], channel: Channel = Channel.EMAIL) -> None:
    """Refuse numbers that do not go together.

    Args:
        task: cadence, reserve, ceiling and retry policy as they would be after the change.
        channel: what it sends.

    Raises:
        RegisterError: naming the first that is wrong.

    >>> check_numbers(DEFAULTS | {"cadence": 3000})
    """
    cadence, ceiling, least = task["cadence"], task["cadence_ceiling"], CADENCE_LEAST[channel]
    bounds = f"give {least} to {ceiling:,} {UNITS[channel]} an hour"
    if ceiling < CADENCE_MOST:
        raise RegisterError(
            f"a ceiling of {ceiling:,} is below {CADENCE_MOST:,}",
            "lower the cadence instead; the ceiling is only for more",
        )
    if cadence < least:
        raise RegisterError(f"a cadence of {cadence:,} is below {least}", bounds)
    if cadence > ceiling:
        raise RegisterError(
            f"a cadence of {cadence:,} is above {ceiling:,}",
            f"{bounds}; for more, an administrator raises the bound with "
            f"--ceiling N --by ADMINISTRATOR",
        )
    if not 0 <= task["reserve"] < cadence:
        raise RegisterError(
            f"a reserve of {task['reserve']:,} does not fit a cadence of {cadence:,}",
            f"give 0 to {cadence - 1:,}",
        )
    _check_retry(task, channel)


def _check_retry(task: Mapping[str, Any], channel: Channel) -> None:
    first, longest, most = task["retry_first"], task["retry_longest"], task["most_attempts"]
    if not (math.isfinite(longest) and 0 < first <= longest):
        raise RegisterError(
            f"retries after {first:g} to {longest:g} seconds are impossible",
            "give --retry-first above 0 and --retry-longest not below it",
        )
    if not 1 <= most <= 1000:
        raise RegisterError(f"the most attempts are {most}", "give 1 to 1,000")
    if task["unknown_policy"] not in ("hold", "resend"):
        raise RegisterError(
            f"{shown(str(task['unknown_policy']))} is no policy for unknown messages",
            f"give hold (a person decides) or resend (once, with the same {SENT_AGAIN[channel]})",
        )


def _bare(text: str, what: str) -> str:
    address = parse_address(text)
    if address.name is not None:
        raise RegisterError(
            f"the {what} {shown(text)} has a name in it", "give the bare address, name@domain"
        )
    return address.addr_spec
