"""What runs when: the whole of Celery beat's table, and nothing else.

Sweeps are not here: the schedule of an automatic task is its row in the database
(`worker/beat.py`), so that there is no second truth.
"""

from datetime import timedelta
from typing import Any

from settings.names import Task

# While no worker runs they would pile up. A worker's clock must be an hour off to discard one.
OPTIONS = {"expires": 3600}

SCHEDULE: dict[str, dict[str, Any]] = {
    # At most 15 s pass between a deadline and what follows from it.
    "recover": {"task": Task.RECOVER, "schedule": timedelta(seconds=15), "options": OPTIONS},
    # Hourly and in small batches, so that there is never much to delete at once.
    "retain": {"task": Task.RETAIN, "schedule": timedelta(hours=1), "options": OPTIONS},
}
