"""Certificates of a test's own authority, as files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True, slots=True)
class Certificate:
    """One certificate with its key, each in a file."""

    certificate: Path
    key: Path


class Authority:
    """An authority of a test's own; its certificate is in the file `ca`."""

    def __init__(self, directory: Path) -> None:
        self._authority = trustme.CA()
        self._directory = directory
        self._issued: dict[str, Certificate] = {}
        self.ca = directory / "ca.pem"
        self._authority.cert_pem.write_to_path(str(self.ca))
        self.ca.chmod(0o644)

    def issue(self, *names: str) -> Certificate:
        """A certificate for host names, addresses, or the name of a client, with an RSA key."""
        made = self._authority.issue_cert(*names, key_type=trustme.KeyType.RSA)
        stem = names[0].replace("@", "-at-")
        certificate, key = self._directory / f"{stem}.pem", self._directory / f"{stem}.key"
        certificate.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
        made.private_key_pem.write_to_path(str(key))
        self._issued[names[0]] = Certificate(certificate, key)
        return self.issued(names[0])

    def issued(self, name: str) -> Certificate:
        """One that was issued already, by its first name."""
        return self._issued[name]
