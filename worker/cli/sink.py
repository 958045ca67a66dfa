"""`kadencia smtp-sink`: an SMTP server for trying things out."""

from __future__ import annotations

import typer

from worker.smtp_sink.server import main


def smtp_sink(ctx: typer.Context) -> None:
    """Run an SMTP server that keeps every mail and sends none on; its options are its own."""
    raise typer.Exit(main(ctx.args))
