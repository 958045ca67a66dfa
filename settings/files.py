"""Secrets that stand in files: `NAME_FILE` in place of `NAME`, as containers are given them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from settings.servers import SettingsError

SUFFIX = "_FILE"


def with_files(environ: Mapping[str, str], secrets: Iterable[str]) -> dict[str, str]:
    """The environment, with the content of the files that it names for secrets.

    A variable that is set itself goes before its file. White space around the content, such as
    the last line's end, is no part of it.

    Args:
        environ: variables.
        secrets: the names of those that may be in a file.

    Raises:
        SettingsError: a file cannot be read, or holds nothing.
    """
    read = {
        name: _content(name + SUFFIX, Path(environ[name + SUFFIX]))
        for name in secrets
        if environ.get(name + SUFFIX) and not environ.get(name)
    }
    return {**environ, **read}


def _content(variable: str, path: Path) -> str:
    try:
        content = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8"
        raise SettingsError(f"{variable}: {path} cannot be read: {why}") from None
    if not content:
        raise SettingsError(f"{variable}: {path} is empty; write the secret into it")
    return content
