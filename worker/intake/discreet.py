"""A Celery request that shows nobody what its task carries."""

from __future__ import annotations

from typing import Any

from celery.worker.request import Request


class DiscreetRequest(Request):  # type: ignore[misc]  # untyped
    """As Celery's own; but events, Flower, `inspect` and logs learn the task's name and id alone.

    Whoever sends a task puts a copy of its arguments into its header, for people to read. Of these
    tasks that would be addresses and text.

    Nor is one held back or thrown away for a time that its sender gave to Celery: it would be lost
    without a word. A document has `not_before` and `expires_at` of its own.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._argsrepr = self._kwargsrepr = "…"
        self._eta = self._expires = None

    def info(self, safe: bool = False) -> Any:  # noqa: ARG002  Celery's own signature
        """What `inspect` tells."""
        return super().info(safe=True)
