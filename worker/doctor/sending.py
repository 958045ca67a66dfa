"""What keeps mail from going out, or a person from noticing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from sqlalchemy import Connection, Row, select, text

from models.automation import Account
from models.states import Channel, MessageState
from worker import alarms
from worker.accounts import smtp_settings
from worker.doctor.findings import Finding, Installation, fault, ok, warning
from worker.doctor.trials import PATIENCE_SECONDS, all_at_once
from worker.errors import TransportUnavailable
from worker.outbox import figures, routes
from worker.registers import probe, safety
from worker.transports.smtp import SmtpSettings
from worker.vault import VaultError

LISTED_MOST = 5
"""Chosen: of many alike the first tell enough."""

GIB = 2**30
DISK_WARNING, DISK_FAULT = 2 * GIB, GIB // 4
"""Chosen: PostgreSQL stops at the last octet, and must be told of before."""

# A task that the product paused would send, if its account let it.
IN_USE = text("""
    WITH used AS (
        SELECT id, account_id FROM automatic_task WHERE active OR paused_why IS NOT NULL)
    SELECT account_id FROM used
    UNION SELECT k.account_id FROM task_account k JOIN used ON used.id = k.task_id
""")

SEALED = text("""
    SELECT a.name, s.secret
    FROM account a
    LEFT JOIN eurosms_account e ON e.account_id = a.id
    LEFT JOIN smtp_oauth q ON q.account_id = a.id
    CROSS JOIN LATERAL unnest(ARRAY[e.key, a.password, q.client_secret, q.refresh_token])
        AS s(secret)
    WHERE s.secret IS NOT NULL ORDER BY a.id
""")


def standstill(_: Installation, connection: Connection) -> Iterator[Finding]:
    """What a person has ordered for the whole installation."""
    state = safety.installation(connection)
    if state["restored"]:
        yield warning(
            "SENDING IS STOPPED",
            "the database was restored from a backup, and nobody knows what went since",
            "review the unknown messages, then run `kadencia start-all --reviewed`",
        )
    elif state["stopped_at"] is not None:
        why = state["stopped_why"] or "no reason was given"
        yield warning("SENDING IS STOPPED", why, "`kadencia start-all` lets it go on")
    mend = "`kadencia safety off` ends it"
    if state["redirect_to"] is not None:
        yield warning("SAFETY MODE", f"all mail goes to {state['redirect_to']}", mend)
    elif state["allowed"] is not None:
        yield warning("SAFETY MODE", "only listed recipients are let through", mend)


def keys(installation: Installation, connection: Connection) -> Iterator[Finding]:
    """Whether this host's keys open every stored credential."""
    sealed = connection.execute(SEALED).all()
    failed = {}
    for row in sealed:
        try:
            installation.vault.open(bytes(row.secret))
        except VaultError as error:
            failed[row.name] = str(error)
    if failed:
        what, _, mend = next(iter(failed.values())).partition("; ")
        yield fault("keys", f"{', '.join(failed)}: {what}", mend)
    elif sealed:
        yield ok("keys", f"they open all {len(sealed)} stored credentials")
    else:
        yield ok("keys", "no credentials are stored")


def smtp(installation: Installation, connection: Connection) -> Iterator[Finding]:
    """Whether each enabled SMTP account lets us in; all are tried at once."""
    if not installation.smtp:
        return
    query = select(Account.id).where(Account.enabled, Account.channel == Channel.EMAIL)
    ids = connection.execute(query.order_by(Account.id)).scalars().all()
    rows = [routes.account(connection, account_id) for account_id in ids]
    in_use = set(connection.execute(IN_USE).scalars())
    with_keys = {row: one for row in rows if (one := _settings(installation, row)) is not None}
    tries = {row: partial(probe.log_in, one) for row, one in with_keys.items()}
    for row, found in all_at_once(tries):
        yield _of_account(row, found, used=row.id in in_use)


def _settings(installation: Installation, row: Row[Any]) -> SmtpSettings | None:
    """How to log in, with less patience; None if the password can't be opened: `keys` says so."""
    try:
        found = smtp_settings(row, installation.vault, installation.engine, PATIENCE_SECONDS)
    except VaultError:
        return None
    return replace(
        found,
        connect_timeout=min(found.connect_timeout, PATIENCE_SECONDS / 2),
        command_timeout=min(found.command_timeout, PATIENCE_SECONDS / 2),
    )


def _of_account(row: Row[Any], error: BaseException | None, *, used: bool) -> Finding:
    name = f"SMTP account {row.name}"
    if error is None:
        return ok(name, f"{row.host}:{row.port} lets us in")
    what = error.reason if isinstance(error, TransportUnavailable) else str(error)
    mend = f"`kadencia smtp show {row.name!r}` tells how it is set; `kadencia smtp test` tries it"
    return fault(name, what, mend) if used else warning(name, what, mend)


def unknown(_: Installation, connection: Connection) -> Iterator[Finding]:
    """Messages of which nobody knows whether they went."""
    count = figures.parked(connection, MessageState.UNKNOWN)
    if count.least:
        yield warning(
            "unknown messages",
            f"{count} wait for a person",
            "see `kadencia mail list --state unknown` and `kadencia sms list --state unknown`",
        )
    else:
        yield ok("unknown messages", "none")


def open_alarms(_: Installation, connection: Connection) -> Iterator[Finding]:
    """What the fleet has noticed by itself."""
    found = alarms.open_alarms(connection)
    for one in found[:LISTED_MOST]:
        yield warning(f"alarm {one.kind}", one.what, f"it ends with its cause ({one.subject})")
    if len(found) > LISTED_MOST:
        yield warning("alarms", f"{len(found) - LISTED_MOST} more", "mend those above first")
    if not found:
        yield ok("alarms", "none")


def stranded(_: Installation, connection: Connection) -> Iterator[Finding]:
    """Ready messages that no automatic task will ever take."""
    found = figures.lanes_without_task(connection)
    for one in found[:LISTED_MOST]:
        of = ", ".join(part for part in (one.company, one.establishment, one.task) if part)
        yield warning(
            "messages without a task",
            f"{one.messages} of {of}: {one.why}",
            "start an automatic task that takes them; `kadencia task list` shows what there is",
        )
    if len(found) > LISTED_MOST:
        more = f"the messages of {len(found) - LISTED_MOST} more lanes"
        yield warning("messages without a task", more, "mend those above first")


def disk(installation: Installation, _: Connection) -> Iterator[Finding]:
    """Whether the data directory has room."""
    path = installation.settings.data
    if path is None or not path.exists():
        return
    free = shutil.disk_usage(path).free
    what, mend = f"{free / GIB:.1f} GiB free at {path}", "make room, or move the data directory"
    if free < DISK_FAULT:
        yield fault("disk", what, mend)
    elif free < DISK_WARNING:
        yield warning("disk", what, mend)
    else:
        yield ok("disk", what)
