"""The option `--metrics-port`: what a process counts and times, for Prometheus."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from socketserver import BaseServer
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

# A directory of our own is made in it.
MEMORY = Path("/dev/shm")  # noqa: S108  # nosec B108
PREFIX = "kadencia-metrics-"
LOCK = "lock"


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
def measured_processes(
    host: str, port: int | None, memory: Path = MEMORY
) -> Iterator[dict[str, str]]:
    """Serve the sums of what processes measure that are started meanwhile.

    Args:
        host: to listen at.
        port: 0 takes a free one, None serves nothing.
        memory: where they keep it, if there is such a place.

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

    with _directory(memory) as directory:
        registry = CollectorRegistry(auto_describe=False)
        try:
            registry.register(Children(directory))
        except OSError as error:
            why = f"--metrics-port: no room in {directory.parent}: {error.strerror}"
            raise CommandError(why, Exit.FAILED) from None
        server = _serve(host, port, registry)
        try:
            yield {
                "KADENCIA_METRICS_DIRECTORY": str(directory),
                measures.MULTIPROCESS_VARIABLE: str(directory),
            }
        finally:
            server.shutdown()
            server.server_close()


@contextmanager
def _directory(memory: Path) -> Iterator[Path]:
    """A directory of our own, in memory since values change with each message.

    Those of workers that were killed are removed: who lives holds the lock in theirs.
    """
    parent = memory if memory.is_dir() else Path(tempfile.gettempdir())
    for left in parent.glob(f"{PREFIX}*"):
        with suppress(OSError), (left / LOCK).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left, ignore_errors=True)
    directory = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    try:
        with (directory / LOCK).open("wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _serve(host: str, port: int, registry: object) -> BaseServer:
    from prometheus_client import CollectorRegistry

    from worker.metrics.serving import serve

    assert isinstance(registry, CollectorRegistry)  # noqa: S101  its type is imported late
    try:
        return serve(host, port, registry)[0]
    except OSError as error:
        why = f"--metrics-port: cannot listen on {host}:{port}: {error.strerror or error}"
        raise CommandError(why, Exit.FAILED) from None
