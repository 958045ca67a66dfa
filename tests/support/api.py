"""The HTTP API for tests: in a thread of the test's own, or as `kadencia api`."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import requests
import uvicorn
from sqlalchemy import Engine, select, text

from models.organisation import Company
from models.tokens import Scope
from settings import Settings, load
from tests.support.process_table import wait_until
from tests.support.rows import MadeTask, make_sms_task, make_task
from tests.support.services import Services
from worker import db, redis_servers
from worker.api.app import make_app
from worker.api.desk import Desk
from worker.api.ingress import Ingress
from worker.registers import tokens


def token_of(
    engine: Engine, company_id: int, name: str = "eshop", scopes: Iterable[Scope] = Scope
) -> str:
    """A token of a company, as it is written."""
    with engine.begin() as connection:
        query = select(Company.__table__).where(Company.id == company_id)
        company = connection.execute(query).one()
        return tokens.add_token(connection, company, name, scopes).written


class Caller(requests.Session):
    """Sends requests to one API with one token, or none."""

    def __init__(self, base: str, token: str | None = None) -> None:
        super().__init__()
        self.trust_env = False
        self.base = base
        if token is not None:
            self.headers["Authorization"] = f"Bearer {token}"

    def request(self, method: Any, url: Any, *args: Any, **more: Any) -> requests.Response:
        """Send to a path."""
        more.setdefault("timeout", 30)
        more.setdefault("allow_redirects", False)
        return super().request(method, f"{self.base}{url}", *args, **more)

    def batch(self, path: str, lines: Iterable[Any], **headers: str) -> list[Any]:
        """Hand in a batch of objects; returns what is answered of each line."""
        data = "\n".join(one if isinstance(one, str) else json.dumps(one) for one in lines)
        sent = {"Content-Type": "application/x-ndjson", **headers}
        answer = self.post(path, data=data.encode(), headers=sent)
        assert answer.status_code == 200, answer.text
        assert answer.headers["Content-Type"] == "application/x-ndjson"
        return [json.loads(line) for line in answer.text.splitlines()]


class SlowBatch:
    """A batch of e-mails that is handed in bit by bit, over a connection of its own."""

    def __init__(self, caller: Caller, **headers: str) -> None:
        host, port = caller.base.removeprefix("http://").split(":")
        self.socket = socket.create_connection((host, int(port)), 30)
        sent = {
            "Host": "kadencia",
            "Transfer-Encoding": "chunked",
            "Authorization": caller.headers["Authorization"],
            "Content-Type": "application/x-ndjson",
            **headers,
        }
        lines = ["POST /v1/emails/batch HTTP/1.1", *(f"{k}: {v}" for k, v in sent.items())]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())
        self.file = self.socket.makefile("rb")

    def send(self, lines: Iterable[Any]) -> None:
        """Hand in more lines."""
        data = b"".join(json.dumps(one).encode() + b"\n" for one in lines)
        self.socket.sendall(b"%x\r\n%s\r\n" % (len(data), data))

    def answers(self, count: int) -> list[Any]:
        """The next answers, as they come."""
        found: list[Any] = []
        while len(found) < count:
            line = self.file.readline()
            assert line, "the answer ended"
            if line.startswith(b'{"line"'):
                found.append(json.loads(line))
        return found

    def close(self) -> None:
        """Break off."""
        self.file.close()
        self.socket.close()


@contextmanager
def running_api(engine: Engine, settings: Settings) -> Iterator[str]:
    """The API in a thread of this process; its address."""
    ingress = Ingress(redis_servers.limits_storage(settings), settings)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        app = make_app(Desk(engine, settings, ingress))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="on"))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            wait_until(lambda: server.started)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@dataclass(frozen=True)
class Office:
    """A running API with two companies that know nothing of each other.

    Attributes:
        task, sms_task: of the first company.
        eshop: calls for the first company; its token has every scope.
        rival: calls for the second.
        stranger: calls without a token.
    """

    engine: Engine
    task: MadeTask
    sms_task: MadeTask
    eshop: Caller
    rival: Caller
    stranger: Caller

    def count(self, where: str = "true", **values: Any) -> int:
        """How many messages there are of which this holds."""
        with self.engine.connect() as connection:
            query = text(f"SELECT count(*) FROM message m WHERE {where}")
            return connection.execute(query, values).scalar_one()

    def rows(self, query: str, **values: Any) -> list[Any]:
        """What a query finds."""
        with self.engine.connect() as connection:
            return list(connection.execute(text(query), values))


@contextmanager
def running_office(services: Services, **settings: str) -> Iterator[Office]:
    """An office on a database of its own.

    Args:
        services: the session's servers.
        settings: more of the environment, as KADENCIA_API_THREADS.
    """
    url = services.fresh_database()
    engine = db.make_engine(url, name="tests", pool_size=8)
    environ = {"DATABASE_URL": url, "REDIS_URL": services.valkey_url(), **settings}
    with engine.begin() as connection:
        task = make_task(connection, name="faktury")
        sms_task = make_sms_task(connection, task.company_id, name="upomienky")
        other = make_task(connection, name="ponuky")
    ours, theirs = token_of(engine, task.company_id), token_of(engine, other.company_id)
    with running_api(engine, load(environ)) as base:
        callers = [Caller(base, token) for token in (ours, theirs, None)]
        try:
            yield Office(engine, task, sms_task, *callers)
        finally:
            for caller in callers:
                caller.close()
    engine.dispose()
    services.drop_database(url)


class ApiProcess:
    """`kadencia api` in a process of its own.

    Args:
        environ: DATABASE_URL and whatever else it shall find.
        options: of the command.
    """

    def __init__(self, environ: dict[str, str], *options: str) -> None:
        outside = {k: v for k, v in os.environ.items() if not k.startswith("KADENCIA_")}
        command = [sys.executable, "-m", "worker", "api", "--port", "0", *options]
        # A file: a pipe that nobody reads fills up, and the process waits.
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115  closed in `_ended`
        self._process = subprocess.Popen(
            command,
            env={**outside, **environ},
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        self.pid = self._process.pid
        assert self._process.stdout is not None
        first = self._process.stdout.readline()
        if not first:
            self._ended()
        assert first, self.written
        self.url = f"http://{json.loads(first)['listening']}"

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it by a signal; returns its exit code. What it logged is in `written` then."""
        self._process.send_signal(number)
        return self._ended()

    def _ended(self) -> int:
        self._process.communicate(timeout=60)
        self._log.seek(0)
        self.written = self._log.read()
        self._log.close()
        return self._process.returncode
