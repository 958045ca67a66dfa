"""What EuroSMS answers to an SMS, or to many in one request.

No answer raises: what cannot be read is a value too, and says whether an SMS may be on its way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from worker.core.eurosms_codes import (
    GRAVITY,
    OUTCOMES,
    WRAPPERS,
    Certainty,
    Consequence,
    folded,
    send_code,
)
from worker.core.eurosms_json import (
    Unreadable,
    digits,
    entries,
    read_json,
    uuids,
    whole,
    word,
    words,
)
from worker.core.outcomes import Outcome

UNAUTHORISED = frozenset({401, 403})
REQUEST_TIMEOUT = 408
"""The request did not come whole in time, so that nothing was taken (RFC 9110 section 15.5.9)."""
TOO_MANY_REQUESTS = 429


@dataclass(frozen=True, slots=True)
class SendAnswer:
    """What became of one SMS, or of a request as a whole.

    Attributes:
        outcome: as for a mail.
        consequence: what it asks us to do.
        code: the deciding word, as the gateway wrote it; "" if none came.
        text: its description of it, or ours of that or of what came instead; one line.
        uuids: of the segments, in lower case; reports carry them.
        certainty: how well we know that it means this.
    """

    outcome: Outcome
    consequence: Consequence
    code: str
    text: str
    uuids: tuple[str, ...]
    certainty: Certainty


@dataclass(frozen=True, slots=True)
class RecipientAnswer:
    """What became of one SMS of many; `number` is digits, `own_key` as it was given."""

    number: str | None
    own_key: str | None
    answer: SendAnswer


@dataclass(frozen=True, slots=True)
class GroupAnswer:
    """What became of many SMS in one request.

    Attributes:
        whole: the request's answer; accepted if any SMS was taken.
        group_id: for asking after the statuses of all of them; None if none was given.
        accepted: how many SMS were taken; None if the gateway did not say.
        rejected: how many were not.
        recipients: those it named, in its order; none in a basic answer.
    """

    whole: SendAnswer
    group_id: str | None
    accepted: int | None
    rejected: int | None
    recipients: tuple[RecipientAnswer, ...]

    def answer_to(self, own_key: str, number: str) -> SendAnswer:
        """What became of one SMS of the request.

        It is looked for by its own key, then by its number among those named without a key. One
        that is not named at all shares the fate of the whole, unless some were taken and some
        not: then it is unknown.
        """
        named = [entry for entry in self.recipients if entry.own_key == own_key]
        named += [e for e in self.recipients if e.own_key is None and e.number == number]
        if named:
            return named[0].answer
        alike = not self.recipients and not self.rejected
        if self.whole.outcome is not Outcome.ACCEPTED or alike:
            return self.whole
        return unanswered("the gateway took part of the request, and did not name this SMS")


def unanswered(text: str) -> SendAnswer:
    """The SMS may have been taken, and the gateway's word on it was not had."""
    return _answer(Consequence.UNKNOWN, text, Certainty.INFERRED)


def many_unanswered(text: str) -> GroupAnswer:
    """All of many SMS may have been taken, and the gateway's word on it was not had."""
    return GroupAnswer(unanswered(text), None, None, None, ())


def read_send_one(status: int, content_type: str | None, body: bytes) -> SendAnswer:
    """Read the answer to one SMS.

    The body decides, whatever the HTTP status: refusals come with 200 as well as with an error.
    A code that is not attested is a refusal for now, unless uuids came with it.

    Args:
        status: of HTTP.
        content_type: the header's value; only for saying what came instead of JSON.
        body: as it came.

    >>> answer = read_send_one(200, None, b'{"err_code": "NO_BALANCE", "err_desc": "No credit"}')
    >>> answer.consequence, answer.text
    (<Consequence.PAUSE: 'pause'>, 'No credit')
    """
    found = _object(read_json(body, content_type))
    if isinstance(found, Unreadable):
        return _without_an_answer(status, found.reason)
    return _read_one(status, found)


def read_send_many(status: int, content_type: str | None, body: bytes) -> GroupAnswer:
    """Read the answer to many SMS: to o2m or m2m, basic or full.

    >>> many = read_send_many(200, None, b'{"accepted": 23, "rejected": 0, "group_id": 223123}')
    >>> many.whole.consequence, many.group_id
    (<Consequence.ACCEPTED: 'accepted'>, '223123')
    """
    found = _object(read_json(body, content_type))
    if isinstance(found, Unreadable):
        return GroupAnswer(_without_an_answer(status, found.reason), None, None, None, ())
    recipients = (*_taken(found), *_not_taken(found), *_results(found))
    accepted, rejected = whole(found.get("accepted")), whole(found.get("rejected"))
    if recipients:
        accepted = sum(e.answer.outcome is Outcome.ACCEPTED for e in recipients)
        rejected = len(recipients) - accepted
    return GroupAnswer(
        whole=_read_whole(status, found, accepted, rejected),
        group_id=word(found.get("group_id")) or None,
        accepted=accepted,
        rejected=rejected,
        recipients=recipients,
    )


def _object(found: object) -> Mapping[str, object] | Unreadable:
    if isinstance(found, Unreadable):
        return found
    if isinstance(found, dict):
        return found
    return Unreadable("JSON, but not an answer of the gateway")


