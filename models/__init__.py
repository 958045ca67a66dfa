"""Tables, states and their moves, migrations. Opens nothing."""

from models import automation, evidence, fleet, organisation, outbox, sms, smtp, triggers
from models.base import Base

metadata = Base.metadata

__all__ = [
    "Base",
    "automation",
    "evidence",
    "fleet",
    "metadata",
    "organisation",
    "outbox",
    "sms",
    "smtp",
    "triggers",
]
