"""Taking messages in: checked, stored once, and woken for.

One message within the caller's transaction (`enqueue`), or a mailing from a file
(`enqueue_many`).
"""

from __future__ import annotations

from worker.enqueueing.drafts import Draft
from worker.enqueueing.files import BadRow, MailingFile
from worker.enqueueing.many import BadRows, Tally, enqueue_many
from worker.enqueueing.one import Enqueued, KeyConflict, enqueue

__all__ = [
    "BadRow",
    "BadRows",
    "Draft",
    "Enqueued",
    "KeyConflict",
    "MailingFile",
    "Tally",
    "enqueue",
    "enqueue_many",
]
