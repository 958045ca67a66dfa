"""Tables, states and their moves, migrations. Opens nothing."""

from models import (
    automation,
    evidence,
    fleet,
    intake,
    intake_functions,
    organisation,
    outbox,
    sms,
    smtp,
    stand_ins,
    tokens,
    triggers,
    webhooks,
)
from models.base import Base

metadata = Base.metadata

__all__ = [
    "Base",
    "automation",
    "evidence",
    "fleet",
    "intake",
    "intake_functions",
    "metadata",
    "organisation",
    "outbox",
    "sms",
    "smtp",
    "stand_ins",
    "tokens",
    "triggers",
    "webhooks",
]
