"""PostgreSQL and Redis fail while SMS are sent and reports are taken in."""

from __future__ import annotations

import time

from tests.faults import postgres_fails, redis_fails
from tests.faults.fault import Fault
from tests.faults.ground import Ground

CUT_SECONDS = 10


def one_without_postgres(town: Ground) -> None:
    with town.workers[0].postgres.troubled() as line:
        line.refuse()
        time.sleep(CUT_SECONDS)


def one_without_redis(town: Ground) -> None:
    with town.workers[0].redis.troubled() as line:
        line.refuse()
        time.sleep(CUT_SECONDS)


FAULTS = [
    Fault("SMS: PostgreSQL: SIGKILL", postgres_fails.killed),
    Fault("SMS: PostgreSQL: restart", postgres_fails.restarted),
    Fault("SMS: PostgreSQL: connections cut, five times", postgres_fails.connections_cut),
    Fault("SMS: PostgreSQL: no answer to COMMIT", postgres_fails.commits_without_an_answer),
    Fault("SMS: PostgreSQL: COMMIT lost on its way", postgres_fails.commits_that_never_come),
    Fault("SMS: Redis: SIGKILL, back with its AOF", redis_fails.killed),
    Fault("SMS: Redis: SIGKILL, back without its AOF", redis_fails.killed_and_forgets),
    Fault("SMS: Redis: FLUSHALL, twice", redis_fails.flushed),
    Fault("SMS: Redis: no answer to the permit script", redis_fails.permit_without_an_answer),
    Fault("SMS: one worker is refused by PostgreSQL", one_without_postgres),
    Fault("SMS: one worker is refused by Redis", one_without_redis),
]
