"""Log-ins that the sink knows beyond PLAIN and LOGIN."""

from __future__ import annotations

import base64
import hmac
import json
import re
import secrets
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import MISSING, SMTP, AuthResult

EXTRA = frozenset({"CRAM-MD5", "XOAUTH2", "OAUTHBEARER"})

LONGEST_AUTH = 12_288
"""Octets, RFC 4954 section 4: an access token is longer than other commands may be."""

_TOKEN = re.compile(rb"\x01auth=Bearer ([^\x01]+)\x01\x01")


class LogIns(SMTP):
    """The dialogues of `EXTRA`; aiosmtpd calls a method by the mechanism's name.

    Attributes:
        user: the only one who may log in.
        password: of that user.
        token_file: the access tokens that are taken, a line each; read anew at each log-in.
    """

    user: str | None
    password: str
    token_file: Path | None

    async def auth_CRAM__MD5(self, _server: SMTP, _args: list[str]) -> AuthResult:
        """RFC 2195."""
        challenge = f"<{secrets.token_hex(8)}@sink.kadencia.invalid>".encode()
        response = await self.challenge_auth(challenge)
        if response is MISSING or not isinstance(response, bytes):
            return AuthResult(success=False)
        digest = hmac.new(self.password.encode(), challenge, "md5").hexdigest()
        wanted = f"{self.user} {digest}".encode()
        return AuthResult(success=hmac.compare_digest(response, wanted), handled=False)

    async def auth_XOAUTH2(self, _server: SMTP, args: list[str]) -> AuthResult:
        """As Google and Microsoft describe it."""
        return await self._bearer(args, f"user={self.user}\x01".encode(), b"")

    async def auth_OAUTHBEARER(self, _server: SMTP, args: list[str]) -> AuthResult:
        """RFC 7628."""
        return await self._bearer(args, f"n,a={self.user},\x01".encode(), b"\x01")

    async def _bearer(self, args: list[str], start: bytes, done: bytes) -> AuthResult:
        said = self._decoded(args[1]) if len(args) > 1 else b""
        found = _TOKEN.search(said)
        if found and said.startswith(start) and found[1].decode() in self._tokens():
            return AuthResult(success=True)
        why = {"status": "401", "schemes": "bearer", "scope": "https://mail.sink.example/"}
        response: Any = await self.challenge_auth(json.dumps(why))
        if response != done:
            await self.push("501 5.5.2 that is no answer to a challenge of this mechanism")
            return AuthResult(success=False, handled=True)
        return AuthResult(success=False, handled=False)

    def _decoded(self, text: str) -> bytes:
        try:
            return base64.b64decode(text, validate=True)
        except ValueError:
            return b""

    def _tokens(self) -> list[str]:
        return [] if self.token_file is None else self.token_file.read_text().split()
