"""Taking messages in: checked, stored once, and woken for.

One message within the caller's transaction (`enqueue`, `enqueue_sms`), or a mailing from a file
(`enqueue_many`).
"""

from __future__ import annotations

from worker.enqueueing.drafts import Draft
from worker.enqueueing.files import NUMBER_COLUMNS, BadRow, MailingFile
from worker.enqueueing.many import BadRows, Tally, enqueue_many
from worker.enqueueing.places import Enqueued, KeyConflict
from worker.enqueueing.sms import SmsDraft
from worker.enqueueing.together import enqueue, enqueue_sms

__all__ = [
    "NUMBER_COLUMNS",
    "BadRow",
    "BadRows",
    "Draft",
    "Enqueued",
    "KeyConflict",
    "MailingFile",
    "SmsDraft",
    "Tally",
    "enqueue",
    "enqueue_many",
    "enqueue_sms",
]
