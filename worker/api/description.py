"""What the description (OpenAPI 3.1) says beyond what the routes themselves show."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from worker.api.given import EmailGiven, SmsGiven
from worker.api.problems import MEDIA_TYPE, Kind, problem_schema

REFERENCE = "#/components/schemas/"

ALWAYS = (
    Kind.TOKEN_NEEDED, Kind.SCOPE_MISSING, Kind.TOO_MANY, Kind.INTERNAL, Kind.UNAVAILABLE,
)  # fmt: skip
"""What any route of a token may answer."""

ABOUT = """Enqueue e-mails and SMS, see what became of them, cancel them.

Every request shows a token: `Authorization: Bearer kad_<id>_<secret>`, made by
`kadencia token create`. It acts for one company. Errors are problem details (RFC 9457).
"""


def enqueue(given: type[BaseModel]) -> dict[str, Any]:
    """Of a route that takes one message."""
    schema = {"$ref": f"{REFERENCE}{given.__name__}"}
    return {
        "openapi_extra": _body({"application/json": {"schema": schema}}),
        "responses": {
            201: {
                "description": "It is stored. A repeat under its key has the same answer.",
                "headers": {
                    "Location": _header("Of the message."),
                    "Idempotent-Replayed": _header("`true`: it was stored before, under its key."),
                },
            },
            **problems(
                Kind.MALFORMED,
                Kind.TOO_SLOW,
                Kind.UNDER_WAY,
                Kind.TOO_LARGE,
                Kind.MEDIA_TYPE,
                Kind.INVALID,
                Kind.KEY_CONFLICT,
                *ALWAYS,
            ),
        },
    }


def batch(given: type[BaseModel]) -> dict[str, Any]:
    """Of a route that takes many messages."""
    asked = f"One {given.__name__} a line, at most 10,000 lines."
    answered = (
        "One object a line, in order: `line` with `id`, `state` and `created`, or with `error`, "
        "which is a Problem. A line without an answer was not stored."
    )
    # Without a type: JSON Schema describes one value, and this is one after the other.
    example = given.model_json_schema()["examples"][0]
    lines = {"description": asked, "examples": [json.dumps(example, ensure_ascii=False) + "\n"]}
    results = {
        "description": answered,
        "examples": ['{"line": 1, "id": 17, "state": "ready", "created": true}\n'],
    }
    return {
        "openapi_extra": _body({"application/x-ndjson": {"schema": lines}}),
        "responses": {
            200: {
                "description": answered,
                "content": {"application/x-ndjson": {"schema": results}},
            },
            **problems(Kind.TOO_SLOW, Kind.TOO_LARGE, Kind.MEDIA_TYPE, Kind.INVALID, *ALWAYS),
        },
    }


def upload() -> dict[str, Any]:
    """Of the route that takes a file."""
    schema = {"type": "string", "format": "binary"}
    return {
        "openapi_extra": _body({"application/octet-stream": {"schema": schema}}),
        "responses": problems(Kind.TOO_SLOW, Kind.TOO_LARGE, Kind.INVALID, *ALWAYS),
    }


def reading(*more: Kind) -> dict[str, Any]:
    """Of a route without a body."""
    return {"responses": problems(Kind.INVALID, *more, *ALWAYS)}


def problems(*kinds: Kind) -> dict[int | str, dict[str, Any]]:
    """The answers of these problems, for a route's `responses`."""
    by_status: dict[int | str, list[Kind]] = {}
    for kind in kinds:
        by_status.setdefault(kind.status, []).append(kind)
    return {status: _answer(same) for status, same in by_status.items()}


def describe(app: FastAPI) -> dict[str, Any]:
    """The description of an application, made once."""
    if app.openapi_schema is None:
        made = get_openapi(
            title="Kadencia",
            version=version("kadencia"),
            summary="Enqueues e-mails and SMS, and tells what became of them.",
            description=ABOUT,
            routes=app.routes,
            tags=app.openapi_tags,
        )
        schemas = made.setdefault("components", {}).setdefault("schemas", {})
        _, own = models_json_schema(
            [(EmailGiven, "validation"), (SmsGiven, "validation")],
            ref_template=f"{REFERENCE}{{model}}",
        )
        schemas.update(own["$defs"])
        schemas["Problem"] = problem_schema()
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        app.openapi_schema = made
    return app.openapi_schema


def _answer(kinds: list[Kind]) -> dict[str, Any]:
    example = {
        kind.value[0]: {
            "value": {"type": kind.type, "title": kind.title, "status": kind.status, "detail": "…"}
        }
        for kind in kinds
    }
    answer: dict[str, Any] = {
        "description": "; or ".join(dict.fromkeys(kind.title for kind in kinds)),
        "content": {
            MEDIA_TYPE: {"schema": {"$ref": f"{REFERENCE}Problem"}, "examples": example},
        },
    }
    if any(kind in (Kind.TOO_MANY, Kind.UNAVAILABLE) for kind in kinds):
        answer["headers"] = {"Retry-After": _header("Seconds.")}
    if Kind.TOKEN_NEEDED in kinds:
        answer["headers"] = {"WWW-Authenticate": _header("Bearer.")}
    return answer


def _body(content: Mapping[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": dict(content)}}


def _header(text: str) -> dict[str, Any]:
    return {"description": text, "schema": {"type": "string"}}
