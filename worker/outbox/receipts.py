"""Taking in what reports say: kept as evidence of the message, and settled by.

As whoever settles, it locks the message's row first.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, text

from models.states import MessageState, Priority, RecipientState, derive
from worker.core.addresses import parse_address
from worker.core.receipts import Action, Receipt, Report
from worker.outbox import inbox, moving, people
from worker.outbox.answers import Recipients

M, R = MessageState, RecipientState

BY_MESSAGE_ID = text("""
    SELECT m.* FROM message m WHERE m.message_id = :message_id
    ORDER BY m.id DESC LIMIT 1 FOR UPDATE
""")

# The hand-overs of which a receipt can tell: each that may have gone. An open one may just go.
MAY_HAVE_GONE = text("""
    SELECT count(*) AS all, count(*) FILTER (WHERE state = 'open') AS open FROM attempt
    WHERE message_id = :id AND state IN ('open', 'accepted', 'unknown')
""")

ADDRESSES = text("SELECT position, address FROM recipient WHERE message_id = :id")

ARRIVED = text("""
    SELECT position FROM receipt WHERE message_id = :id AND action = 'delivered'
""")

STORE = text("""
    INSERT INTO receipt (message_id, position, address, action, status, diagnostic, remote_mta,
        digest)
    VALUES (:id, :position, :address, :action, :status, :diagnostic, :remote_mta, :digest)
    ON CONFLICT (message_id, digest) DO NOTHING
""")

FOLLOWS = frozenset({M.READY, M.HELD, M.UNKNOWN, M.SENT, M.DELIVERED, M.UNDELIVERED, M.FAILED})
"""Where a message follows its recipients at once. One that is released or sending does so at its
claim or settling; one that was cancelled, expired or suppressed has ended for another reason."""


@dataclass(frozen=True, slots=True)
class TakenReceipt:
    """One receipt of a report.

    Attributes:
        receipt: as it was read.
        new: False if it was taken in before; then nothing was changed.
        address: of the recipient as we wrote to it; None if nobody can be meant.
        forwarded: whether the report has another address for the message's only recipient.
        before, after: the recipient's state; equal if the receipt settles nothing.
    """

    receipt: Receipt
    new: bool
    address: str | None
    forwarded: bool
    before: RecipientState | None
    after: RecipientState | None


@dataclass(frozen=True, slots=True)
class TakenReport:
    """What a report did to its message; `before` and `after` are the message's states."""

    message_id: int
    company_id: int
    before: MessageState
    after: MessageState
    receipts: tuple[TakenReceipt, ...]

    @property
    def new(self) -> bool:
        """Whether anything of it was not known before."""
        return any(one.new for one in self.receipts)


def take(connection: Connection, report: Report) -> TakenReport | None:
    """Keep a report's receipts, and settle its message by them. Repeating it is harmless.

    Args:
        connection: within a transaction.
        report: from `read_report`.

    Returns:
        None if no message has this Message-ID; nothing was changed.
    """
    row = connection.execute(BY_MESSAGE_ID, {"message_id": report.message_id}).one_or_none()
    if row is None:
        return None
    people_of = _People(connection, row)
    taken = tuple(people_of.take(one) for one in report.receipts)
    people_of.recipients.write()
    before = after = M(row.state)
    if any(one.after is not one.before for one in taken):
        after = _follow(connection, row, people_of.recipients, _why(taken))
    if any(one.new for one in taken):
        _record(connection, row.id, before, after, taken)
    return TakenReport(row.id, row.company_id, before, after, taken)


def settled_by(
    action: Action, state: RecipientState, *, in_doubt: bool, arrived: bool
) -> RecipientState:
    """What a receipt makes of a recipient; its own state if nothing.

    Args:
        action: what the receipt says.
        state: of the recipient.
        in_doubt: whether another hand-over is under way, so that this receipt may be of an
            earlier one, and whether its own mail arrives is open.
        arrived: whether an earlier receipt said that it was delivered, not only relayed.

    >>> settled_by(Action.FAILED, R.UNKNOWN, in_doubt=False, arrived=False)
    <RecipientState.UNDELIVERED: 'undelivered'>
    """
    if action is Action.DELAYED or state is R.SUPPRESSED:
        return state
    if action is not Action.FAILED:
        return R.DELIVERED
    if state is R.FAILED or (state is R.PENDING and in_doubt) or (state is R.DELIVERED and arrived):
        return state
    return R.UNDELIVERED


