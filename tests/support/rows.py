"""Rows for tests, with sensible defaults; any column can be given by its name.

    with engine.begin() as connection:
        task = make_task(connection, cadence=100)
        message = make_message(connection, task, recipients=["anna@firma.example"])

Each builder makes what it is not given: a task its company, account, server and system user.
"""

from __future__ import annotations

import itertools
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import phonenumbers
from sqlalchemy import Connection, insert, select

from models.automation import Account, AutomaticTask
from models.evidence import Attempt
from models.fleet import Server
from models.organisation import Company, Establishment, User
from models.outbox import Body, Lane, Message, Recipient
from models.sms import EurosmsAccount, Sms, SmsSegment, SmsTask
from models.states import MessageState, Priority, RecipientState
from worker.core.sms_text import measure

_numbers = itertools.count(1)

RECIPIENT_OF = {
    "sent": RecipientState.SENT,
    "delivered": RecipientState.DELIVERED,
    "failed": RecipientState.FAILED,
    "expired": RecipientState.FAILED,
    "undelivered": RecipientState.UNDELIVERED,
    "suppressed": RecipientState.SUPPRESSED,
    "unknown": RecipientState.UNKNOWN,
}
"""What recipients are in a message of a state; pending in every other."""

OPEN = {"ready", "released", "sending", "held", "unknown"}


@dataclass(frozen=True, slots=True)
class MadeTask:
    """An automatic task and what it belongs to; `server` is the OAC server's name."""

    id: int
    company_id: int
    account_id: int
    server_id: int
    server: str
    lane_id: int


@dataclass(frozen=True, slots=True)
class MadeMessage:
    """A message; `lease` is the token of a released or sending one, and its attempt's id."""

    id: int
    lease: uuid.UUID | None


def make_company(connection: Connection, **columns: Any) -> int:
    """A company of Slovak time and a domain of its own; returns its id."""
    number = next(_numbers)
    values = {"name": f"Firma {number}", "domain": f"firma{number}.example", **columns}
    return _insert(connection, Company, values)


def make_user(connection: Connection, company_id: int, **columns: Any) -> int:
    """A system user; returns its id."""
    values = {"name": f"user {next(_numbers)}", "kind": "system", **columns}
    return _insert(connection, User, {"company_id": company_id, **values})


def make_establishment(connection: Connection, company_id: int, **columns: Any) -> int:
    """An establishment; returns its id."""
    values = {"company_id": company_id, "name": f"Prevádzka {next(_numbers)}", **columns}
    return _insert(connection, Establishment, values)


def make_account(connection: Connection, company_id: int, **columns: Any) -> int:
    """An SMTP account without log-in or limits, in the clear; returns its id."""
    values = {
        "company_id": company_id,
        "name": f"SMTP {next(_numbers)}",
        "host": "127.0.0.1",
        "port": 2525,
        "security": "none",
        **columns,
    }
    return _insert(connection, Account, values)


def make_server(connection: Connection, name: str = "main", **columns: Any) -> int:
    """An OAC server, or the one of that name that there is; returns its id."""
    found = connection.execute(select(Server.id).where(Server.name == name)).scalar()
    return found or _insert(connection, Server, {"name": name, **columns})


def make_task(
    connection: Connection,
    company_id: int | None = None,
    account_id: int | None = None,
    *,
    server: str = "main",
    **columns: Any,
) -> MadeTask:
    """An active automatic task of 3,000 an hour, with a lane of its own."""
    company_id = company_id or make_company(connection)
    account_id = account_id or make_account(connection, company_id)
    number = next(_numbers)
    values = {
        "name": f"Automatické odosielanie e-mailov {number}",
        "sender_name": "Firma",
        "sender_address": f"info@firma{number}.example",
        **columns,
    }
    return _make_task(connection, company_id, account_id, server, values)


