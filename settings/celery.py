"""Celery's configuration: tasks may be lost, doubled or late, since PostgreSQL is the truth."""

from __future__ import annotations

from typing import Any

from settings import Settings
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


def celery_config(settings: Settings) -> dict[str, Any]:
    """Celery's settings for every process of the fleet; docs/decisions has the reasons."""
    return {
        "broker_url": settings.require_redis_url(),
        "broker_transport_options": BROKER_OPTIONS,
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
        "worker_send_task_events": True,
        "task_send_sent_event": True,
        "worker_enable_remote_control": True,
        "worker_hijack_root_logger": False,
        "beat_scheduler": "worker.beat:Scheduler",
        "beat_max_loop_interval": 1,
    }
