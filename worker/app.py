"""The Celery app. Nothing is read or connected before the configuration is first needed."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

from celery import Celery, signals

from beat_schedule import SCHEDULE
from settings.celery import celery_config
from worker import bootstrap, logs


def _configuration() -> dict[str, Any]:
    settings = bootstrap.read_settings(os.environ)
    recover = {**SCHEDULE["recover"], "schedule": timedelta(seconds=settings.recover_seconds)}
    return celery_config(settings) | {"beat_schedule": {**SCHEDULE, "recover": recover}}


app = Celery("kadencia", include=["worker.tasks"], set_as_current=True)
app.add_defaults(_configuration)


def _set_up_logging(**_: Any) -> None:
    logs.configure(bootstrap.read_settings(os.environ))


signals.setup_logging.connect(_set_up_logging)
