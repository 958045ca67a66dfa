"""What each process of a worker holds in memory, while large mails pass through it.

    python -m benchmarks.memory

2,000 e-mails of 20 kB with an attachment of 200 kB; PSS (proportional set size) of each process
from /proc after the 500th and after the 2,000th.
"""

from __future__ import annotations

import random
from pathlib import Path

from benchmarks import fleets
from tests.support.process_table import wait_until
from worker.compose import AttachmentPart

PROCESSES = 4
FIRST, ALL = 500, 2000
BODIES = 20  # so many different contents, each shared by a hundred messages


def main() -> None:
    chance = random.Random(1)
    with fleets.run([PROCESSES], 32, KADENCIA_BURST_SECONDS="3600") as run:
        for _ in range(BODIES):
            data = chance.randbytes(200_000)
            run.enqueue(
                ALL // BODIES,
                html="<p>" + chance.randbytes(10_000).hex() + "</p>",
                attachments=[AttachmentPart("ponuka.pdf", "application/pdf", data)],
            )
        run.begin()
        wait_until(lambda: run.sent() >= FIRST, 300)
        before = pss(run.fleet.directory)
        wait_until(lambda: run.sent() >= ALL, 300)
        after = pss(run.fleet.directory)
    for pid, (name, mb) in sorted(after.items()):
        first = f"{before[pid][1]:6.1f}" if pid in before else "   new"
        print(f"{name:<22} {first} MB after {FIRST:,}  {mb:6.1f} MB after {ALL:,}")
    print(f"most: {max(mb for _, mb in after.values()):.1f} MB")


def pss(directory: Path) -> dict[int, tuple[str, float]]:
    """What each process of beat and of the worker is, and its PSS in MB."""
    mark = f"KADENCIA_DATA={directory}".encode()
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            environment = (entry / "environ").read_bytes()
            words = (entry / "cmdline").read_bytes().decode().split("\0")
            lines = (entry / "smaps_rollup").read_text().splitlines()
        except OSError:  # gone meanwhile, or another user's
            continue
        name = _name(words)
        if mark in environment and name:
            kb = next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
            found[int(entry.name)] = (name, kb / 1024)
    return found


def _name(words: list[str]) -> str | None:
    if "celery" in words and "-n" in words:
        return "celery " + words[words.index("-n") + 1].split(".")[0]
    for part in ("beat", "worker"):
        if "worker" in words[2:3] and part in words:
            return f"kadencia {part}"
    return None


if __name__ == "__main__":
    main()
