"""The promises hold for SMS as well: a short selection; `make test-faults` has all of them."""

from __future__ import annotations

import pytest

from tests.faults.catalogue import SMS_FAULTS
from tests.faults.runner import SMS, alone
from tests.faults.sms_town import sms_town

pytestmark = pytest.mark.acceptance

SHORT = (
    "SMS: taken, and hung up",
    "SMS: gateway killed and started again, three times",
    "SMS: PostgreSQL: no answer to COMMIT",
)


@pytest.fixture(scope="module")
def here():
    with sms_town() as made:
        yield made


@pytest.mark.parametrize("name", SHORT)
def test_the_promises_hold(here, name):
    [fault] = [one for one in SMS_FAULTS if one.name == name]

    assert alone(here, fault, SMS, backlog=15).broken == []
