"""Commands that are imported when they are used, so that `kadencia --help` answers at once."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

RAW = {"ignore_unknown_options": True, "allow_extra_args": True}


class Later(TyperCommand):
    """Stands for a command by its line of help.

    Args:
        name: as it is typed.
        place: `module:attribute` within `worker.cli`; a `typer.Typer`, or a function.
        help_line: what `kadencia --help` says of it.
        raw: it reads its own options, `--help` among them.
    """

    def __init__(self, name: str, place: str, help_line: str, *, raw: bool = False) -> None:
        super().__init__(name, help=help_line)
        self.raw = raw
        self.typed = name
        self.place = place

    def load(self) -> Any:
        """Import the module and build the command; click's own type has no public name."""
        module, _, attribute = self.place.partition(":")
        found = getattr(import_module(f"worker.cli.{module}"), attribute)
        shell = typer.Typer(add_completion=False, rich_markup_mode="rich")
        shell.callback()(_nothing)  # else a single command would stand for the whole group
        if isinstance(found, typer.Typer):
            shell.add_typer(found, name=self.typed)
        elif self.raw:
            shell.command(self.typed, add_help_option=False, context_settings=RAW)(found)
        else:
            shell.command(self.typed)(found)
        group = typer.main.get_command(shell)
        assert isinstance(group, TyperGroup)  # noqa: S101  it has a callback
        return group.commands[self.typed]


class LazyGroup(TyperGroup):
    """A group of commands of which only the one that is typed gets imported."""

    later: tuple[Later, ...] = ()

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.commands.update({command.typed: command for command in self.later})

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Click's hook, called once the name has been typed."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command.load() if isinstance(command, Later) else command, rest


def _nothing() -> None:
    pass
