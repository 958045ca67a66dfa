"""Celery's configuration: tasks may be lost, doubled or late, since PostgreSQL is the truth."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from settings import Settings
from settings.client_options import broker_tls, redis_tls, sentinel_options
from settings.names import ROUTES

BROKER_OPTIONS: dict[str, Any] = {
    "visibility_timeout": 3600,
    "unacked_restore_interval": 10,
    "unacked_restore_throttle": 1,
    "socket_connect_timeout": 5,
    "socket_timeout": 30,  # else a frozen Redis blocks publisher and worker for ever
    "socket_keepalive": True,
    "health_check_interval": 25,
    "queue_order_strategy": "priority",  # as listed: transactional messages first
}
"""Of kombu's Redis transport, for publishers as well as workers."""

SENTINEL_OPTIONS: dict[str, Any] = {
    # A master that is cut off says nothing: the sooner it is given up, the sooner mail goes on.
    "socket_connect_timeout": 2,
    "socket_timeout": 3,  # tasks are waited for a second at a time
    "health_check_interval": 3,
}

RABBITMQ_OPTIONS: dict[str, Any] = {
    "confirm_publish": True,  # else a task that the broker refuses is lost without a word
    "read_timeout": 30,  # else a frozen RabbitMQ blocks its publishers for ever
    "write_timeout": 30,
}


def broker_config(settings: Settings) -> dict[str, Any]:
    """The part of Celery's settings that says what carries the tasks.

    Raises:
        SettingsError: no address is set, or a file that it needs cannot be read.
    """
    if settings.broker_url is not None:
        return _rabbitmq(settings, settings.broker_url.get_secret_value())
    options = dict(BROKER_OPTIONS)
    if settings.by_sentinel:
        named = {"master_name": settings.redis.master}
        options |= SENTINEL_OPTIONS | named | {"sentinel_kwargs": sentinel_options(settings)}
    return {
        "broker_url": _redis_url(settings),
        "broker_use_ssl": redis_tls(settings) or None,
        "broker_transport_options": options,
    }


def _rabbitmq(settings: Settings, url: str) -> dict[str, Any]:
    """RabbitMQ with quorum queues; `worker.broker` declares them."""
    return {
        "broker_url": url,
        "broker_use_ssl": broker_tls(settings) or None,
        "broker_transport_options": RABBITMQ_OPTIONS,
        "broker_heartbeat": 20,  # chosen: a connection that leads nowhere is noticed in 40 s
        # A connection that the broker's restart has broken is found out when it is used.
        "task_publish_retry": True,
        "task_publish_retry_policy": {"max_retries": 1, "interval_start": 0},
    }


def _redis_url(settings: Settings) -> str:
    """The address of Redis, or of each Sentinel, as kombu takes it."""
    address = settings.redis
    user = quote(address.username, safe="") + ":" + quote(address.password, safe="")
    scheme = "sentinel" if address.master else "rediss" if address.tls else "redis"
    return ";".join(
        f"{scheme}://{user + '@' if user != ':' else ''}{host}:{port}/{address.database}"
        for host, port in address.hosts
    )


def celery_config(settings: Settings) -> dict[str, Any]:
    """Celery's settings for every process of the fleet; docs/decisions has the reasons."""
    return {
        "broker_connection_retry": True,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,  # the default gives up after 50 minutes
        "broker_channel_error_retry": True,  # survive UNBLOCKED and READONLY of a fail-over
        # A publish that fails is made good by the deadline of the release, so no retry by Celery.
        "task_publish_retry": False,
        "result_backend": None,
        "task_ignore_result": True,
        "task_serializer": "json",
        "accept_content": ["json"],
        "enable_utc": True,
        "timezone": "UTC",
        "task_acks_late": False,
        "task_routes": ROUTES,
        "task_default_queue": "kadencia.unrouted",
        # No hard limit below the longest hand-over: a kill in mid-dialogue makes an unknown.
        "task_time_limit": settings.sending_deadline_seconds + 60,
        "worker_prefetch_multiplier": 1,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_max_tasks_per_child": 5000,
        "worker_max_memory_per_child": 300_000,  # kB
        "worker_proc_alive_timeout": 30,
        "worker_consumer": "worker.consumer:Consumer",
        "worker_send_task_events": True,
        "task_send_sent_event": True,
        "worker_enable_remote_control": True,
        "worker_hijack_root_logger": False,
        "beat_scheduler": "worker.beat:Scheduler",
        "beat_max_loop_interval": 1,
        **broker_config(settings),
        **_signing_config(settings),
    }


def _signing_config(settings: Settings) -> dict[str, Any]:
    """Signed tasks and commands to workers; events, which order nothing, stay JSON."""
    if not settings.signed:
        return {}
    return {"task_serializer": "auth", "accept_content": ["auth"], "event_serializer": "json"}
