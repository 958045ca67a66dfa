"""Everything a transport or the client of the SMS gateway raises on purpose.

    DeliveryError
    ├── TransportUnavailable      nothing was handed over: give the message back, try later
    │   └── AuthenticationFailed  and it will stay so until a person mends the account
    ├── GatewayUnavailable        a question after statuses or credit has no answer: ask again
    └── GatewayRefused            and will have none until a person mends the account

A refusal by the far side is no exception: `Transport.send()` returns it in a `Reply`, and
`EuroSms.send_one()` in a `SendAnswer`, since for bulk mail it is an everyday answer.
"""

from __future__ import annotations


class DeliveryError(Exception):
    """Base class of what is raised on purpose on the way out."""


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


class GatewayUnavailable(DeliveryError):
    """The SMS gateway did not answer a question, or not so that the answer can be read.

    Attributes:
        gateway: as the account is called.
        reason: what came or happened instead.
    """

    def __init__(self, gateway: str, reason: str) -> None:
        super().__init__(gateway, reason)
        self.gateway = gateway
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.gateway} has not answered: {self.reason}"


class GatewayRefused(DeliveryError):
    """The SMS gateway refused to answer a question; asking again soon does not help.

    Attributes:
        gateway: as the account is called.
        code: its word, or "HTTP 404" and the like.
        reason: what that means, or what came with it.
    """

    def __init__(self, gateway: str, code: str, reason: str) -> None:
        super().__init__(gateway, code, reason)
        self.gateway = gateway
        self.code = code
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.gateway} has refused: {self.code} ({self.reason})"
