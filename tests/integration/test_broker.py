"""What Celery leaves behind in Redis is cleared away, and nothing else."""

from __future__ import annotations

from settings.names import own_queue, send_queue
from tests.support.redis_clients import connect
from worker import broker


def test_queues_of_processes_that_are_no_more_go_and_all_others_stay(redis_url):
    client = connect(redis_url)
    for queue in (own_queue("gone", "send"), own_queue("here", "send"), send_queue("main")):
        client.lpush(queue, "a task")
    client.lpush("1234.reply.celery.pidbox", "an answer that is still fetched")

    assert broker.clear_queues(client, {"here"}) == 1

    assert not client.exists(own_queue("gone", "send"))
    assert client.exists(own_queue("here", "send"), send_queue("main")) == 2
    assert client.exists("1234.reply.celery.pidbox")
    client.close()
