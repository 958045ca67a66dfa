"""The client."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

from kadencia_client import batches
from kadencia_client.connection import Connection
from kadencia_client.drafts import Draft, Email, Sms
from kadencia_client.retrying import Retrying
from kadencia_client.views import Attempt, BatchResult, Enqueued, Message


class Client:
    """Speaks with one Kadencia; for one thread at a time.

    Args:
        url: of the server, as in `https://kadencia.firma.example`.
        token: as `kadencia token create` has printed it; no error and no `repr` shows it.
        timeout: seconds for connecting, and for each wait for octets.
        retrying: how often what failed on the way is tried again, and after how long.
        plain_http: lets the token go unencrypted to another host, as inside a closed network.

    Raises:
        ValueError: the address or the token is none.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        timeout: tuple[float, float] = (5.0, 60.0),
        retrying: Retrying | None = None,
        plain_http: bool = False,
    ) -> None:
        self._connection = Connection(
            url, token, timeout=timeout, retrying=retrying or Retrying(), plain_http=plain_http
        )

    def __repr__(self) -> str:
        return f"<Client of {self._connection.url}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()

    def send_email(self, email: Email) -> Enqueued:
        """Hand in an e-mail. Once this returns, it is stored and will not be lost.

        Raises:
            Invalid: it will never be taken as it is.
            Forbidden: the token does not allow it.
            Unavailable: there was no answer; its key says under which to send it again.
        """
        return self._send("/emails", email)

    def send_sms(self, sms: Sms) -> Enqueued:
        """Hand in an SMS; raises as `send_email`."""
        return self._send("/sms", sms)

    def send_emails(self, emails: Iterable[Email]) -> Iterator[BatchResult]:
        """Hand in e-mails as they come, any number; yields a result for each, in order.

        Nothing is sent before the first result is asked for. Some hundred are held in memory.

        Raises:
            Unavailable: there was no answer; what was yielded is done, and the rest may be.
        """
        return batches.send(self._connection, "/emails/batch", emails)

    def send_sms_batch(self, messages: Iterable[Sms]) -> Iterator[BatchResult]:
        """Hand in SMS as they come; as `send_emails`."""
        return batches.send(self._connection, "/sms/batch", messages)

    def upload(self, content: bytes) -> str:
        """Store a file for several e-mails; returns what stands for it in an `Attachment`."""
        found = self._connection.ask(
            "POST", "/attachments", data=content, content_type="application/octet-stream"
        )
        return str(found["attachment"])

    def email(self, number: int) -> Message:
        """An e-mail as it stands.

        Raises:
            NotFound: there is none of that number in the token's company.
        """
        return Message.of(self._connection.ask("GET", f"/emails/{number}"))

    def sms(self, number: int) -> Message:
        """An SMS as it stands; raises as `email`."""
        return Message.of(self._connection.ask("GET", f"/sms/{number}"))

    def attempts(self, number: int) -> list[Attempt]:
        """Every hand-over of an e-mail, oldest first."""
        return self._attempts("/emails", number)

    def sms_attempts(self, number: int) -> list[Attempt]:
        """Every hand-over of an SMS, oldest first."""
        return self._attempts("/sms", number)

    def emails(
        self, *, state: str | None = None, reference: str | None = None, limit: int = 100
    ) -> Iterator[Message]:
        """E-mails, newest first, fetched page by page.

        Args:
            state: only those that stand there.
            reference: only those with this one.
            limit: of a page, not of all.
        """
        return self._pages("/emails", state, reference, limit)

    def sms_messages(
        self, *, state: str | None = None, reference: str | None = None, limit: int = 100
    ) -> Iterator[Message]:
        """SMS, newest first; as `emails`."""
        return self._pages("/sms", state, reference, limit)

    def cancel(self, number: int) -> str:
        """Cancel an e-mail that has not gone; returns its state.

        Raises:
            Conflict: it is on its way, or gone.
        """
        return str(self._connection.ask("POST", f"/emails/{number}/cancel")["state"])

    def cancel_sms(self, number: int) -> str:
        """Cancel an SMS that has not gone; raises as `cancel`."""
        return str(self._connection.ask("POST", f"/sms/{number}/cancel")["state"])

    def _send(self, path: str, draft: Draft) -> Enqueued:
        document = draft.document()
        key = document["idempotency_key"]
        return Enqueued.of(self._connection.ask("POST", path, json=document, key=key))

    def _attempts(self, path: str, number: int) -> list[Attempt]:
        found = self._connection.ask("GET", f"{path}/{number}/attempts")
        return [Attempt.of(one) for one in found["items"]]

    def _pages(
        self, path: str, state: str | None, reference: str | None, limit: int
    ) -> Iterator[Message]:
        asked: dict[str, Any] = {"state": state, "reference": reference, "limit": limit}
        while True:
            page: Mapping[str, Any] = self._connection.ask("GET", path, params=asked)
            yield from map(Message.of, page["items"])
            if page["next_cursor"] is None:
                return
            asked["cursor"] = page["next_cursor"]
