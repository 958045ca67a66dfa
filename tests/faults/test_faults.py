"""The promises hold under faults: a short selection; `make test-faults` has the whole catalogue."""

from __future__ import annotations

import pytest

from tests.faults.catalogue import FAULTS
from tests.faults.runner import alone
from tests.faults.town import town

pytestmark = pytest.mark.acceptance

SHORT = (
    "Redis: no answer to the permit script",
    "PostgreSQL: no answer to COMMIT",
    "SMTP: 421 to RCPT",
    "two sweeps of a task at once",
)


@pytest.fixture(scope="module")
def here():
    with town() as made:
        yield made


@pytest.mark.parametrize("name", SHORT)
def test_the_promises_hold(here, name):
    [fault] = [one for one in FAULTS if one.name == name]

    assert alone(here, fault, backlog=50).broken == []
