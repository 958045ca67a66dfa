"""What people and scripts see of a command."""

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy.exc import ArgumentError, IntegrityError, OperationalError

from settings import SettingsError
from worker import cli
from worker.cli import output
from worker.cli.failures import explain
from worker.cli.lazy import LazyGroup
from worker.cli.output import CommandError, Exit
from worker.registers import RegisterError
from worker.vault import VaultError

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
ROW = {"name": "Ruža", "at": NOON, "limit": None, "tags": ["a", "b"]}


def printed(show, *arguments):
    out = io.StringIO()
    with redirect_stdout(out):
        show(*arguments)
    return out.getvalue()


def ended(*arguments):
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = cli.execute(arguments)
    return code, out.getvalue(), err.getvalue()


def test_a_time_is_shown_in_the_zone_of_the_company():
    assert output.cell(NOON, ZoneInfo("Europe/Bratislava")) == "2026-07-01 14:00:00 CEST"


def test_json_keeps_times_in_utc_and_slovak_as_it_is():
    shown = printed(output.show_rows, [ROW], ["name"], True, ZoneInfo("Europe/Bratislava"))

    assert "Ruža" in shown
    assert json.loads(shown) == [ROW | {"at": "2026-07-01T12:00:00+00:00"}]


def test_a_listing_without_a_line_says_so():
    assert printed(output.show_rows, [], ["name"], False) == "none\n"


def test_a_listing_in_a_pipe_is_neither_folded_nor_cut():
    long = "x" * 300

    assert long in printed(output.show_rows, [{"name": long}], ["name"], False)


def test_what_others_wrote_is_neither_markup_nor_a_command_to_the_terminal():
    rows = [{"words": "[red]550\x1b[2J[/red]"}]

    shown = printed(output.show_rows, rows, ["words"], False)

    assert "[red]550�[2J[/red]" in shown


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        pytest.param(CommandError("no", Exit.AWAY), 3, "no", id="a command's own"),
        pytest.param(SettingsError("no"), 2, "no", id="a setting"),
        pytest.param(VaultError("no"), 2, "no", id="a key"),
        pytest.param(RegisterError("no", "do"), 2, "no; do", id="a rule of the registers"),
        pytest.param(ArgumentError("?"), 2, "DATABASE_URL is no address", id="an address"),
        pytest.param(
            OperationalError("", {}, Exception("refused\nDETAIL: x")),
            3,
            "PostgreSQL is away: refused; start it",
            id="a database that is away",
        ),
        pytest.param(
            IntegrityError("", {}, Exception("duplicate\nDETAIL: anna@firma.example")),
            1,
            "PostgreSQL refused it: duplicate; nothing was changed",
            id="a constraint, without what was stored",
        ),
    ],
)
def test_each_foreseen_error_has_its_words_and_its_exit_code(error, code, words):
    text, found = explain(error)

    assert found == code
    assert text.startswith(words)
    assert "\n" not in text


def test_a_fault_of_ours_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        explain(ZeroDivisionError())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["tusk"], "Did you mean 'task'", id="a command that there is not"),
        pytest.param(["task", "pauze"], "Did you mean 'pause'", id="nor this one of a group"),
        pytest.param(["task", "show"], "Missing argument", id="a name left out"),
        pytest.param(["smtp", "add", "x", "--port", "abc"], "'--port'", id="no number"),
        pytest.param(["smtp", "add", "x"], "missing: --host", id="an option that is needed"),
    ],
)
def test_a_wrong_command_line_ends_in_one_line_and_code_2(arguments, words):
    code, _, err = ended(*arguments)

    assert code == 2
    assert words in err
    assert err.count("\n") == 1


def test_a_group_without_a_command_shows_its_help():
    code, out, err = ended("company")

    assert code == 2
    assert "establishments" in out + err


REGISTERS = ("task", "smtp", "server", "company", "establishment", "user", "suppression", "keys")


@pytest.mark.parametrize("name", [*REGISTERS, "safety", "init", "stop-all", "start-all"])
def test_every_command_has_help_with_an_example(name):
    (later,) = [command for command in LazyGroup.later if command.typed == name]
    command = later.load()

    for one in getattr(command, "commands", {name: command}).values():
        assert "Example: kadencia" in one.help


@pytest.mark.parametrize("name", [*REGISTERS, "safety"])
def test_every_command_that_lists_or_shows_prints_json(name):
    (later,) = [command for command in LazyGroup.later if command.typed == name]

    for verb, command in later.load().commands.items():
        if verb in ("list", "show", "journal"):
            assert "as_json" in [parameter.name for parameter in command.params], verb
