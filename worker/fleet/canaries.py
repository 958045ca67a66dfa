"""A `kadencia worker` asks its own processes whether they still listen.

Celery workers have been seen alive, answering pings, and taking nothing from their queues after
a restart of the broker (docs/decisions/0004-celery-settings.md). Only a task shows it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from settings.names import Task, own_queue
from worker import registry
from worker.core.listening import Ear, asked, heard, is_deaf, not_asked
from worker.fleet.supervisor import Renew
from worker.registry import WorkerProcess

log = structlog.get_logger()

INTERVAL_SECONDS = 5.0
"""Chosen: a canary costs a statement, and deafness is noticed the sooner."""


class Canaries(threading.Thread):
    """Sends canaries until `ends` is set, and has a deaf process started anew.

    Args:
        engine: the database, which holds the answers.
        worker: whose processes they are.
        publish: Celery's `send_task`.
        renew: asks the supervisor to end a process gently and start it again.
        alive: told after each round in which nobody was deaf.
        ends: ends the thread.
    """

    def __init__(
        self,
        engine: Engine,
        worker: WorkerProcess,
        publish: Callable[..., Any],
        renew: Renew,
        alive: Callable[[], None],
        ends: threading.Event,
    ) -> None:
        super().__init__(name="canaries", daemon=True)
        self._engine = engine
        self._worker = worker
        self._publish = publish
        self._renew = renew
        self._alive = alive
        self._ends = ends
        self._ears = dict.fromkeys(worker.parts, Ear())

    def run(self) -> None:
        """Ask, listen, judge."""
        while not self._ends.wait(INTERVAL_SECONDS):
            try:
                answers, busy = registry.answers(self._engine, self._worker)
            except SQLAlchemyError as error:
                # Without the database they cannot answer: that is not deafness.
                log.warning("canaries not heard", error=type(error).__name__)
                self._ears = {part: not_asked(ear) for part, ear in self._ears.items()}
                self._alive()
                continue
            listen = [
                self._look_after(part, answers.get(part), busy=part in busy)
                for part in self._worker.parts
            ]
            if all(listen):
                self._alive()

    def _look_after(self, part: str, answered_at: Any, *, busy: bool) -> bool:
        """Judge a part and ask it once more; whether it was not deaf."""
        ear = heard(self._ears[part], answered_at)
        deaf = is_deaf(ear, time.monotonic(), busy=busy)
        if deaf:
            self._renew(part, "it lives, but takes no tasks from its queues")
            ear = Ear(ear.answered_at)
        try:
            queue = own_queue(str(self._worker.id), part)
            self._publish(Task.CANARY, args=[str(self._worker.id), part], queue=queue)
            ear = asked(ear, time.monotonic())
        except Exception as error:  # whatever the broker's client raises
            log.warning("canary not sent", part=part, error=type(error).__name__)
            ear = not_asked(ear)
        self._ears[part] = ear
        return not deaf
