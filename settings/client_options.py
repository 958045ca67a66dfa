"""How servers are reached, in the words of the libraries that do it.

Over TLS the certificate and the name in it are always checked.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from redis.backoff import NoBackoff
from redis.retry import Retry

from settings.servers import Servers, SettingsError

SENTINEL_SECONDS = 1
"""Chosen: a Sentinel answers in milliseconds; the next one is asked after so long."""


class Concealed(Mapping[str, Any]):
    """Options with a password among them, which no worker shows.

    Celery's workers tell who asks, and so Flower, all options of their broker as JSON.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = options

    def __getitem__(self, name: str) -> Any:
        return self._options[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._options)

    def __len__(self) -> int:
        return len(self._options)

    def __repr__(self) -> str:
        return "***"

    def __json__(self) -> str:
        return repr(self)


def sentinel_options(settings: Servers) -> Concealed:
    """How redis-py, in our hands and in kombu's, reaches a Sentinel.

    Raises:
        SettingsError: a file cannot be read.
    """
    secret = settings.sentinel_password
    options = {
        "retry": Retry(NoBackoff(), 0),  # by default a dead one is tried for seconds
        "username": settings.sentinel_username,
        "password": secret.get_secret_value() if secret else None,
        "socket_connect_timeout": SENTINEL_SECONDS,
        "socket_timeout": SENTINEL_SECONDS,
        "decode_responses": True,
        "ssl": settings.redis.tls,
        **redis_tls(settings),
    }
    return Concealed(options)


def redis_tls(settings: Servers) -> dict[str, Any]:
    """Options of redis-py's connections, our own and kombu's; empty without TLS.

    Raises:
        SettingsError: a file cannot be read.
    """
    if not settings.redis.tls:
        return {}
    return {
        "ssl_cert_reqs": "required",
        "ssl_check_hostname": True,
        "ssl_ca_certs": _readable(settings.redis_ca_file, "KADENCIA_REDIS_CA_FILE"),
        "ssl_certfile": _readable(
            settings.redis_certificate_file, "KADENCIA_REDIS_CERTIFICATE_FILE"
        ),
        "ssl_keyfile": _readable(settings.redis_key_file, "KADENCIA_REDIS_KEY_FILE"),
    }


def broker_tls(settings: Servers) -> dict[str, Any]:
    """Options of py-amqp; empty without TLS.

    Raises:
        SettingsError: a file cannot be read.
    """
    url = settings.broker_url.get_secret_value() if settings.broker_url else ""
    if not url.startswith("amqps://"):
        return {}
    return {
        "cert_reqs": ssl.CERT_REQUIRED,
        "server_hostname": urlsplit(url).hostname,
        "ca_certs": _readable(settings.broker_ca_file, "KADENCIA_BROKER_CA_FILE"),
        "certfile": _readable(settings.broker_certificate_file, "KADENCIA_BROKER_CERTIFICATE_FILE"),
        "keyfile": _readable(settings.broker_key_file, "KADENCIA_BROKER_KEY_FILE"),
    }


def _readable(path: Path | None, variable: str) -> str | None:
    if path is None:
        return None
    if not (path.is_file() and os.access(path, os.R_OK)):
        raise SettingsError(
            f"{variable}: {path} cannot be read; name a file that this user may read"
        )
    return str(path)
