"""What may be shown of the fleet's Celery: names, ids and times; no address, text or password."""

from __future__ import annotations

import re
import uuid
from collections.abc import Collection, Mapping
from typing import Any

NO_TASK = "(no task of ours)"
"""What a task is called that no worker of ours knows: its name is anybody's words."""

HIDDEN = "(hidden)"

IDS = re.compile(r"[\[(](\s*('[0-9a-z-]{1,36}'|\d{1,18})\s*(,|(?=[\])])))*\s*[\])]")
"""A list of what our own tasks take: numbers of rows, UUIDs, a part of a worker."""

FIELDS = frozenset(
    [
        *("type", "hostname", "timestamp", "local_received", "utcoffset", "pid", "clock"),
        *("uuid", "root_id", "parent_id", "name", "queue", "exchange", "routing_key"),
        *("retries", "eta", "expires", "runtime", "signum", "terminated", "expired"),
    ]
)
"""Of a task's event, what is kept as it is. Arguments, results and errors are not among them."""

ID_FIELDS = ("uuid", "root_id", "parent_id")


def shown_event(event: Mapping[str, Any], ours: Collection[str]) -> dict[str, Any]:
    """A Celery event without what its sender wrote of a message.

    Anybody who shares the broker may publish a task, with an e-mail for its argument, its name or
    its id. Errors may quote an address as well.

    Args:
        event: as Celery sends it.
        ours: the names of tasks that take ids only.

    >>> shown_event({"type": "task-received", "name": "kadencia.enqueue_email", "uuid": "7d",
    ...              "kwargs": "{'to': 'jana@zakaznik.example'}"}, {"kadencia.send"})["kwargs"]
    '(hidden)'
    """
    kind = str(event.get("type", ""))
    if not kind.startswith("task-"):
        return dict(event)
    shown = {name: value for name, value in event.items() if name in FIELDS}
    shown |= {name: _as_id(event[name]) for name in ID_FIELDS if event.get(name)}
    if "name" in event:
        shown["name"] = shown_name(event["name"], ours)
    if "args" in event or "kwargs" in event:
        shown |= shown_arguments(event.get("name"), event.get("args"), ours)
    if event.get("exception"):
        shown["exception"] = _kind_of_error(str(event["exception"]))
    return shown


def shown_name(name: object, ours: Collection[str]) -> str:
    """The name of a task of ours or of Kadencia's interface; of others, that it is none."""
    text = str(name)
    known = text in ours or re.fullmatch(r"kadencia\.[a-z_]{1,40}", text)
    return text if known else NO_TASK


def shown_arguments(name: object, args: object, ours: Collection[str]) -> dict[str, str]:
    """Positional and named arguments, as far as they are ids of a task of ours.

    >>> shown_arguments("kadencia.send", "(17, '0f3c')", {"kadencia.send"})
    {'args': "(17, '0f3c')", 'kwargs': ''}
    """
    text = str(args)
    if name in ours and IDS.fullmatch(text):
        return {"args": text, "kwargs": ""}
    return {"args": HIDDEN, "kwargs": HIDDEN}


def shown_broker(url: str) -> str:
    """Where the broker is, without name, password and options, whatever form the address has.

    >>> shown_broker("redis+socket://:tajne@/run/redis.sock?virtual_host=1")
    'redis+socket:///run/redis.sock'
    >>> shown_broker("sentinel://:a/b@s1.example:26379;sentinel://s2.example:26379/0")
    'sentinel://s1.example:26379; sentinel://s2.example:26379/0'
    """
    return "; ".join(_shown_address(one) for one in re.split(r";(?=[a-z+]+://)", url))


def _shown_address(url: str) -> str:
    scheme, found, rest = url.partition("://")
    place = rest.rpartition("@")[2].partition("?")[0]  # a password may hold any character
    if not found or place.startswith(":") or not re.fullmatch(r"[a-z]+(\+[a-z]+)?", scheme):
        return HIDDEN
    return f"{scheme}://{place}"


def _as_id(value: object) -> str:
    """A task's id, which is a UUID; one that a foreign sender made up becomes one."""
    text = str(value)
    if re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text):
        return text
    return str(uuid.uuid5(uuid.NAMESPACE_OID, text))


def _kind_of_error(text: str) -> str:
    """The name of the error's class, from its `repr`."""
    found = re.match(r"[A-Za-z_][\w.]{0,80}(?=\()", text)
    return found.group() if found else HIDDEN
