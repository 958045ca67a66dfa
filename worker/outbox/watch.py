"""What the alarms and the doctor look at, read from the database."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlsplit

from sqlalchemy import Connection, text

from worker.core.alarm_facts import AccountFacts, Facts, GatewayFacts, TaskFacts, WebhookFacts
from worker.outbox.in_charge import IN_CHARGE

FAILURES_WINDOW = timedelta(minutes=15)
STRANDED_AFTER = timedelta(seconds=60)
"""Chosen: a server that is restarted is back by then."""
REPORTS_OVERDUE_AFTER = timedelta(hours=1)
"""Chosen: of the 7 days for which the gateway keeps them, enough is left to mend it."""
WEBHOOKS_OVERDUE_AFTER = timedelta(minutes=5)
"""Chosen: a courier that is restarted is back by then."""

INSTALLATION = text("""
    SELECT CASE WHEN stopped_at IS NOT NULL THEN coalesce(stopped_why, '') END AS stopped_why,
        restored FROM installation
""")

UNKNOWN = text("""
    SELECT task_id, count(*) FROM message WHERE state = 'unknown' GROUP BY task_id
""")

ATTEMPTS = text("""
    SELECT task_id, count(*) AS attempts, count(*) FILTER (WHERE state = 'rejected') AS rejected
    FROM attempt
    WHERE opened_at > statement_timestamp() - :window AND state NOT IN ('open', 'void')
    GROUP BY task_id
""")

# Beat makes a task due when there is mail for it, and passes over one without a server.
TASKS = text(f"""
    SELECT t.id, t.name, s.name AS server,
        CASE WHEN t.active AND s.id <> o.id THEN o.name END AS stands_in_for,
        t.channel = 'sms' AS sms, t.paused_why,
        CASE WHEN t.active AND k.exhausted_until > clock_timestamp() THEN k.exhausted_until END
            AS exhausted_until,
        coalesce(t.next_run_at < clock_timestamp() - :stranded_after, false)
        AND t.active AND NOT EXISTS (
            SELECT FROM process p
            WHERE p.server_id = s.id AND p.beat_at > clock_timestamp() - :silent_after
              AND CASE t.channel WHEN 'sms' THEN p.sms_slots ELSE p.slots END > 0) AS stranded
    FROM automatic_task t JOIN server s ON s.id = {IN_CHARGE}
    JOIN server o ON o.id = t.server_id
    LEFT JOIN sms_task k ON k.task_id = t.id
    ORDER BY t.id
""")  # noqa: S608  no value of anybody's is in it

ACCOUNTS = text("""
    SELECT id, name, breaker_failures, breaker_until, coalesce(breaker_why, '') AS why,
        channel = 'sms' AS sms
    FROM account WHERE enabled AND breaker_failures > 0 ORDER BY id
""")

# Of accounts that share an integration, and so its reports, the first stands for all. How long
# reports have been awaited is looked at only where none were fetched of late.
GATEWAYS = text("""
    SELECT a.id, a.name, e.balance,
        coalesce(e.price, (SELECT max(price) FROM eurosms_price WHERE account_id = a.id)) AS price,
        CASE WHEN first.id = a.id THEN coalesce(p.failures, 0) ELSE 0 END AS poll_failures,
        first.id = a.id AND p.id IS NOT NULL
            AND coalesce(p.polled_at < clock_timestamp() - :overdue_after, true)
            AND EXISTS (
                SELECT FROM sms JOIN message m ON m.id = sms.message_id
                JOIN automatic_task t ON t.id = m.task_id
                JOIN eurosms_account of ON of.account_id = t.account_id
                WHERE sms.awaited AND sms.sent_at < statement_timestamp() - :overdue_after
                  AND (of.base_url, of.integration_id) = (e.base_url, e.integration_id))
            AS poll_overdue,
        coalesce(p.why, '') AS poll_why
    FROM account a JOIN eurosms_account e ON e.account_id = a.id
    LEFT JOIN eurosms_poll p
        ON (p.base_url, p.integration_id) = (e.base_url, e.integration_id)
    CROSS JOIN LATERAL (
        SELECT min(b.id) AS id FROM account b JOIN eurosms_account f ON f.account_id = b.id
        WHERE b.enabled AND (f.base_url, f.integration_id) = (e.base_url, e.integration_id)
    ) AS first
    WHERE a.enabled ORDER BY a.id
