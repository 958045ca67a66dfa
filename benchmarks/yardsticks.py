"""What people would use instead, each as small as it can be: the yardsticks of `benchmarks.ratios`.

They run on the same broker, with the same pool and as many processes, and send the same mail to
the same sink.
"""

from __future__ import annotations

import os
import smtplib
import time
from email.message import EmailMessage

import redis
from celery import Celery

SENDER, RECIPIENT = "fakturacia@firma.example", "r@zakaznik.example"
DONE = "yardstick.done"

app = Celery("yardsticks", broker=os.environ.get("REDIS_URL"))
app.conf.update(
    task_ignore_result=True,
    task_acks_late=False,
    worker_prefetch_multiplier=1,
    worker_send_task_events=False,
    broker_connection_retry_on_startup=True,
    task_default_queue="yardsticks",
)
_counter: redis.Redis | None = None


def letter(octets: int) -> EmailMessage:
    """A mail of about so many octets."""
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = SENDER, RECIPIENT, "Faktúra"
    made.set_content(("Dobrý deň, posielame faktúru. " * 2 + "\n") * (octets // 62))
    return made


def count() -> None:
    """One more is done."""
    global _counter
    if _counter is None:
        _counter = redis.Redis.from_url(os.environ["REDIS_URL"])
    _counter.incr(DONE)


@app.task(name="yardsticks.nothing")
def nothing(_number: int) -> None:
    """(a): the cost of Celery itself."""
    count()


@app.task(name="yardsticks.mail")
def mail(_number: int) -> None:
    """(b): the quick script: a connection for each mail, no database, no evidence."""
    with smtplib.SMTP("127.0.0.1", int(os.environ["SINK_PORT"])) as connection:
        connection.send_message(letter(int(os.environ["OCTETS"])))
    count()


def one_connection(port: int, octets: int, mails: int) -> float:
    """(d): mails a second over one kept connection, one after another."""
    message = letter(octets)
    began = time.perf_counter()
    with smtplib.SMTP("127.0.0.1", port) as connection:
        for _ in range(mails):
            connection.send_message(message)
    return mails / (time.perf_counter() - began)
