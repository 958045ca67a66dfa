"""Phone numbers as people write them, and whether an SMS can reach them."""

from __future__ import annotations

import re
from dataclasses import dataclass

import phonenumbers
from phonenumbers import PhoneNumberType, ValidationResult

from worker.core.content import ContentError, shown

_EXAMPLE = "+421 903 622 237"
# Digits of any script, and what people and address books write between and around them:
# spaces, dashes, brackets, full stop, slash, and the invisible marks that a copied number carries.
_FOREIGN = re.compile(
    r"[^\d+ \-().\[\]/\u00a0\u00ad\u2007\u2009-\u2015\u202a-\u202f\u2060\u2066-\u2069\u2212]"
)

_UNREADABLE = {
    phonenumbers.NumberParseException.INVALID_COUNTRY_CODE: "has no calling code that exists",
    phonenumbers.NumberParseException.NOT_A_NUMBER: "is no phone number",
    phonenumbers.NumberParseException.TOO_SHORT_AFTER_IDD: "is too short",
    phonenumbers.NumberParseException.TOO_SHORT_NSN: "is too short",
    phonenumbers.NumberParseException.TOO_LONG: "is too long",
}
_IMPOSSIBLE = {
    ValidationResult.TOO_SHORT: "is too short",
    ValidationResult.TOO_LONG: "is too long",
    ValidationResult.INVALID_LENGTH: "has more or fewer digits than any number there",
    ValidationResult.IS_POSSIBLE_LOCAL_ONLY: "lacks its area code",
}
_UNREACHABLE = {
    PhoneNumberType.FIXED_LINE: "is a landline",
    PhoneNumberType.TOLL_FREE: "is a toll-free number",
    PhoneNumberType.PREMIUM_RATE: "is a premium-rate number",
    PhoneNumberType.SHARED_COST: "is a shared-cost number",
    PhoneNumberType.VOIP: "is an internet telephony number",
    PhoneNumberType.PERSONAL_NUMBER: "is a personal number, forwarded to who knows where",
    PhoneNumberType.PAGER: "is a pager",
    PhoneNumberType.UAN: "is a company's access number",
    PhoneNumberType.VOICEMAIL: "is a voice mailbox",
}


@dataclass(frozen=True, slots=True)
class PhoneNumber:
    """One number that an SMS may be sent to.

    Attributes:
        e164: "+" and at most 15 digits (ITU-T E.164); the key of suppressions.
        calling_code: "+421"; the throttle's budget key.
        country: two letters of ISO 3166-1; None if the number belongs to no country.
    """

    e164: str
    calling_code: str
    country: str | None


def parse_number(text: str, country: str) -> PhoneNumber:
    """Read a mobile number in international or in the country's national form.

    Args:
        text: with or without spaces, dashes, slashes, full stops and brackets.
        country: two letters; whose national form and international prefix (`00`) apply.

    Raises:
        ContentError: `text` is no number, not in its country's numbering plan, not mobile (in some
            countries a mobile number can't be told from a landline: these pass), or has an
            extension; or `country` is none.

    >>> parse_number("0903 622 237", "SK")
    PhoneNumber(e164='+421903622237', calling_code='+421', country='SK')
    >>> parse_number("00420 (601) 123-456", "SK").e164
    '+420601123456'
    """
    country = check_country(country)
    where = f"number {shown(text)}"
    number = _read(text, country, where)
    _check_reachable(number, where)
    region = phonenumbers.region_code_for_number(number)
    return PhoneNumber(
        phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164),
        f"+{number.country_code}",
        None if region == phonenumbers.REGION_CODE_FOR_NON_GEO_ENTITY else region,
    )


def check_country(text: str) -> str:
    """Return the country's two letters in upper case.

    Raises:
        ContentError: no country of that code has a numbering plan.

    >>> check_country("sk")
    'SK'
    """
    code = text.strip()
    if not code.isascii() or code.upper() not in phonenumbers.SUPPORTED_REGIONS:
        raise ContentError(
            "is no country with a numbering plan",
            f"country {shown(text)}",
            "give the two letters of ISO 3166-1, as in SK",
        )
    return code.upper()


def _read(text: str, country: str, where: str) -> phonenumbers.PhoneNumber:
    """Read the digits. The library is lenient: it drops words and dials letters."""
    in_full = f"write it in full, as in {_EXAMPLE}"
    try:
        # It knows fewer kinds of space than people paste.
        number = phonenumbers.parse(" ".join(text.split()), country)
    except phonenumbers.NumberParseException as error:
        raise ContentError(_UNREADABLE[error.error_type], where, in_full) from None
    if number.extension:
        raise ContentError("has an extension", where, "leave the extension out")
    foreign = _FOREIGN.search(text)
    if foreign:
        what = f"has the character {shown(foreign.group())} at position {foreign.start() + 1}"
        raise ContentError(what, where, f"write digits alone, as in {_EXAMPLE}")
    possible = phonenumbers.is_possible_number_with_reason(number)
    if possible in _IMPOSSIBLE:
        raise ContentError(_IMPOSSIBLE[possible], where, in_full)
    return number


def _check_reachable(number: phonenumbers.PhoneNumber, where: str) -> None:
    kind = phonenumbers.number_type(number)
    if kind == PhoneNumberType.UNKNOWN:
        what = f"is not in the numbering plan of +{number.country_code}"
        raise ContentError(what, where, "correct it, or give the calling code of its country")
    if kind in _UNREACHABLE:
        raise ContentError(_UNREACHABLE[kind], where, "give a mobile number")
