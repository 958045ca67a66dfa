"""The options that say what is to be sent, over either channel, and what they stand for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from models.organisation import Establishment
from models.states import Priority
from worker.cli.company import CompanyOption, zone_of
from worker.cli.options import Table, option
from worker.cli.output import CommandError
from worker.registers.naming import find, find_company
from worker.registers.tasks import find_task

Many = list[str] | None
"""An option that may be given several times."""


class PriorityName(StrEnum):
    """Which message goes first."""

    TRANSACTIONAL = "transactional"
    NORMAL = "normal"
    BULK = "bulk"


TEXT: Table = {
    "text": option(str, "Text of the message."),
    "text_file": option(Path, "File with the text, in UTF-8.", metavar="FILE"),
}

BELONGS: Table = {
    "company": CompanyOption,
    "establishment": option(str, "Establishment whose message it is."),
    "task": option(str, "The one automatic task that is to take it."),
}

HANDED_IN: Table = {
    **TEXT,
    "priority": option(PriorityName, "Transactional goes first, bulk last."),
    "not_before": option(str, "Not to go earlier, as 2026-03-01T08:00; the company's time."),
    "expires": option(str, "Not to go later; default: three days after it may go."),
    "key": option(str, "Idempotency key: enqueued again under it, it stays one message."),
    "reference": option(str, "Your own reference, to find it by."),
    **BELONGS,
}


def handed_in(connection: Connection, given: Mapping[str, Any]) -> dict[str, Any]:
    """What the options of `HANDED_IN` say, as a draft of either channel has it.

    Args:
        connection: to look names up.
        given: the options that were used.

    Raises:
        CommandError: a file cannot be read, or an option is malformed.
        RegisterError: a name is not there.
    """
    if "text" in given and "text_file" in given:
        raise CommandError("give either --text or --text-file; nothing was enqueued")
    company = find_company(connection, given.get("company"))
    task, house = given.get("task"), given.get("establishment")
    text_file, priority = given.get("text_file"), given.get("priority")
    return {
        "company_id": company.id,
        "establishment_id": (
            find(connection, Establishment, house, company.id).id if house else None
        ),
        "task_id": find_task(connection, company, task).id if task else None,
        "text": read_text(text_file, "--text-file") if text_file else given.get("text"),
        "priority": Priority[priority.name] if priority is not None else Priority.NORMAL,
        "not_before": read_time(given.get("not_before"), zone_of(company), "--not-before"),
        "expires_at": read_time(given.get("expires"), zone_of(company), "--expires"),
        "idempotency_key": given.get("key"),
        "reference": given.get("reference"),
    }


def read_fields(given: Iterable[str] | None) -> dict[str, str] | None:
    """What --field gave, by name.

    Raises:
        CommandError: one has no value.
    """
    if not given:
        return None
    pairs = [one.partition("=") for one in given]
    for name, equals, _ in pairs:
        if not equals or not name.strip():
            raise CommandError(f"--field: {name!r} has no value; write it as NAME=VALUE")
    return {name.strip(): value for name, _, value in pairs}


def read_text(path: Path, name: str) -> str:
    """A file's text.

    Raises:
        CommandError: it cannot be read, or is not in UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise CommandError(
            f"{name}: {path} is not in UTF-8 (octet {error.start}); save it as UTF-8"
        ) from None
    except OSError as error:
        raise CommandError(
            f"{name}: {path} cannot be read: {error.strerror}; name another"
        ) from None


def read_time(text: str | None, zone: ZoneInfo, name: str) -> datetime | None:
    """A time in ISO 8601; without an offset it is in the company's zone.

    Raises:
        CommandError: it is none.
    """
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise CommandError(f"{name}: {text!r} is no time; write it as 2026-03-01T08:00") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)
