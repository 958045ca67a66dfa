"""Signed tasks: Celery's serializer `auth`, with the key and the certificates of the settings."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from settings import Settings, SettingsError

DIGEST = "sha256"


def enable(settings: Settings) -> None:
    """Have this process sign what it publishes and check what it takes, if that is wished.

    Raises:
        SettingsError: a file is missing, or holds something else.
    """
    if not settings.signed:
        return
    # Not with every start: cryptography takes its time.
    from celery.exceptions import SecurityError
    from celery.security.serialization import register_auth

    key, certificate = (
        _text(settings, "signing_key_file"),
        _text(settings, "signing_certificate_file"),
    )
    trusted = settings.signing_trusted_directory
    try:
        register_auth(key=key, cert=certificate, store=f"{trusted}/*.pem", digest=DIGEST)
    except (SecurityError, OSError, ValueError, TypeError) as error:
        raise SettingsError(
            f"KADENCIA_SIGNING_KEY_FILE, KADENCIA_SIGNING_CERTIFICATE_FILE or "
            f"KADENCIA_SIGNING_TRUSTED_DIRECTORY: not an RSA key without a password and "
            f"certificates that are valid today ({type(error).__name__}); "
            f"docs/brokers.md shows how they are made"
        ) from None


def _text(settings: Settings, name: str) -> str:
    path: Path = getattr(settings, name)
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        words = getattr(error, "strerror", None) or "it is no PEM file"
        raise SettingsError(
            f"KADENCIA_{name.upper()}: {path} cannot be read: {words}; "
            f"name a file that this user may read"
        ) from None


def ends(settings: Settings) -> dict[Path, datetime]:
    """Until when our certificate and each trusted one is valid.

    Raises:
        SettingsError: a file cannot be read, or holds something else.
    """
    from cryptography import x509

    ours, trusted = settings.signing_certificate_file, settings.signing_trusted_directory
    if ours is None or trusted is None:
        return {}
    found = {}
    for path in (ours, *sorted(trusted.glob("*.pem"))):
        try:
            found[path] = x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
        except (OSError, ValueError) as error:
            raise SettingsError(
                f"{path} is no certificate ({type(error).__name__}); "
                f"give PEM files of one certificate each"
            ) from None
    return found
