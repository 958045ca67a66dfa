"""Counting and timing HTTP requests, for whatever serves them with ASGI."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from worker.measures import HTTP_REQUESTS, HTTP_SECONDS

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Measured:
    """An ASGI middleware: requests by method, template of their route, and status.

    What no route took is told as `none`, whatever its path was.

    Args:
        app: what answers them.
    """

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, and note what became of it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500
        began = time.monotonic()

        async def noting(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            method = scope["method"] if scope["method"] in METHODS else "other"
            labels = {"method": method, "route": route_of(scope)}
            HTTP_REQUESTS.add(**labels, status=status)
            HTTP_SECONDS.observe(time.monotonic() - began, **labels)


def route_of(scope: Scope) -> str:
    """The template of the route that took a request."""
    return str(getattr(scope.get("route"), "path", "none"))
