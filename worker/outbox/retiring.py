"""Letting go of what is kept no longer, a batch at a time."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import Connection, text

BATCH = 1000  # chosen: some 50 ms, and little for vacuum to do at once

LET_BODIES_GO = text("""
    UPDATE message SET body_id = NULL, fields = NULL WHERE id IN (
        SELECT id FROM message
        WHERE settled_at < statement_timestamp() - CAST(:age AS interval) AND body_id IS NOT NULL
        ORDER BY settled_at LIMIT :batch FOR UPDATE SKIP LOCKED)
""")

LET_TEXTS_GO = text("""
    UPDATE sms SET text = NULL WHERE message_id IN (
        SELECT m.id FROM message m JOIN sms s ON s.message_id = m.id
        WHERE m.settled_at < statement_timestamp() - CAST(:age AS interval) AND s.text IS NOT NULL
        ORDER BY m.settled_at LIMIT :batch FOR UPDATE OF m SKIP LOCKED)
""")

# Recipients, attempts, segments and reports go with their message.
DROP_MESSAGES = text("""
    DELETE FROM message WHERE id IN (
        SELECT id FROM message WHERE settled_at < statement_timestamp() - CAST(:age AS interval)
        ORDER BY settled_at LIMIT :batch FOR UPDATE SKIP LOCKED)
""")

# A day's grace: an enqueue that found the body may not have committed yet.
DROP_BODIES = text("""
    DELETE FROM body WHERE id IN (
        SELECT b.id FROM body b
        WHERE b.created_at < statement_timestamp() - interval '1 day'
          AND NOT EXISTS (SELECT FROM message m WHERE m.body_id = b.id)
        LIMIT :batch FOR UPDATE SKIP LOCKED)
""")

# A file that was handed in by itself waits a day for the e-mails that will name it.
DROP_UPLOADS = text("""
    DELETE FROM upload WHERE ctid IN (
        SELECT ctid FROM upload WHERE uploaded_at < statement_timestamp() - interval '1 day'
        LIMIT :batch FOR UPDATE SKIP LOCKED)
""")

DROP_ATTACHMENTS = text("""
    DELETE FROM attachment WHERE id IN (
        SELECT a.id FROM attachment a
        WHERE NOT EXISTS (SELECT FROM body_attachment f WHERE f.attachment_id = a.id)
          AND NOT EXISTS (SELECT FROM upload u WHERE u.attachment_id = a.id)
        LIMIT :batch FOR UPDATE SKIP LOCKED)
""")

# A report without a message is of an SMS that others sent, or that is long gone.
DROP_UNMATCHED = text("""
    DELETE FROM delivery_report WHERE id IN (
        SELECT id FROM delivery_report
        WHERE message_id IS NULL AND at < statement_timestamp() - CAST(:age AS interval)
        ORDER BY at LIMIT :batch FOR UPDATE SKIP LOCKED)
""")

DROP_INBOUND = text("""
    DELETE FROM inbound_sms WHERE id IN (
        SELECT id FROM inbound_sms WHERE at < statement_timestamp() - CAST(:age AS interval)
        LIMIT :batch FOR UPDATE SKIP LOCKED)
""")

DROP_JOURNAL = text("""
    WITH changes AS (
        DELETE FROM task_server_change WHERE id IN (
            SELECT id FROM task_server_change
            WHERE at < statement_timestamp() - CAST(:age AS interval) LIMIT :batch))
    DELETE FROM task_run WHERE id IN (
        SELECT id FROM task_run WHERE ended_at < statement_timestamp() - CAST(:age AS interval)
        LIMIT :batch)
""")


# Deliveries go with their event; what is still to be told is kept until it is given up.
DROP_WEBHOOK_EVENTS = text("""
    DELETE FROM webhook_event WHERE id IN (
        SELECT e.id FROM webhook_event e
        WHERE e.at < statement_timestamp() - CAST(:age AS interval)
          AND NOT EXISTS (SELECT FROM webhook_delivery d JOIN webhook w ON w.id = d.webhook_id
                          WHERE d.event_id = e.id AND d.next_at IS NOT NULL AND w.active)
        ORDER BY e.at LIMIT :batch FOR UPDATE OF e SKIP LOCKED)
""")


def let_bodies_go(connection: Connection, age: timedelta) -> int:
    """Part messages that were settled so long ago from their bodies; returns how many."""
    return connection.execute(LET_BODIES_GO, {"age": age, "batch": BATCH}).rowcount


def let_texts_go(connection: Connection, age: timedelta) -> int:
    """Drop the texts of SMS that were settled so long ago; returns how many."""
    return connection.execute(LET_TEXTS_GO, {"age": age, "batch": BATCH}).rowcount


def drop_messages(connection: Connection, age: timedelta) -> int:
    """Delete messages that were settled so long ago, with their evidence."""
    return connection.execute(DROP_MESSAGES, {"age": age, "batch": BATCH}).rowcount


def drop_bodies(connection: Connection) -> int:
    """Delete bodies that no message has."""
    return connection.execute(DROP_BODIES, {"batch": BATCH}).rowcount


def drop_uploads(connection: Connection) -> int:
    """Forget that files were handed in by themselves; e-mails that name them keep them."""
    return connection.execute(DROP_UPLOADS, {"batch": BATCH}).rowcount


def drop_attachments(connection: Connection) -> int:
    """Delete files that no body has."""
    return connection.execute(DROP_ATTACHMENTS, {"batch": BATCH}).rowcount


def drop_unmatched_reports(connection: Connection, age: timedelta) -> int:
    """Delete delivery reports that came so long ago and fitted no SMS."""
    return connection.execute(DROP_UNMATCHED, {"age": age, "batch": BATCH}).rowcount


def drop_inbound(connection: Connection, age: timedelta) -> int:
    """Delete SMS that came in so long ago."""
    return connection.execute(DROP_INBOUND, {"age": age, "batch": BATCH}).rowcount


def drop_journal(connection: Connection, age: timedelta) -> int:
    """Delete entries of the journal that ended so long ago."""
    return connection.execute(DROP_JOURNAL, {"age": age, "batch": BATCH}).rowcount


def drop_webhook_events(connection: Connection, age: timedelta) -> int:
    """Delete what was told to webhooks so long ago, or was given up."""
    return connection.execute(DROP_WEBHOOK_EVENTS, {"age": age, "batch": BATCH}).rowcount
