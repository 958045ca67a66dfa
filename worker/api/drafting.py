"""From what is handed in to a draft: names become ids, files their octets."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection

from models.automation import AutomaticTask
from models.base import Base
from models.organisation import Establishment
from worker.api.given import EmailGiven, InlineFile, MessageGiven, SmsGiven, UploadedFile
from worker.api.problems import Problem
from worker.api.reading import invalid, of_content, without_values
from worker.compose import AttachmentPart
from worker.core.addresses import AddressError, parse_address
from worker.core.content import ContentError
from worker.enqueueing import Draft, SmsDraft
from worker.outbox import uploads
from worker.registers import RegisterError
from worker.registers.naming import find

Files = tuple[AttachmentPart, ...]


@dataclass(slots=True)
class Drafting:
    """Makes drafts of one company; what it looks up it looks up once.

    Args:
        connection: of the transaction in which the drafts are enqueued.
        company_id: whose they are, whatever is handed in.
    """

    connection: Connection
    company_id: int
    _ids: dict[tuple[type[Base], str], int] = field(default_factory=dict)
    _last_file: tuple[str, bytes] | None = None

    def email(self, given: EmailGiven, key: str | None) -> Draft:
        """The draft of an e-mail.

        Raises:
            Problem: it names something that is not there.
        """
        return Draft(
            **self._common(given, key),
            to=given.to,
            cc=given.cc,
            bcc=given.bcc,
            subject=given.subject,
            text=given.text,
            html=given.html,
            reply_to=given.reply_to or (),
            headers=tuple(given.headers.items()),
            list_unsubscribe=given.list_unsubscribe,
            attachments=tuple(
                self._file(number, one) for number, one in enumerate(given.attachments)
            ),
        )

    def sms(self, given: SmsGiven, key: str | None) -> SmsDraft:
        """The draft of an SMS.

        Raises:
            Problem: it names something that is not there.
        """
        return SmsDraft(
            **self._common(given, key),
            number=given.number,
            text=given.text,
            sender=given.sender,
            transliterate=given.transliterate,
        )

    def _common(self, given: MessageGiven, key: str | None) -> dict[str, Any]:
        return {
            "company_id": self.company_id,
            "establishment_id": self._id(Establishment, given.establishment, "/establishment"),
            "task_id": self._id(AutomaticTask, given.task, "/task"),
            "priority": given.order,
            "not_before": given.not_before,
            "expires_at": given.expires_at,
            "reference": given.reference,
            "idempotency_key": key,
            "fields": given.fields,
        }

    def _id(self, table: type[Base], name: str | None, pointer: str) -> int | None:
        if name is None:
            return None
        if (table, name) not in self._ids:
            try:
                if "\0" in name:
                    raise RegisterError("it has the character U+0000", "remove it")
                self._ids[table, name] = find(self.connection, table, name, self.company_id).id
            except RegisterError as error:
                raise invalid(pointer, f"{without_values(error.what)}; {error.mend}") from None
        return self._ids[table, name]

    def _file(self, number: int, given: InlineFile | UploadedFile) -> AttachmentPart:
        content = self._content(number, given)
        try:
            return AttachmentPart(given.filename, given.content_type, content, given.content_id)
        except ContentError as error:
            raise of_content(error, f"/attachments/{number}") from None

    def _content(self, number: int, given: InlineFile | UploadedFile) -> bytes:
        if isinstance(given, InlineFile):
            try:
                return base64.b64decode(given.content, validate=True)
            except (binascii.Error, ValueError):
                raise invalid(f"/attachments/{number}/content", "is no base64") from None
        # Many lines of a batch name the same file.
        if self._last_file is None or self._last_file[0] != given.attachment:
            digest = bytes.fromhex(given.attachment)
            found = uploads.read(self.connection, self.company_id, digest)
            if found is None:
                raise invalid(
                    f"/attachments/{number}/attachment",
                    "was not uploaded, or more than a day ago; POST it to /v1/attachments again",
                )
            self._last_file = given.attachment, found
        return self._last_file[1]


def digest_of_request(given: MessageGiven, draft: Draft | SmsDraft) -> bytes:
    """Of all that was asked for, to tell a repeat from another request under the same key.

    A file counts the same, sent along or uploaded before.
    """
    asked = given.model_dump(mode="json", exclude={"idempotency_key", "attachments"})
    if isinstance(draft, Draft):
        asked["attachments"] = [
            [one.name, one.media_type, one.content_id, sha256(one.content).hexdigest()]
            for one in draft.attachments
        ]
    text = json.dumps(asked, sort_keys=True, ensure_ascii=True)
    return sha256(text.encode()).digest()


def located(error: ContentError, draft: Draft | SmsDraft) -> Problem:
    """The problem of a draft; that of an address tells which one it is."""
    if isinstance(error, AddressError) and isinstance(draft, Draft):
        lists: dict[str, Sequence[str]] = {
            "to": draft.to, "cc": draft.cc, "bcc": draft.bcc, "reply_to": draft.reply_to,
        }  # fmt: skip
        for name, addresses in lists.items():
            for number, address in enumerate(addresses):
                if not _is_address(address):
                    return of_content(error, f"/{name}/{number}")
    return of_content(error)


def _is_address(text: str) -> bool:
    try:
        parse_address(text)
    except ContentError:
        return False
    return True
