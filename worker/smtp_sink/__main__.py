"""`python -m worker.smtp_sink`."""

from __future__ import annotations

import sys

from worker.smtp_sink.server import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
