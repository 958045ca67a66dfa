"""Enqueueing a mailing: a message for each row of a file, in batches that can be repeated."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine

from models.states import Channel
from settings import Settings
from worker.core.content import ContentError
from worker.enqueueing.drafts import Draft, span
from worker.enqueueing.files import BadRow, MailingFile, Row
from worker.enqueueing.letter_sheet import LetterSheet
from worker.enqueueing.occurrences import Occurrences
from worker.enqueueing.places import KeyConflict, Place, place, refuse_conflict
from worker.enqueueing.sheet import Item, Sheet
from worker.enqueueing.sms import NO_RULES, SmsDraft
from worker.enqueueing.sms_sheet import SmsSheet
from worker.enqueueing.spool import Spool
from worker.enqueueing.traced import traced
from worker.outbox import inbox, sms_inbox

BATCH = 1_000  # chosen: a transaction of some 100 ms
CONNECTIONS = 2  # chosen: a second keeps PostgreSQL busy while the first batch commits
BAD_ROWS_NAMED = 20  # chosen: what fits a screen

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of a batch: how many are new, how many stood there, which ones conflict."""

    new: int
    earlier: int
    conflicts: list[BadRow]


@dataclass(frozen=True, slots=True)
class Tally:
    """What has become of the rows so far.

    Attributes:
        checked: rows that the first pass went through.
        enqueued: messages that were stored.
        earlier: rows that an earlier run had stored.
        rejected: bad rows that were left out.
    """

    checked: int = 0
    enqueued: int = 0
    earlier: int = 0
    rejected: int = 0

    @property
    def done(self) -> int:
        """Rows that are dealt with."""
        return self.enqueued + self.earlier + self.rejected

    def plus(self, done: Stored, bad: int) -> Tally:
        """This and one more batch."""
        return Tally(
            self.checked,
            self.enqueued + done.new,
            self.earlier + done.earlier,
            self.rejected + bad + len(done.conflicts),
        )


class BadRows(ContentError):
    """A file has rows that cannot be enqueued, so that none of it was.

    Attributes:
        count: how many there are.
        errors: the first of them.
    """

    def __init__(self, count: int, errors: tuple[str, ...]) -> None:
        what = f"has {count} bad row(s), so nothing was enqueued"
        super().__init__(what, "file", "correct them, or leave them out with --skip-bad")
        self.args = (count, errors)  # what it is made of, or unpickling fails
        self.count = count
        self.errors = errors


Batch = tuple[list[Item], list[BadRow]]
Progress = Callable[[Tally], None]
Reject = Callable[[BadRow], None]


def enqueue_many(
    engine: Engine,
    source: MailingFile,
    mailing: Draft | SmsDraft,
    settings: Settings,
    *,
    reject: Reject | None = None,
    progress: Progress = lambda _: None,
) -> Tally:
    """Enqueue a message for each row of a file.

    It commits in batches and can be run again at any time: rows that were stored before,
    under the same mailing key, are left alone. Memory does not grow with the file.

    Args:
        engine: on the outbox.
        source: the file.
        mailing: what all messages have in common. Subject, text and HTML are templates; its
            idempotency key is the mailing's, made of its content where none is given. Of SMS,
            column “text” stands in for a text that is not given.
        settings: with the limit on size.
        reject: is given each bad row, and the others are enqueued; without it all rows are
            checked before the first is stored, and if any is bad none is.
        progress: told after each batch.

    Raises:
        ContentError: the mailing itself is not fit to be sent; nothing was stored.
        BadRows: there are bad rows, and no `reject`; nothing was stored.
    """
    with engine.begin() as connection:
        sheet, where = prepare(connection, source, mailing, settings)
        times = span(mailing.not_before, mailing.expires_at, where.now)
    batches = _batches(source, sheet)
    with Spool(sheet) as spool:
        tally = Tally()
        if reject is None:
            tally = Tally(checked=_check_all(engine, batches, mailing, spool, progress))
            batches = ((items, []) for items in spool.batches())
        store = partial(_store, engine, sheet, mailing, where, times)
        for done, bad in _side_by_side(store, _ahead(batches)):
            for one in (*bad, *done.conflicts):
                if reject is None:  # somebody used its key since the first pass
                    raise one.error
                reject(one)
            tally = tally.plus(done, len(bad))
            progress(tally)
    return tally


