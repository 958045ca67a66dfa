"""Flower, the live view of what Celery does, with its doors shut.

Flower as it comes leaves `/metrics` and `/healthcheck` open under a password, calls itself healthy
while the broker is down, shows the password of some broker addresses, and the arguments of every
task that anybody publishes. Here one check stands before every path; what is not a page or a
question is not there at all; and events lose their content before they are remembered, so that
neither pages nor search nor the API can show it.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import os
import signal
import time
from base64 import b64decode
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any

from celery import Celery
from flower.api import tasks as task_api
from flower.api import workers as worker_api
from flower.app import Flower
from flower.events import Events
from flower.inspector import Inspector
from flower.options import options
from flower.urls import settings as flower_settings
from flower.views import BaseHandler
from flower.views.broker import BrokerView
from flower.views.error import NotFoundErrorHandler
from flower.views.monitor import Metrics
from flower.views.tasks import TasksDataTable, TasksView, TaskView
from flower.views.workers import WorkersView, WorkerView
from tornado.httputil import HTTPServerRequest
from tornado.ioloop import IOLoop, PeriodicCallback
from tornado.web import RequestHandler, StaticFileHandler

from settings.names import CONTROL_QUEUE, ID_TASKS, OWN_QUEUES
from worker.core.watching import shown_arguments, shown_broker, shown_event, shown_name

USER = "kadencia"

TASKS_REMEMBERED = 20_000
"""Chosen: measured, they take 90 MB; the evidence is in PostgreSQL."""
WORKERS_REMEMBERED = 1_000
GONE_SECONDS = 3_600
"""Chosen: a worker that started anew has a new name, so that old ones would pile up for ever."""
LOOK_SECONDS = 5.0
"""Chosen: how soon a new worker's queues are known. Asking it costs three broadcasts."""

SHOWN_OF_BROKER = ("transport", "port", "connect_timeout", "heartbeat")

log = logging.getLogger(__name__)

Lengths = Callable[[Iterable[str]], Mapping[str, int]]


class QuietEvents(Events):
    """Celery's events, each without content from the moment it arrives."""

    def on_event(self, event: dict[str, Any]) -> None:
        """Called by Celery's receiver for each event."""
        super().on_event(shown_event(event, ID_TASKS))


class QuietInspector(Inspector):
    """What workers answer about themselves, without content and configuration."""

    inspect_methods = ("stats", "active_queues", "registered", "active")
    task_inspect_methods = ("active",)

    def _on_update(self, workername: str, method: str, response: Any) -> None:
        if method == "active":
            response = [_shown_active(task) for task in response]
        if method == "stats":
            _hide_broker(response)
        super()._on_update(workername, method, response)


class Watch(Flower):
    """Flower with one door.

    Args:
        celery: the fleet's app.
        lengths: tells how many tasks lie in each of the queues named.
        password: of the user `kadencia`.
    """

    def __init__(self, celery: Celery, lengths: Lengths, password: str) -> None:
        _set_options(password)
        loop = IOLoop.current()
        events = QuietEvents(
            celery,
            io_loop=loop,
            max_tasks_in_memory=options.max_tasks,
            max_workers_in_memory=options.max_workers,
        )
        shared = {**flower_settings, "log_function": log_request}
        super().__init__(options=options, capp=celery, events=events, io_loop=loop, **shared)
        self.inspector = QuietInspector(loop, celery, options.inspect_timeout / 1000)
        self.add_handlers(".*", HANDLERS)  # they stand before Flower's own, and let none through
        self.lengths = lengths
        self._log_in = f"{USER}:{password}".encode()

    @property
    def broker_uri(self) -> str:
        """What the pages show."""
        return shown_broker(str(self.capp.conf.broker_url))

    def find_handler(self, request: HTTPServerRequest, **arguments: Any) -> Any:
        """Tornado's hook: who answers this request."""
        if not self._knows(request.headers.get("Authorization", "")):
            return self.get_handler_delegate(request, Refused)
        return super().find_handler(request, **arguments)

    def _knows(self, header: str) -> bool:
        scheme, _, credentials = header.partition(" ")
        try:
            given = b64decode(credentials, validate=True)
        except ValueError:
            return False
        return scheme.lower() == "basic" and hmac.compare_digest(given, self._log_in)

    def look(self) -> None:
        """Ask workers that are new for their queues, and forget who has long been gone."""
        alive = {name for name, worker in self.events.state.workers.items() if worker.alive}
        if alive - self.inspector.workers.keys():
            self.update_workers()
        self.purge_offline_worker_metrics()
        state = self.events.state
        seen_after = time.time() - GONE_SECONDS
        for name, worker in list(state.workers.items()):
            if max(worker.heartbeats, default=0) < seen_after:
                state.workers.pop(name, None)
        for known in (state.counter, self.inspector.workers):
            for name in [one for one in known if one not in state.workers]:
                known.pop(name)