def _without_an_answer(status: int, what: str) -> SendAnswer:
    """No word of the gateway: the HTTP status alone says whether an SMS may be on its way."""
    text = f"HTTP {status}, {what}"
    if status == TOO_MANY_REQUESTS:
        return _answer(Consequence.SLOW_DOWN, text, Certainty.INFERRED)
    if status == REQUEST_TIMEOUT:
        return _answer(Consequence.RETRY, text, Certainty.INFERRED)
    if 300 <= status < 500:  # a redirect or a refusal before the gateway: the address is wrong
        return _answer(Consequence.PAUSE, text, Certainty.INFERRED)
    return unanswered(text)


def _read_one(status: int, found: Mapping[str, object]) -> SendAnswer:
    code, reasons = word(found.get("err_code")), _reasons(found.get("err_list"))
    named = uuids(found.get("uuid"))
    if not (code or reasons or named):
        return _without_an_answer(status, "JSON, but not an answer of the gateway")
    answer = _judge(status, code, words(found.get("err_desc")), named)
    if reasons and (not code or folded(code) in WRAPPERS):
        return _with_uuids(_gravest(status, reasons), named)
    return answer


def _read_whole(
    status: int, found: Mapping[str, object], accepted: int | None, rejected: int | None
) -> SendAnswer:
    """The answer to the request; without any code, its counts speak."""
    if found.get("err_code") or found.get("err_list") or not (accepted or rejected):
        answer = _read_one(status, found)
    else:
        kind = Consequence.ACCEPTED if accepted else Consequence.REJECT
        answer = _answer(kind, f"{accepted or 0} taken, {rejected or 0} not", Certainty.CITED)
    if accepted and answer.outcome is not Outcome.ACCEPTED:
        return unanswered(f"{accepted} taken, yet {answer.code or answer.text}")
    return answer


def _judge(status: int, code: str, text: str, named: tuple[str, ...]) -> SendAnswer:
    """What one code means, with the uuids that came with it."""
    known = send_code(code)
    if known is not None:
        answer = _answer(known.consequence, text or known.meaning, known.certainty, code)
        return _with_uuids(answer, named)
    if named:
        return replace(_answer(Consequence.ACCEPTED, text, Certainty.INFERRED, code), uuids=named)
    if not code:
        return unanswered("neither a code nor uuids")
    return _answer(_unheard_of(status), text, Certainty.INFERRED, code)


def _unheard_of(status: int) -> Consequence:
    """What a code that is not attested asks for: the HTTP status it came with is all we have."""
    if status == TOO_MANY_REQUESTS:
        return Consequence.SLOW_DOWN
    if status in UNAUTHORISED:
        return Consequence.PAUSE
    return Consequence.UNKNOWN if status >= 500 else Consequence.RETRY  # as INTERNAL_ERROR is


def _with_uuids(answer: SendAnswer, named: tuple[str, ...]) -> SendAnswer:
    """A refusal with uuids contradicts itself: something may have been taken."""
    if named and answer.outcome is not Outcome.ACCEPTED:
        text = f"refused, yet with uuids: {answer.text}"
        answer = replace(unanswered(text), code=answer.code)
    return replace(answer, uuids=named)


def _reasons(err_list: object) -> list[tuple[str, str]]:
    """The codes of a list of reasons, each with its description."""
    return [
        (word(entry.get("err_code")), words(entry.get("err_desc")))
        for entry in entries(err_list)
        if word(entry.get("err_code"))
    ]


def _gravest(status: int, reasons: Iterable[tuple[str, str]]) -> SendAnswer:
    answers = [_judge(status, code, text, ()) for code, text in reasons]
    gravest = min(answers, key=lambda answer: GRAVITY.index(answer.consequence))
    if gravest.outcome is Outcome.ACCEPTED:
        return replace(unanswered("a refusal, for no other reason than this"), code=gravest.code)
    if len(answers) == 1:
        return gravest
    return replace(gravest, text=words("; ".join(f"{a.code}: {a.text}" for a in answers)))


def _taken(found: Mapping[str, object]) -> Iterable[RecipientAnswer]:
    """Those that a full answer to o2m lists as taken."""
    return (_recipient("ENQUEUED", entry) for entry in entries(found.get("accepted")))


def _not_taken(found: Mapping[str, object]) -> Iterable[RecipientAnswer]:
    """Those that it lists as wrong numbers."""
    return (_recipient("WRONG_NUMBER", entry) for entry in entries(found.get("wrong_numbers")))


def _results(found: Mapping[str, object]) -> Iterable[RecipientAnswer]:
    """Those that a full answer to m2m lists, each with a code of its own."""
    return (_recipient(word(entry.get("e")), entry) for entry in entries(found.get("result")))


def _recipient(code: str, entry: Mapping[str, object]) -> RecipientAnswer:
    return RecipientAnswer(
        number=digits(entry.get("r")),
        own_key=word(entry.get("f")) or None,
        answer=_judge(200, code, "", uuids(entry.get("i"))),
    )


def _answer(
    consequence: Consequence, text: str, certainty: Certainty, code: str = ""
) -> SendAnswer:
    return SendAnswer(OUTCOMES[consequence], consequence, code, text, (), certainty)