def make_eurosms_account(connection: Connection, company_id: int, **columns: Any) -> int:
    """An account at EuroSMS with a key that no vault opens; returns its id.

    Columns of `eurosms_account` and of `account` may be given alike.
    """
    number = next(_numbers)
    own = {name: columns.pop(name) for name in list(columns) if hasattr(EurosmsAccount, name)}
    values = {"company_id": company_id, "channel": "sms", "name": f"EuroSMS {number}", **columns}
    account_id = _insert(connection, Account, values)
    own = {
        "base_url": "http://127.0.0.1:8080",
        "integration_id": f"1-{number:06}",
        "key": b"sealed",
        **own,
    }
    connection.execute(insert(EurosmsAccount).values(account_id=account_id, **own))
    return account_id


def make_sms_task(
    connection: Connection,
    company_id: int | None = None,
    account_id: int | None = None,
    *,
    server: str = "main",
    **columns: Any,
) -> MadeTask:
    """An active automatic task of 3,000 segments an hour, with a lane of its own.

    Columns of `sms_task` and of `automatic_task` may be given alike.
    """
    company_id = company_id or make_company(connection)
    account_id = account_id or make_eurosms_account(connection, company_id)
    own = {name: columns.pop(name) for name in list(columns) if hasattr(SmsTask, name)}
    name = f"Posielanie SMS správ cez EuroSMS {next(_numbers)}"
    values = {"channel": "sms", "name": name, **columns}
    task = _make_task(connection, company_id, account_id, server, values)
    connection.execute(insert(SmsTask).values(task_id=task.id, **{"sender": "Firma", **own}))
    return task


def _make_task(
    connection: Connection, company_id: int, account_id: int, server: str, values: dict[str, Any]
) -> MadeTask:
    server_id = make_server(connection, server)
    owned = {"company_id": company_id, "account_id": account_id, "server_id": server_id}
    values = {**owned, "cadence": 3000, "active": True, **values}
    if "user_id" not in values:
        values["user_id"] = make_user(connection, company_id)
    task_id = _insert(connection, AutomaticTask, values)
    channel = values.get("channel", "email")
    lane_id = make_lane(connection, company_id, channel=channel, task_id=task_id)
    return MadeTask(task_id, company_id, account_id, server_id, server, lane_id)


def make_lane(
    connection: Connection,
    company_id: int,
    *,
    channel: str = "email",
    establishment_id: int | None = None,
    task_id: int | None = None,
) -> int:
    """A lane, or the one like it that there is; returns its id."""
    of: dict[str, Any] = {"company_id": company_id, "channel": channel}
    of |= {"establishment_id": establishment_id, "task_id": task_id}
    query = select(Lane.id).where(
        *(getattr(Lane, name).is_not_distinct_from(value) for name, value in of.items())
    )
    return connection.execute(query).scalar() or _insert(connection, Lane, of)


def make_body(connection: Connection, **columns: Any) -> int:
    """A plain text that is no template; returns its id."""
    number = next(_numbers)
    values = {
        "digest": number.to_bytes(32, "big"),
        "text": f"Dobrý deň, toto je správa {number}.",
        "template": False,
        "size": 40,
        **columns,
    }
    return _insert(connection, Body, values)


def make_message(
    connection: Connection,
    task: MadeTask,
    *,
    recipients: Sequence[str] = ("anna@firma.example",),
    state: str = "ready",
    **columns: Any,
) -> MadeMessage:
    """A message in the task's lane, due a second ago and good for a day.

    A released or sending one gets a lease and a deadline in two minutes; a sending one an
    open attempt as well. Give `lane_id` to put it into another lane.
    """
    number = next(_numbers)
    domains = Counter(_domain(address) for address in recipients)
    values: dict[str, Any] = {
        **_standing(task, state),
        "cost": len(recipients),
        "domain": _domain(recipients[0]),
        "domains": dict(domains) if len(domains) > 1 else None,
        "message_id": f"<{number}@firma.example>",
        "subject": f"Správa {number}",
        **columns,
    }
    if "body_id" not in values:
        values["body_id"] = make_body(connection)
    values = {name: value for name, value in values.items() if value is not None}
    message = MadeMessage(_insert(connection, Message, values), values.get("lease"))
    people = [{"address": one, "domain": _domain(one)} for one in recipients]
    _add_recipients(connection, message.id, state, people)
    if state == "sending":
        make_attempt(connection, task, message.id, id=message.lease, domains=dict(domains))
    return message


