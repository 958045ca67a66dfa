"""`kadencia eurosms`: the accounts at EuroSMS that SMS go through."""

from __future__ import annotations

import typer

from worker.cli.eurosms import looking, making, pushing, trying

app = typer.Typer(no_args_is_help=True, help="Accounts at EuroSMS, and whether they work.")
app.command("add")(making.add)
app.command("set")(making.change)
app.command("list")(looking.listing)
app.command("show")(looking.show)
app.command("balance")(trying.balance)
app.command("test")(trying.try_out)
app.command("disable")(making.disable)
app.command("enable")(making.enable)
app.command("push-path")(pushing.push_path)
app.command("push")(pushing.push)
