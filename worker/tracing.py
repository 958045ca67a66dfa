"""Traces over OpenTelemetry, from the enqueue of a message to its settling. Off by default.

Without `KADENCIA_OTLP_ENDPOINT` nothing is imported, and each call is one comparison with None.
Attributes are ids and words from closed lists; no address, no content.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from importlib.metadata import version
from typing import Any

from settings import Settings, SettingsError

TRACES_PATH = "/v1/traces"
"""Of OTLP over HTTP, behind the endpoint."""
EXPORT_SECONDS = 5
"""Chosen: how long a collector may take; spans that it does not take are dropped."""

_tracer: Any = None
_provider: Any = None


def start(settings: Settings, process: str) -> None:
    """Make traces in this process from now on, if there is a collector for them.

    Args:
        settings: with its address.
        process: which of the product's processes this is.

    Raises:
        SettingsError: the extra `tracing` is not installed.
    """
    global _tracer, _provider
    if settings.otlp_endpoint is None or _tracer is not None:
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise SettingsError(
            "KADENCIA_OTLP_ENDPOINT is set, and OpenTelemetry is not installed; "
            "install kadencia[tracing]"
        ) from None
    resource = Resource(
        {
            "service.name": "kadencia",
            "service.version": version("kadencia"),
            "kadencia.process": process,
            "kadencia.server": settings.server or "",
        }
    )
    exporter = OTLPSpanExporter(
        endpoint=settings.otlp_endpoint.rstrip("/") + TRACES_PATH, timeout=EXPORT_SECONDS
    )
    _provider = TracerProvider(resource=resource, shutdown_on_exit=True)
    _provider.add_span_processor(BatchSpanProcessor(exporter))
    _tracer = _provider.get_tracer("kadencia")


def stop() -> None:
    """Hand in what was not yet handed in, and make no more."""
    global _tracer, _provider
    if _provider is not None:
        _provider.shutdown()
    _tracer = _provider = None


def forget() -> None:
    """Make none in a forked child until it starts its own: threads do not come along."""
    global _tracer, _provider
    _tracer = _provider = None


@contextmanager
def span(name: str, parent: str | None = None, /, **attributes: int | str) -> Iterator[None]:
    """A span around a block, below the one that is open in this thread, or below `parent`.

    Args:
        name: what is done.
        parent: as `traceparent` gave it, perhaps in another process long ago.
        attributes: ids, without the prefix `kadencia.`.
    """
    if _tracer is None:
        yield
        return
    with _opened(name, parent, _named(attributes)):
        yield


def _opened(name: str, parent: str | None, attributes: dict[str, int | str]) -> Any:
    """Between an answer and its settling nothing may be raised: rather no span."""
    try:
        # No exceptions: their words may hold an address.
        return _tracer.start_as_current_span(
            name,
            context=_context(parent),
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        )
    except Exception:
        return nullcontext()


def _named(attributes: Mapping[str, int | str]) -> dict[str, int | str]:
    return {f"kadencia.{key}": value for key, value in attributes.items()}


def note(**attributes: int | str) -> None:
    """Add attributes to the span that is open here, if there is one."""
    if _tracer is not None:
        from opentelemetry.trace import get_current_span

        get_current_span().set_attributes(_named(attributes))


def traceparent() -> str | None:
    """Trace and span that are open here, to be kept (W3C Trace Context); None if none are."""
    if _tracer is None:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier.get("traceparent")


def _context(parent: str | None) -> Any:
    if parent is None:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({"traceparent": parent})


os.register_at_fork(after_in_child=forget)