class _People:
    """The recipients of a message, found by the addresses that a report has, and changed by it."""

    def __init__(self, connection: Connection, row: Row[Any]) -> None:
        self._connection = connection
        self._message_id = row.id
        self.recipients = Recipients(connection, row.id)
        values = {"id": row.id}
        rows = connection.execute(ADDRESSES, values)
        self._addresses: dict[int, str] = {one.position: one.address for one in rows}
        self._positions = {_key(address): p for p, address in self._addresses.items()}
        self._arrived = set(connection.execute(ARRIVED, values).scalars())
        gone = connection.execute(MAY_HAVE_GONE, values).one()
        self._in_doubt = bool(gone.open and gone.all > 1)
        self._went = bool(gone.all or row.unknowns)  # after a restore attempts may be lost

    def take(self, receipt: Receipt) -> TakenReceipt:
        """Keep one receipt, and let it decide on its recipient."""
        position = self._position(receipt)
        new = self._store(receipt, position)
        if position is None:
            return TakenReceipt(receipt, new, None, False, None, None)
        before = after = self.recipients.states[position]
        if new and (self._went or before is not R.PENDING):
            after = settled_by(
                receipt.action,
                before,
                in_doubt=self._in_doubt,
                arrived=position in self._arrived,
            )
            if receipt.action is Action.DELIVERED:
                self._arrived.add(position)
        if after is not before:
            self.recipients.put(position, after, receipt.words)
        address = self._addresses[position]
        forwarded = _key(address) not in map(_key, receipt.addresses)
        return TakenReceipt(receipt, new, address, forwarded, before, after)

    def _position(self, receipt: Receipt) -> int | None:
        """Whom it is about. The only recipient, whatever it is called: mail is forwarded."""
        for reading in receipt.addresses:
            position = self._positions.get(_key(reading))
            if position is not None:
                return position
        return next(iter(self._addresses)) if len(self._addresses) == 1 else None

    def _store(self, receipt: Receipt, position: int | None) -> bool:
        values = {
            "id": self._message_id,
            "position": position,
            "address": receipt.addresses[0],
            "action": receipt.action.value,
            "status": receipt.status,
            "diagnostic": receipt.diagnostic,
            "remote_mta": receipt.remote_mta,
            "digest": receipt.digest,
        }
        return self._connection.execute(STORE, values).rowcount == 1


def _key(address: str) -> str:
    try:
        return parse_address(address).suppression_key
    except ValueError:  # AddressError, and what is no name of a domain at all
        return address.lower()


def _why(taken: Sequence[TakenReceipt]) -> str:
    """The words of what weighs most: somebody who did not get it."""
    changed = [one for one in taken if one.after is not one.before]
    changed.sort(key=lambda one: one.after is not R.UNDELIVERED)
    return f"receipt: {changed[0].receipt.words}"


def _follow(
    connection: Connection, row: Row[Any], recipients: Recipients, why: str
) -> MessageState:
    """Move the message to where its recipients are; it stays if it follows later or not at all."""
    before = M(row.state)
    state = derive(recipients.states.values())
    if before is M.HELD and state is M.READY:
        state = M.HELD
    waiting = before in moving.OPEN_STATES  # what it costs may have changed
    if before not in FOLLOWS or (state is before and not waiting):
        return before
    moving.move(
        connection,
        row,
        state,
        why=row.why if state is before else why,
        attempts=row.attempts,
        unknowns=row.unknowns,
        domains=recipients.domains_to_reach(),
    )
    if state is M.READY and before is M.UNKNOWN:
        inbox.notify(connection, row.lane_id, Priority(row.priority))
    return state


def _record(
    connection: Connection,
    message_id: int,
    before: MessageState,
    after: MessageState,
    taken: Sequence[TakenReceipt],
) -> None:
    """Sign it in the audit log, without addresses."""
    said = [one.receipt.action.value for one in taken if one.new]
    connection.execute(
        people.AUDIT,
        {
            "action": "receipt",
            "id": message_id,
            "before": json.dumps({"state": before}),
            "after": json.dumps({"state": after, "receipts": said}),
        },
    )
