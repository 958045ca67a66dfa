"""How an account at EuroSMS is reached, and how requests in its name are signed."""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

BASE_URL = "https://as.eurosms.com"
"""The gateway."""

Digest = Literal["sha1", "sha256"]

_INTEGRATION_ID = re.compile(r"[0-9A-Za-z-]{1,32}")


@dataclass(frozen=True, slots=True)
class EuroSmsSettings:
    """One account at EuroSMS. Times are in seconds.

    Attributes:
        name: as it is called in reports and errors.
        integration_id: who we are, such as "1-XXXXXX"; no secret.
        key: signs requests and never travels.
        base_url: scheme and host, with a port if need be.
        digest: of the HMAC; the gateway tells them apart by itself.
        time_zone: of the times on the wire, which name none.
        connect_timeout: for the connection, and again for the TLS handshake.
        answer_timeout: from the written request to the beginning of the answer, and again from
            there to its end.
        verify: check the gateway's certificate.
        ca_file: PEM file with the authorities to trust in place of the usual ones.

    Raises:
        ValueError: one of them is not what it should be; the text names it, and never the key.
    """

    name: str
    integration_id: str
    key: str = field(repr=False)
    base_url: str = BASE_URL
    digest: Digest = "sha1"
    time_zone: str = "Europe/Bratislava"
    connect_timeout: float = 10.0
    answer_timeout: float = 30.0
    verify: bool = True
    ca_file: str | None = None

    def __post_init__(self) -> None:
        if not _INTEGRATION_ID.fullmatch(self.integration_id):
            raise ValueError(f"not an integration ID: {self.integration_id!r}")
        if not self.key:
            raise ValueError("the integration key is empty")
        if self.digest not in ("sha1", "sha256"):
            raise ValueError(f'the digest is "sha1" or "sha256", not {self.digest!r}')
        if min(self.connect_timeout, self.answer_timeout) <= 0:
            raise ValueError("a time-out must be more than nought")
        _check_base_url(self.base_url)
        try:
            _ = self.zone
        except (LookupError, ValueError, OSError):
            raise ValueError(f"not a time zone: {self.time_zone!r}") from None

    @property
    def zone(self) -> ZoneInfo:
        """The time zone itself."""
        return ZoneInfo(self.time_zone)

    def sign(self, data: str) -> str:
        """The signature over what a request says; see `signature`."""
        return signature(self.key, self.digest, data)


def signature(key: str, digest: Digest, data: str) -> str:
    """HMAC over the UTF-8 bytes, in small hex digits.

    >>> signature("Gh-s7-J6", "sha1", "RZi421903622237Testovacia sprava")
    '6f56060b6b7db97ca25782b771cca0a65077bd5b'
    """
    return hmac.new(key.encode(), data.encode(), digest).hexdigest()


def _check_base_url(base_url: str) -> None:
    parts = urlsplit(base_url)
    plain = not (parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc)
    if parts.scheme not in ("http", "https") or not parts.hostname or not plain:
        raise ValueError(f"a base URL is scheme and host alone, not {base_url!r}")
    _ = parts.port  # raises if it is none
