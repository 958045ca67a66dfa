"""What SMS have cost: the prices that delivery reports tell take the place of estimates."""

from __future__ import annotations

import uuid
from collections.abc import Collection

from sqlalchemy import Connection, text

# In one order, so that two transactions that see the same prices never deadlock. A gateway
# whose clock is ahead must not keep later prices out.
SEEN = text("""
    INSERT INTO eurosms_price AS p (account_id, calling_code, operator, price, seen_at)
    SELECT DISTINCT ON (a.account_id, r.domain, operator)
        a.account_id, r.domain, coalesce(s.operator, '') AS operator, s.price,
        least(coalesce(s.status_at, s.sent_at, clock_timestamp()), clock_timestamp()) AS seen_at
    FROM sms_segment s
    JOIN attempt a ON a.id = s.attempt_id
    JOIN recipient r ON r.message_id = s.message_id AND r.position = 0
    WHERE s.attempt_id = ANY (CAST(:attempts AS uuid[])) AND s.price > 0
    ORDER BY a.account_id, r.domain, operator, seen_at DESC
    ON CONFLICT (account_id, calling_code, operator)
    DO UPDATE SET price = excluded.price, seen_at = excluded.seen_at
    WHERE excluded.seen_at >= p.seen_at
""")

# Of a hand-over without an answer, segments that no report has named may have gone all the same.
CORRECT = text("""
    WITH cost AS (
        SELECT a.id, a.task_id, coalesce(a.price, 0) AS before,
            CAST(a.opened_at AT TIME ZONE c.time_zone AS date) AS day,
            seen.price + seen.each * CASE a.state
                WHEN 'accepted' THEN 0 ELSE greatest(a.cost - seen.segments, 0) END AS after
        FROM attempt a
        JOIN automatic_task t ON t.id = a.task_id
        JOIN company c ON c.id = t.company_id
        CROSS JOIN LATERAL (
            SELECT count(*) AS segments, coalesce(max(s.estimate), 0) AS each,
                coalesce(sum(coalesce(s.price, s.estimate, 0)), 0) AS price
            FROM sms_segment s WHERE s.attempt_id = a.id) AS seen
        WHERE a.id = ANY (CAST(:attempts AS uuid[]))
          AND a.state IN ('open', 'accepted', 'unknown')),
    corrected AS (
        UPDATE attempt a SET price = cost.after FROM cost
        WHERE a.id = cost.id AND cost.after IS DISTINCT FROM a.price)
    INSERT INTO sms_spend AS s (task_id, day, spent)
    SELECT task_id, day, sum(after - before) FROM cost
    GROUP BY task_id, day HAVING sum(after - before) <> 0 ORDER BY task_id, day
    ON CONFLICT (task_id, day) DO UPDATE SET spent = greatest(s.spent + excluded.spent, 0)
""")


def correct(connection: Connection, attempts: Collection[uuid.UUID]) -> None:
    """Charge to the budgets what attempts have cost as far as reports tell it.

    Prices of segments that none has told yet stay as they were estimated. The prices told are
    remembered for the account.

    Args:
        connection: within a transaction that holds the rows of the messages. The rows of the
            budgets are the last that it may lock: claims lock a message before its budget.
        attempts: whose prices have changed.
    """
    if attempts:
        values = {"attempts": sorted(attempts)}
        connection.execute(SEEN, values)
        connection.execute(CORRECT, values)
