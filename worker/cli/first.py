"""`kadencia init`: company, system user, SMTP account and automatic task in one go."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import typer
from sqlalchemy import Connection, select

from models.fleet import Server
from models.organisation import Company
from worker.cli import context
from worker.cli.options import ACCOUNT, TASK, option, refuse_missing, takes
from worker.cli.output import say
from worker.cli.smtp import account_values, warn_of
from worker.cli.task.making import task_values
from worker.registers import accounts, companies, servers, tasks, users
from worker.registers.naming import find

COMPANY = {
    "company": option(str, "Name of the company."),
    "domain": option(str, "Right-hand side of its Message-IDs."),
    "time_zone": option(str, "Of its people and plans; default Europe/Bratislava."),
    "smtp_name": option(str, "What the SMTP account is called; default: its host."),
    "task": option(str, "What the automatic task is called."),
}
LATER = ("smtp", "fallback", "ceiling", "by")
OF_TASK = {name: kind for name, kind in TASK.items() if name not in LATER}
DEFAULTS = {
    "time_zone": companies.DEFAULT_ZONE,
    "server": "local",
    "user": "Automatické úlohy",
    "task": "Automatické odosielanie e-mailov",
    "cadence": 1000,
}
QUESTIONS: dict[str, tuple[str, Callable[[Mapping[str, Any]], str | None]]] = {
    "company": ("Company", lambda _: None),
    "domain": ("Its domain, for Message-IDs", lambda _: None),
    "host": ("SMTP server", lambda _: None),
    "sender_name": ("Sender's name", lambda given: given["company"]),
    "sender_address": ("Sender's address", lambda given: f"info@{given['domain']}"),
}
"""What has no default; a person is asked, a script has to say it."""
ALSO_ASKED = {
    "username": "User name at the SMTP server (empty: no log-in)",
    "cadence": "Cadence, 100 to 3,000 e-mails an hour",
}


@takes(COMPANY, ACCOUNT, OF_TASK)
def init(given: dict[str, Any]) -> None:
    """Make company, system user, SMTP account and automatic task: all of it, or nothing.

    What is not said is asked for; a script says it all, with the password in a file.

    Example: kadencia init --company "Kvetinárstvo Ruža" --domain ruza.example
    --host smtp.ruza.example --username posta --password-file heslo.txt
    --sender-name "Kvetinárstvo Ruža" --sender-address info@ruza.example
    """
    if context.is_terminal():
        _ask(given)
    refuse_missing(given, tuple(QUESTIONS))
    wanted = {**DEFAULTS, **given}
    account = {
        "security": "starttls",
        "name": wanted.get("smtp_name", wanted["host"]),
        **account_values({name: given[name] for name in ACCOUNT if name in given}),
    }
    task = task_values({name: wanted[name] for name in OF_TASK if name in wanted})
    with context.transaction() as connection:
        _make(connection, wanted, account, task)
    warn_of(account)
    say(f"{wanted['company']}: all is made; the automatic task {wanted['task']} is active")
    say(f"next: `kadencia smtp test {account['name']}`, then `kadencia doctor`")


def _make(
    connection: Connection,
    wanted: Mapping[str, Any],
    account: Mapping[str, Any],
    task: Mapping[str, Any],
) -> None:
    companies.add_company(connection, wanted["company"], wanted["domain"], wanted["time_zone"])
    owner = find(connection, Company, wanted["company"])
    for place in task.get("establishments", ()):
        companies.add_establishment(connection, owner, place)
    users.add_user(connection, owner, wanted["user"], "system")
    accounts.add_account(connection, owner, context.vault(), account)
    known = select(Server.id).where(Server.name == wanted["server"])
    if connection.execute(known).scalar() is None:  # its worker may be started later
        servers.add_server(connection, wanted["server"])
    names = {"name": wanted["task"], "smtp": account["name"], "active": True}
    tasks.create_task(connection, owner, {**task, **names})


def _ask(given: dict[str, Any]) -> None:
    for name, (question, proposal) in QUESTIONS.items():
        if name not in given:
            given[name] = typer.prompt(question, default=proposal(given), err=True)
            if name == "host" and "username" not in given:
                answer = typer.prompt(ALSO_ASKED["username"], default="", err=True)
                given |= {"username": answer} if answer else {}
    if "cadence" not in given:
        default = DEFAULTS["cadence"]
        given["cadence"] = typer.prompt(ALSO_ASKED["cadence"], default=default, err=True)
