"""What carries the tasks: Sentinels, replicas, RabbitMQ, and what was refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import redis

from settings import SettingsError
from worker import broker, redis_servers, signing
from worker.doctor.findings import Finding, Installation, fault, ok, warning

SOON = timedelta(days=30)
"""Chosen: time enough to make a new certificate and bring it to every host."""

ADVANCE = "a transactional e-mail passes the backlog, but not what a worker has taken in advance"


def carriers(installation: Installation) -> Iterator[Finding]:
    """Whoever leads to Redis, stands in for it, or carries tasks in its place."""
    if installation.settings.by_sentinel:
        yield from sentinels(installation)
    if not installation.settings.tasks_in_redis:
        yield rabbitmq(installation)
    try:
        info: Mapping[str, Any] = dict(installation.redis.info("replication"))  # type: ignore[arg-type]  # it is synchronous
        refused = broker.refusals(installation.redis)
    except redis.RedisError:
        return  # said of Redis already
    yield from replication(info, led=installation.settings.by_sentinel)
    if refused:
        why = ", ".join(f"{reason}: {number}" for reason, number in sorted(refused.items()))
        yield warning(
            "refused messages",
            f"workers refused {sum(refused.values())} within a week ({why})",
            "find in the workers' log when; then see who may write to the broker",
        )


def replication(info: Mapping[str, Any], *, led: bool) -> Iterator[Finding]:
    """Whether this is the master, and whether another could take its place.

    Args:
        info: of Redis, its section on replication.
        led: whether Sentinels lead to it.

    >>> [one.level.value for one in replication({"role": "slave"}, led=False)]
    ['fault']
    """
    replicas = int(info.get("connected_slaves", 0))
    if info.get("role") != "master":
        yield fault(
            "redis replication",
            "this is a replica, in which no permit can be counted",
            "let REDIS_URL name the master, or the Sentinels",
        )
    elif "min_slaves_good_slaves" in info and replicas < 2:
        yield warning(
            "redis replication",
            f"min-replicas-to-write is set, and {replicas} replicas are there: without one more "
            f"the loss of any server stops the mail",
            "add a replica, or set min-replicas-to-write to 0: no promise needs it",
        )
    elif led and not replicas:
        yield warning(
            "redis replication",
            "the master has no replica: there is nothing to fail over to",
            "start a replica, or bring the old master back",
        )
    elif led:
        yield ok("redis replication", f"{replicas} replicas" if replicas > 1 else "1 replica")


def sentinels(installation: Installation) -> Iterator[Finding]:
    """Whether enough Sentinels answer, and agree that there is a master."""
    address = installation.settings.redis
    known = redis_servers.sentinel(installation.settings).sentinels
    answers: list[Mapping[str, Any]] = []
    for (host, port), client in zip(address.hosts, known, strict=True):
        try:
            masters = client.sentinel_masters()  # type: ignore[no-untyped-call]
        except redis.RedisError as error:
            yield warning(
                f"sentinel {host}:{port}",
                f"no answer ({type(error).__name__})",
                "start it, or correct REDIS_URL and KADENCIA_SENTINEL_PASSWORD",
            )
            continue
        finally:
            client.close()
        if address.master in masters:
            answers.append(masters[address.master])
        else:
            yield fault(
                f"sentinel {host}:{port}",
                f"it watches no master called {address.master}",
                "correct the name in REDIS_URL, or `sentinel monitor` in its configuration",
            )
    if answers:
        yield watch(answers)


def watch(answers: list[Mapping[str, Any]]) -> Finding:
    """Judge what the Sentinels that answered say of the master.

    >>> watch([{"num-other-sentinels": 0, "quorum": 1, "is_odown": False}]).level.value
    'warning'
    """
    one = answers[0]
    number, quorum = int(one["num-other-sentinels"]) + 1, int(one["quorum"])
    if any(answer["is_odown"] for answer in answers):
        return fault("sentinels", "the master is down", "see why no replica has taken over")
    if number < 3:
        what = f"{number} of them: when one fails, the others are no majority"
        return warning("sentinels", what, "run three, on three hosts")
    if 2 * quorum <= number:
        what = f"a quorum of {quorum} of {number} is no majority"
        return warning("sentinels", what, f"set the quorum to {number // 2 + 1}")
    return ok("sentinels", f"{len(answers)} answered of {number}, quorum {quorum}")


def rabbitmq(installation: Installation) -> Finding:
    """Whether RabbitMQ lets us in."""
    try:
        return ok("rabbitmq", f"{broker.server_version(installation.settings)}; {ADVANCE}")
    except broker.Unreachable as error:
        mend = "start RabbitMQ, or correct KADENCIA_BROKER_URL"
        return fault("rabbitmq", str(error), mend)


def certificates(installation: Installation) -> Iterator[Finding]:
    """Whether the certificates of signed tasks are valid, and will be for a while."""
    if not installation.settings.signed:
        return
    now = datetime.now(UTC)
    mend = "make new ones, and put them on every host; docs/brokers.md shows how"
    try:
        ends = signing.ends(installation.settings)
    except SettingsError as error:
        yield fault("signed tasks", str(error), "correct the variable")
        return
    late = {path.name: end for path, end in ends.items() if end < now + SOON}
    for name, end in sorted(late.items()):
        what = f"the certificate {name} ends on {end:%d %B %Y}"
        yield (
            fault("signed tasks", what, mend) if end < now else warning("signed tasks", what, mend)
        )
    if not late:
        yield ok("signed tasks", f"{len(ends)} certificates")
