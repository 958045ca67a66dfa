"""A long run under faults at random, while memory and connections of all processes are watched.

    python -m tests.faults.soak [--minutes 10] [--seed S] [--plot soak.svg]

The exit code is 1 if a promise was broken, or if something grew beyond noise.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.catalogue import FAULTS
from tests.faults.plot import Curve, svg
from tests.faults.runner import at_random
from tests.faults.tables import HEAD, line, tell
from tests.faults.town import Town, town
from tests.support.process_table import descendants

EVERY_SECONDS = 3.0
MB = 1024
NOISE_SHARE, NOISE_MB, NOISE_SOCKETS = 0.15, 8.0, 4.0
"""Growth below this is noise. Chosen: a process that is started again differs by as much."""
WARM_UP = 0.2
"""Share of the run that is not judged: imports, caches and pools fill."""


@dataclass(slots=True)
class Series:
    """What one part of the town used, over time.

    Attributes:
        name: of the part.
        unit: "MB" (proportional set size) or "sockets".
        at: seconds since the start.
        values: one for each of these.
    """

    name: str
    unit: str
    at: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    @property
    def thirds(self) -> tuple[float, float]:
        """The medians of the first and the last third after the warm-up."""
        judged = self.values[int(len(self.values) * WARM_UP) :]
        third = max(len(judged) // 3, 1)
        return statistics.median(judged[:third]), statistics.median(judged[-third:])

    @property
    def grew(self) -> bool:
        """Whether it grew beyond noise."""
        return grew_beyond_noise(*self.thirds, NOISE_MB if self.unit == "MB" else NOISE_SOCKETS)


def grew_beyond_noise(before: float, after: float, noise: float) -> bool:
    """Whether a value grew by more than the noise, and by more than the noise's share.

    >>> grew_beyond_noise(100, 107, 8), grew_beyond_noise(100, 109, 8), grew_beyond_noise(20, 29, 8)
    (False, False, True)
    """
    return after - before > max(noise, NOISE_SHARE * before)


class Watch:
    """Samples a town in a thread of its own."""

    def __init__(self, here: Town) -> None:
        self._here = here
        self._start = time.monotonic()
        self._ends = threading.Event()
        self.series: dict[tuple[str, str], Series] = {}
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def end(self) -> list[Series]:
        """Stop; what was seen."""
        self._ends.set()
        self._thread.join()
        return list(self.series.values())

    def _run(self) -> None:
        while not self._ends.wait(EVERY_SECONDS):
            at = time.monotonic() - self._start
            for name, root in self._roots().items():
                pids = [root, *descendants(root)]
                self._note(name, "MB", at, sum(map(pss_kb, pids)) / MB)
                self._note(name, "sockets", at, sum(map(sockets, pids)))

    def _roots(self) -> dict[str, int]:
        here = self._here
        own = {one.name: one.process for one in (*here.workers, *here.beats)}
        roots = {name: p.pid for name, p in own.items() if p is not None and p.poll() is None}
        servers = {"PostgreSQL": here.postgres.pid, "Valkey": here.valkey.pid}
        return roots | {name: pid for name, pid in servers.items() if pid is not None}

    def _note(self, name: str, unit: str, at: float, value: float) -> None:
        if not value:  # it is being started again
            return
        series = self.series.setdefault((name, unit), Series(name, unit))
        series.at.append(at)
        series.values.append(value)


def pss_kb(pid: int) -> int:
    """Proportional set size of a process in kB; 0 if it has gone."""
    return _looked(pid, _pss)


def sockets(pid: int) -> int:
    """How many sockets a process has open; 0 if it has gone."""
    return _looked(pid, _sockets)


def _looked(pid: int, look: Callable[[Path], int]) -> int:
    try:
        return look(Path(f"/proc/{pid}"))
    except OSError:
        return 0


def _pss(of: Path) -> int:
    lines = (of / "smaps_rollup").read_text().splitlines()
    return next(int(one.split()[1]) for one in lines if one.startswith("Pss:"))


def _sockets(of: Path) -> int:
    names = [os.readlink(one) for one in (of / "fd").iterdir()]
    return sum(name.startswith("socket:") for name in names)


def main(argv: Sequence[str]) -> int:
    """Run; see the module."""
    options = _parser().parse_args(argv)
    seed = options.seed if options.seed is not None else random.randrange(10**6)
    print(f"{options.minutes:g} minutes of faults at random, seed {seed}\n{HEAD}", flush=True)
    faults = [fault for fault in FAULTS if not fault.alone]
    with town() as here:
        watch = Watch(here)
        try:
            [verdict] = at_random(here, faults, options.minutes * 60, random.Random(seed), tell)
        finally:
            seen = watch.end()
    grown = [one for one in seen if one.grew]
    for one in sorted(seen, key=lambda series: (series.unit, series.name)):
        before, after = one.thirds
        mark = "GREW" if one.grew else "steady"
        print(f"{one.name:<12} {before:7.1f} → {after:7.1f} {one.unit:<8} {mark}")
    curves = [Curve(f"{x.name}, {x.unit}", x.at, x.values) for x in seen]
    options.plot.write_text(svg(f"{verdict.runs} faults, {verdict.messages} messages", curves))
    print(f"{line(verdict)}\nplot: {options.plot}")
    return 1 if grown or verdict.broken else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, help="of the chance; printed")
    parser.add_argument("--plot", type=Path, default=Path("soak.svg"), metavar="FILE")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
