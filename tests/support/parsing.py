"""Whether the command line takes some arguments; nothing is run."""

from __future__ import annotations

from collections.abc import Sequence

import typer
from typer.core import TyperGroup

from worker.cli import app


def parse(arguments: Sequence[str]) -> dict[str, object]:
    """Parse arguments as `kadencia` does; the options of the command, with their defaults.

    Raises:
        click.UsageError: there is no such command or option.
    """
    command = typer.main.get_command(app)
    context = command.make_context("kadencia", list(arguments))
    while isinstance(command, TyperGroup):
        rest = [*context._protected_args, *context.args]
        name, command, rest = command.resolve_command(context, rest)
        context = command.make_context(name, rest, parent=context)
    return dict(context.params)
