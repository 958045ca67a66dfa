"""`kadencia sms`: enqueue SMS, see what they cost, look at them, and move them by hand."""

from __future__ import annotations

import typer

from worker.cli.sms import handing_in, inbox, looking, moving, pricing

app = typer.Typer(no_args_is_help=True, help="SMS: enqueue, price, look at, and move by hand.")
app.command("enqueue")(handing_in.enqueue_one)
app.command("enqueue-many")(handing_in.enqueue_file)
app.command("price")(pricing.price)
app.command("list")(looking.listing)
app.command("show")(looking.show)
app.command("inbox")(inbox.inbox)
app.command("hold")(moving.hold)
app.command("release")(moving.release)
app.command("cancel")(moving.cancel)
app.command("resend")(moving.resend)
app.command("resolve")(moving.resolve)
