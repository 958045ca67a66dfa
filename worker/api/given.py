"""What other services hand in, as JSON; read strictly."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
)
from pydantic_core import PydanticCustomError

from models.states import Priority

YEARS = range(1970, 2200)
"""Chosen: a time outside is a mistake, and the ends of the calendar have no other time zones."""

ADDRESSES_MOST = 100
FILES_MOST = 100


def _near(moment: datetime) -> datetime:
    """The same moment in UTC: PostgreSQL knows no offset of 16 hours or more."""
    if moment.year not in YEARS:
        raise PydanticCustomError("year", "Input should be a year from 1970 to 2199")
    return moment.astimezone(UTC)


def _written_out(value: object) -> object:
    """Refuse seconds since 1970, which would be taken for a time as well."""
    if not isinstance(value, str) or "T" not in value.upper():
        raise PydanticCustomError("rfc3339", "Input should be a date, a T, a time and an offset")
    return value


# Not strict after its own check, which has made a Python string of the JSON one.
Moment = Annotated[
    AwareDatetime, Field(strict=False), AfterValidator(_near), BeforeValidator(_written_out)
]
"""A time with its offset (RFC 3339)."""
PriorityName = Literal["transactional", "normal", "bulk"]
Addresses = Annotated[list[str], Field(max_length=ADDRESSES_MOST)]
Key = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class Given(BaseModel):
    """Of everything that is handed in: no member that is not known, no value of another type."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)


class InlineFile(Given):
    """A file of an e-mail, with its octets."""

    filename: str
    content_type: str = "application/octet-stream"
    content_id: str | None = None
    """Under which the HTML shows it, as in cid:logo."""
    content: Annotated[str, Field(json_schema_extra={"contentEncoding": "base64"})]


class UploadedFile(Given):
    """A file of an e-mail that was uploaded before."""

    filename: str
    content_type: str = "application/octet-stream"
    content_id: str | None = None
    attachment: Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
    """As POST /v1/attachments has answered."""


def _file_kind(value: Any) -> str:
    return "uploaded" if isinstance(value, dict) and "attachment" in value else "inline"


File = Annotated[
    Annotated[InlineFile, Tag("inline")] | Annotated[UploadedFile, Tag("uploaded")],
    Discriminator(_file_kind),
]
FILE_TAGS = frozenset({"inline", "uploaded"})


class MessageGiven(Given):
    """What e-mails and SMS have in common."""

    task: str | None = None
    """The name of the automatic task that shall send it; absent: any of the company's."""
    establishment: str | None = None
    """The name of the establishment that it belongs to."""
    priority: PriorityName = "normal"
    not_before: Moment | None = None
    """Absent: at once."""
    expires_at: Moment | None = None
    """Absent: three days after it may go."""
    reference: Key | None = None
    """Yours, for finding it."""
    idempotency_key: Key | None = None
    """The message stays one, however often it is handed in under this key."""
    fields: dict[str, Any] | None = None
    """What fills the templates; without it the texts are none."""

    @property
    def order(self) -> Priority:
        """The priority as it is stored."""
        return Priority[self.priority.upper()]


class EmailGiven(MessageGiven):
    """One e-mail."""

    model_config = ConfigDict(
        title="EmailGiven",
        json_schema_extra={
            "examples": [
                {
                    "to": ["Jana Kováčová <jana@zakaznik.example>"],
                    "subject": "Faktúra 2026-17",
                    "text": "Dobrý deň, posielame faktúru.",
                    "idempotency_key": "faktura-2026-17",
                },
                {
                    "to": ["jana@zakaznik.example", "peter@zakaznik.example"],
                    "bcc": ["archiv@firma.example"],
                    "reply_to": ["Predajňa <predajna@firma.example>"],
                    "subject": "Ponuka pre {{ meno }}",
                    "html": "<p>Dobrý deň, {{ meno }}.</p>",
                    "fields": {"meno": "Jana"},
                    "priority": "bulk",
                    "not_before": "2026-11-30T08:00:00+01:00",
                    "reference": "ponuka-48",
                    "headers": {"X-Campaign": "48"},
                    "list_unsubscribe": ["https://firma.example/odhlasit?id=48"],
                    "attachments": [
                        {
                            "filename": "ponuka.txt",
                            "content_type": "text/plain",
                            "content": "UG9udWth",
                        }
                    ],
                },
            ]
        },
    )

    to: Addresses = []
    """Addresses, with or without names; one at least in to, cc and bcc together."""
    cc: Addresses = []
    bcc: Addresses = []
    reply_to: Addresses | None = None
    subject: str
    text: str | None = None
    """Text, HTML or both must be there."""
    html: str | None = None
    headers: dict[str, str] = {}
    """Own header fields: X-… and a few others."""
    list_unsubscribe: Annotated[list[str], Field(max_length=10)] = []
    """https: and mailto: addresses (RFC 2369, RFC 8058)."""
    attachments: Annotated[list[File], Field(max_length=FILES_MOST)] = []


class SmsGiven(MessageGiven):
    """One SMS."""

    model_config = ConfigDict(
        title="SmsGiven",
        json_schema_extra={
            "examples": [
                {
                    "number": "+421903622237",
                    "text": "Vaša zásielka je pripravená.",
                    "idempotency_key": "zasielka-17",
                }
            ]
        },
    )

    number: str
    """With its calling code, or as it is written in the company's country."""
    text: str
    sender: str | None = None
    """A name or a number; absent: the automatic task's."""
    transliterate: bool | None = None
    """Without diacritics: always, never, or as the automatic task does."""
