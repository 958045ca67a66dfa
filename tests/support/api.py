"""The HTTP API for tests: in a thread of the test's own, or as `kadencia api`."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import requests
import uvicorn
from sqlalchemy import Engine, select

from models.organisation import Company
from models.tokens import Scope
from settings import Settings
from tests.support.process_table import wait_until
from worker import redis_servers
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


class ApiProcess:
    """`kadencia api` in a process of its own.

    Args:
        environ: DATABASE_URL and whatever else it shall find.
        options: of the command.
    """

    def __init__(self, environ: dict[str, str], *options: str) -> None:
        outside = {k: v for k, v in os.environ.items() if not k.startswith("KADENCIA_")}
        command = [sys.executable, "-m", "worker", "api", "--port", "0", *options]
        self._process = subprocess.Popen(
            command,
            env={**outside, **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.pid = self._process.pid
        assert self._process.stdout is not None
        first = self._process.stdout.readline()
        assert first, self.log()
        self.url = f"http://{json.loads(first)['listening']}"

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it by a signal; returns its exit code."""
        self._process.send_signal(number)
        code = self._process.wait(timeout=60)
        return code

    def log(self) -> str:
        """What it has written, once it has ended."""
        return self._process.communicate(timeout=60)[1]
