"""In what e-mails and SMS differ for the API, and what is the same for both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row

from models.states import Channel
from models.tokens import Scope
from settings import Settings
from worker.api import shown
from worker.api.drafting import Drafting
from worker.api.given import EmailGiven, SmsGiven
from worker.enqueueing import Draft, Enqueued, SmsDraft, enqueue, enqueue_sms
from worker.enqueueing.together import Become, enqueue_sms_together, enqueue_together
from worker.outbox.own import Own

AnyDraft = Draft | SmsDraft


@dataclass(frozen=True, slots=True)
class Side:
    """The API's side of one channel.

    Attributes:
        channel: over what messages go.
        path: below /v1.
        words: one message and many, in sentences.
        writes, reads: the scopes.
        given: what is handed in.
        item, page, one: what is answered in a list, as a list, and alone.
        draft: of what was handed in, under a key or none.
        enqueue: one draft.
        together: many drafts.
    """

    channel: Channel
    path: str
    words: tuple[str, str]
    writes: Scope
    reads: Scope
    given: type[EmailGiven] | type[SmsGiven]
    page: type[shown.EmailPage] | type[shown.SmsPage]
    one: type[shown.EmailShown] | type[shown.SmsShown]
    draft: Callable[[Drafting, Any, str | None], AnyDraft]
    enqueue: Callable[[Connection, Any, Settings], Enqueued]
    together: Callable[[Connection, Sequence[Any], Settings], list[Become]]
    show_item: Callable[[Row[Any], Sequence[Row[Any]]], dict[str, Any]]
    show_one: Callable[[Own, Row[Any], Sequence[Row[Any]]], dict[str, Any]]


EMAILS = Side(
    channel=Channel.EMAIL,
    path="emails",
    words=("e-mail", "e-mails"),
    writes=Scope.EMAILS_WRITE,
    reads=Scope.EMAILS_READ,
    given=EmailGiven,
    page=shown.EmailPage,
    one=shown.EmailShown,
    draft=Drafting.email,
    enqueue=enqueue,
    together=enqueue_together,
    show_item=shown.email_item,
    show_one=lambda own, row, people: shown.email_shown(row, people, own.files(row.id)),
)
SMS = Side(
    channel=Channel.SMS,
    path="sms",
    words=("SMS", "SMS"),
    writes=Scope.SMS_WRITE,
    reads=Scope.SMS_READ,
    given=SmsGiven,
    page=shown.SmsPage,
    one=shown.SmsShown,
    draft=Drafting.sms,
    enqueue=lambda connection, draft, _settings: enqueue_sms(connection, draft),
    together=lambda connection, drafts, _settings: enqueue_sms_together(connection, drafts),
    show_item=shown.sms_shown,
    show_one=lambda _own, row, people: shown.sms_shown(row, people),
)
