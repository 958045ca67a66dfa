"""Asking the gateway for delivery reports: all that are new, and after single SMS near their end.

A report is given once. What keeps it from being lost when this process dies is the order: store
the trxid, ask, store the reports, and only then let the trxid go.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import Connection, Engine, Row

from settings import Settings
from worker import db
from worker.core.sms_reports import Report
from worker.crashpoints import CrashPoint, reach
from worker.errors import DeliveryError, GatewayRefused, GatewayUnavailable
from worker.eurosms import EuroSms
from worker.eurosms_accounts import eurosms_settings
from worker.outbox import sms_polls, sms_reports
from worker.vault import Vault, VaultError

log = structlog.get_logger()

MOST_ROUNDS = 20
"""Chosen: after so many questions with reports others have their turn in this process."""
CHUNK = 100
"""Reports to a transaction. Chosen: under a second; they take some 6 ms each on a busy machine."""
ALONE = 20
"""SMS that are asked after one by one in a poll. Chosen: a few seconds."""
LATE = timedelta(days=1)
"""How old reports are that are looked for once more. Chosen: what is to be found is missed by
milliseconds; a poller may have been away."""
SHORTEST_HOLD = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class _Hold:
    """A row that is ours to ask for."""

    poll_id: int
    holder: uuid.UUID
    account: Row[Any]
    hold_for: timedelta


class Poller:
    """Takes in delivery reports; for one thread.

    Args:
        engine: the product's database.
        vault: opens the keys of accounts.
        settings: the OAC server signs what reports change.
    """

    def __init__(self, engine: Engine, vault: Vault, settings: Settings) -> None:
        self._engine = engine
        self._vault = vault
        self._who = f"delivery reports, {settings.server or 'local'}"

    def poll(self, poll_id: int) -> int:
        """Take in all reports of one integration ID; late, lost or doubled runs do no harm.

        Args:
            poll_id: of `eurosms_poll`.

        Returns:
            How many reports the gateway gave; 0 as well if another poller is asking, or if it
            could not be asked, which is noted in the row.
        """
        with db.transaction(self._engine) as connection:
            account = sms_polls.account(connection, poll_id)
        if account is None:  # none is enabled: its reports wait
            return 0
        seconds = 2 * (account.connect_timeout + account.answer_timeout)
        hold_for = SHORTEST_HOLD + timedelta(seconds=seconds)
        taken = 0
        try:
            taken = self._ask(_Hold(poll_id, uuid.uuid4(), account, hold_for))
        finally:
            self._tidy()
        return taken

    def _ask(self, hold: _Hold) -> int:
        trxid = self._keep(hold)
        if trxid is None:
            log.debug("another poller is asking", poll=hold.poll_id)
            return 0
        try:
            settings = eurosms_settings(hold.account, self._vault)
            with closing(EuroSms(settings)) as client:
                taken, again = self._take_in_new(client, hold, trxid)
                self._ask_alone(client, hold)
                self._see_balance(client, hold)
        except (DeliveryError, VaultError, ValueError) as error:
            self._fail(hold, error)
            return 0
        with db.transaction(self._engine) as connection:
            sms_polls.release(connection, hold.poll_id, hold.holder, again=again)
        return taken

    def _take_in_new(self, client: EuroSms, hold: _Hold, first: str) -> tuple[int, bool]:
        """All that is new; how many there were, and whether there may be more."""
        trxid: str | None = first
        taken = 0
        for _ in range(MOST_ROUNDS):
            if trxid is None:  # we were too slow, and another goes on
                return taken, False
            reach(CrashPoint.POLL_ASKED)
            reports = client.status_any(trxid).reports
            reach(CrashPoint.POLL_ANSWERED)
            self._store_all(hold, trxid, reports)
            taken += len(reports)
            if not reports:
                return taken, False
            trxid = self._keep(hold)
        return taken, True

    def _store_all(self, hold: _Hold, trxid: str, reports: Sequence[Report]) -> None:
        """Store the reports; the trxid goes with the last of them."""
        chunks = [reports[at : at + CHUNK] for at in range(0, len(reports), CHUNK)] or [()]
        for number, chunk in enumerate(chunks, start=1):
            with db.transaction(self._engine, who=self._who) as connection:
                self._store(connection, hold, "any", chunk)
                if number == len(chunks):
                    sms_polls.taken_in(connection, hold.poll_id, trxid)
                else:
                    sms_polls.hold(connection, hold.poll_id, hold.holder, hold.hold_for, trxid)

    def _store(
        self, connection: Connection, hold: _Hold, source: str, reports: Sequence[Report]
    ) -> None:
        stored = sms_reports.store(connection, hold.account.id, source, reports)
        if stored.reports:
            log.info(
                "delivery reports",
                account=hold.account.name,
                reports=stored.reports,
                new=stored.new,
                matched=stored.matched,
                moved=len(stored.moved),
            )

    def _ask_alone(self, client: EuroSms, hold: _Hold) -> None:
        """Ask after each SMS that is still open when the gateway is about to forget it."""
        with db.transaction(self._engine) as connection:
            rows = sms_polls.near_the_end(connection, hold.poll_id, ALONE)
        for row in rows:
            try:
                reports = [one for name in row.uuids for one in client.status_one(name).reports]
            except GatewayRefused as error:  # some say so of an SMS that they do not know
                log.warning("nothing known of an SMS", sms=row.message_id, error=str(error))
                reports = []
            except GatewayUnavailable:
                with db.transaction(self._engine) as connection:
                    sms_polls.asked(connection, row.message_id, answered=False)
                raise
            with db.transaction(self._engine, who=self._who) as connection:
                self._store(connection, hold, "one", reports)
                sms_polls.asked(connection, row.message_id, answered=True)
            if self._keep(hold) is None:
                return

    def _see_balance(self, client: EuroSms, hold: _Hold) -> None:
        """Look at the credit now and then: whether it is low, a person should know in time."""
        if not hold.account.balance_is_old:
            return
        try:
            found = client.balance()
        except (GatewayUnavailable, GatewayRefused) as error:
            log.warning("the balance is not known", account=hold.account.name, error=str(error))
            return
        if found.currency == "EUR":
            with db.transaction(self._engine) as connection:
                sms_polls.note_balance(connection, hold.poll_id, found.amount)

    def _keep(self, hold: _Hold) -> str | None:
        """Take the row or hold it for longer; the trxid to ask with, None if it is another's."""
        trxid = secrets.token_hex(20)
        with db.transaction(self._engine) as connection:
            return sms_polls.hold(connection, hold.poll_id, hold.holder, hold.hold_for, trxid)

    def _fail(self, hold: _Hold, error: Exception) -> None:
        log.warning("no delivery reports", account=hold.account.name, error=str(error))
        with db.transaction(self._engine) as connection:
            sms_polls.fail(connection, hold.poll_id, hold.holder, str(error))

    def _tidy(self) -> None:
        """Match what came too early, and give up what comes no more."""
        with db.transaction(self._engine, who=self._who) as connection:
            sms_reports.match_late(connection, LATE)
        with db.transaction(self._engine) as connection:
            given_up = sms_polls.give_up(connection)
        if given_up:
            log.warning("SMS without a final delivery report", sms=given_up)
