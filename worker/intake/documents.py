"""What a service hands in as a document: its schema, and the words for what breaks it."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from models.states import Channel
from worker.core.content import JSON_VALUES_MAX, ContentError, has_too_many_values, shown

SCHEMA = 1
"""The version that this product takes. A new field keeps it; any other change raises it."""

HELP = "see docs/enqueueing.md for the fields of a document"


def _octets(given: object) -> bytes:
    if not isinstance(given, str):
        raise ValueError("is no text in base64")
    try:
        return base64.b64decode(given, validate=True)
    except ValueError:
        raise ValueError("is not in base64") from None


def _only_text(given: object) -> object:
    """A number would pass for seconds since 1970."""
    if given is not None and not isinstance(given, str):
        raise ValueError("is no text with a time, as in 2026-03-01T08:00:00+01:00")
    return given


Moment = Annotated[datetime, BeforeValidator(_only_text)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class AttachmentDocument(_Strict):
    """A file; with a `content_id` the HTML shows it as `cid:…`."""

    filename: str
    content_type: str = "application/octet-stream"
    content: Annotated[bytes, BeforeValidator(_octets)] = Field(repr=False)
    content_id: str | None = None


class _Document(_Strict):
    company: str | None = None
    task: str | None = None
    establishment: str | None = None
    priority: Literal["transactional", "normal", "bulk"] = "normal"
    not_before: Moment | None = None
    expires_at: Moment | None = None
    reference: str | None = None
    idempotency_key: str | None = None
    fields: dict[str, Any] | None = Field(None, repr=False)


class EmailDocument(_Document):
    """One e-mail; names as in the HTTP API, meanings as in `worker.enqueueing.Draft`."""

    to: list[str] = []
    cc: list[str] = []
    bcc: list[str] = []
    reply_to: list[str] = []
    subject: str
    text: str | None = Field(None, repr=False)
    html: str | None = Field(None, repr=False)
    headers: dict[str, str] = {}
    list_unsubscribe: list[str] = []
    attachments: list[AttachmentDocument] = []


class SmsDocument(_Document):
    """One SMS; meanings as in `worker.enqueueing.SmsDraft`."""

    number: str
    text: str = Field(repr=False)
    sender: str | None = None
    transliterate: bool | None = None


def read(channel: Channel, given: object) -> EmailDocument | SmsDocument:
    """Read a document.

    Raises:
        ContentError: it is none, of another schema, or a field is wrong; names the first one.

    >>> read(Channel.SMS, {"schema": 1, "number": "0903 622 237", "text": "Ahoj"}).priority
    'normal'
    >>> read(Channel.SMS, {"schema": 2})
    Traceback (most recent call last):
        ...
    worker.core.content.ContentError: schema: is 2, and this version takes 1; hand it in as schema 1
    """
    if not isinstance(given, Mapping):
        raise ContentError(f"is of type {type(given).__name__}, no object", "document", HELP)
    version = given.get("schema")
    if version != SCHEMA or isinstance(version, bool):
        raise ContentError(
            f"is {shown(str(version))[1:-1]}, and this version takes {SCHEMA}",
            "schema",
            f"hand it in as schema {SCHEMA}",
        )
    model = EmailDocument if channel is Channel.EMAIL else SmsDocument
    try:
        return model.model_validate({k: v for k, v in given.items() if k != "schema"})
    except ValidationError as error:
        raise _explained(error.errors()[0]) from None


def _explained(error: ErrorDetails) -> ContentError:
    where = ".".join(shown(str(part))[1:-1] for part in error["loc"])
    kind = error["type"]
    if kind == "extra_forbidden":
        what = f"is no field of schema {SCHEMA}"
    elif kind == "missing":
        what = "is missing"
    elif kind == "value_error":
        what = error["msg"].removeprefix("Value error, ")
    else:
        what = error["msg"][:1].lower() + error["msg"][1:]
    return ContentError(what, where, HELP)


def loaded(text: str) -> Any:
    """What stands in the JSON of a document.

    PostgreSQL holds deeper nesting, longer numbers and more values than can be read here.

    Raises:
        ContentError: it is one of these.

    >>> loaded('{"schema": 1, "to": ["jana@zakaznik.example"]}')["schema"]
    1
    """
    if has_too_many_values(text):
        raise ContentError(f"holds more than {JSON_VALUES_MAX:,} values", "document", HELP)
    try:
        return json.loads(text)
    except RecursionError:
        raise ContentError("is nested too deeply to be read", "document", HELP) from None
    except ValueError:
        raise ContentError("has a number of too many digits", "document", HELP) from None


def storable(given: Any) -> Any:
    r"""The same without what JSON in PostgreSQL cannot hold, so that what is wrong can be kept.

    >>> storable({"a": ["x\x00", float("nan"), "\ud800", 1]})
    {'a': ['x\ufffd', 'nan', '?', 1]}
    """
    if isinstance(given, str):
        return given.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")
    if isinstance(given, Mapping):
        return {storable(str(name)): storable(one) for name, one in given.items()}
    if isinstance(given, list | tuple):
        return [storable(one) for one in given]
    if isinstance(given, float) and given - given != 0:
        return str(given)
    return given
