"""`kadencia keys`: the keys under which credentials lie in the database."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from worker import vault
from worker.cli import context
from worker.cli.output import CommandError, say
from worker.embedded.directory import write_atomically
from worker.registers.accounts import reseal_all

app = typer.Typer(no_args_is_help=True, help="Keys of the stored credentials.")


@app.command("new")
def new(
    file: Annotated[
        Path | None,
        typer.Option("--file", help="Put it before the keys of this file, made if need be."),
    ] = None,
) -> None:
    """Make a key: print it, or put it first in a file, where it seals what is stored from then on.

    Give every host the same file and name it in KADENCIA_KEYS_FILE.

    Example: kadencia keys new --file /etc/kadencia/keys
    """
    key = vault.new_key()
    if file is None:
        say(key)
        return
    try:
        held = put_first(file, key)
    except OSError as error:
        raise CommandError(f"{file} cannot be written: {error.strerror}; name another") from None
    say(f"{file} holds {held} {'key' if held == 1 else 'keys'} now, the new one first")
    if held > 1:
        say("bring it to every host, restart there, and then run `kadencia keys rotate`")


def put_first(path: Path, key: str) -> int:
    """Put a key before those of a file, which is made if need be; only its owner may read it.

    Returns:
        How many keys it holds now.

    Raises:
        OSError: it cannot be read or written; it is as it was then.
        VaultError: it holds something that is no key.
    """
    held, owner = [], None
    if path.exists():
        held = path.read_text().split()
        vault.Vault(held)
        owner = path.stat().st_uid, path.stat().st_gid  # whom the workers run as
    write_atomically(path, "\n".join([key, *held]) + "\n", owner=owner)
    return len(held) + 1


@app.command("rotate")
def rotate() -> None:
    """Seal all stored credentials anew under the newest key. Older keys may go afterwards.

    Example: kadencia keys rotate
    """
    with context.transaction() as connection:
        count = reseal_all(connection, context.vault())
    say(f"{count} stored {'credential is' if count == 1 else 'credentials are'} sealed anew")
