"""E-mail addresses: reading them, and the forms that SMTP, a header and a person need."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from email_validator import EmailNotValidError, validate_email

from worker.core.content import ContentError, refuse_unsafe, shown

LOCAL_OCTETS_MAX = 64  # RFC 5321 4.5.3.1.1
DOMAIN_OCTETS_MAX = 255  # RFC 5321 4.5.3.1.2
ADDRESS_OCTETS_MAX = 254  # a path is 256 with its angle brackets: RFC 5321 4.5.3.1.3
NAME_CHARACTERS_MAX = 256  # chosen: longer than any person or firm; its header still folds
DOMAINS_REMEMBERED = 16_384  # chosen: the domains of a large list, in about 5 MB

_ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"  # RFC 5322 3.2.3
_DOT_ATOM = re.compile(rf"{_ATEXT}(?:\.{_ATEXT})*")
_A_LABELS = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?")
_ATEXT_OR_WIDE = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\x80-\U0010ffff-]+")
_CLOSING = {'"': '"', "<": ">"}
_PLAIN_PHRASE = re.compile(rf"{_ATEXT}(?: {_ATEXT})*")


class AddressError(ContentError):
    """A text is not an e-mail address that can be written to."""


@dataclass(frozen=True, slots=True)
class Address:
    """One mailbox. Whatever built it, its parts hold no character that could end a header.

    Attributes:
        local: the part before the @-sign, as written; only the receiving host may
            interpret it, case included (RFC 5321 section 2.4).
        domain: ASCII (A-labels), lower case; the throttle's budget key.
        display_domain: the domain as people read it (U-labels).
        name: the display name, if any.

    Raises:
        AddressError: a part is malformed. Built by `parse_address`, it never is.
    """

    local: str
    domain: str
    display_domain: str
    name: str | None = None

    def __post_init__(self) -> None:
        whole = f"{self.local}@{self.domain}"
        if self.name is not None:
            _check_name(self.name)
        if not _DOT_ATOM.fullmatch(self.local) and _local(self.local) != self.local:
            raise AddressError("is not in Unicode form NFC", shown(whole), "normalize it")
        if not _A_LABELS.fullmatch(self.domain):
            raise AddressError("has no ASCII domain", shown(whole), "use parse_address")
        _check_lengths(self.local, self.domain)

    @property
    def addr_spec(self) -> str:
        """Return what MAIL FROM and RCPT TO carry, without angle brackets.

        The domain is in its A-label form, so SMTPUTF8 is needed for a local part only.
        """
        return f"{self.local}@{self.domain}"

    @property
    def needs_smtputf8(self) -> bool:
        """Whether the server must offer SMTPUTF8 (RFC 6531) to be given this address."""
        return not self.local.isascii()

    @property
    def suppression_key(self) -> str:
        """Return the key under which the address is suppressed.

        Lower case as a whole: hosts that tell `Jan@` from `jan@` are next to none,
        and writing to somebody who asked us not to is the worse mistake.
        """
        return self.addr_spec.lower()

    def __str__(self) -> str:
        """Return the mailbox as people write it; `parse_address` reads it back.

        >>> str(Address("jan", "xn--firma-t4a.sk", "čfirma.sk", "Novák, Ján"))
        '"Novák, Ján" <jan@čfirma.sk>'
        """
        bare = f"{self.local}@{self.display_domain}"
        if not self.name:
            return bare
        plain = all(_ATEXT_OR_WIDE.fullmatch(word) for word in self.name.split(" "))
        return f"{self.name if plain else quoted(self.name)} <{bare}>"


def quoted(text: str) -> str:
    r"""Return `text` as a quoted-string (RFC 5322 section 3.2.4).

    >>> quoted('Ján "Jano" Novák')
    '"Ján \\"Jano\\" Novák"'
    """
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def is_plain_phrase(text: str) -> bool:
    """Whether `text` may stand in a header as it is: atoms parted by single spaces."""
    return _PLAIN_PHRASE.fullmatch(text) is not None


def parse_address(text: str) -> Address:
    """Read `jan@firma.sk`, `Ján Novák <jan@firma.sk>` or `"Novák, Ján" <jan@firma.sk>`.

    The name may be unquoted whatever characters it holds; comments and quoted local
    parts are refused. Names reserved for tests and examples (RFC 6761) are accepted,
    `.local`, `.invalid`, `localhost` and addresses in brackets are not.

    Raises:
        AddressError: `text` is not such an address, or too long (RFC 5321 4.5.3.1).

    >>> parse_address("Ján <jan@Žltý-kôň.sk>").addr_spec
    'jan@xn--lt-k-yqa5c77awn.sk'
    """
    refuse_unsafe(text, shown(text), AddressError)
    text = text.strip()
    name, bare = _split_name(text)
    local, at, domain = bare.rpartition("@")
    if not at:
        raise AddressError("has no @-sign", shown(text), "write it as name@domain")
    try:
        if not _DOT_ATOM.fullmatch(local):
            local = _local(local)
        ascii_domain, display_domain = _domain(domain)
    except AddressError as error:
        # The two are checked apart, but a person looks for what was written.
        raise AddressError(error.what, shown(text), error.mend) from None
    return Address(local, ascii_domain, display_domain, name or None)


def parse_address_list(text: str) -> tuple[Address, ...]:
    """Read addresses parted by commas or semicolons, as people type and paste them.

    Empty places, as after a last comma, are passed over; an empty text gives none.

    Raises:
        AddressError: an entry is not an address; it names the entry.

    >>> [a.local for a in parse_address_list('"Novák, Ján" <jan@a.example>; eva@b.example,')]
    ['jan', 'eva']
    """
    return tuple(parse_address(entry) for entry in _entries(text) if entry.strip())


def ascii_domain(text: str) -> str:
    """Return a domain name in A-labels and lower case.

    Raises:
        AddressError: it is not a domain name that mail can be sent to.

    >>> ascii_domain("Kôň.sk")
    'xn--k-xga6w.sk'
    """
    return _domain(text)[0]


def _entries(text: str) -> list[str]:
    """Split at the commas and semicolons that stand outside quotes and angle brackets."""
    entries, start, closing, escaped = [], 0, "", False
    for at, character in enumerate(text):
        if escaped:
            escaped = False
        elif closing:
            escaped = closing == '"' and character == "\\"
            closing = "" if character == closing else closing
        elif character in _CLOSING:
            closing = _CLOSING[character]
        elif character in ",;":
            entries.append(text[start:at])
            start = at + 1
    return [*entries, text[start:]]


def _split_name(text: str) -> tuple[str | None, str]:
    """Part a display name from the address in angle brackets."""
    if not text.endswith(">"):
        return None, text
    name, bracket, bare = text[:-1].rpartition("<")
    if not bracket:
        raise AddressError("has > without <", shown(text), "write it as Name <name@domain>")
    name = name.strip()
    if len(name) >= 2 and name[0] == name[-1] == '"':
        name = re.sub(r"\\(.)", r"\1", name[1:-1]).strip()
    return name, bare


def _check_name(name: str) -> None:
    refuse_unsafe(name, f"display name {shown(name)}", AddressError)
    if len(name) > NAME_CHARACTERS_MAX:
        raise AddressError(
            f"is longer than {NAME_CHARACTERS_MAX} characters",
            f"display name {shown(name)}",
            "shorten it",
        )


def _check_lengths(local: str, domain: str) -> None:
    local_octets = len(local.encode())
    if (
        local_octets <= LOCAL_OCTETS_MAX
        and len(domain) <= DOMAIN_OCTETS_MAX
        and local_octets + 1 + len(domain) <= ADDRESS_OCTETS_MAX
    ):
        return
    raise AddressError(
        f"is too long (at most {LOCAL_OCTETS_MAX} octets before the @-sign,"
        f" {DOMAIN_OCTETS_MAX} after it, {ADDRESS_OCTETS_MAX} in all)",
        shown(f"{local}@{domain}"),
        "correct the address",
    )


def _local(text: str) -> str:
    """Return a local part in Unicode form NFC, checked character by character."""
    if len(text) > LOCAL_OCTETS_MAX:
        _check_lengths(text.encode("ascii", "replace").decode(), "")
    return _validated(text, "domain.example")[0]


@lru_cache(maxsize=DOMAINS_REMEMBERED)
def _domain(text: str) -> tuple[str, str]:
    """Return the A-label and the U-label form. Remembered: a list has few domains."""
    _, ascii_form, display = _validated("a", text)
    return ascii_form, display


def _validated(local: str, domain: str) -> tuple[str, str, str]:
    address = f"{local}@{domain}"
    try:
        # test_environment: accept .test, which the demo and the tests write to.
        checked = validate_email(
            address, check_deliverability=False, allow_smtputf8=True, test_environment=True
        )
    except EmailNotValidError as error:
        raise AddressError(_sentence(str(error)), shown(address), "correct the address") from None
    return checked.local_part, (checked.ascii_domain or "").lower(), checked.domain.lower()


def _sentence(words: str) -> str:
    """Fit the validator's sentence into ours."""
    return words[:1].lower() + words[1:].rstrip(".")