def make_sms(
    connection: Connection,
    task: MadeTask,
    *,
    number: str = "+421903622237",
    text: str = "Vaša zásielka je pripravená.",
    state: str = "ready",
    sms: Mapping[str, Any] | None = None,
    **columns: Any,
) -> MadeMessage:
    """An SMS in the task's lane, as `make_message` makes an e-mail.

    What was accepted has its time; give columns of the row in `sms` by that name.
    """
    now = datetime.now(UTC)
    measured = measure(text)
    code = f"+{phonenumbers.parse(number).country_code}"
    cost = {"domain": code, "cost": measured.segments}
    values = {**_standing(task, state), **cost, "channel": "sms", "message_id": uuid.uuid4().hex}
    values = {name: value for name, value in (values | columns).items() if value is not None}
    message = MadeMessage(_insert(connection, Message, values), values.get("lease"))
    _add_recipients(connection, message.id, state, [{"address": number, **cost}])
    accepted = state in ("sent", "delivered", "undelivered")
    own = {
        "text": text,
        "encoding": measured.encoding.value,
        "segments": measured.segments,
        "awaited": state == "sent",
        "sent_at": now if accepted else None,
        "delivered_at": now if state == "delivered" else None,
        **(sms or {}),
    }
    connection.execute(insert(Sms).values(message_id=message.id, **own))
    if state == "sending":
        domains = {code: measured.segments}
        make_attempt(connection, task, message.id, id=message.lease, domains=domains)
    return message


def make_segment(connection: Connection, message_id: int, number: int = 1, **columns: Any) -> str:
    """A segment of an SMS at the gateway; returns its uuid."""
    values = {"uuid": str(uuid.uuid4()), "message_id": message_id, "number": number, **columns}
    connection.execute(insert(SmsSegment).values(values))
    return str(values["uuid"])


def _standing(task: MadeTask, state: str) -> dict[str, Any]:
    """Where a message of the task's stands: columns of `message`."""
    now = datetime.now(UTC)
    leased = state in ("released", "sending")
    return {
        "company_id": task.company_id,
        "lane_id": task.lane_id,
        "task_id": None if state in ("ready", "held") else task.id,
        "state": MessageState(state).value,
        "priority": int(Priority.NORMAL),
        "not_before": now - timedelta(seconds=1),
        "expires_at": now + timedelta(days=1),
        "settled_at": None if state in OPEN else now,
        "lease": uuid.uuid4() if leased else None,
        "deadline": now + timedelta(minutes=2) if leased else None,
    }


def make_attempt(
    connection: Connection, task: MadeTask, message_id: int | None = None, **columns: Any
) -> uuid.UUID:
    """An attempt of a message, one of the task's own if none is given; returns its id.

    It is open and was opened just now, costs one recipient at firma.example, or what
    `domains` says. Give a closed one `state` and, if not now, `closed_at`.
    """
    now = datetime.now(UTC)
    values: dict[str, Any] = {
        "id": uuid.uuid4(),
        "task_id": task.id,
        "account_id": task.account_id,
        "worker": f"{task.server} tests",
        "state": "open",
        "opened_at": now,
        "domains": {"firma.example": 1},
        **columns,
    }
    values.setdefault("cost", sum(values["domains"].values()))
    if values["state"] != "open":
        values.setdefault("closed_at", now)
    values["message_id"] = message_id or make_message(connection, task, state="sent").id
    connection.execute(insert(Attempt).values(values))
    return uuid.UUID(str(values["id"]))


def _add_recipients(
    connection: Connection, message_id: int, state: str, given: Iterable[dict[str, Any]]
) -> None:
    there = RECIPIENT_OF.get(state, RecipientState.PENDING).value
    rows = [
        {"message_id": message_id, "position": position, "state": there, **one}
        for position, one in enumerate(given)
    ]
    connection.execute(insert(Recipient), rows)


def _domain(address: str) -> str:
    return address.rpartition("@")[2].lower()


def _insert(connection: Connection, table: Any, values: dict[str, Any]) -> int:
    made: int = connection.execute(insert(table).values(values).returning(table.id)).scalar_one()
    return made
