"""Alarms: opened once, closed when their cause has gone, and told to the operator.

A program or a web hook of the operator's is told of each new alarm at least once: should
this process die between telling and noting it, the alarm is told again.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import threading
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import requests
import structlog
from sqlalchemy import Connection, Engine, text

from settings import Settings
from worker import db
from worker.core.alarms import Concern, Kind, concerns
from worker.outbox import watch as outbox_watch

log = structlog.get_logger(__name__)

ANSWER_SECONDS = 10
"""Chosen: how long the operator's program or web hook may take for one alarm."""

PASS_SECONDS = 30
"""Chosen: alarms that were not told by then wait for the next pass."""

NOTIFYING = 100  # beyond the keys of the moves of recover
"""Second key of the recovery lock: one process of the fleet tells at a time."""

INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ")
"""What the operator's program sees of our environment, which holds passwords."""

# The count in `what` may change; that makes no new alarm.
RAISE = text("""
    INSERT INTO alarm (kind, subject, what) VALUES (:kind, :subject, :what)
    ON CONFLICT (kind, subject) WHERE cleared_at IS NULL
        DO UPDATE SET what = excluded.what WHERE alarm.what <> excluded.what
    RETURNING xmax = 0
""")

CLEAR = text("""
    UPDATE alarm SET cleared_at = clock_timestamp()
    WHERE kind = :kind AND subject = :subject AND cleared_at IS NULL
""")

OPEN = text("""
    SELECT id, kind, subject, what, raised_at, notified_at FROM alarm
    WHERE cleared_at IS NULL ORDER BY raised_at, id
""")

NOTIFIED = text("UPDATE alarm SET notified_at = clock_timestamp() WHERE id = :id")


@dataclass(frozen=True, slots=True)
class OpenAlarm:
    """An alarm whose cause is still there."""

    id: int
    kind: str
    subject: str
    what: str
    raised_at: datetime
    notified_at: datetime | None


def raise_alarm(connection: Connection, kind: Kind, subject: str, what: str) -> bool:
    """Open an alarm, or renew the words of the one that is open.

    Returns:
        Whether it is new.
    """
    values = {"kind": kind.value, "subject": subject, "what": what}
    return bool(connection.execute(RAISE, values).scalar())


def clear_alarm(connection: Connection, kind: str, subject: str) -> bool:
    """Close an alarm; False if none was open."""
    return connection.execute(CLEAR, {"kind": kind, "subject": subject}).rowcount > 0


def open_alarms(connection: Connection) -> list[OpenAlarm]:
    """All open alarms, oldest first."""
    return [OpenAlarm(*row) for row in connection.execute(OPEN)]


def reconcile(connection: Connection, found: Collection[Concern]) -> None:
    """Open what was found, close what was not."""
    for one in found:
        if raise_alarm(connection, one.kind, one.subject, one.what):
            log.warning("alarm", kind=one.kind.value, subject=one.subject, what=one.what)
    still = {(one.kind.value, one.subject) for one in found}
    for alarm in open_alarms(connection):
        if (alarm.kind, alarm.subject) not in still:
            clear_alarm(connection, alarm.kind, alarm.subject)
            log.info("alarm is over", kind=alarm.kind, subject=alarm.subject)


def watch(engine: Engine, settings: Settings) -> None:
    """Bring the alarms up to date and tell the operator of new ones, without waiting for that.

    A web hook that hangs must not keep the caller's process from sweeping.
    """
    with engine.begin() as connection:
        silent_after = timedelta(seconds=settings.silent_after_seconds)
        reconcile(connection, concerns(outbox_watch.facts(connection, silent_after)))
        untold = [alarm for alarm in open_alarms(connection) if alarm.notified_at is None]
    if untold and (settings.alarm_command or settings.alarm_webhook) and _telling.acquire(False):
        threading.Thread(target=_tell_all, args=(engine, settings), daemon=True).start()


_telling = threading.Lock()


def _tell_all(engine: Engine, settings: Settings) -> None:
    try:
        # The connection is held for the lock alone; its time-out of an idle transaction is 60 s.
        with engine.begin() as guard:
            if db.try_lock(guard, db.Lock.RECOVERY, NOTIFYING):
                untold = [alarm for alarm in open_alarms(guard) if alarm.notified_at is None]
                for alarm_id in notify(settings, untold):
                    with engine.begin() as connection:
                        connection.execute(NOTIFIED, {"id": alarm_id})
    except Exception:  # it is tried again at the next pass
        log.exception("alarms could not be told")
    finally:
        _telling.release()


def notify(settings: Settings, alarms: Iterable[OpenAlarm]) -> Iterable[int]:
    """Tell the operator's program and web hook of alarms, one by one.

    Yields:
        The id of each alarm as soon as both have it; one that failed is logged and left out.
    """
    give_up_at = time.monotonic() + PASS_SECONDS
    for alarm in alarms:
        if time.monotonic() > give_up_at:
            return
        words = json.dumps(
            {
                "kind": alarm.kind,
                "subject": alarm.subject,
                "what": alarm.what,
                "raised_at": alarm.raised_at.isoformat(),
            },
            ensure_ascii=False,
        )
        if _run_command(settings, words) and _post(settings, words):
            yield alarm.id


def _run_command(settings: Settings, words: str) -> bool:
    if settings.alarm_command is None:
        return True
    try:
        subprocess.run(  # noqa: S603  the operator's own program, without a shell
            shlex.split(settings.alarm_command),
            input=words.encode(),
            env={name: os.environ[name] for name in INHERITED if name in os.environ},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=ANSWER_SECONDS,
            check=True,
        )
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        log.warning("KADENCIA_ALARM_COMMAND failed", why=_why(error))
        return False
    return True


def _post(settings: Settings, words: str) -> bool:
    if settings.alarm_webhook is None:
        return True
    try:
        with requests.post(
            settings.alarm_webhook.get_secret_value(),
            data=words.encode(),
            headers={"Content-Type": "application/json"},
            timeout=ANSWER_SECONDS,
            allow_redirects=False,
            stream=True,  # nobody reads the answer's body
        ) as answer:
            if answer.status_code < 300:
                return True
            why = f"HTTP {answer.status_code}"
    except requests.RequestException as error:
        why = type(error).__name__  # its words hold the address, which is a secret
    log.warning("KADENCIA_ALARM_WEBHOOK failed", why=why)
    return False


def _why(error: Exception) -> str:
    if isinstance(error, subprocess.TimeoutExpired):
        return f"no end within {ANSWER_SECONDS} s"
    if isinstance(error, subprocess.CalledProcessError):
        return f"exit code {error.returncode}"
    return type(error).__name__ if not isinstance(error, OSError) else str(error.strerror)
