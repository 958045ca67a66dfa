"""What becomes of the outbox when a database comes back from a backup.

Nobody knows what was sent between the backup and the restore. So nothing more is sent until a
person has looked: every message that would go becomes unknown, in the transaction that brings
the data back, and the installation stands still.
"""

from __future__ import annotations

from datetime import datetime

# One that was unknown may have been sent once more since, by a person or the policy, which
# does so at most once: no policy may do it again.
_MESSAGES = """
WITH unsent AS (
    UPDATE message SET state = 'unknown', lease = NULL, deadline = NULL, unknowns = unknowns + 1,
        why = 'restored from the backup of {made_at}: it may have gone since'
    WHERE state IN ('ready', 'released', 'sending', 'unknown')
    RETURNING id)
UPDATE recipient SET state = 'unknown' FROM unsent
WHERE recipient.message_id = unsent.id AND recipient.state = 'pending';
"""

# A person may have released one that was held, and it went. It stays held, and says so.
_HELD = """
UPDATE message SET why = concat_ws('; ', why,
    'restored from the backup of {made_at}: it may have been released and have gone since')
WHERE state = 'held';
"""

_ATTEMPTS = """
UPDATE attempt SET state = 'unknown', closed_at = clock_timestamp(),
    text = 'open at the backup of {made_at}'
WHERE state = 'open';
"""

# Redis may hold a log of any generation since the backup; minutes since 1970 are beyond all of
# them, since no log is rebuilt every minute for decades.
_INSTALLATION = """
UPDATE installation SET restored = true,
    stopped_at = coalesce(stopped_at, clock_timestamp()),
    stopped_why = 'restored from the backup of {made_at}',
    generation = setval('throttle_generation', greatest(
        generation + 1, floor(extract(epoch FROM clock_timestamp()) / 60)::integer));
"""

# What had not been taken in by then may be a message since, and sent. A backup of an older
# version has no such table.
_INTAKE = """
DO $$ BEGIN
    IF to_regclass('intake') IS NOT NULL THEN
        UPDATE intake SET state = 'rejected', settled_at = clock_timestamp(),
            why = 'restored from the backup of {made_at}: it may have gone since'
        WHERE state = 'waiting';
        UPDATE intake SET why = concat_ws('; ', why,
            'restored from the backup of {made_at}: it may have been retried and have gone since')
        WHERE state = 'rejected' AND why NOT LIKE 'restored from the backup of {made_at}:%';
    END IF;
END $$;
"""

# Whoever enqueued since the backup holds numbers of what is not there, and may cancel by them. ms
# since 1970 are beyond all that were given before, as long as a day has fewer than 86 million.
_NUMBERS = """
DO $$
DECLARE
    one text;
BEGIN
    FOREACH one IN ARRAY ARRAY['message', 'intake'] LOOP
        IF to_regclass(one) IS NOT NULL THEN
            PERFORM setval(numbers, greatest(nextval(numbers),
                floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint))
            FROM pg_get_serial_sequence(one, 'id') AS numbers;
        END IF;
    END LOOP;
END $$;
"""

_PROCESSES = "DELETE FROM process;\n"
"""None of them works on this database."""


def script(made_at: datetime) -> str:
    """SQL that belongs into the transaction of a restore, after the data.

    Args:
        made_at: when the backup was made.
    """
    moment = f"{made_at:%Y-%m-%d %H:%M} UTC"
    statements = (_MESSAGES, _HELD, _ATTEMPTS, _INTAKE, _NUMBERS, _INSTALLATION, _PROCESSES)
    return "".join(statement.format(made_at=moment) for statement in statements)
