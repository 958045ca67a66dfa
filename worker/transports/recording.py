"""A way out that leads nowhere: for dry runs, benchmarks and tests."""

from __future__ import annotations

from worker.core.outcomes import Outcome
from worker.core.replies import Phase
from worker.transports import Envelope, RecipientReply, Reply

TEXT = "2.0.0 recorded, not sent"


class RecordingTransport:
    """Accepts every mail at once.

    Attributes:
        sent: the envelopes in the order in which they came; stays empty if `keep` is false.
    """

    def __init__(self, keep: bool = True) -> None:
        self.sent: list[Envelope] = []
        self._keep = keep

    def ready(self) -> None:
        """There is nothing to connect to."""

    def send(self, envelope: Envelope, dot_by: float) -> Reply:  # noqa: ARG002
        """Keep the envelope, and accept it for all its recipients."""
        if self._keep:
            self.sent.append(envelope)
        accepted = tuple(
            RecipientReply(recipient, Outcome.ACCEPTED, 250, "2.0.0", TEXT)
            for recipient in envelope.recipients
        )
        return Reply(Outcome.ACCEPTED, Phase.DOT, 250, "2.0.0", TEXT, accepted, True, False)

    def close(self) -> None:
        """There is nothing to close."""
