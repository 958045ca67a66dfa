"""The options that say what an e-mail is, and the draft that they make."""

from __future__ import annotations

import mimetypes
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from worker.cli import context
from worker.cli.drafting import HANDED_IN, handed_in, read_text
from worker.cli.options import Table, option
from worker.cli.output import CommandError
from worker.compose import AttachmentPart
from worker.core.content import shown
from worker.enqueueing import Draft

UNTYPED = "application/octet-stream"


LETTER: Table = {
    "subject": option(str, "Subject."),
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
    **HANDED_IN,
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
    html_file = given.get("html_file")
    return Draft(
        **handed_in(connection, given),
        subject=given["subject"],
        html=read_text(html_file, "--html-file") if html_file else None,
        attachments=attachments(given.get("attach", ()), given.get("inline", ())),
        reply_to=given.get("reply_to", ()),
        list_unsubscribe=given.get("unsubscribe", ()),
        headers=[_header(one) for one in given.get("header", ())],
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
