"""What TLS needs of an account: whom to trust, and the certificate by which we are known."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

Stamp = tuple[tuple[int, int, int] | None, ...]
"""Which content the files had, so that renewed ones are noticed; None for one that is not there."""


class EncryptionFault(Exception):
    """TLS cannot be set up; the text says which file, what is wrong, and how to mend it."""


class _KeyIsEncrypted(Exception):
    pass


def make_context(
    verify: bool, ca_file: str | None, cert_file: str | None, key_file: str | None
) -> ssl.SSLContext:
    """A context for connections to one server.

    Args:
        verify: check the server's certificate.
        ca_file: PEM file with the authorities to trust in place of the system's.
        cert_file: PEM file with our own certificate and those that lead to its authority.
        key_file: PEM file with its private key; None if `cert_file` has it.

    Raises:
        EncryptionFault: a file cannot be read, or does not hold what it should.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise EncryptionFault(f"TLS cannot be set up with {ca_file}: {error}") from None
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if cert_file is not None:
        _load(context, cert_file, key_file)
    return context


def stamp(*paths: str | None) -> Stamp:
    """What tells the content of files apart from what they held before."""
    return tuple(_stamp(path) for path in paths if path is not None)


def _stamp(path: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _load(context: ssl.SSLContext, cert_file: str, key_file: str | None) -> None:
    _check(cert_file, "client certificate", "CERTIFICATE")
    key = key_file or cert_file
    _check(key, "key of the client certificate", "PRIVATE KEY")
    try:
        context.load_cert_chain(cert_file, key_file, password=_refuse_to_ask)
    except _KeyIsEncrypted:
        raise EncryptionFault(
            f"the key of the client certificate in {key} is encrypted with a passphrase, and "
            f"nobody is there to type it; store it without one, readable by the worker alone"
        ) from None
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise EncryptionFault(
                f"the key in {key} does not belong to the client certificate in {cert_file}; "
                f"the file must begin with our own certificate, followed by its authorities"
            ) from None
        raise EncryptionFault(
            f"the client certificate in {cert_file} cannot be used: {error.reason or error}"
        ) from None


def _check(path: str, what: str, holds: str) -> None:
    """The library says neither which file is wrong, nor how."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise EncryptionFault(
            f"the {what} in {path} cannot be read: {error.strerror}; the worker's user must be "
            f"able to read it, on each of its hosts"
        ) from None
    if f"{holds}-----".encode() not in content:
        raise EncryptionFault(f"{path} holds no {what} in PEM (no BEGIN {holds})")


def _refuse_to_ask() -> str:
    raise _KeyIsEncrypted
