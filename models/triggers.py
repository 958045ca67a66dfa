"""What the database itself enforces beyond constraints: moves of state, wake-ups, limits."""

from __future__ import annotations

from sqlalchemy import Connection, Table, event

from models.automation import Account, AutomaticTask
from models.base import Base
from models.fleet import Installation
from models.outbox import Message
from models.states import MOVES

_MOVES = ",".join(f"{a}>{b}" for a in MOVES for b in sorted(MOVES[a]))

CHECK_MOVE = f"""
CREATE OR REPLACE FUNCTION check_message_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT (OLD.state || '>' || NEW.state = ANY (string_to_array('{_MOVES}', ','))) THEN
        RAISE EXCEPTION 'message %: no move from % to %', OLD.id, OLD.state, NEW.state
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
"""
CHECK_MOVE_TRIGGER = """
CREATE TRIGGER check_move BEFORE UPDATE OF state ON message FOR EACH ROW
    WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION check_message_move();
"""

# A changed plan, cadence or server takes effect at once, whoever changed it. The sweep that is
# under way becomes stale, or it would set the next time as the old plan says.
WAKE_TASK = """
CREATE OR REPLACE FUNCTION wake_task() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.next_run_at := clock_timestamp();
    NEW.sweep_no := OLD.sweep_no + 1;
    PERFORM pg_notify('kadencia_task', NEW.id::text);
    RETURN NEW;
END $$;
"""
WAKE_TASK_TRIGGER = """
CREATE TRIGGER wake BEFORE UPDATE OF active, cadence, reserve, server_id, account_id,
    plan_days, plan_from, plan_until ON automatic_task FOR EACH ROW
    WHEN (NEW.active) EXECUTE FUNCTION wake_task();
"""

# The audit must know which limit was in force at each time, also after a change by hand.
LOG_TASK_LIMIT = """
CREATE OR REPLACE FUNCTION log_task_limit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit_log (who, action, subject, before, after) VALUES (
        coalesce(nullif(current_setting('kadencia.who', true), ''), 'database:' || current_user),
        'limit', 'task:' || NEW.id,
        CASE WHEN TG_OP = 'UPDATE' THEN jsonb_build_object(
            'cadence', OLD.cadence, 'reserve', OLD.reserve, 'ceiling', OLD.cadence_ceiling) END,
        jsonb_build_object(
            'cadence', NEW.cadence, 'reserve', NEW.reserve, 'ceiling', NEW.cadence_ceiling));
    RETURN NEW;
END $$;
"""
LOG_TASK_LIMIT_TRIGGER = """
CREATE TRIGGER log_limit AFTER INSERT OR UPDATE OF cadence, reserve, cadence_ceiling
    ON automatic_task FOR EACH ROW EXECUTE FUNCTION log_task_limit();
"""
LOG_ACCOUNT_LIMIT = """
CREATE OR REPLACE FUNCTION log_account_limit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit_log (who, action, subject, before, after) VALUES (
        coalesce(nullif(current_setting('kadencia.who', true), ''), 'database:' || current_user),
        'limit', CASE NEW.channel WHEN 'sms' THEN 'eurosms:' ELSE 'smtp:' END || NEW.id,
        CASE WHEN TG_OP = 'UPDATE' THEN jsonb_build_object(
            'hourly', OLD.hourly_limit, 'domain', OLD.domain_hourly_limit) END,
        jsonb_build_object('hourly', NEW.hourly_limit, 'domain', NEW.domain_hourly_limit));
    RETURN NEW;
END $$;
"""
LOG_ACCOUNT_LIMIT_TRIGGER = """
CREATE TRIGGER log_limit AFTER INSERT OR UPDATE OF hourly_limit, domain_hourly_limit
    ON account FOR EACH ROW EXECUTE FUNCTION log_account_limit();
"""

# A sequence, since a number that a rolled-back rebuild left in Redis must never come again.
GENERATIONS = """
CREATE SEQUENCE throttle_generation AS integer;
"""

AFTER_CREATE = {
    Message.__tablename__: (CHECK_MOVE, CHECK_MOVE_TRIGGER),
    AutomaticTask.__tablename__: (
        WAKE_TASK,
        WAKE_TASK_TRIGGER,
        LOG_TASK_LIMIT,
        LOG_TASK_LIMIT_TRIGGER,
    ),
    Account.__tablename__: (LOG_ACCOUNT_LIMIT, LOG_ACCOUNT_LIMIT_TRIGGER),
    Installation.__tablename__: (GENERATIONS, "INSERT INTO installation (id) VALUES (1);"),
}
"""What each table needs besides itself, in order."""


def _install(target: Table, connection: Connection, **_: object) -> None:
    for statement in AFTER_CREATE.get(target.name, ()):
        # The driver formats, even without parameters: RAISE's % must reach the server single.
        connection.exec_driver_sql(statement.replace("%", "%%"))


for _name in AFTER_CREATE:
    event.listen(Base.metadata.tables[_name], "after_create", _install)
