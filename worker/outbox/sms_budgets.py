"""The budgets of an SMS task in EUR: an exact count for each day, taken with the claim."""

from __future__ import annotations

import uuid
from decimal import Decimal

from sqlalchemy import Connection, text

# The row of today is locked until the claim is committed, so the claims of a task take turns. It
# is the day of the attempt, whose clock `give_back` goes by too: one may wait over midnight.
SPEND = text("""
    WITH this AS (
        SELECT t.id, k.budget_day, k.budget_month,
            CAST(a.opened_at AT TIME ZONE c.time_zone AS date) AS day
        FROM attempt a JOIN automatic_task t ON t.id = a.task_id
        JOIN sms_task k ON k.task_id = t.id
        JOIN company c ON c.id = t.company_id WHERE a.id = :attempt),
    before AS (
        SELECT coalesce(sum(s.spent), 0) AS spent FROM this JOIN sms_spend s ON s.task_id = this.id
        WHERE s.day >= date_trunc('month', this.day)::date AND s.day < this.day)
    INSERT INTO sms_spend AS today (task_id, day, spent)
    SELECT this.id, this.day, :price FROM this CROSS JOIN before
    WHERE coalesce(:price <= this.budget_day, true)
      AND coalesce(before.spent + :price <= this.budget_month, true)
    ON CONFLICT (task_id, day) DO UPDATE SET spent = today.spent + excluded.spent
    WHERE coalesce(today.spent + excluded.spent <= (SELECT budget_day FROM this), true)
      AND coalesce((SELECT spent FROM before) + today.spent + excluded.spent
                   <= (SELECT budget_month FROM this), true)
    RETURNING day
""")

# To the next day, or to the next month where it is the month's budget that is used up.
EXHAUSTED = text("""
    UPDATE sms_task k SET exhausted_until = (
        SELECT CASE WHEN k.budget_day IS NULL OR coalesce(m.spent + :price > k.budget_month, false)
            THEN date_trunc('month', m.today) + interval '1 month'
            ELSE date_trunc('day', m.today) + interval '1 day' END AT TIME ZONE c.time_zone
        FROM attempt a JOIN automatic_task t ON t.id = a.task_id
        JOIN company c ON c.id = t.company_id
        CROSS JOIN LATERAL (
            SELECT today, (
                SELECT coalesce(sum(s.spent), 0) FROM sms_spend s WHERE s.task_id = t.id
                AND s.day BETWEEN date_trunc('month', today)::date AND today::date) AS spent
            FROM (SELECT a.opened_at AT TIME ZONE c.time_zone AS today) AS the) AS m
        WHERE a.id = :attempt)
    WHERE k.task_id = :task
""")

PRICE = text("UPDATE attempt SET price = :price WHERE id = :attempt")

GIVE_BACK = text("""
    WITH spent AS (
        SELECT a.id, a.task_id, a.price,
            CAST(a.opened_at AT TIME ZONE c.time_zone AS date) AS day
        FROM attempt a JOIN automatic_task t ON t.id = a.task_id
        JOIN company c ON c.id = t.company_id
        WHERE a.id = :attempt AND a.price > 0 FOR UPDATE OF a),
    returned AS (
        UPDATE sms_spend s SET spent = greatest(s.spent - spent.price, 0)
        FROM spent WHERE s.task_id = spent.task_id AND s.day = spent.day),
    woken AS (
        UPDATE automatic_task t SET next_run_at = clock_timestamp()
        FROM spent JOIN sms_task k ON k.task_id = spent.task_id
        WHERE t.id = k.task_id AND k.exhausted_until > clock_timestamp()
        RETURNING t.id),
    lifted AS (
        UPDATE sms_task k SET exhausted_until = NULL FROM woken WHERE k.task_id = woken.id)
    UPDATE attempt a SET price = 0 FROM spent WHERE a.id = spent.id
""")


def spend(connection: Connection, task_id: int, attempt: uuid.UUID, price: Decimal | None) -> bool:
    """Charge an attempt to the budgets of its task.

    Args:
        connection: of the claim's transaction.
        task_id: automatic task.
        attempt: just opened.
        price: in EUR; None if nothing is known of it, and then no budget can be set either.

    Returns:
        False if a budget is too small for it: nothing was charged, and the task releases
        nothing more until the next day or month.
    """
    values = {"task": task_id, "attempt": attempt, "price": price or Decimal(0)}
    if connection.execute(SPEND, values).scalar() is None:
        connection.execute(EXHAUSTED, values)
        return False
    connection.execute(PRICE, values)
    return True


def give_back(connection: Connection, attempt: uuid.UUID) -> None:
    """Take an attempt off the budgets that sent nothing; what waits for money may go then."""
    connection.execute(GIVE_BACK, {"attempt": attempt})
