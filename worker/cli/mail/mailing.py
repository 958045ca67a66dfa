"""`kadencia mail enqueue-many`: a message for each row of a file."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, TextIO

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from models.states import Priority
from worker.cli import context
from worker.cli.mail.letters import LETTER, draft_of
from worker.cli.options import takes
from worker.cli.output import CommandError, Exit, JsonOption, say, show_json, warn
from worker.enqueueing import (
    BadRow,
    BadRows,
    Draft,
    MailingFile,
    SmsDraft,
    Tally,
    enqueue_many,
)

SkipBad = Annotated[
    bool,
    typer.Option(
        "--skip-bad", help="Enqueue the good rows; write the others to FILE.rejected.csv."
    ),
]


@takes(LETTER)
def enqueue_file(
    given: dict[str, Any],
    file: Annotated[
        Path, typer.Argument(help="CSV with a header row, or JSON Lines (.jsonl), in UTF-8.")
    ],
    skip_bad: SkipBad = False,
    as_json: JsonOption = False,
) -> None:
    """Enqueue a message for each row of a file.

    Column “email” or “to” has the address, “name” its name, “key” the row's own key; every
    column fills {{ COLUMN }} in subject, text and HTML. Nothing is enqueued if a row is bad,
    unless --skip-bad. Run again, it enqueues only what is missing; to send the same mailing
    once more, give another --key.

    Example: kadencia mail enqueue-many klienti.csv --subject "Ponuka pre {{ name }}"
    --html-file ponuka.html --inline logo.png:logo --key jesen-2026
    """
    given.setdefault("priority", Priority.BULK)
    with context.transaction() as connection:
        mailing = draft_of(connection, given)
    put_in(MailingFile(file), mailing, skip_bad=skip_bad, as_json=as_json)


def put_in(
    source: MailingFile, mailing: Draft | SmsDraft, *, skip_bad: bool, as_json: bool
) -> None:
    """Enqueue a mailing, with a bar for a person who watches, and tell what became of it.

    Raises:
        CommandError: rows are bad and are not to be left out; each was told on standard error.
        Exit: some were left out.
    """
    rejects = Rejects(source, Path(f"{source.path}.rejected.csv"))
    try:
        with rejects, _bar(skip_bad) as progress:
            tally = enqueue_many(
                context.engine(),
                source,
                mailing,
                context.settings(),
                reject=rejects.add if skip_bad else None,
                progress=progress,
            )
    except BadRows as error:
        _tell(error)
        raise CommandError(str(error)) from None
    _report(tally, rejects, as_json)


def _tell(error: BadRows) -> None:
    for one in error.errors:
        sys.stderr.write(f"  {one}\n")
    if error.count > len(error.errors):
        sys.stderr.write(f"  and {error.count - len(error.errors)} more\n")


def _report(tally: Tally, rejects: Rejects, as_json: bool) -> None:
    if as_json:
        show_json(
            {"enqueued": tally.enqueued, "earlier": tally.earlier, "rejected": tally.rejected}
        )
    else:
        say(f"enqueued: {tally.enqueued}")
    if tally.earlier:
        warn(
            f"{tally.earlier} rows were enqueued by an earlier run; "
            f"give another --key to send them once more"
        )
    if tally.rejected:
        warn(f"{tally.rejected} bad rows were left out; {rejects.path} has them with the reasons")
        raise typer.Exit(Exit.FAILED)


class Rejects:
    """Writes bad rows, with line and reason, to a CSV file that is made for the first of them."""

    def __init__(self, source: MailingFile, path: Path) -> None:
        self.path = path
        self._source = source
        self._file: TextIO | None = None

    def __enter__(self) -> Rejects:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, bad: BadRow) -> None:
        """Write one.

        Raises:
            CommandError: the file cannot be written.
        """
        if self._file is None:
            try:
                self._file = self.path.open("w", encoding="utf-8", newline="")
            except OSError as error:
                raise CommandError(f"{self.path} cannot be written: {error.strerror}") from None
            csv.writer(self._file).writerow(["line", "error", *self._source.raw_columns])
        csv.writer(self._file).writerow([bad.line, str(bad.error), *bad.cells])


@contextmanager
def _bar(one_pass: bool) -> Iterator[Callable[[Tally], None]]:
    """A bar on standard error, for a person who watches; its length is known after a first pass."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        checking = bar.add_task("checking", total=None, visible=not one_pass)
        storing = bar.add_task("enqueueing", total=None, visible=one_pass)

        def show(tally: Tally) -> None:
            bar.update(checking, completed=tally.checked)
            if tally.done:
                total = None if one_pass else tally.checked
                bar.update(checking, total=total)
                bar.update(storing, completed=tally.done, total=total, visible=True)

        yield show
