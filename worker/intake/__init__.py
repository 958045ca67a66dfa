"""Taking in what services hand in by SQL or by Celery.

A document is checked whole and becomes a message (`worker.enqueueing`), or it is rejected: then it
is kept with the reason, raises an alarm, and waits for a person. None blocks another.
"""

from __future__ import annotations

from worker.intake.celery_tasks import hand_in
from worker.intake.people import dismiss, look, retry
from worker.intake.rows import Look, listing
from worker.intake.taking import retain, take_in

__all__ = [
    "Look",
    "dismiss",
    "hand_in",
    "listing",
    "look",
    "retain",
    "retry",
    "take_in",
]
