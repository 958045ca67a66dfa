"""What the evidence in PostgreSQL proves of a time: rates, messages, and a report for others.

    audit_rate(connection, since, until, window, dot_by=…, handover_max=…) -> RateAudit
    audit_messages(connection, since, until, silence=…, grace=…) -> MessagesAudit
    render_report(connection, since, until, window, dot_by=…, handover_max=…) -> Report
        since, until    (since, until], aware datetimes
        window          timedelta; Settings.window_seconds
        dot_by          timedelta; Settings.dot_by_seconds
        handover_max    timedelta; Settings.handover_max_seconds

    RateAudit           since, until, window; findings, exceeded (those over their limit)
    Finding             kind ("task", "account", "domain"), id, name, domain; handed_over;
                        worst, worst_from, worst_until, limit, exceeded

All are frozen dataclasses of plain values: `dataclasses.asdict` makes JSON of them, but for
the datetimes and the timedelta.
"""

from __future__ import annotations

from worker.audit.messages import MessagesAudit, audit_messages
from worker.audit.rate import Finding, RateAudit, audit_rate
from worker.audit.report import Report, render_report

__all__ = [
    "Finding",
    "MessagesAudit",
    "RateAudit",
    "Report",
    "audit_messages",
    "audit_rate",
    "render_report",
]
