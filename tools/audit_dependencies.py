"""Ask for known defects of everything that the lock files pin; say so when nobody can be asked."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
LOCKS = ("requirements.lock", "requirements-checks.lock")


def main() -> int:
    """0: none is known, or nobody could be asked; 1: some are known."""
    found = [one for lock in LOCKS for one in audited(ROOT / lock)]
    asked = [one for one in found if "skip_reason" not in one]
    if not asked:
        say("the database of known defects cannot be reached from here: NOTHING WAS AUDITED")
        return 0
    defects = {
        f"{one['name']} {one['version']}: {defect['id']}, mended in {versions(defect)}"
        for one in asked
        for defect in one["vulns"]
    }
    for line in sorted(defects):
        say(line)
    say(f"{len({one['name'] for one in asked})} packages audited, {len(defects)} known defects")
    return 1 if defects else 0


def audited(lock: Path) -> list[dict[str, Any]]:
    """What pip-audit says of each pinned package; nothing when it cannot work at all."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(lock), "--no-deps"]
    command += ["--disable-pip", "--format", "json", "--progress-spinner", "off"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  ours
    try:
        return json.loads(ran.stdout)["dependencies"]
    except ValueError:
        say(ran.stderr.strip().splitlines()[-1] if ran.stderr.strip() else "pip-audit said nothing")
        return []


def versions(defect: dict[str, Any]) -> str:
    """The versions without it, in words."""
    return " or ".join(defect["fix_versions"]) or "no version yet"


def say(words: str) -> None:
    """A line for the log."""
    sys.stdout.write(f"audit: {words}\n")


if __name__ == "__main__":
    sys.exit(main())
