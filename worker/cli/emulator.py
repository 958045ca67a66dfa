"""`kadencia eurosms-emulator`: an SMS gateway for trying things out."""

from __future__ import annotations

import typer

from worker.eurosms_emulator.server import main


def eurosms_emulator(ctx: typer.Context) -> None:
    """Run an SMS gateway that sends nothing; its options are its own."""
    raise typer.Exit(main(ctx.args))
