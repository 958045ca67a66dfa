"""An SMS as it is handed in, and how its number and text become what will go."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from models.states import Priority
from worker.compose import check_template, render
from worker.core.phone_numbers import PhoneNumber, parse_number
from worker.core.sms_rules import TextRules, fit
from worker.core.sms_text import Measured, measure, transliterate
from worker.enqueueing.digests import digest_of
from worker.enqueueing.drafts import check_values
from worker.outbox import sms_inbox

NO_RULES = TextRules()


@dataclass(frozen=True, slots=True, kw_only=True)
class SmsDraft:
    """One SMS as it is handed in; `enqueue_sms` checks all of it.

    Attributes:
        company_id: who sends it; numbers without a calling code are of its country.
        establishment_id, task_id: which automatic tasks may take it; both may be absent.
        number: to whom.
        text: a template where `fields` are given; filled at once, so that its segments are known.
        sender: a name or a number; absent: the automatic task's.
        transliterate: always, never, or (None) where the automatic task sends no diacritics.
        priority: transactional goes first.
        not_before: aware; absent: at once.
        expires_at: aware; absent: three days after it may go.
        idempotency_key: enqueued again under it, the SMS stays one.
        reference: the enqueuer's own, for finding it.
        fields: what fills the template: texts, numbers, lists and mappings of them.
    """

    company_id: int
    number: str = ""
    text: str | None = field(default=None, repr=False)
    sender: str | None = None
    establishment_id: int | None = None
    task_id: int | None = None
    transliterate: bool | None = None
    priority: Priority = Priority.NORMAL
    not_before: datetime | None = None
    expires_at: datetime | None = None
    idempotency_key: str | None = None
    reference: str | None = None
    fields: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Worded:
    """A number and the text that will go to it, checked.

    Attributes:
        given: the text as it was handed in, filled, before an automatic task's rules changed it.
        text: as it goes.
    """

    number: PhoneNumber
    given: str = field(repr=False)
    text: str = field(repr=False)
    measured: Measured


def word(draft: SmsDraft, country: str, rules: TextRules) -> Worded:
    """Read a draft's number and make its text what will go.

    Args:
        draft: only its number, text, fields and `transliterate` are looked at.
        country: of numbers without a calling code.
        rules: of the automatic task that will take it.

    Raises:
        ContentError: the number can be reached by no SMS, or the text is not fit to be sent.
    """
    text = draft.text or ""
    if draft.fields is not None:
        check_template(text, "text")
        check_values(draft.fields)
        text = render(text, draft.fields, html=False, where="text")
    return worded(parse_number(draft.number, country), text, rules, draft.transliterate)


def worded(number: PhoneNumber, text: str, rules: TextRules, transliterated: bool | None) -> Worded:
    """A number with a filled text.

    Raises:
        ContentError: the text is not fit to be sent.
    """
    # What another automatic task's rules make of it later must not look like other content.
    given = transliterate(text) if transliterated else text
    final = fit(given, rules, transliterated)
    return Worded(number, given, final, measure(final))


def sms_digest(draft: SmsDraft, worded: Worded, sender: str | None) -> bytes:
    """Of what the recipient gets and who sends it; when it goes is no part of it."""
    return digest_of(
        {
            "place": [draft.establishment_id, draft.task_id],
            "number": worded.number.e164,
            "text": worded.given,
            "sender": sender,
        }
    )


def new_sms(
    worded: Worded, sender: str | None, key: str | None, digest: bytes | None
) -> sms_inbox.NewSms:
    """The rows of an SMS, with an own key that no other has."""
    return sms_inbox.NewSms(
        own_key=uuid.uuid4().hex,
        number=worded.number.e164,
        calling_code=worded.number.calling_code,
        text=worded.text,
        encoding=worded.measured.encoding.value,
        segments=worded.measured.segments,
        sender=sender,
        key=key,
        digest=digest,
    )
