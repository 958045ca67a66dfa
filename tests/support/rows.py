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
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, insert, select

from models.automation import Account, AutomaticTask
from models.evidence import Attempt
from models.fleet import Server
from models.organisation import Company, Establishment, User
from models.outbox import Body, Lane, Message, Recipient
from models.states import MessageState, Priority, RecipientState

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
    server_id = make_server(connection, server)
    number = next(_numbers)
    values = {
        "company_id": company_id,
        "account_id": account_id,
        "server_id": server_id,
        "name": f"Automatické odosielanie e-mailov {number}",
        "sender_name": "Firma",
        "sender_address": f"info@firma{number}.example",
        "cadence": 3000,
        "active": True,
        **columns,
    }
    if "user_id" not in values:
        values["user_id"] = make_user(connection, company_id)
    task_id = _insert(connection, AutomaticTask, values)
    lane_id = make_lane(connection, company_id, task_id=task_id)
    return MadeTask(task_id, company_id, account_id, server_id, server, lane_id)


def make_lane(
    connection: Connection,
    company_id: int,
    *,
    establishment_id: int | None = None,
    task_id: int | None = None,
) -> int:
    """A lane, or the one like it that there is; returns its id."""
    of = {"company_id": company_id, "establishment_id": establishment_id, "task_id": task_id}
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
    now = datetime.now(UTC)
    number = next(_numbers)
    leased = state in ("released", "sending")
    domains = Counter(_domain(address) for address in recipients)
    values: dict[str, Any] = {
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
    _add_recipients(connection, message.id, recipients, state)
    if state == "sending":
        make_attempt(connection, task, message.id, id=message.lease, domains=dict(domains))
    return message


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
    connection: Connection, message_id: int, recipients: Sequence[str], state: str
) -> None:
    rows = [
        {
            "message_id": message_id,
            "position": position,
            "address": address,
            "domain": _domain(address),
            "state": RECIPIENT_OF.get(state, RecipientState.PENDING).value,
        }
        for position, address in enumerate(recipients)
    ]
    connection.execute(insert(Recipient), rows)


def _domain(address: str) -> str:
    return address.rpartition("@")[2].lower()


def _insert(connection: Connection, table: Any, values: dict[str, Any]) -> int:
    made: int = connection.execute(insert(table).values(values).returning(table.id)).scalar_one()
    return made
