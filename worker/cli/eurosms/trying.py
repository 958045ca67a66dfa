"""`kadencia eurosms balance` and `test`: the gateway is asked, and no SMS is sent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from sqlalchemy import Row

from worker.cli import context
from worker.cli.company import CompanyOption
from worker.cli.eurosms.making import NameArgument
from worker.cli.output import CommandError, Exit, JsonOption, plain_sum, say, show_json, warn
from worker.core.eurosms_codes import Consequence
from worker.errors import GatewayRefused, GatewayUnavailable, TransportUnavailable
from worker.eurosms import Balance
from worker.eurosms_accounts import eurosms_settings
from worker.registers import eurosms as register
from worker.registers import eurosms_probe as probe
from worker.registers.eurosms_probe import Trial, Verdict
from worker.registers.naming import find_company

MENDS = {
    "integration ID": "copy it from EuroSMS's portal: `kadencia eurosms set NAME --integration-id`",
    "key": "copy it from EuroSMS's portal: `kadencia eurosms set NAME --key-file -`",
    "sender": "have it registered at EuroSMS, or try another with --sender",
}

NO_BALANCE = "NO_BALANCE"


def balance(name: NameArgument, company: CompanyOption = None, as_json: JsonOption = False) -> None:
    """Ask the gateway what is left to spend.

    Example: kadencia eurosms balance brána
    """
    with context.transaction() as connection:
        account = register.find_eurosms(connection, find_company(connection, company), name)
    with _away():
        try:
            found = probe.balance_of(eurosms_settings(account, context.vault()))
        except GatewayRefused as error:
            mend = MENDS["integration ID"].replace("NAME", name)
            raise CommandError(f"{error}; {mend}", Exit.FAILED) from None
    _keep(account, found)
    if as_json:
        show_json({"balance": found.amount, "currency": found.currency})
    else:
        say(_words(found))


def try_out(
    name: NameArgument,
    number: Annotated[
        str, typer.Option("--number", help="Whom the SMS would go to.")
    ] = probe.NUMBER,
    sender: Annotated[
        str | None, typer.Option("--sender", help="Default: an automatic task's, or Kadencia.")
    ] = None,
    text: Annotated[str, typer.Option("--text", help="What it would say.")] = probe.TEXT,
    company: CompanyOption = None,
) -> None:
    """Have the gateway check an SMS without sending it: are ID, key and sender right?

    Example: kadencia eurosms test brána --sender Ruza
    """
    with context.transaction() as connection:
        owner = find_company(connection, company)
        account = register.find_eurosms(connection, owner, name)
        sender = probe.sender_of(connection, account, sender)
    sms = probe.dry_run(sender, number, owner.country, text)
    with _away():
        trial = probe.try_out(eurosms_settings(account, context.vault()), sms)
    if trial.unanswered:
        raise CommandError(f"{name} has not answered: {trial.answer.text}", Exit.AWAY)
    say(f"dry run of an SMS from {sender} to +{sms.number}: {probe.words_of(trial.answer)}")
    found = probe.verdicts(trial.answer)
    for what, verdict in found.items():
        say(_sentence(what, verdict, sender))
    if trial.balance is not None:
        _keep(account, trial.balance)
        say(f"balance: {_words(trial.balance)}")
    else:
        warn(f"the balance is not known: {trial.why_not}")
    if not trial.works:
        raise CommandError(_why_not(trial, found).replace("NAME", name), Exit.FAILED)
    say(f"account {name} works; nothing was sent or charged")


def _sentence(what: str, verdict: Verdict, sender: str) -> str:
    shown = f"sender {sender}" if what == "sender" else what
    words = {
        Verdict.RIGHT: "is right",
        Verdict.WRONG: "is WRONG",
        Verdict.UNTOLD: "was not checked: the gateway found another fault first",
    }
    return f"the {shown} {words[verdict]}"


def _why_not(trial: Trial, found: dict[str, Verdict]) -> str:
    words = probe.words_of(trial.answer)
    for what, verdict in found.items():
        if verdict is Verdict.WRONG:
            return f"EuroSMS refuses the {what} ({words}); {MENDS[what]}"
    if trial.answer.code == NO_BALANCE:
        return f"EuroSMS sends nothing ({words}); top the account up, then resume its tasks"
    if trial.answer.consequence is Consequence.PAUSE:
        return f"what answers is not EuroSMS's gateway ({words}); correct the --base-url of NAME"
    return f"EuroSMS would not send it ({words}); try another --number or --text"


def _keep(account: Row[Any], found: Balance) -> None:
    if found.currency != "EUR":
        warn(f"the balance is in {found.currency}, not in EUR, and is not kept")
        return
    with context.transaction() as connection:
        register.note_balance(connection, account.id, found.amount)


def _words(found: Balance) -> str:
    return f"{plain_sum(found.amount)} {found.currency}"


@contextmanager
def _away() -> Iterator[None]:
    try:
        yield
    except (GatewayUnavailable, TransportUnavailable) as error:
        raise CommandError(str(error), Exit.AWAY) from None
