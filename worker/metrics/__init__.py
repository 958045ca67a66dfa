"""Metrics for Prometheus: of the whole fleet, and of each process.

docs/monitoring.md lists them; docs/decisions/0016-metrics-logs-and-traces.md has the reasons.
"""
