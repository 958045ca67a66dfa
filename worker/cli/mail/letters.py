"""The options that say what a message is, and the draft that they make."""

from __future__ import annotations

import mimetypes
from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from models.organisation import Establishment
from models.states import Priority
from worker.cli import context
from worker.cli.company import CompanyOption, zone_of
from worker.cli.options import Table, option
from worker.cli.output import CommandError
from worker.compose import AttachmentPart
from worker.core.content import shown
from worker.enqueueing import Draft
from worker.registers.naming import find, find_company
from worker.registers.tasks import find_task

UNTYPED = "application/octet-stream"


class PriorityName(StrEnum):
    """Which message goes first."""

    TRANSACTIONAL = "transactional"
    NORMAL = "normal"
    BULK = "bulk"


LETTER: Table = {
    "subject": option(str, "Subject."),
    "text": option(str, "Text of the message."),
    "text_file": option(Path, "File with the text, in UTF-8.", metavar="FILE"),
    "html_file": option(Path, "File with the HTML, in UTF-8.", metavar="FILE"),
    "attach": option(
        list[str], "File to attach; with :CID the HTML shows it as cid:CID.", metavar="FILE[:CID]"
    ),
    "inline": option(
        list[str],
        "File that the HTML shows as cid:CID; its name is the default.",
        metavar="FILE[:CID]",
    ),
    "reply_to": option(list[str], "Address for answers."),
    "unsubscribe": option(list[str], "https: or mailto: address for unsubscribing."),
    "header": option(list[str], "Header field of your own.", metavar="'NAME: VALUE'"),
    "priority": option(PriorityName, "Transactional goes first, bulk last."),
    "not_before": option(str, "Not to go earlier, as 2026-03-01T08:00; the company's time."),
    "expires": option(str, "Not to go later; default: three days after it may go."),
    "key": option(str, "Idempotency key: enqueued again under it, it stays one message."),
    "reference": option(str, "Your own reference, to find it by."),
    "company": CompanyOption,
    "establishment": option(str, "Establishment whose message it is."),
    "task": option(str, "The one automatic task that is to take it."),
}


def draft_of(connection: Connection, given: Mapping[str, Any], **more: Any) -> Draft:
    """The draft that the options describe.

    Args:
        connection: to look names up.
        given: the options of `LETTER` that were used.
        more: what the command itself adds to the draft.

    Raises:
        CommandError: a file cannot be read, or an option is malformed.
        RegisterError: a name is not there.
        ContentError: an attachment is not fit to be sent.
    """
    if "subject" not in given:
        raise CommandError("missing: --subject; nothing was enqueued")
    if "text" in given and "text_file" in given:
        raise CommandError("give either --text or --text-file; nothing was enqueued")
    company = find_company(connection, given.get("company"))
    task, establishment = given.get("task"), given.get("establishment")
    text_file, html_file = given.get("text_file"), given.get("html_file")
    priority = given.get("priority")
    house = establishment and find(connection, Establishment, establishment, company.id).id
    if priority is not None:
        more["priority"] = Priority[priority.name]
    return Draft(
        company_id=company.id,
        establishment_id=house or None,
        task_id=find_task(connection, company, task).id if task else None,
        subject=given["subject"],
        text=read_text(text_file, "--text-file") if text_file else given.get("text"),
        html=read_text(html_file, "--html-file") if html_file else None,
        attachments=attachments(given.get("attach", ()), given.get("inline", ())),
        reply_to=given.get("reply_to", ()),
        list_unsubscribe=given.get("unsubscribe", ()),
        headers=[_header(one) for one in given.get("header", ())],
        not_before=read_time(given.get("not_before"), zone_of(company), "--not-before"),
        expires_at=read_time(given.get("expires"), zone_of(company), "--expires"),
        idempotency_key=given.get("key"),
        reference=given.get("reference"),
        **more,
    )


def attachments(attach: Iterable[str], inline: Iterable[str]) -> tuple[AttachmentPart, ...]:
    """The files of --attach and --inline.

    Raises:
        CommandError: one is missing, or larger by itself than a message may be.
        ContentError: its name or Content-ID is not fit to be sent.
    """
    named = [_split(one) for one in attach]
    named += [(path, cid or path.name) for path, cid in map(_split, inline)]
    return tuple(
        AttachmentPart(path.name, _media_type(path), _octets(path), cid) for path, cid in named
    )


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


def _split(given: str) -> tuple[Path, str | None]:
    """A file's name and a Content-ID after its last colon; a file that exists has none."""
    name, colon, cid = given.rpartition(":")
    if not colon or Path(given).exists():
        return Path(given), None
    return Path(name), cid


def _octets(path: Path) -> bytes:
    most = context.settings().message_bytes
    try:
        size = path.stat().st_size
        if size > most:
            raise CommandError(
                f"{path} has {size / 1e6:.1f} MB, more than the {most / 1e6:.1f} MB that a message "
                f"may have; send a link to it, or raise KADENCIA_MESSAGE_BYTES"
            )
        return path.read_bytes()
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}; name another") from None


def _media_type(path: Path) -> str:
    guessed, encoding = mimetypes.guess_type(path.name)
    if guessed is None or encoding or guessed.startswith(("message/", "multipart/")):
        return UNTYPED
    return guessed


def _header(given: str) -> tuple[str, str]:
    name, colon, value = given.partition(":")
    if not colon:
        raise CommandError(f"--header: {shown(given)} has no colon; write it as 'NAME: VALUE'")
    return name.strip(), value.strip(" \t")
