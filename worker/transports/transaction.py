"""One mail over one connection, and at each step what is certain about it."""

from __future__ import annotations

from worker.core.dsn import Dsn
from worker.core.outcomes import Outcome
from worker.core.replies import Answer, Phase, classify, overall, slow_down
from worker.crashpoints import CrashPoint, reach
from worker.transports import Envelope, RecipientReply, Reply
from worker.transports.wire import Clock, Lost, Wire

DOT = b".\r\n"

EARLY_ANSWER_SECONDS = 1.0
"""For the rest of an answer that came before its question. Chosen: its bytes are under way."""

SHORTEST_DOT_SECONDS = 0.1
"""For writing the final dot that was begun in time. Chosen: three bytes into a free buffer."""


def impossible(envelope: Envelope, wire: Wire) -> str | None:
    """Why this server, by what it announced, can never take this mail; None if it may.

    Source:
        RFC 1870 section 6.1 (SIZE), RFC 6152 section 3 (no 8-bit content to a server that does
        not offer it, under any circumstances), RFC 6531 section 3.2 (SMTPUTF8).
    """
    if envelope.smtputf8 and not wire.has_extn("smtputf8"):
        return "the mail needs SMTPUTF8, which the server does not offer"
    if not envelope.content.isascii() and not wire.has_extn("8bitmime"):
        return "the mail has 8-bit content, and the server does not offer 8BITMIME"
    words = wire.esmtp_features.get("size", "").split()
    most = int(words[0][:20]) if words and words[0][:20].isdecimal() else 0  # 0: no limit
    if most and len(envelope.content) > most:
        return f"the mail has {len(envelope.content)} bytes, the server takes at most {most}"
    return None


def refused(envelope: Envelope, text: str) -> Reply:
    """The reply for a mail that cannot be sent over this connection, before MAIL."""
    recipients = tuple(
        RecipientReply(recipient, Outcome.REJECTED, None, None, text)
        for recipient in envelope.recipients
    )
    return Reply(Outcome.REJECTED, Phase.EHLO, None, None, text, recipients, False, False)


