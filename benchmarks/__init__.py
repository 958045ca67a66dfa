"""Measurements on real servers: `python -m benchmarks [NAME …]`; docs/benchmarks.md has figures."""
