"""The option `--metrics-port`: what a process counts and times, for Prometheus."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from worker import measures
from worker.cli.output import CommandError, Exit

MetricsPortOption = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=65_535,
        help="Serve this process's metrics at this port; 0 takes a free one. Default: none.",
    ),
]

MEMORY = Path("/dev/shm")  # noqa: S108  a directory of our own is made in it


def measure_here(host: str, port: int | None) -> None:
    """Measure in this process, and serve it; without a port, do neither.

    Raises:
        CommandError: nobody can listen there.
    """
    if port is None:
        return
    from prometheus_client import REGISTRY

    measures.start()
    _serve(host, port, REGISTRY)


@contextmanager
def measured_processes(host: str, port: int | None) -> Iterator[dict[str, str]]:
    """Serve the sums of what processes measure that are started meanwhile.

    Yields:
        What they need in their environment: nothing without a port.

    Raises:
        CommandError: nobody can listen there.
    """
    if port is None:
        yield {}
        return
    from prometheus_client import CollectorRegistry

    from worker.metrics.processes import Children

    parent = MEMORY if MEMORY.is_dir() else None  # values change with each message: not on a disk
    directory = Path(tempfile.mkdtemp(prefix="kadencia-metrics-", dir=parent))
    try:
        registry = CollectorRegistry(auto_describe=False)
        registry.register(Children(directory))
        _serve(host, port, registry)
        yield {
            "KADENCIA_METRICS_DIRECTORY": str(directory),
            measures.MULTIPROCESS_VARIABLE: str(directory),
        }
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _serve(host: str, port: int, registry: object) -> None:
    from prometheus_client import CollectorRegistry

    from worker.metrics.serving import serve

    assert isinstance(registry, CollectorRegistry)  # noqa: S101  its type is imported late
    try:
        serve(host, port, registry)
    except OSError as error:
        why = f"--metrics-port: cannot listen on {host}:{port}: {error.strerror or error}"
        raise CommandError(why, Exit.FAILED) from None