class Refused(RequestHandler):
    """Asks for the password, whatever was asked for."""

    def prepare(self) -> None:
        """Tornado's hook, before the method."""
        self.set_status(401)
        self.set_header("WWW-Authenticate", 'Basic realm="Kadencia", charset="UTF-8"')
        self.finish("the user's name and password are needed\n")


class Queues(BrokerView):
    """The page of queues; their lengths are asked for as the doctor does.

    Flower knows neither a private CA nor several Sentinels, and asks RabbitMQ's management
    interface, which need not be there.
    """

    def get_broker(self) -> Queues:
        """Whom Flower's handlers ask for lengths."""
        return self

    async def queues(self, names: Iterable[str]) -> list[dict[str, Any]]:
        """The lengths of queues, but of those that carry canaries only."""
        asked = [name for name in names if not name.startswith(OWN_QUEUES)]
        found: dict[str, int] = await _in_thread(lambda: self.application.lengths(asked))
        return [
            {"name": name, "messages": length, "messages_ready": length}
            for name, length in found.items()
        ]


class QueueLengths(Queues, task_api.GetQueueLengths):
    """The same for programs."""

    get = task_api.GetQueueLengths.get


class Health(BaseHandler):
    """Whether Flower sees anything: whether the broker answers."""

    async def get(self) -> None:
        """Answer 200, or 503 while the broker is away."""
        try:
            await _in_thread(lambda: self.application.lengths([CONTROL_QUEUE]))
        except Exception as error:  # whatever the broker's client raises
            self.set_status(503)
            self.finish(f"the broker does not answer ({type(error).__name__})\n")
        else:
            self.finish("OK\n")


HANDLERS: list[Any] = [
    (r"/", WorkersView),
    (r"/workers", WorkersView),
    (r"/worker/(.+)", WorkerView),
    (r"/task/(.+)", TaskView),
    (r"/tasks", TasksView),
    (r"/tasks/datatable", TasksDataTable),
    (r"/broker", Queues),
    (r"/api/workers", worker_api.ListWorkers),
    (r"/api/tasks", task_api.ListTasks),
    (r"/api/task/types", task_api.ListTaskTypes),
    (r"/api/task/info/(.*)", task_api.TaskInfo),
    (r"/api/queues/length", QueueLengths),
    (r"/metrics", Metrics),
    (r"/healthcheck", Health),
    (r"/static/(.*)", StaticFileHandler, {"path": flower_settings["static_path"]}),
    (r".*", NotFoundErrorHandler),
]
"""All that there is. What changes a worker is left out, beside being refused by `read_only`."""


def serve(
    celery: Celery,
    lengths: Lengths,
    host: str,
    port: int,
    password: str,
    tell: Callable[[int], None],
) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        celery: the fleet's app.
        lengths: tells how many tasks lie in each of the queues named.
        host: where to listen; TLS is a reverse proxy's business.
        port: 0 for any that is free.
        password: of the user `kadencia`.
        tell: called with the port once it listens.

    Raises:
        OSError: it cannot listen there.
    """

    async def main() -> None:
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        watch = Watch(celery, lengths, password)
        options.address, options.port = host, port
        bound = watch.start_http_server()
        watch.events.start()
        look = PeriodicCallback(watch.look, LOOK_SECONDS * 1000)
        look.start()
        watch.update_workers()
        tell(bound)
        await stop.wait()
        # Nothing is kept, and threads that wait for a broker would hold this up.
        os._exit(0)

    # It warns of each question that nobody answers, as at the start.
    logging.getLogger("flower.inspector").setLevel(logging.ERROR)
    asyncio.run(main())


def log_request(handler: RequestHandler) -> None:
    """Log what was refused or failed, without the query: someone may have searched for a name."""
    if handler.get_status() >= HTTPStatus.BAD_REQUEST:
        request = handler.request
        log.warning("%s %s %s", handler.get_status(), request.method, request.path)


async def _in_thread(work: Callable[[], Any]) -> Any:
    return await asyncio.get_running_loop().run_in_executor(None, work)


def _set_options(password: str) -> None:
    options.basic_auth = [f"{USER}:{password}"]  # Flower's own check, behind ours
    options.read_only = True
    options.persistent = False
    options.max_tasks = TASKS_REMEMBERED
    options.max_workers = WORKERS_REMEMBERED
    options.purge_offline_workers = GONE_SECONDS
    options.tasks_columns = "name,uuid,state,args,received,runtime,worker"


def _shown_active(task: dict[str, Any]) -> dict[str, Any]:
    name = task.get("name")
    return (
        task
        | {"name": shown_name(name, ID_TASKS)}
        | shown_arguments(name, _as_text(task.get("args")), ID_TASKS)
    )


def _as_text(args: Any) -> str:
    return args if isinstance(args, str) else repr(args)


def _hide_broker(stats: dict[str, Any]) -> None:
    consumer = stats.get("consumer") or stats
    broker = consumer.get("broker", {})
    consumer["broker"] = {name: broker[name] for name in SHOWN_OF_BROKER if name in broker}
