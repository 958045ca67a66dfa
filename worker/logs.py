"""One log for all processes: a line an event, for people or JSON, no passwords, no addresses.

Whatever is logged, through structlog or the standard library, passes the same processors, so
that a password or an address which a library puts into its own message is masked as well.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from settings import Settings

MASK = "***"

_IN_URL = re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s/?#]+@", re.IGNORECASE)
_TELLING = r"[\w-]*(?:passw(?:or)?d|passphrase|secret|api[_-]?key|access[_-]?token|requirepass)"
_IN_PAIR = re.compile(
    rf"""(\b{_TELLING}["']?\s*(?:=|:(?!//))\s*)("[^"]*"|'[^']*'|[^\s,;)}}\]]+)""", re.IGNORECASE
)
_IN_HEADER = re.compile(
    r"(\b(?:authorization:\s*|AUTH\s+)(?:Basic|Bearer|PLAIN|LOGIN|CRAM-MD5|XOAUTH2)\s+)\S+",
    re.IGNORECASE,
)
_SECRET_KEY = re.compile(rf"{_TELLING}|authorization", re.IGNORECASE)
_DETAIL = re.compile(r"(\bDETAIL:\s*)[^\n]+")
"""What PostgreSQL adds to an error: the values of a row, a subject or a text among them."""
_NODE = r"(?!(?:control|send|eurosms)\.[a-z0-9-]+\.[0-9a-f]{8}@)"
"""Celery's own names are no addresses."""
_ADDRESS = re.compile(
    rf"""(?<![\w.*/@+-]){_NODE}(?:"[^"\s]+"|[\w.!#$%&'+=?^`{{|}}~-]+)@(?:\[[^\]\s]+\]|[\w.-]*\w)"""
)
_NUMBER = re.compile(r"(?<![\w.+-])\+\d{8,15}(?![\w.])")
_QUIET = ("alembic", "celery.app.trace", "celery.worker.strategy", "kombu")
"""They write a line for each message or look; ours say the same with the message's number."""
_NEVER_BELOW_WARNING = ("sqlalchemy", "mail.log")
"""At DEBUG they write addresses and subjects."""
_NEVER_BELOW_ERROR = ("urllib3",)
"""Below it writes the paths of web hooks, which may be secrets."""


def configure(settings: Settings, stream: TextIO = sys.stderr) -> None:
    """Send everything that is logged in this process to one stream; may be called again.

    Celery leaves the root logger alone (`worker_hijack_root_logger`) and asks for this by
    its signal `setup_logging`.

    Args:
        settings: `log_format` and `log_level`.
        stream: where to; the supervisor reads a process's standard error.
    """
    render = _as_json() if settings.log_format == "json" else as_text
    prepare = [*_PREPARE, _signature(settings)]
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.contextvars.merge_contextvars, *prepare],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                mask_secrets,
                *([] if settings.log_addresses else [without_addresses]),
                render,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level)
    _quieten(settings.log_level)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            *prepare,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,  # a forked child may configure anew
    )


_PREPARE: list[Processor] = [
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def _signature(settings: Settings) -> Processor:
    """Adds which of a fleet's processes wrote a line, if it belongs to an OAC server."""

    def sign(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        if settings.server is not None:
            event.setdefault("server", settings.server)
            event.setdefault("worker", (settings.process or "alone")[:8])
            event.setdefault("pid", os.getpid())
        return event

    return sign


def _quieten(level: str) -> None:
    logging.captureWarnings(True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(level if level in ("DEBUG", "ERROR") else "WARNING")
    for name in _NEVER_BELOW_WARNING:
        logging.getLogger(name).setLevel("ERROR" if level == "ERROR" else "WARNING")
    for name in _NEVER_BELOW_ERROR:
        logging.getLogger(name).setLevel("ERROR")


def mask_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Mask what must not be read in a log; a processor of structlog."""
    return {
        key: MASK if _SECRET_KEY.fullmatch(key) and value is not None else _masked(value)
        for key, value in event.items()
    }


def _masked(value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, dict):
        return mask_secrets(None, "", {str(key): one for key, one in value.items()})
    if isinstance(value, list | tuple | set | frozenset):
        return [_masked(one) for one in value]
    return mask(str(value))


def mask(words: str) -> str:
    """The same words without passwords.

    >>> mask("cannot reach redis://:tajne@cache.example:6379/0")
    'cannot reach redis://***@cache.example:6379/0'
    >>> mask("{'userid': None, 'password': 'tajne'}")
    "{'userid': None, 'password': ***}"
    >>> mask("AUTH PLAIN AGV2YQB0YWpuZQ==")
    'AUTH PLAIN ***'
    """
    words = _IN_URL.sub(rf"\1{MASK}@", words)
    words = _IN_PAIR.sub(rf"\1{MASK}", words)
    return _IN_HEADER.sub(rf"\1{MASK}", words)


def without_addresses(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Hide whom a message was for; a processor of structlog, to be run after `mask_secrets`."""
    return {
        key: hide_addresses(value) if isinstance(value, str) else _addressless(value)
        for key, value in event.items()
    }


def _addressless(value: object) -> object:
    if isinstance(value, dict):
        return without_addresses(None, "", value)
    if isinstance(value, list):
        return [_addressless(one) for one in value]
    return hide_addresses(value) if isinstance(value, str) else value


def hide_addresses(words: str) -> str:
    """The same words without addresses, telephone numbers, or values of a row.

    >>> hide_addresses("550 5.1.1 <anna@firma.example>: no such user")
    '550 5.1.1 <(address)>: no such user'
    >>> hide_addresses("no route to +421903622237, says send.main.0f3c2d1e@mx1.firma.example")
    'no route to (number), says send.main.0f3c2d1e@mx1.firma.example'
    >>> hide_addresses("DETAIL:  Key (address)=(anna) already exists.")
    'DETAIL:  (values)'
    """
    words = _DETAIL.sub(r"\1(values)", words)
    return _NUMBER.sub("(number)", _ADDRESS.sub("(address)", words))


def as_text(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    """One line for people: time, level, event, then what belongs to it; a traceback below.

    >>> as_text(None, "info", {"timestamp": "2026-07-01T08:00:00Z", "level": "info",
    ...                        "event": "task released", "task": 3, "why": "no more work"})
    "2026-07-01T08:00:00Z INFO task released task=3 why='no more work'"
    """
    rest = dict(event)
    head = [str(rest.pop("timestamp", "")), str(rest.pop("level", "")).upper()]
    words = str(rest.pop("event", "")).strip()
    logger, trace = rest.pop("logger", None), rest.pop("exception", None)
    stack = rest.pop("stack", None)
    if logger is not None and not str(logger).startswith("worker"):
        rest["logger"] = logger
    pairs = [f"{key}={_shown(value)}" for key, value in rest.items()]
    # A line feed in what is logged must not pass for a line of its own.
    line = " ".join([*head, "\\n".join(words.splitlines()), *pairs])
    return "\n".join(str(part) for part in (line, trace, stack) if part)


def _shown(value: object) -> str:
    words = value if isinstance(value, str) else str(value)
    plain = words.isprintable() and " " not in words and words and '"' not in words
    return words if plain or not isinstance(value, str) else repr(words)


def _as_json() -> Processor:
    return structlog.processors.JSONRenderer(ensure_ascii=False, sort_keys=False)
