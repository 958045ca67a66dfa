"""The one place where objects are put together, from settings that are read once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Engine

from settings import Settings, SettingsError, load
from worker import db, redis_servers
from worker.embedded.directory import default_data_directory, read_endpoints
from worker.throttle import Throttle
from worker.vault import Vault


@dataclass(frozen=True, slots=True)
class Kit:
    """What a process of the fleet works with; made after the fork, closed by nobody but its end."""

    settings: Settings
    engine: Engine = field(repr=False)
    throttle: Throttle = field(repr=False)
    vault: Vault = field(repr=False)


def data_directory(environ: Mapping[str, str]) -> Path:
    """Where the embedded servers keep their data: KADENCIA_DATA, or the user's own place."""
    given = environ.get("KADENCIA_DATA")
    return Path(given) if given else default_data_directory(environ, os.geteuid())


def read_settings(environ: Mapping[str, str]) -> Settings:
    """The settings; what is missing of the servers' addresses is a running `kadencia up`'s.

    Raises:
        SettingsError: a setting is wrong.
        EmbeddedError: the data directory belongs to another user.
    """
    found = load(environ)
    data = data_directory(environ)
    missing = found.database_url is None or found.redis_url is None
    endpoints = (read_endpoints(data) or {}) if missing else {}
    named = {f"{name.upper()}": url for name, url in endpoints.items() if name.endswith("_url")}
    return load({**named, "KADENCIA_DATA": str(data), **environ})


def make_engine(
    settings: Settings, name: str, pool_size: int = 2, *, direct: bool = False
) -> Engine:
    """An engine on the product's database.

    Args:
        settings: with its address.
        name: shown as application_name.
        pool_size: connections kept.
        direct: past a pooler, for what needs a session of its own: listening, migrations.

    Raises:
        SettingsError: no address is set, and no `kadencia up` is running.
    """
    if direct:
        return db.make_engine(settings.require_direct_url(), name=name, pool_size=pool_size)
    url, pooled = settings.require_database_url(), settings.pooled
    return db.make_engine(url, name=name, pool_size=pool_size, pooled=pooled)


def make_throttle(settings: Settings) -> Throttle:
    """The fleet's throttle.

    Raises:
        SettingsError: no address is set, and no `kadencia up` is running.
    """
    return Throttle(
        redis_servers.client(settings),
        window_us=settings.window_us,
        handover_max_us=settings.handover_max_us,
    )


def make_vault(settings: Settings) -> Vault:
    """The keys of stored credentials: from KADENCIA_KEYS, KADENCIA_KEYS_FILE or the data directory.

    Without any it opens nothing, and says so when it is asked to.

    Raises:
        SettingsError: the file cannot be read, or holds something else.
    """
    if settings.keys is not None:
        return Vault(settings.keys.get_secret_value().replace(",", "\n").split())
    path = settings.keys_file or (settings.data / "keys" if settings.data else None)
    if path is None or (settings.keys_file is None and not path.exists()):
        return Vault([])
    try:
        return Vault(path.read_text().split())
    except OSError as error:
        raise SettingsError(
            f"KADENCIA_KEYS_FILE: {path} cannot be read: {error.strerror}; "
            f"name a file that this user may read"
        ) from None


def make_kit(settings: Settings, name: str) -> Kit:
    """Everything that a process which sends, sweeps or recovers needs.

    Raises:
        SettingsError: something that it needs is not set.
    """
    return Kit(settings, make_engine(settings, name), make_throttle(settings), make_vault(settings))
