"""A gateway, and SMS that it has, for tests of what it reports on them."""

from __future__ import annotations

import os
import sys
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet
from sqlalchemy import Engine, Row, text

from tests.support.emulator import IID, KEY, EmulatorProcess
from tests.support.kernel import change, make_settings, message
from tests.support.rows import (
    MadeMessage,
    MadeTask,
    make_attempt,
    make_company,
    make_eurosms_account,
    make_segment,
    make_sms,
    make_sms_task,
)
from worker.outbox import sms_polls
from worker.sms.polling import Poller
from worker.vault import Vault

FERNET = Fernet.generate_key().decode()
VAULT = Vault([FERNET])

PROGRAM = """
import os, sys
from worker import bootstrap, crashpoints
from worker.sms.polling import Poller
settings = bootstrap.read_settings(os.environ)
crashpoints.arm(settings.crash_directory)
engine = bootstrap.make_engine(settings, "poller")
Poller(engine, bootstrap.make_vault(settings), settings).poll(int(sys.argv[1]))
"""


class Desk:
    """A task whose SMS a gateway has, and who asks for reports on them.

    Attributes:
        poll_id: of the integration's row.
    """

    def __init__(self, engine: Engine, gateway: EmulatorProcess, **account: Any) -> None:
        self.engine, self.gateway = engine, gateway
        with engine.begin() as connection:
            company = make_company(connection)
            of = {"base_url": gateway.url, "integration_id": IID, "key": VAULT.seal(KEY)}
            account_id = make_eurosms_account(connection, company, **of | account)
            self.task: MadeTask = make_sms_task(connection, company, account_id)
            sms_polls.ensure(connection, gateway.url, IID)
        self.poll_id = int(self.row("SELECT id FROM eurosms_poll").id)

    def poller(self) -> Poller:
        """One more who asks."""
        return Poller(self.engine, VAULT, make_settings(KADENCIA_SERVER="main"))

    def poll(self) -> int:
        """Ask once; how many reports came."""
        return self.poller().poll(self.poll_id)

    def command(self) -> list[str]:
        """What a process of its own runs that polls once."""
        return [sys.executable, "-c", PROGRAM, str(self.poll_id)]

    def environment(self, crash_points: Path) -> dict[str, str]:
        """Of such a process."""
        return {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "KADENCIA_DATA": str(crash_points),
            "KADENCIA_KEYS": FERNET,
            "KADENCIA_CRASH_DIRECTORY": str(crash_points),
            "DATABASE_URL": self.engine.url.render_as_string(hide_password=False),
        }

    def sent(
        self, number: str = "+421905000000", ago: timedelta = timedelta(seconds=1), **columns: Any
    ) -> MadeMessage:
        """An SMS that the gateway has accepted, and that this side says was so long ago."""
        made, key = self._make(number, "sent", ago, **columns)
        answer = self.gateway.send({"r": int(number[1:]), "f": key})
        at = datetime.now(UTC) - ago
        with self.engine.begin() as connection:
            attempt = make_attempt(
                connection, self.task, made.id, state="accepted", opened_at=at, closed_at=at
            )
            for position, one in enumerate(answer["uuid"], start=1):
                make_segment(connection, made.id, position, uuid=one.lower(), attempt_id=attempt)
        return made

    def unanswered(self, number: str = "+421905000000") -> MadeMessage:
        """An SMS that the gateway has, whose answer was lost."""
        made, key = self._make(number, "unknown", timedelta(0))
        self.gateway.send({"r": int(number[1:]), "f": key})
        with self.engine.begin() as connection:
            make_attempt(connection, self.task, made.id, state="unknown")
        return made

    def _make(
        self, number: str, state: str, ago: timedelta, **columns: Any
    ) -> tuple[MadeMessage, str]:
        key = uuid.uuid4().hex
        with self.engine.begin() as connection:
            sent_at = datetime.now(UTC) - ago if state == "sent" else None
            values = {"message_id": key, "sms": {"sent_at": sent_at}, **columns}
            return make_sms(connection, self.task, number=number, state=state, **values), key

    def state(self, made: MadeMessage) -> str:
        """Of an SMS."""
        with self.engine.connect() as connection:
            return str(message(connection, made.id).state)

    def sms(self, made: MadeMessage) -> Row[Any]:
        """What is shown of an SMS, with why it stands where it stands."""
        return self.row(
            "SELECT s.*, m.why FROM sms s JOIN message m ON m.id = s.message_id WHERE m.id = :id",
            id=made.id,
        )

    def row(self, query: str, **values: Any) -> Row[Any]:
        """The one row of a query."""
        with self.engine.connect() as connection:
            return connection.execute(text(query), values).one()

    def queue(self) -> Row[Any]:
        """The integration's row, with the seconds until it is due."""
        return self.row("""
            SELECT *, extract(epoch FROM next_at - clock_timestamp()) AS due_in
            FROM eurosms_poll""")

    def change_queue(self, **columns: Any) -> None:
        """Set columns of it by hand."""
        with self.engine.begin() as connection:
            change(connection, "eurosms_poll", self.poll_id, **columns)

    def moves(self, made: MadeMessage) -> list[str]:
        """The states into which reports have moved an SMS."""
        query = text("""
            SELECT after ->> 'state' FROM audit_log
            WHERE subject = :subject AND action = 'receipt' ORDER BY id""")
        with self.engine.connect() as connection:
            return list(connection.execute(query, {"subject": f"message:{made.id}"}).scalars())

    def asked(self, what: str) -> int:
        """How often the gateway was asked for something, as `status/any`."""
        requests = self.gateway.figures()["requests"]
        return sum(count for name, count in requests.items() if what in name)
