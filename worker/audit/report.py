"""The audit as one page of HTML that an operator can send on: no address of a recipient is in it.

Nothing in the page is fetched from elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from sqlalchemy import Connection

from models.states import SLOVAK, MessageState
from worker import db
from worker.audit.drawing import Drawing, draw
from worker.audit.messages import MessagesAudit, audit_messages
from worker.audit.rate import Finding, RateAudit, audit_rate, limits, names
from worker.core.curve import Curve
from worker.core.instants import from_us, to_us
from worker.outbox.evidence import HandedOver

POINTS = 720  # chosen: finer than a page shows; two minutes each for a day
DOMAINS_SHOWN = 20  # chosen: the fullest ones; a page is for people
TEMPLATE = "report.html"


@dataclass(frozen=True, slots=True)
class Report:
    """A page, and the audit of the rate that is in it."""

    html: str
    rate: RateAudit


@dataclass(frozen=True, slots=True)
class Plot:
    """The curve of one automatic task.

    Attributes:
        name: of the task.
        most: its highest point: what the fullest window held.
        handed_over: recipients in the whole time.
        drawing: for SVG.
    """

    name: str
    most: int
    handed_over: int
    drawing: Drawing


def render_report(
    connection: Connection,
    since: datetime,
    until: datetime,
    window: timedelta,
    *,
    dot_by: timedelta,
    handover_max: timedelta,
    grace: timedelta,
) -> Report:
    """Draw up the page for a time.

    Args:
        connection: attempts are streamed over it.
        since: after this, aware.
        until: and not after this, aware; now, if it is later.
        window: in which a cadence is counted.
        dot_by: the latest from a claim to its dot.
        handover_max: the latest from a claim to the answer to its dot.
        grace: the longest from a run's last sweep to the last attempt that it may lead to.

    Raises:
        ValueError: `until` is not after `since`.
    """
    now = db.now(connection)
    until = min(until, now)
    curves = _Curves(since, until, window)
    rate = audit_rate(
        connection,
        since,
        until,
        window,
        dot_by=dot_by,
        handover_max=handover_max,
        also=curves.add,
    )
    messages = audit_messages(connection, since, until, silence=window + handover_max, grace=grace)
    page = _environment().get_template(TEMPLATE)
    html = page.render(
        rate=rate,
        messages=messages,
        states=_states(messages),
        findings=_shown(rate),
        plots=curves.plots(connection, rate),
        made_at=now,
        version=version("kadencia"),
        minutes=window.total_seconds() / 60,
    )
    return Report(html, rate)


class _Curves:
    """A curve for each automatic task, made when it hands something over."""

    def __init__(self, since: datetime, until: datetime, window: timedelta) -> None:
        self._since_us, self._until_us = to_us(since), to_us(until)
        self._length_us = window // timedelta(microseconds=1)
        self._of: dict[int, Curve] = {}

    def add(self, one: HandedOver) -> None:
        """Take in a hand-over."""
        if one.task_id not in self._of:
            self._of[one.task_id] = Curve(
                self._length_us, since_us=self._since_us, until_us=self._until_us, points=POINTS
            )
        self._of[one.task_id].add(to_us(one.at), one.cost)

    def plots(self, connection: Connection, rate: RateAudit) -> list[Plot]:
        """The drawing of each task that handed something over in the time."""
        known, limited = names(connection, "task"), limits(connection, "task")
        total = {one.id: one.handed_over for one in rate.findings if one.kind == "task"}
        return [
            _plot(
                known[of],
                curve,
                limited[of].steps(self._since_us, self._until_us),
                total[of],
                self._until_us,
            )
            for of, curve in sorted(self._of.items())
            if of in total
        ]


def _plot(
    name: str,
    curve: Curve,
    limit: list[tuple[int, int | None]],
    handed_over: int,
    until_us: int,
) -> Plot:
    most = curve.finished()
    return Plot(name, max(most), handed_over, draw(curve.starts(), most, until_us, limit))


def _shown(rate: RateAudit) -> list[Finding]:
    """Tasks and accounts, then the fullest of the domains."""
    domains = [one for one in rate.findings if one.kind == "domain"]
    domains.sort(key=lambda one: (-one.exceeded, -one.worst))
    return [*(one for one in rate.findings if one.kind != "domain"), *domains[:DOMAINS_SHOWN]]


def _states(messages: MessagesAudit) -> list[tuple[str, str, int]]:
    """State, its Slovak name, and how many messages of the time are in it now."""
    counted = dict.fromkeys(MessageState, 0)
    for row in messages.messages:
        counted[MessageState(row["state"])] += row["messages"]
    return [(state.value, SLOVAK[state], n) for state, n in counted.items() if n]


def _environment() -> Environment:
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        loader=FileSystemLoader(Path(__file__).parent),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(moment=_moment, at_us=lambda us: _moment(from_us(us)), n=_number)
    return environment


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _number(value: Any) -> str:
    """A number as both languages read it: parted by thin spaces that do not break."""
    return "–" if value is None else f"{value:,}".replace(",", "\u202f")