def prepare(
    connection: Connection, source: MailingFile, mailing: Draft | SmsDraft, settings: Settings
) -> tuple[Sheet[Any], Place]:
    """What makes messages of the rows of a file, and where they go.

    Raises:
        ContentError: the mailing itself is not fit to be sent.
    """
    belongs = mailing.company_id, mailing.establishment_id, mailing.task_id
    if isinstance(mailing, Draft):
        return LetterSheet(mailing, source.columns, settings), place(connection, *belongs)
    where = place(connection, *belongs, Channel.SMS)
    taker = sms_inbox.taker(connection, *belongs)
    rules = taker.rules if taker else NO_RULES
    return SmsSheet(mailing, source.columns, where.country, rules), where


def _check_all(
    engine: Engine,
    batches: Iterator[Batch],
    mailing: Draft | SmsDraft,
    spool: Spool[Any],
    progress: Progress,
) -> int:
    """Go through all rows and keep the checked ones in the spool; returns how many there are."""
    count, bad_rows, errors = 0, 0, list[str]()
    for items, bad in _ahead(batches):
        with engine.connect() as connection:
            known = _known(connection, mailing.company_id, items)
        bad += [one for item in items if (one := _conflict(item, known))]
        bad_rows += len(bad)
        errors += [str(one.error) for one in bad[: BAD_ROWS_NAMED - len(errors)]]
        spool.add(items)
        count += len(items)
        progress(Tally(checked=count))
    if bad_rows:
        raise BadRows(bad_rows, tuple(errors))
    return count


def _ahead(batches: Iterator[Batch]) -> Iterator[Batch]:
    """Make the next batch while PostgreSQL is busy with this one."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = pool.submit(next, batches, None)
            yield batch


def _side_by_side(
    store: Callable[[list[Item]], Stored], batches: Iterator[Batch]
) -> Iterator[tuple[Stored, list[BadRow]]]:
    """Store batches over several connections; what became of each, in their order."""
    waiting: deque[tuple[Future[Stored], list[BadRow]]] = deque()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        for items, bad in batches:
            waiting.append((pool.submit(store, items), bad))
            if len(waiting) > CONNECTIONS:
                first, its_bad = waiting.popleft()
                yield first.result(), its_bad
        for one, its_bad in waiting:
            yield one.result(), its_bad


def _batches(source: MailingFile, sheet: Sheet[Any]) -> Iterator[Batch]:
    with Occurrences() as seen:
        for rows in _batched(source.rows(), BATCH):
            made = [_item(sheet, row, seen) for row in rows]
            yield (
                [one for one in made if not isinstance(one, BadRow)],
                [one for one in made if isinstance(one, BadRow)],
            )


def _item(sheet: Sheet[Any], row: Row | BadRow, seen: Occurrences) -> Item | BadRow:
    if isinstance(row, BadRow):
        return row
    try:
        item: Item = sheet.item(row, seen)
        return item
    except ContentError as error:
        return BadRow(row.line, row.cells, error)


def _store(
    engine: Engine,
    sheet: Sheet[Any],
    mailing: Draft | SmsDraft,
    where: Place,
    times: tuple[datetime, datetime],
    items: list[Item],
) -> Stored:
    """Store a batch in a transaction of its own."""
    if not items:
        return Stored(0, 0, [])
    with engine.begin() as connection:
        stored = traced(sheet.store)(connection, where, times, items)
        conflicts = []
        if stored < len(items):
            known = _known(connection, mailing.company_id, items)
            conflicts = [one for item in items if (one := _conflict(item, known))]
        if stored:
            inbox.notify(connection, where.lane_id, mailing.priority)
    return Stored(stored, len(items) - stored - len(conflicts), conflicts)


def _known(
    connection: Connection, company_id: int, items: list[Item]
) -> dict[str, tuple[int, bytes | None]]:
    return inbox.by_key(connection, company_id, [item.key for item in items])


def _conflict(item: Item, known: dict[str, tuple[int, bytes | None]]) -> BadRow | None:
    message_id, before = known.get(item.key, (0, item.digest))
    column = ", column key" if item.keyed else ""
    try:
        refuse_conflict(before, item.digest, message_id, f"line {item.line}{column}")
    except KeyConflict as error:
        return BadRow(item.line, item.cells, error)
    return None


def _batched(rows: Iterable[T], most: int) -> Iterator[list[T]]:
    rows = iter(rows)
    while batch := list(islice(rows, most)):
        yield batch
