"""Refuse files and functions of the product that have grown out of hand."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

FILE_LONG = 300  # chosen: what a reader holds at a time; told
FILE_LINES_MAX = 330  # chosen: room to finish a thought before a file is parted
FUNCTION_LINES_MAX = 40  # chosen: a screen

PRODUCT = ("beat_schedule.py", "client/kadencia_client", "models", "settings", "worker")


def sources(root: Path) -> Iterator[tuple[Path, str]]:
    """The product's Python files below `root`, with their text.

    Migrations are left out: they are a record, written once, in order.
    """
    for place in (root / name for name in PRODUCT):
        for file in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            if "migrations" not in file.parts:
                yield file.relative_to(root), file.read_text(encoding="utf-8")


def long_functions(text: str) -> Iterator[tuple[str, int]]:
    """Name and lines of each function that is too long; its docstring does not count."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            first = node.body[0]
            if ast.get_docstring(node) is not None:
                lines -= (first.end_lineno or first.lineno) - first.lineno + 1
            if lines > FUNCTION_LINES_MAX:
                yield node.name, lines


def complaints(root: Path) -> list[str]:
    """What is too long, a line for each."""
    found = []
    for file, text in sources(root):
        lines = len(text.splitlines())
        if lines > FILE_LINES_MAX:
            found.append(f"{file} has {lines} lines, at most {FILE_LINES_MAX}; part it")
        found += [
            f"{file}: {name}() has {count} lines, at most {FUNCTION_LINES_MAX}; part it"
            for name, count in long_functions(text)
        ]
    return found


if __name__ == "__main__":
    root = Path(__file__).resolve().parent.parent
    for file, text in sources(root):
        if FILE_LONG < len(text.splitlines()) <= FILE_LINES_MAX:
            sys.stderr.write(f"note: {file} has over {FILE_LONG} lines\n")
    sys.exit("\n".join(complaints(root)) or 0)
