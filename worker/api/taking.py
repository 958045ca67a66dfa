"""Taking one message in, under an idempotency key or none."""

from __future__ import annotations

import re

from sqlalchemy import Connection

from worker.api.channels import AnyDraft, Side
from worker.api.desk import Desk
from worker.api.drafting import Drafting, digest_of_request, located
from worker.api.given import EmailGiven, SmsGiven
from worker.api.problems import Kind, Problem
from worker.api.reading import invalid, of_content
from worker.api.security import Principal
from worker.core.content import ContentError
from worker.enqueueing import Enqueued
from worker.enqueueing.drafts import check_names
from worker.outbox import api_requests
from worker.outbox.api_requests import Repeat

OTHER = "the key was used before, for another request; use a new key for it"

# As the header's draft has it, a string in quotes (RFC 8941 section 3.3.3); bare it is taken too.
_QUOTED = re.compile(r'"((?:[^"\\]|\\["\\])*)"')


def key_of(header: str | None, given: EmailGiven | SmsGiven) -> str | None:
    """The key of a request: of its header, or of its body.

    Raises:
        Problem: they differ, or it cannot be stored.
    """
    in_header = None if header is None else unquoted(header)
    if in_header is not None and given.idempotency_key not in (None, in_header):
        raise invalid("/idempotency_key", "differs from the header Idempotency-Key; give one")
    key = in_header or given.idempotency_key
    try:
        check_names(key, given.reference)
    except ContentError as error:
        raise of_content(error) from None
    return key


def unquoted(header: str) -> str:
    r"""The key in the header Idempotency-Key, which may stand in quotes.

    Raises:
        Problem: it is no key.

    >>> unquoted('"a-1"'), unquoted("a-1")
    ('a-1', 'a-1')
    """
    text = header.strip()
    found = _QUOTED.fullmatch(text)
    key = re.sub(r"\\(.)", r"\1", found[1]) if found else text
    if not key.strip() or len(key) > 200 or not key.isascii() or not key.isprintable():
        words = "the header Idempotency-Key must have 1 to 200 visible ASCII characters"
        raise Problem(Kind.INVALID, words)
    return key


def take(
    desk: Desk,
    principal: Principal,
    side: Side,
    given: EmailGiven | SmsGiven,
    key: str | None,
    octets: int,
) -> Enqueued:
    """Enqueue a message, unless one was enqueued by the same request before.

    Args:
        desk: on whose database.
        principal: for whom.
        side: over which channel.
        given: what was handed in.
        key: its idempotency key, if it has one.
        octets: of the request.

    Raises:
        Problem: it is not fit to be sent, its key was used for another request, or another
            request under the key is under way.
    """
    company = principal.company_id
    with desk.transaction(principal.who, octets) as connection:
        if key is not None and not api_requests.try_lock(connection, company, key):
            words = "another request under this key is under way; ask again in a second"
            raise Problem(Kind.UNDER_WAY, words, headers={"Retry-After": "1"})
        draft = side.draft(Drafting(connection, company), given, key)
        try:
            return _once(connection, desk, side, draft, digest_of_request(given, draft))
        except ContentError as error:
            raise located(error, draft) from None


def _once(
    connection: Connection, desk: Desk, side: Side, draft: AnyDraft, digest: bytes
) -> Enqueued:
    key = draft.idempotency_key
    if key is None:
        return side.enqueue(connection, draft, desk.settings)
    found = api_requests.earlier(connection, draft.company_id, side.channel.value, [key]).get(key)
    repeat = Repeat.UNSURE if found is None else found.beside(digest)
    if repeat is Repeat.OTHER:
        raise Problem(Kind.KEY_CONFLICT, OTHER)
    if found is not None and repeat is Repeat.SAME:
        return Enqueued(found.message_id, created=False)
    done = side.enqueue(connection, draft, desk.settings)
    if done.created:
        api_requests.remember(connection, {done.message_id: digest})
    return done
