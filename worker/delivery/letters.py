"""From a claimed message and its stored body to the envelope that SMTP carries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from worker.compose import AttachmentPart, Letter, compose, render
from worker.core.addresses import Address, parse_address
from worker.core.outcomes import Outcome
from worker.outbox.answers import Answer, RecipientAnswer
from worker.outbox.bodies import StoredBody
from worker.outbox.claims import Claim, Recipient
from worker.transports import Envelope, Reply


@dataclass(frozen=True, slots=True)
class Addressed:
    """An envelope, and the recipients of the message that each of its own stands for."""

    envelope: Envelope
    positions: tuple[tuple[int, ...], ...]


def address(claim: Claim, body: StoredBody) -> Addressed:
    """Compose a message for those recipients who are still to be reached.

    Under the safety mode that redirects, one envelope recipient stands for all.

    Raises:
        ContentError: it cannot be composed: a template's field is missing, for example.
    """
    redirect = claim.row.redirect_to
    pending = claim.envelope
    content = compose(letter(claim, body))
    recipients = tuple(one.address for one in pending)
    positions: tuple[tuple[int, ...], ...] = tuple((one.position,) for one in pending)
    if redirect is not None:
        recipients = (redirect,)
        positions = (tuple(one.position for one in pending),)
    plain = all(one.isascii() for one in recipients) and claim.row.envelope_sender.isascii()
    envelope = Envelope(
        sender=claim.row.envelope_sender,
        recipients=recipients,
        content=content,
        smtputf8=not plain or not content.isascii(),
        envelope_id=claim.row.message_id.strip("<>"),
    )
    return Addressed(envelope, positions)


def answer_of(addressed: Addressed, reply: Reply) -> Answer:
    """What a hand-over of it made of the message's own recipients.

    A server that wants the whole account to slow down does not use up a message's attempts.
    """
    recipients = tuple(
        RecipientAnswer(position, each.outcome, f"{each.code or ''} {each.text}".strip())
        for positions, each in zip(addressed.positions, reply.recipients, strict=True)
        for position in positions
    )
    slowed = reply.slow_down and reply.outcome is Outcome.DEFERRED
    return Answer(
        outcome=reply.outcome,
        recipients=recipients,
        charged=not slowed,
        phase=reply.phase.value,
        code=reply.code,
        enhanced=reply.enhanced,
        text=reply.text,
    )


def letter(claim: Claim, body: StoredBody) -> Letter:
    """The letter of a message, the same in each attempt.

    Raises:
        ContentError: a field is missing, or is not fit for where it goes.
    """
    row, fields = claim.row, claim.row.fields or {}
    redirected = row.redirect_to is not None
    return Letter(
        message_id=row.message_id,
        date=row.created_at.astimezone(ZoneInfo(row.time_zone)),
        from_name=row.sender_name,
        from_address=parse_address(row.sender_address),
        to=_shown(claim, "to"),
        cc=_shown(claim, "cc"),
        subject=row.subject,  # filled at enqueue: what a column held is no template
        text=None if body.text is None else _filled(body.text, body, fields, "text", html=False),
        html=None if body.html is None else _filled(body.html, body, fields, "HTML", html=True),
        reply_to=tuple(parse_address(one) for one in row.reply_to or ()),
        attachments=tuple(
            AttachmentPart(file.name, file.media_type, file.content, file.content_id)
            for file in body.files
        ),
        list_unsubscribe=tuple(row.list_unsubscribe or ()),
        headers=tuple((name, value) for name, value in row.headers or ()),
        bulk=claim.bulk,
        redirected_from=tuple(one.address for one in claim.envelope) if redirected else (),
    )


def _filled(
    source: str, body: StoredBody, fields: dict[str, Any], where: str, *, html: bool
) -> str:
    return render(source, fields, html, where) if body.template else source


def _shown(claim: Claim, kind: str) -> tuple[Address, ...]:
    return tuple(_address(one) for one in claim.recipients if one.kind == kind)


def _address(one: Recipient) -> Address:
    bare = parse_address(one.address)
    return Address(bare.local, bare.domain, bare.display_domain, one.name)
