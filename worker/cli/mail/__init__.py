"""`kadencia mail`: enqueue e-mails, look at them, and move them by hand."""

from __future__ import annotations

import typer

from worker.cli.mail import handing_in, looking, mailing, moving, receipts

app = typer.Typer(no_args_is_help=True, help="E-mails: enqueue, look at, and move by hand.")
app.command("enqueue")(handing_in.enqueue_one)
app.command("enqueue-many")(mailing.enqueue_file)
app.command("list")(looking.listing)
app.command("show")(looking.show)
app.command("hold")(moving.hold)
app.command("release")(moving.release)
app.command("cancel")(moving.cancel)
app.command("resend")(moving.resend)
app.command("resolve")(moving.resolve)
app.command("receipt")(receipts.receipt)
