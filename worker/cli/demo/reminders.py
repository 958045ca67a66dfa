"""The demo's SMS: how they are set up, shown and judged."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from rich.table import Table
from sqlalchemy import Connection, Engine, Row

from models.states import SLOVAK, MessageState
from worker.outbox import sms_reading
from worker.outbox.reading import Wanted

SMS = 10
EXPECTED = {"delivered": 9, "undelivered": 1}
"""Of 10: all but the one to a number that nobody has; the emulator knows it by its last digits."""

TEXT = "Dobrý deň, {{ meno }}, Vaša kytica je pripravená. Tešíme sa na Vás, Kvetinárstvo Ruža."
EXAMPLE = TEXT.replace("{{ meno }}", "pani Nováková")
TASK = "Pripomienky"


def commands(gateway_url: str) -> Iterator[tuple[str, ...]]:
    """What sets the SMS up and enqueues them, as a person would type it."""
    yield (
        *("eurosms", "add", "brána", "--integration-id", "2-A2gHjk", "--key-file", "brana.key"),
        *("--base-url", gateway_url, "--poll-seconds", "1", "--price", "0.035"),
    )
    yield ("eurosms", "test", "brána", "--sender", "Ruza")
    yield (
        *("task", "create-sms", TASK, "--server", "local", "--user", "Automatické úlohy"),
        *("--eurosms", "brána", "--sender", "Ruza", "--cadence", "600", "--budget-day", "5"),
    )
    yield ("sms", "price", "--to", "+421911000010", "--text", EXAMPLE)
    yield (
        *("sms", "enqueue-many", "pripomienky.csv", "--text", TEXT, "--transliterate"),
        *("--key", "pripomienky"),
    )


def left(connection: Connection) -> int:
    """How many SMS have not come to an end."""
    return SMS - sum(row.state in EXPECTED for row in _rows(connection))


def view(connection: Connection) -> Table:
    """Each SMS with its state, and when it was sent and delivered."""
    table = Table(box=None, pad_edge=False, header_style="bold", title_justify="left")
    for heading in ("SMS", "state", "stav", "sent", "delivered", "EUR"):
        table.add_column(heading, no_wrap=True)
    for row in reversed(_rows(connection)):
        zone = ZoneInfo(row.time_zone)
        moments = (
            "–" if moment is None else moment.astimezone(zone).strftime("%H:%M:%S")
            for moment in (row.sent_at, row.delivered_at)
        )
        price = "–" if row.price is None else f"{row.price:.3f}"
        table.add_row(row.number, row.state, SLOVAK[MessageState(row.state)], *moments, price)
    return table


def faults(engine: Engine, records: Path) -> Iterator[str]:
    """What is not as the demo's numbers must lead to, by the database and by the gateway's file."""
    with engine.connect() as connection:
        states = dict(Counter(row.state for row in _rows(connection)))
    if states != EXPECTED:
        yield f"SMS are {states}, not {EXPECTED}"
    events = [json.loads(line) for line in records.read_text().splitlines()]
    accepted = Counter(one["key"] for one in events if one["event"] == "accepted")
    if len(accepted) != SMS or max(accepted.values(), default=0) > 1:
        yield f"the gateway took {accepted.total()} SMS of {len(accepted)} own keys"


def _rows(connection: Connection) -> list[Row[Any]]:
    return list(sms_reading.find(connection, Wanted(limit=SMS)))