""")

# An ordered stop takes its process's row away; one that is left and old tells of a crash.
SILENT = text("""
    SELECT s.name FROM server s JOIN process p ON p.server_id = s.id
    GROUP BY s.name HAVING max(p.beat_at) < clock_timestamp() - :silent_after
""")


INTAKE = text("""
    SELECT (SELECT count(*) FROM intake WHERE state = 'rejected') AS rejected,
        EXISTS (SELECT FROM intake WHERE state = 'waiting'
            AND created_at < statement_timestamp() - :stranded_after) AS stuck
""")


# What a courier is at work on has a lease; whom it leaves alone for a while, a time until then.
WEBHOOKS = text("""
    SELECT w.id, w.url, w.disabled_why FROM webhook w
    WHERE w.disabled_why IS NOT NULL OR w.active
      AND coalesce(w.quiet_until, '-infinity') < clock_timestamp() - :overdue_after
      AND EXISTS (SELECT FROM webhook_delivery d WHERE d.webhook_id = w.id
                  AND d.next_at < clock_timestamp() - :overdue_after)
      AND NOT EXISTS (SELECT FROM webhook_delivery l WHERE l.webhook_id = w.id
                      AND l.lease IS NOT NULL AND l.next_at > clock_timestamp())
    ORDER BY w.id
""")


def facts(connection: Connection, silent_after: timedelta) -> Facts:
    """Everything that an alarm can come from, as it is now."""
    installation = connection.execute(INSTALLATION).one()
    accounts = connection.execute(ACCOUNTS).all()
    intake = connection.execute(INTAKE, {"stranded_after": STRANDED_AFTER}).one()
    return Facts(
        stopped_why=installation.stopped_why,
        restored=installation.restored,
        tasks=_tasks(connection, silent_after),
        accounts=[
            AccountFacts(a.id, a.name, a.breaker_failures, a.breaker_until, a.why, a.sms)
            for a in accounts
        ],
        gateways=gateways(connection),
        silent_servers=list(connection.execute(SILENT, {"silent_after": silent_after}).scalars()),
        rejected=intake.rejected,
        intake_stuck=intake.stuck,
        webhooks=[
            WebhookFacts(w.id, urlsplit(w.url).hostname or "", w.disabled_why)
            for w in connection.execute(WEBHOOKS, {"overdue_after": WEBHOOKS_OVERDUE_AFTER})
        ],
    )


def gateways(connection: Connection) -> list[GatewayFacts]:
    """Enabled accounts at EuroSMS: what is left, and whether reports come."""
    found = connection.execute(GATEWAYS, {"overdue_after": REPORTS_OVERDUE_AFTER})
    return [GatewayFacts(**row._mapping) for row in found]


def _tasks(connection: Connection, silent_after: timedelta) -> list[TaskFacts]:
    unknown = unknown_messages(connection)
    attempts = {
        row.task_id: row for row in connection.execute(ATTEMPTS, {"window": FAILURES_WINDOW})
    }
    found = [
        TaskFacts(
            id=row.id,
            name=row.name,
            server=row.server,
            stands_in_for=row.stands_in_for,
            unknown=unknown.get(row.id, 0),
            attempts=attempts[row.id].attempts if row.id in attempts else 0,
            rejected=attempts[row.id].rejected if row.id in attempts else 0,
            stranded=row.stranded,
            sms=row.sms,
            paused_why=row.paused_why,
            exhausted_until=row.exhausted_until,
        )
        for row in connection.execute(
            TASKS, {"silent_after": silent_after, "stranded_after": STRANDED_AFTER}
        )
    ]
    if None in unknown:  # after a restore: nobody has released them yet
        found.append(TaskFacts(None, "the outbox", "", unknown=unknown[None]))
    return found


def unknown_messages(connection: Connection) -> dict[int | None, int]:
    """How many messages are unknown, by the automatic task that released them last."""
    return {row[0]: row[1] for row in connection.execute(UNKNOWN)}
