"""What became of the messages, summed up. It reads the whole outbox: not for a large one."""

from __future__ import annotations

from sqlalchemy import Connection, text

STATES = text("SELECT state, count(*) FROM message GROUP BY state ORDER BY count(*) DESC")

TRIED_AGAIN = text("""
    SELECT message_id FROM attempt WHERE state <> 'void'
    GROUP BY message_id HAVING count(*) > 1 ORDER BY message_id
""")


def count_states(connection: Connection) -> dict[str, int]:
    """How many messages are in each state, the most first."""
    return {row[0]: row[1] for row in connection.execute(STATES)}


def tried_again(connection: Connection) -> list[int]:
    """Messages that were handed over more than once."""
    return list(connection.execute(TRIED_AGAIN).scalars())
