"""Whether an account at EuroSMS works: its balance, and a dry run of an SMS."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, Row, select

from models.automation import AutomaticTask
from models.sms import SmsTask
from worker.core.eurosms_answers import SendAnswer
from worker.core.eurosms_codes import Consequence, folded
from worker.core.phone_numbers import parse_number
from worker.core.sms_sender import check_sender
from worker.errors import GatewayRefused, GatewayUnavailable
from worker.eurosms import Balance, EuroSms, EuroSmsSettings, Sms

TEXT = "Kadencia: skusobna SMS"
NUMBER = "+421903000000"
"""Of a dry run, which reaches nobody."""

SENDER = "Kadencia"
VALIDITY_SECONDS = 600


class Verdict(StrEnum):
    """What a dry run shows of one setting of an account."""

    RIGHT = "right"
    WRONG = "wrong"
    UNTOLD = "untold"
    """The gateway found another fault first."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What the gateway said.

    Attributes:
        balance: what is left; None if it did not say.
        why_not: why it did not.
        answer: to the dry run.
    """

    balance: Balance | None
    why_not: str
    answer: SendAnswer

    @property
    def unanswered(self) -> bool:
        """Whether there was no word of the gateway; an SMS might have gone out or not."""
        return self.answer.consequence is Consequence.UNKNOWN and not self.answer.code

    @property
    def works(self) -> bool:
        """Whether an SMS would go out."""
        return self.answer.consequence is Consequence.ACCEPTED


def sender_of(connection: Connection, account: Row[object], given: str | None) -> str:
    """The sender of a dry run: as given, else that of an automatic task with the account.

    Raises:
        ContentError: no SMS can have that sender.
    """
    if given is None:
        query = (
            select(SmsTask.sender)
            .join(AutomaticTask, AutomaticTask.id == SmsTask.task_id)
            .where(AutomaticTask.account_id == account.id)
            .order_by(AutomaticTask.id)
            .limit(1)
        )
        given = connection.execute(query).scalar()
    return check_sender(given or SENDER)


def dry_run(sender: str, number: str, country: str, text: str) -> Sms:
    """An SMS for `try_out`.

    Raises:
        ContentError: the number is none that an SMS can reach.
    """
    digits = parse_number(number, country).e164.removeprefix("+")
    return Sms(digits, uuid.uuid4().hex, sender, text, ttl=VALIDITY_SECONDS)


def balance_of(settings: EuroSmsSettings) -> Balance:
    """Ask for the balance of an account; no key is needed for that.

    Raises:
        GatewayUnavailable, GatewayRefused: it was not said.
    """
    client = EuroSms(settings)
    try:
        return client.balance()
    finally:
        client.close()


def try_out(settings: EuroSmsSettings, sms: Sms) -> Trial:
    """Have an SMS checked as if it were to be sent, and ask for the balance.

    Raises:
        TransportUnavailable: the gateway cannot be reached.
    """
    client = EuroSms(settings)
    try:
        answer = client.send_one(sms, test=True)
        try:
            return Trial(client.balance(), "", answer)
        except (GatewayRefused, GatewayUnavailable) as error:
            return Trial(None, str(error), answer)
    finally:
        client.close()


SETTINGS = ("integration ID", "key", "sender")
"""In the order in which `FAULTY` counts what must have been right before."""

FAULTY = {
    "NO_IID": 0,
    "WRONG_IID": 0,
    "NO_SGN": 1,
    "WRONG_SIGNATURE": 1,
    "WRONG_KEY": 1,
    "NO_SNDR": 2,
    "WRONG_SENDER": 2,
}
"""Which of `SETTINGS` a code of the gateway says is wrong."""


def verdicts(answer: SendAnswer) -> dict[str, Verdict]:
    """What an answer to a dry run shows of each setting.

    A gateway cannot check a signature of an integration that it does not know, and should not
    look further at a request whose signature is wrong.

    >>> from worker.core.eurosms_answers import read_send_one
    >>> answer = read_send_one(200, None, b'{"err_code": "WRONG_SIGNATURE"}')
    >>> [str(verdict) for verdict in verdicts(answer).values()]
    ['right', 'wrong', 'untold']
    """
    if answer.consequence is Consequence.ACCEPTED:
        return dict.fromkeys(SETTINGS, Verdict.RIGHT)
    wrong = FAULTY.get(folded(answer.code))
    if wrong is None:
        return dict.fromkeys(SETTINGS, Verdict.UNTOLD)
    order = [Verdict.RIGHT] * wrong + [Verdict.WRONG] + [Verdict.UNTOLD] * len(SETTINGS)
    return dict(zip(SETTINGS, order, strict=False))


def words_of(answer: SendAnswer) -> str:
    """The gateway's words, as they came."""
    return " ".join(part for part in (answer.code, answer.text) if part)
