"""Metrics of processes that share a directory, added up by the one that started them."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from prometheus_client.core import Metric
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from worker.measures import make_room

_Values: Any = MmapedDict  # untyped, as is the next
_Collector: Any = MultiProcessCollector

ENDED = "ended"
"""In place of a process's number: what processes counted that are no more."""


class Children(Collector):
    """Adds up what the processes of a directory have counted; of those that ended, too.

    The file of a process that has ended is added to one for all of them, and removed: a sending
    process lives for a few thousand messages, and its counts must not fall with it.

    Args:
        directory: where prometheus-client keeps the values of each.

    Raises:
        OSError: there is no room in it.
    """

    def __init__(self, directory: Path) -> None:
        make_room(directory, ENDED)
        self._directory = directory
        self._lock = threading.Lock()
        self._values = _Collector(None, str(directory))

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering this must not collect."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """The sums."""
        with self._lock:
            self._bury()
            return list(self._values.collect())

    def _bury(self) -> None:
        for path in self._directory.glob("*.db"):
            kind, _, process = path.stem.rpartition("_")
            if process != ENDED and not _lives(int(process)):
                _add(path, self._directory / f"{kind}_{ENDED}.db")
                path.unlink()


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _add(path: Path, to: Path) -> None:
    total = _Values(str(to))
    try:
        for key, value, *_ in _Values.read_all_values_from_file(str(path)):
            before, _ = total.read_value(key)
            total.write_value(key, before + value, 0.0)
    finally:
        total.close()
