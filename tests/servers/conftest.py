"""Tests here need servers or programs of Debian's packages, or the extra `checks`."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what stands in this directory."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.debian)
