"""Credentials at rest: encrypted with Fernet keys that lie outside the database."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet


class VaultError(Exception):
    """A credential cannot be sealed or opened; the text says how to mend it."""


class Vault:
    """Seals with the newest key, opens with any of them.

    Args:
        keys: Fernet keys, newest first.

    Raises:
        VaultError: one is no such key.

    >>> vault = Vault([Fernet.generate_key().decode()])
    >>> vault.open(vault.seal("tajné"))
    'tajné'
    """

    def __init__(self, keys: Sequence[str]) -> None:
        try:
            self._fernets = [Fernet(key) for key in keys]
        except ValueError:
            raise VaultError(
                "a key of the stored credentials is malformed; make one with `kadencia keys new`"
            ) from None

    def __repr__(self) -> str:
        return f"Vault({len(self._fernets)} keys)"

    def seal(self, secret: str) -> bytes:
        """Encrypt.

        Raises:
            VaultError: there is no key.
        """
        return self._all().encrypt(secret.encode())

    def open(self, sealed: bytes) -> str:
        """Decrypt.

        Raises:
            VaultError: no key fits.
        """
        try:
            return self._all().decrypt(sealed).decode()
        except InvalidToken:
            raise VaultError(
                "a stored credential was sealed with a key that this process does not have; "
                "if the key is new, restart the process; else bring the key back to "
                "KADENCIA_KEYS_FILE, or enter the credential again"
            ) from None

    def reseal(self, sealed: bytes) -> bytes:
        """The same secret under the newest key.

        Raises:
            VaultError: no key fits.
        """
        return self.seal(self.open(sealed))

    def _all(self) -> MultiFernet:
        if not self._fernets:
            raise VaultError(
                "there is no key for stored credentials; set KADENCIA_KEYS_FILE to the file "
                "that `kadencia keys new` made, the same on every host"
            )
        return MultiFernet(self._fernets)


def new_key() -> str:
    """A fresh Fernet key."""
    return Fernet.generate_key().decode()
