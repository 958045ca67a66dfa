"""Run each benchmark, or those that are named, in a process of its own.

`python -m benchmarks [NAME …]`, by default all
"""

from __future__ import annotations

import subprocess
import sys

NAMES = (
    "sweep",
    "passes",
    "throttle",
    "enqueue",
    "enqueueing_ways",
    "latency",
    "throughput",
    "memory",
    "sms",
)


def main(names: list[str]) -> int:
    unknown = sorted(set(names) - set(NAMES))
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are {', '.join(NAMES)}", file=sys.stderr)
        return 2
    codes = []
    for name in names or NAMES:
        print(f"== {name}", flush=True)
        codes.append(subprocess.run([sys.executable, "-m", f"benchmarks.{name}"]).returncode)
    return max(codes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