class Transaction:
    """From MAIL to the answer after the final dot.

    A connection is fit for the next mail afterwards if it is still open: whatever leaves it in
    doubt closes it.

    Attributes:
        stale: the connection ended at MAIL, as one does that was kept for longer than the
            server likes. Nothing was handed over.
    """

    def __init__(
        self,
        wire: Wire,
        envelope: Envelope,
        dot_by: float,
        answer_timeout: float,
        clock: Clock,
        dsn: Dsn | None = None,
    ) -> None:
        self.stale = False
        self._dsn = dsn if dsn is not None and wire.has_extn("dsn") else None
        self._wire = wire
        self._envelope = envelope
        self._dot_by = dot_by
        self._answer_timeout = answer_timeout
        self._clock = clock
        self._spent = False
        self._refused: dict[int, RecipientReply] = {}

    def run(self) -> Reply:
        """Hand the mail over. Refusals and lost connections are replies; nothing is raised."""
        wire = self._wire
        wire.phase = Phase.MAIL
        wire.latest = self._dot_by
        wire.command_encoding = "utf-8" if self._envelope.smtputf8 else "ascii"
        try:
            answer = self._dialogue()
            phase = wire.phase
            self._tidy(answer)
        except Lost as lost:
            self.stale = wire.phase is Phase.MAIL and lost.closed
            wire.close()
            return self._reply(wire.phase, None, f"{wire.phase}: {lost}")
        return self._reply(phase, answer, answer.text)

    def _dialogue(self) -> Answer:
        """Go as far as the server lets us; return the last answer."""
        self._in_time()
        reach(CrashPoint.BEFORE_MAIL)
        self._spent = True
        answer = self._wire.say(
            Phase.MAIL, "MAIL", f"FROM:<{self._envelope.sender}>{self._params()}"
        )
        self.stale = answer.code == 421
        if classify(Phase.MAIL, answer.code) is not Outcome.ACCEPTED:
            return answer
        answer = self._name_recipients()
        if answer.code == 421 or len(self._refused) == len(self._envelope.recipients):
            return answer
        reach(CrashPoint.BEFORE_DATA)
        answer = self._wire.say(Phase.DATA, "DATA")
        return self._content() if answer.code == 354 else answer

    def _params(self) -> str:
        wire, content = self._wire, self._envelope.content
        params = ""
        if wire.has_extn("size"):
            params += f" SIZE={len(content)}"
        if not content.isascii():
            params += " BODY=8BITMIME"
        if self._envelope.smtputf8:
            params += " SMTPUTF8"
        if self._dsn is not None:
            params += self._dsn.of_mail(self._envelope.envelope_id)
        return params

    def _name_recipients(self) -> Answer:
        for index, recipient in enumerate(self._envelope.recipients):
            params = "" if self._dsn is None else self._dsn.of_recipient(recipient)
            answer = self._wire.say(Phase.RCPT, "RCPT", f"TO:<{recipient}>{params}")
            if answer.code == 421:
                break
            outcome = classify(Phase.RCPT, answer.code)
            if outcome is not Outcome.ACCEPTED:
                self._refused[index] = RecipientReply(
                    recipient, outcome, answer.code, answer.enhanced, answer.text
                )
        return answer

    def _content(self) -> Answer:
        wire = self._wire
        wire.phase = Phase.BODY
        wire.write(stuffed(self._envelope.content), self._dot_by)
        if wire.has_spoken():
            # Before the dot: a refusal of the content, or a good-bye. Never the dot's answer.
            return wire.hear(EARLY_ANSWER_SECONDS)
        left = self._in_time()
        wire.phase = Phase.DOT  # from here on the truth may be lost
        wire.write(DOT, self._clock() + max(left, SHORTEST_DOT_SECONDS))
        reach(CrashPoint.DOT_SENT)
        return wire.hear(self._answer_timeout)

    def _in_time(self) -> float:
        left = self._dot_by - self._clock()
        if left <= 0:
            raise Lost("the time for the final dot was over before it was sent")
        return left

    def _tidy(self, answer: Answer) -> None:
        """Leave the connection ready for the next mail, or closed."""
        wire = self._wire
        phase = wire.phase
        expected = answer.code // 100 in (2, 4, 5) and phase is not Phase.BODY
        if answer.code == 421 or not expected or (phase is Phase.DATA and answer.code < 400):
            wire.close()
        elif phase is not Phase.DOT:
            wire.latest = float("inf")
            try:
                kept = wire.say(Phase.RSET, "RSET").code == 250
            except Lost:
                kept = False
            if not kept:
                wire.close()

    def _reply(self, phase: Phase, answer: Answer | None, text: str) -> Reply:
        """The reply: those refused at RCPT keep their own answer, the others share the last."""
        code = answer.code if answer else None
        enhanced = answer.enhanced if answer else None
        shared = classify(phase, code)
        recipients = tuple(
            self._refused.get(index) or RecipientReply(recipient, shared, code, enhanced, text)
            for index, recipient in enumerate(self._envelope.recipients)
        )
        outcome = overall([each.outcome for each in recipients])
        index = next(i for i, each in enumerate(recipients) if each.outcome is outcome)
        decided = recipients[index]
        return Reply(
            outcome=outcome,
            phase=Phase.RCPT if index in self._refused else phase,
            code=decided.code,
            enhanced=decided.enhanced,
            text=decided.text,
            recipients=recipients,
            spent=self._spent,
            slow_down=any(slow_down(each.code, each.enhanced) for each in recipients),
        )


def stuffed(content: bytes) -> bytes:
    r"""The content as it goes over the wire, up to the final dot (RFC 5321 section 4.5.2).

    >>> stuffed(b".a\r\n.\r\nb")
    b'..a\r\n..\r\nb\r\n'
    """
    body = content.replace(b"\r\n.", b"\r\n..")
    if body.startswith(b"."):
        body = b"." + body
    return body if body.endswith(b"\r\n") else body + b"\r\n"
