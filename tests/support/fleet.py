"""Real `kadencia beat` and `kadencia worker` processes, on servers of a test's own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from types import TracebackType

from sqlalchemy import Engine, text

from tests.support.process_table import wait_until
from worker.embedded import processes
from worker.embedded.processes import ProcessSpec

QUICK = {
    "KADENCIA_WINDOW_SECONDS": "60",
    "KADENCIA_BURST_SECONDS": "60",
    "KADENCIA_QUANTUM_SECONDS": "0.2",
    "KADENCIA_DOT_BY_SECONDS": "3",
    "KADENCIA_ANSWER_TIMEOUT_SECONDS": "3",
    "KADENCIA_SENDING_DEADLINE_SECONDS": "9",
    "KADENCIA_RELEASED_DEADLINE_SECONDS": "5",
    "KADENCIA_HEARTBEAT_SECONDS": "1",
    "KADENCIA_SILENT_AFTER_SECONDS": "5",
    "KADENCIA_RECOVER_SECONDS": "1",
}
"""The product's times, shortened: the same code."""

NAMED_HOST = ("unshare", "--uts", "--", "sh", "-c", 'hostname "$0" && exec "$@"')
"""A command on a host of the name that follows."""

ANSWERING = text("""
    SELECT count(*) FROM process
    WHERE control_answered_at IS NOT NULL
      AND (slots = 0 OR send_answered_at IS NOT NULL)
      AND (sms_slots = 0 OR eurosms_answered_at IS NOT NULL)
""")


class Fleet:
    """Processes of a fleet; all are ended with the context.

    Attributes:
        engine: on the fleet's database, for a look.
        log: what the processes write.
        crash_points: a file in it kills the process that reaches the point of its name.
    """

    def __init__(self, engine: Engine, redis_url: str, **environment: str) -> None:
        self.engine = engine
        self._files = tempfile.TemporaryDirectory(prefix="fleet-")
        self.directory = Path(self._files.name)
        self.log = self.directory / "log"
        self.crash_points = self.directory / "crash"
        self.crash_points.mkdir()
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.directory),
            "KADENCIA_DATA": str(self.directory / "data"),
            "DATABASE_URL": engine.url.render_as_string(hide_password=False),
            "REDIS_URL": redis_url,
            "KADENCIA_CRASH_DIRECTORY": str(self.crash_points),
            **QUICK,
            **environment,
        }
        self._started: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Fleet:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end_all()
        if self.log.exists():  # shown by pytest only where a test fails
            sys.stdout.write(self.log.read_text(errors="replace")[-20_000:])
        self.clean_up()

    def end_all(self) -> None:
        """End every process that was started."""
        for process in reversed(self._started):
            self.end(process, signal.SIGTERM)

    def clean_up(self) -> None:
        """Remove the directory, with the log."""
        self._files.cleanup()

    def beat(self, code: Path | None = None, **environment: str) -> subprocess.Popen[bytes]:
        """Start a beat."""
        return self.start("beat", code=code, **environment)

    def worker(
        self,
        server: str = "main",
        processes: int = 2,
        queues: str = "email",
        code: Path | None = None,
        host: str | None = None,
        **environment: str,
    ) -> subprocess.Popen[bytes]:
        """Start a worker and wait until it answers canaries; needs a beat."""
        before = self._answering()
        process = self.start(
            *("worker", "--server", server, "--queues", queues),
            *("--processes", str(processes), "--sms-processes", str(processes)),
            code=code,
            host=host,
            **environment,
        )
        wait_until(lambda: self._answering() > before, 30)
        return process

    def start(
        self,
        *arguments: str,
        code: Path | None = None,
        host: str | None = None,
        **environment: str,
    ) -> subprocess.Popen[bytes]:
        """Start `kadencia` with these arguments; it dies with us.

        Args:
            arguments: of the command.
            code: directory with the product's packages in another version; None for ours.
            host: name of the host on which it believes to be, in a namespace of its own; only
                root may do that.
            environment: on top of the fleet's.
        """
        of_code = {} if code is None else {"PYTHONPATH": str(code)}
        on_host = () if host is None else (*NAMED_HOST, host)
        spec = ProcessSpec(
            name=arguments[0],
            argv=(*on_host, sys.executable, "-m", "worker", *arguments),
            env={**self.environment, **of_code, **environment},
            cwd=code,
        )
        with self.log.open("ab") as output:
            process = processes.start(spec, output)
        self._started.append(process)
        return process

    def end(self, process: subprocess.Popen[bytes], how: signal.Signals) -> int:
        """Send a signal and wait; after twenty seconds SIGKILL."""
        if process.poll() is None:
            process.send_signal(how)
        try:
            return process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def states(self) -> Counter[str]:
        """How many messages are in each state."""
        with self.engine.connect() as connection:
            rows = connection.execute(text("SELECT state, count(*) FROM message GROUP BY state"))
            return Counter({row[0]: row[1] for row in rows})

    def settled(self, seconds: float = 60) -> Counter[str]:
        """Wait until nothing is on its way or ready; the states then."""
        wait_until(lambda: not {"ready", "released", "sending"} & set(self.states()), seconds)
        return self.states()

    def _answering(self) -> int:
        with self.engine.connect() as connection:
            found: int = connection.execute(ANSWERING).scalar_one()
            return found
