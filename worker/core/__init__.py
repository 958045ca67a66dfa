"""Decisions: pure functions and values. No clock, no chance, no I/O."""
