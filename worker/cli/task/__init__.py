"""`kadencia task`: automatic tasks, which send a company's messages at their cadence."""

from __future__ import annotations

import typer

from worker.cli.task import looking, making, making_sms, moving

app = typer.Typer(
    no_args_is_help=True, help="Automatic tasks: what sends which messages, how fast."
)
app.command("create")(making.create)
app.command("set")(making.change)
app.command("create-sms")(making_sms.create)
app.command("set-sms")(making_sms.change)
app.command("list")(looking.listing)
app.command("show")(looking.show)
app.command("pause")(moving.pause)
app.command("resume")(moving.resume)
app.command("run")(moving.run)
app.command("journal")(looking.journal)
