"""Measurements on real servers: `python -m benchmarks [NAME …]`; docs/benchmarks.md has figures."""

import sys
from pathlib import Path

# The client is a package of its own, which is not installed with the product.
sys.path.append(str(Path(__file__).parents[1] / "client"))
