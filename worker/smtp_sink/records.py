"""What the sink writes down: each mail in a file, each transaction in a line of the journal."""

from __future__ import annotations

import itertools
import json
import os
import re
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TextIO

_MESSAGE_ID = re.compile(rb"^message-id:\s*(<[^>\r\n]*>)", re.IGNORECASE | re.MULTILINE)


def now_us() -> int:
    """The present in µs since the epoch, by this machine's clock."""
    return time.time_ns() // 1000


@dataclass(slots=True)
class Entry:
    """One transaction, from MAIL on.

    Attributes:
        connection: its number, from 1.
        helo: the client's name for itself.
        user: as whom it logged in, if it did.
        sender: of the envelope.
        recipients: each with the code that it was answered; 250 means accepted.
        began_us: when MAIL came, in µs since the epoch.
        dot_us: when the final dot came; None if it did not.
        code: the answer after the dot; None if none was given.
        message_id: of the header, with its angle brackets.
        size: bytes of content, without dot-stuffing.
        file: name in the directory; None if the mail was not kept.
        dsn: what reports were asked for (RFC 3461): with MAIL, then with each RCPT.
    """

    connection: int
    helo: str | None
    user: str | None
    sender: str
    recipients: dict[str, int] = field(default_factory=dict)
    began_us: int = field(default_factory=now_us)
    dot_us: int | None = None
    code: int | None = None
    message_id: str | None = None
    size: int | None = None
    file: str | None = None
    dsn: list[str] = field(default_factory=list)


class Records:
    """The directory of mails and the journal; either may be left out."""

    def __init__(self, directory: Path | None, journal: Path | None) -> None:
        self._directory = directory
        self._numbers = itertools.count(1)
        if directory is not None:
            directory.mkdir(parents=True, exist_ok=True)
        self._journal: TextIO | None = None
        if journal is not None:
            self._journal = journal.open("a", encoding="utf-8", buffering=1)  # a line at a time

    def keep(self, entry: Entry, content: bytes) -> None:
        """Put the mail into the directory, whole or not at all; the name sorts by time."""
        if self._directory is None:
            return
        name = f"{entry.dot_us:017d}-{next(self._numbers):08d}.eml"
        unfinished = self._directory / f".{name}"
        unfinished.write_bytes(content)
        os.replace(unfinished, self._directory / name)
        entry.file = name

    def write(self, entry: Entry) -> None:
        """Add one line to the journal."""
        if self._journal is not None:
            self._journal.write(json.dumps(asdict(entry), ensure_ascii=False) + "\n")

    def close(self) -> None:
        """Close the journal."""
        if self._journal is not None:
            self._journal.close()


def message_id(content: bytes) -> str | None:
    r"""The Message-ID of a mail, with its angle brackets.

    >>> message_id(b"Subject: x\r\nMessage-ID: <1@example.com>\r\n\r\nMessage-ID: <2@x>")
    '<1@example.com>'
    """
    match = _MESSAGE_ID.search(content.partition(b"\r\n\r\n")[0])
    return match[1].decode("ascii", "replace") if match else None
