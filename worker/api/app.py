"""The application, put together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

import anyio.to_thread
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp

from worker.api import attachments, health, messages, webhooks
from worker.api.channels import EMAILS, SMS
from worker.api.description import describe
from worker.api.desk import Desk
from worker.api.failures import problem_of
from worker.api.gate import Gate
from worker.api.problems import Problem
from worker.measures.http import Measured

ROUTERS = (
    messages.router(EMAILS),
    messages.router(SMS),
    attachments.router,
    webhooks.router,
    health.router,
)


class Api(FastAPI):
    """FastAPI with a description of our own."""

    def openapi(self) -> dict[str, Any]:
        """The description (OpenAPI 3.1)."""
        return describe(self)


def make_api(desk: Desk) -> Api:
    """The routes, without the gate before them.

    Args:
        desk: what the handlers work with.
    """
    api = Api(
        title="Kadencia",
        version=version("kadencia"),
        docs_url=None,  # its pages load scripts from other hosts
        redoc_url=None,
        openapi_url="/v1/openapi.json",
        lifespan=_with_threads,
        redirect_slashes=False,
    )
    api.state.desk = desk
    for router in ROUTERS:
        api.include_router(router)
    api.add_exception_handler(HTTPException, _answer)
    api.add_exception_handler(RequestValidationError, _answer)
    api.add_exception_handler(Exception, _answer)
    return api


def make_app(desk: Desk) -> ASGIApp:
    """The whole application."""
    return Measured(Gate(make_api(desk), desk))


@asynccontextmanager
async def _with_threads(api: FastAPI) -> AsyncIterator[None]:
    """Let no more handlers run at once than there are connections for."""
    desk: Desk = api.state.desk
    anyio.to_thread.current_default_thread_limiter().total_tokens = desk.settings.api_threads
    yield


async def _answer(request: Request, error: Exception) -> Response:
    problem = problem_of(error)
    if problem.status_code == 405:
        return _of_method(request, problem)
    return problem.response()


def _of_method(request: Request, problem: Problem) -> Response:
    """Tell what the path takes; a question after just that (OPTIONS) is answered."""
    allowed = allowed_methods(request)
    if request.method == "OPTIONS":
        return Response(status_code=204, headers={"Allow": allowed})
    response = problem.response()
    response.headers["Allow"] = allowed
    return response


def allowed_methods(request: Request) -> str:
    """The methods of all routes that have the request's path."""
    found = {"OPTIONS"}
    for route in routes():
        if route.matches(request.scope)[0] is not Match.NONE:
            found |= route.methods or set()
    if "GET" in found:
        found.add("HEAD")
    return ", ".join(sorted(found))


def routes() -> list[APIRoute]:
    """The routes of all routers."""
    return [one for router in ROUTERS for one in router.routes if isinstance(one, APIRoute)]
