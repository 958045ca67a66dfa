"""The documentation says what is so: settings, commands, exit codes, states, paths."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from models.states import SLOVAK, MessageState
from settings import Settings, known_variables
from worker.cli import app
from worker.cli.lazy import Later
from worker.cli.output import Exit
from worker.core.alarms import Kind
from worker.core.eurosms_codes import SEND_CODES
from worker.core.sms_reports import DELIVERY_STATUSES
from worker.crashpoints import CrashPoint

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
DOCUMENTS = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
NAMES = [str(document.relative_to(ROOT)) for document in DOCUMENTS]

SPAN = re.compile(r"(?<!`)`([^`]+)`(?!`)")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SHELL = ("sh", "ini")
SOURCES = (
    "beat_schedule.py",
    "benchmarks",
    "docs",
    "models",
    "settings",
    "tests",
    "tools",
    "worker",
)


def code(document: Path) -> Iterator[str]:
    """Code spans, and the lines of shell and unit files."""
    text = document.read_text()
    for language, block in BLOCK.findall(text):
        if language in SHELL:
            yield from block.splitlines()
    for span in SPAN.findall(BLOCK.sub("", text)):
        yield " ".join(span.split())


def rows(document: Path) -> Iterator[list[str]]:
    """The cells of every line of every table, without marks of code."""
    for line in document.read_text().splitlines():
        if line.startswith("|") and not line.startswith("|---"):
            yield [cell.strip().strip("`") for cell in line.strip("|").split("|")]


def commands(document: Path) -> Iterator[list[str]]:
    """The words after each `kadencia`, or its alias `k`, that stands for the program."""
    for line in code(document):
        for found in re.finditer(r"(?:^k|(?:^|[\s/;&])kadencia)\s+([^\s|#;&][^|#;&]*)", line):
            words = found[1].split()
            if re.fullmatch(r"[a-z][a-z-]*", words[0]):
                yield words


def resolved(words: list[str]) -> tuple[Any, list[str]]:
    """The command that these words name, and those that are left for it."""
    command = typer.main.get_command(app)
    rest = list(words)
    while rest and (known := getattr(command, "commands", None)):
        if rest[0] not in known:
            break
        command = known[rest.pop(0)]
        command = command.load() if isinstance(command, Later) else command
    return command, rest


@pytest.mark.parametrize("document", DOCUMENTS, ids=NAMES)
def test_every_command_that_is_named_exists_with_its_options(document):
    wrong = []
    for words in commands(document):
        command, rest = resolved(words)
        options = {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
        used = {word.partition("=")[0] for word in rest if word.startswith("--")}
        is_raw = command.context_settings.get("ignore_unknown_options", False)
        is_group = bool(getattr(command, "commands", None))
        names_no_part = is_group and rest and not rest[0].startswith("-")
        if command.name == "kadencia" or names_no_part or not (is_raw or used <= options):
            wrong.append(" ".join(words))

    assert wrong == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=NAMES)
def test_every_make_target_that_is_named_exists(document):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {name for line in code(document) for name in re.findall(r"\bmake ([a-z][a-z-]*)", line)}

    assert named <= targets


@pytest.mark.parametrize("document", DOCUMENTS, ids=NAMES)
def test_every_file_that_is_named_exists(document):
    files = {
        one
        for span in SPAN.findall(BLOCK.sub("", document.read_text()))
        for one in _braces(span)
        if one.split("/")[0] in SOURCES and re.fullmatch(r"[\w./-]+", one) and "NNNN" not in one
    }

    missing = [one for one in files if "/" in one and not (ROOT / one).exists()]
    assert missing == []


def test_every_code_and_status_of_the_gateway_is_told_with_its_meaning():
    told = [tuple(row) for row in rows(DOCS / "sms.md")]

    codes = {(code.code, code.meaning, code.certainty.value) for code in SEND_CODES.values()}
    statuses = {
        (status.code, status.words, "yes" if status.final else "no")
        for status in DELIVERY_STATUSES.values()
    }
    assert {row[:3] for row in told} - {("code", "meaning", "certainty")} == (
        codes | statuses | {("status", "meaning", "final")}
    )
    assert all(row[3] for row in told)


def test_the_page_on_configuration_lists_every_setting_with_its_default():
    told = {
        name: default
        for name, default, *_ in rows(DOCS / "configuration.md")
        if name.startswith("KADENCIA_")
    }

    settings = {
        f"KADENCIA_{name.upper()}": "none" if field.default is None else str(field.default)
        for name, field in Settings.model_fields.items()
    }
    assert told == settings | {"KADENCIA_DATA": "see below"}


@pytest.mark.parametrize("document", DOCUMENTS, ids=NAMES)
def test_every_variable_that_is_named_is_a_setting(document):
    named = set(re.findall(r"\bKADENCIA_[A-Z_]+\b", document.read_text()))

    assert named <= known_variables()


def test_the_table_of_exit_codes_is_that_of_the_commands():
    told = {int(code): name for code, name, *_ in rows(DOCS / "operations.md") if code.isdigit()}

    assert told == {one.value: one.name for one in Exit}


def test_the_glossary_has_every_state_with_its_slovak_name():
    told = {word: slovak for word, slovak, *_ in rows(DOCS / "glossary.md")}

    assert {state: told.get(state) for state in MessageState} == SLOVAK


def test_no_word_of_the_glossary_is_explained_twice():
    words = [word for word, *_ in rows(DOCS / "glossary.md") if word not in ("word", "state")]

    assert len(words) == len(set(words))


def test_the_table_of_crashes_has_every_crash_point():
    told = {first for first, *_ in rows(DOCS / "architecture.md")}

    assert set(CrashPoint) <= told


def test_the_table_of_alarms_has_every_kind():
    told = {first for first, *_ in rows(DOCS / "operations.md")}

    assert set(Kind) <= told


def _braces(span: str) -> list[str]:
    """A path, or those that `a/{b,c}.py` stands for."""
    found = re.fullmatch(r"([^{}]*)\{([^{}]*)\}([^{}]*)", span)
    return [f"{found[1]}{one}{found[3]}" for one in found[2].split(",")] if found else [span]
