"""`python -m worker.eurosms_emulator`."""

from __future__ import annotations

import sys

from worker.eurosms_emulator.server import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
