"""Everything a transport raises on purpose.

    DeliveryError
    └── TransportUnavailable      nothing was handed over: give the message back, try later
        └── AuthenticationFailed  and it will stay so until a person mends the account

A refusal by the far side is no exception: `Transport.send()` returns it in a `Reply`,
since for bulk mail it is an everyday answer.
"""

from __future__ import annotations


class DeliveryError(Exception):
    """Base class of what the transports raise on purpose."""


class TransportUnavailable(DeliveryError):
    """The far side could not be reached, or refused us before the first envelope.

    Raised only while it is certain that nothing was handed over and MAIL was not sent (DNS,
    connect, TLS, greeting, EHLO, STARTTLS), so that the message may go back and its permit too.

    Attributes:
        transport: name of the transport, as the account is called.
        reason: what failed, in the far side's own words; never the credentials.
        retry_after: seconds it asked us to wait; None if it did not say.
    """

    def __init__(self, transport: str, reason: str, retry_after: float | None = None) -> None:
        super().__init__(transport, reason, retry_after)  # all three, or unpickling fails
        self.transport = transport
        self.reason = reason
        self.retry_after = retry_after

    def __str__(self) -> str:
        wait = "" if self.retry_after is None else f" (asked us to wait {self.retry_after:g} s)"
        return f"{self.transport} is unavailable: {self.reason}{wait}"


class AuthenticationFailed(TransportUnavailable):
    """The log-in was refused for good, or there is no way to log in as the account wants.

    Trying again soon does not help, and may lock the account at the provider.
    """
