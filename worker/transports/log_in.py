"""Logging in over an open connection, and hiding the secrets in what the server says to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from worker.core import sasl
from worker.core.replies import Answer, Phase, readable
from worker.transports.wire import Lost, Wire

GO_ON = 334
DONE = 235


class Tokens(Protocol):
    """Where an account's access tokens come from."""

    @property
    def username(self) -> str:
        """Whose mailbox they are for."""

    def token(self) -> str:
        """One that is good now.

        Raises:
            TransportUnavailable: there is none to be had.
        """

    def after_refusal(self, refused: str) -> str | None:
        """Another in place of one that the SMTP server refused; None if that was a fresh one.

        Raises:
            TransportUnavailable: there is none to be had.
        """


class NoWayIn(Exception):
    """The server offers no mechanism that the account can use; the text says what it offers."""


class Refused(Exception):
    """The server does not let us in; `answer` are its words.

    Attributes:
        token: whether it is an access token that it refuses.
    """

    def __init__(self, answer: Answer, more: str = "", token: bool = False) -> None:
        super().__init__(answer, more, token)
        self.answer = answer
        self.more = more
        self.token = token

    def __str__(self) -> str:
        more = f" ({self.more})" if self.more else ""
        return f"{self.answer.code} {self.answer.text}{more}"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who logs in, and with what: a password, or an access token."""

    username: str
    secret: str = field(repr=False)
    is_token: bool = False

    def hidden(self, text: str) -> str:
        """A text without them, since some servers repeat what they refuse."""
        name, secret = self.username, self.secret
        shown = {name, secret, sasl.encoded(name), sasl.encoded(secret), sasl.plain(name, secret)}
        if self.is_token:
            shown = {secret, sasl.encoded(secret), sasl.xoauth2(name, secret)}
        for one in sorted(filter(None, shown), key=len, reverse=True):
            text = text.replace(one, "***")
        return text


def log_in(
    wire: Wire, credentials: Credentials, wanted: str | None, place: tuple[str, int], private: bool
) -> None:
    """One try, by one mechanism, so that no account gets locked by a second.

    Args:
        wire: greeted, and encrypted if it is to be.
        credentials: of the account.
        wanted: the only mechanism to be used; None for the best that is offered.
        place: host and port, which OAUTHBEARER names.
        private: whether nobody listens in and the server is known.

    Raises:
        NoWayIn: nothing was said.
        Refused: the server refused, or wants something else.
        Lost: the dialogue cannot go on.
    """
    wire.phase = Phase.AUTH
    offered = wire.esmtp_features.get("auth", "").upper().split()
    token = credentials.is_token
    chosen = sasl.choose(offered, wanted, token=token, private=private)
    if chosen is None:
        known = sasl.known_to(token=token, private=private)
        ours = wanted.upper() if wanted else " and ".join(sorted(known))
        offer = " ".join(offered) or "no log-in"
        raise NoWayIn(readable(f"the server offers {offer}, and this account can use {ours}"))
    _SAY[chosen](wire, credentials, place)


def _plain(wire: Wire, who: Credentials, _place: tuple[str, int]) -> None:
    must(wire.say(Phase.AUTH, "AUTH", f"PLAIN {sasl.plain(who.username, who.secret)}"), DONE)


def _login(wire: Wire, who: Credentials, _place: tuple[str, int]) -> None:
    must(wire.say(Phase.AUTH, "AUTH", "LOGIN"), GO_ON)
    must(wire.say(Phase.AUTH, sasl.encoded(who.username)), GO_ON)
    must(wire.say(Phase.AUTH, sasl.encoded(who.secret)), DONE)


def _cram_md5(wire: Wire, who: Credentials, _place: tuple[str, int]) -> None:
    challenge = wire.say(Phase.AUTH, "AUTH", "CRAM-MD5")
    must(challenge, GO_ON)
    try:
        response = sasl.cram_md5(who.username, who.secret, challenge.text)
    except ValueError as error:
        raise Lost(str(error)) from None
    must(wire.say(Phase.AUTH, response), DONE)


def _xoauth2(wire: Wire, who: Credentials, _place: tuple[str, int]) -> None:
    _bearer(wire, "XOAUTH2", sasl.xoauth2(who.username, who.secret), "")


def _oauthbearer(wire: Wire, who: Credentials, place: tuple[str, int]) -> None:
    initial = sasl.oauthbearer(who.username, *place, who.secret)
    _bearer(wire, "OAUTHBEARER", initial, sasl.encoded("\x01"))


def _bearer(wire: Wire, mechanism: str, initial: str, done: str) -> None:
    """The server explains a refusal in a challenge, to which `done` is the answer."""
    answer, more = wire.say(Phase.AUTH, "AUTH", f"{mechanism} {initial}"), ""
    if answer.code == GO_ON:
        more = sasl.refusal(answer.text)
        answer = wire.say(Phase.AUTH, done)
    if answer.code != DONE:
        raise Refused(answer, more, token=True)


def must(answer: Answer, code: int) -> None:
    """Go on only with this answer.

    Raises:
        Refused: it is another.
    """
    if answer.code != code:
        raise Refused(answer)


_SAY: dict[str, Callable[[Wire, Credentials, tuple[str, int]], None]] = {
    "PLAIN": _plain,
    "LOGIN": _login,
    "CRAM-MD5": _cram_md5,
    "XOAUTH2": _xoauth2,
    "OAUTHBEARER": _oauthbearer,
}
