"""The Celery app. Nothing is read or connected before the configuration is first needed."""

from __future__ import annotations

import os
import sys
from datetime import timedelta
from typing import Any

from celery import Celery, signals

from beat_schedule import SCHEDULE
from settings.celery import celery_config
from worker import bootstrap, logs, signing


def _configuration() -> dict[str, Any]:
    settings = bootstrap.read_settings(os.environ)
    signing.enable(settings)
    recover = {**SCHEDULE["recover"], "schedule": timedelta(seconds=settings.recover_seconds)}
    return celery_config(settings) | {"beat_schedule": {**SCHEDULE, "recover": recover}}


app = Celery("kadencia", include=["worker.tasks"], set_as_current=True, amqp="worker.broker:Amqp")
app.add_defaults(_configuration)


def _set_up_logging(**_: Any) -> None:
    logs.configure(bootstrap.read_settings(os.environ))


def _say_nothing(**_: Any) -> None:
    """Keep Celery's handler of SIGTERM from writing to standard output before it does its work.

    When the supervisor has been killed nobody reads that pipe. The handler would then fail, and
    the failure pass for one of the broker's connection: the worker would live on for ever.
    """
    sys.__stdout__ = None  # type: ignore[misc]  # what the handler writes to, if it is there


signals.setup_logging.connect(_set_up_logging)
signals.celeryd_init.connect(_say_nothing)
