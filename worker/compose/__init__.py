"""From a letter as people think of it to the octets that SMTP carries."""

from __future__ import annotations

from worker.compose.letter import (
    AttachmentPart,
    Letter,
    estimate_size,
    needs_smtputf8,
    new_message_id,
)
from worker.compose.mime import compose
from worker.compose.templates import check_template, render, template_fields

__all__ = [
    "AttachmentPart",
    "Letter",
    "check_template",
    "compose",
    "estimate_size",
    "needs_smtputf8",
    "new_message_id",
    "render",
    "template_fields",
]
