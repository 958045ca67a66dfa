"""A volatile function is no bound of an index scan: PostgreSQL would read the whole backlog."""

from __future__ import annotations

import importlib
import pkgutil
import re

import pytest
from sqlalchemy import TextClause

from worker import outbox

INDEXED = "not_before|expires_at|deadline|settled_at|opened_at|closed_at|ended_at"
VOLATILE_BOUND = re.compile(
    rf"\b(?:WHERE|AND)\s+(?:\w+\.)?(?:{INDEXED})\s*[<>]=?\s*clock_timestamp\(\)"
)

STATEMENTS = {
    f"{module.name}.{name}": value.text
    for module in pkgutil.iter_modules(outbox.__path__, "worker.outbox.")
    for name, value in vars(importlib.import_module(module.name)).items()
    if isinstance(value, TextClause)
}


@pytest.mark.parametrize("statement", STATEMENTS.values(), ids=STATEMENTS)
def test_no_statement_compares_an_indexed_time_with_a_volatile_clock(statement):
    assert VOLATILE_BOUND.search(statement) is None


def test_such_a_comparison_would_be_seen():
    assert VOLATILE_BOUND.search("WHERE r.not_before <= clock_timestamp() ORDER BY")
    assert STATEMENTS["worker.outbox.backlog.OLDEST"]
