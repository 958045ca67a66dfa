"""The gateway's emulator as a process of a test's own."""

from __future__ import annotations

import hashlib
import hmac
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

import requests

from worker.embedded import processes

IID, KEY = "2-A2gHjk", "Gh-s7-J6"
"""The integration that it knows unless told otherwise."""


def sign(*parts: object, key: str = KEY, digest: Any = hashlib.sha1) -> str:
    """The signature of these, one after the other."""
    data = "".join(str(part) for part in parts)
    return hmac.new(key.encode(), data.encode(), digest).hexdigest()


def order(number: Any = 421903622237, text: str = "Testovacia sprava", **more: Any) -> Any:
    """The body of a `send/one`, made by hand and signed; `more` replaces and adds fields."""
    body = {"iid": IID, "rcpt": number, "sndr": "RZi", "txt": text, "flgs": 3} | more
    people = body.get("rcpts", [body["rcpt"]])
    digits = [one["r"] if isinstance(one, dict) else one for one in people]
    return {"sgn": sign(body["sndr"], *digits, body["txt"])} | body


class EmulatorProcess:
    """`python -m worker.eurosms_emulator` on a free port of 127.0.0.1.

    Attributes:
        url: where it listens, such as `http://127.0.0.1:40123`.
        records_path: the file that it writes; give it to another one to go on from there.
    """

    def __init__(
        self, *arguments: str, faults: Iterable[str] = (), records: Path | None = None
    ) -> None:
        self._files = tempfile.TemporaryDirectory(prefix="emulator-")
        self.records_path = records or Path(self._files.name) / "records.jsonl"
        self._arguments = [*arguments, *(word for one in faults for word in ("--fault", one))]
        self._http = requests.Session()
        self._http.trust_env = False
        self._process: subprocess.Popen[str] | None = None
        self.url = ""
        try:
            self.start()
        except RuntimeError:
            self._files.cleanup()
            raise

    def __enter__(self) -> EmulatorProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Of the process that runs."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, on the same port as before if it ran already, and wait until it listens."""
        address = self.url.removeprefix("http://") or "127.0.0.1:0"
        command = [sys.executable, "-m", "worker.eurosms_emulator", "--listen", address, "--quiet"]
        command += ["--records", str(self.records_path), *self._arguments]
        self._process = subprocess.Popen(
            processes.command(command, signal.SIGTERM, None), stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()  # empty if it ended; its words are on stderr
        if not line:
            raise RuntimeError(f"the emulator ended with {self.halt()}")
        self.url = json.loads(line)["emulator"]

    def halt(self, number: int = signal.SIGTERM) -> int:
        """End the process with a signal and leave its records; the exit code."""
        assert self._process is not None
        self._process.send_signal(number)
        try:
            code = self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        return code

    def restart(self, number: int = signal.SIGKILL) -> None:
        """End the process with a signal, and start another one on its port with its records."""
        self.halt(number)
        self.start()

    def stop(self) -> None:
        """End the process and remove its files."""
        self._http.close()
        if self._process is not None and self._process.returncode is None:
            self.halt()
        self._files.cleanup()

    def call(self, path: str, body: Any = None, **more: Any) -> requests.Response:
        """POST a body to `/api/{path}`, or GET it if there is none."""
        method = "GET" if body is None else "POST"
        return self._http.request(
            method, f"{self.url}/api/{path}", json=body, timeout=10, allow_redirects=False, **more
        )

    def send(self, number: Any = 421903622237, text: str = "Testovacia sprava", **more: Any) -> Any:
        """`send/one` of an `order`; the JSON of the answer."""
        return self.call("v3/send/one", order(number, text, **more)).json()

    def changed(self, trxid: str) -> list[dict[str, Any]]:
        """`status/any`; what it reports."""
        answer = self.call(f"v3/status/any/{IID}/{trxid}/{sign(trxid)}").json()
        assert (answer["err_code"], answer["count"]) == ("OK", len(answer["dlrs"])), answer
        found: list[dict[str, Any]] = answer["dlrs"]
        return found

    def records(self) -> list[dict[str, Any]]:
        """Every SMS that it has accepted, in that order."""
        found: list[dict[str, Any]] = self._get("records")["sms"]
        return found

    def figures(self) -> dict[str, Any]:
        """How much there is of everything, and how often each thing was asked for."""
        return self._get("figures")

    def written(self) -> list[dict[str, Any]]:
        """The SMS in its file; they can be read after a kill as well."""
        lines = self.records_path.read_text().splitlines(keepends=True)
        events = [json.loads(line) for line in lines if line.endswith("\n")]
        return [event for event in events if event["event"] == "accepted"]

    def misbehave(self, *faults: dict[str, Any]) -> None:
        """Do these things wrong from now on, and nothing else."""
        self.control("faults", {"faults": list(faults)})

    def faults(self) -> list[dict[str, Any]]:
        """What it does wrong, each with how often it has `struck`."""
        found: list[dict[str, Any]] = self._get("faults")["faults"]
        return found

    def forward(self, seconds: float) -> None:
        """Put its clock forward."""
        self.control("clock", {"forward_seconds": seconds})

    def control(self, what: str, content: dict[str, Any]) -> dict[str, Any]:
        """POST to `/emulator/{what}`."""
        answer = self._http.post(f"{self.url}/emulator/{what}", json=content, timeout=10)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def until(self, is_so: Callable[[dict[str, Any]], bool], seconds: float = 10.0) -> None:
        """Wait until its figures are as wanted."""
        deadline = time.monotonic() + seconds
        while not is_so(figures := self.figures()):
            if time.monotonic() > deadline:
                raise AssertionError(f"not so within {seconds:g} s: {figures}")
            time.sleep(0.02)

    def _get(self, what: str) -> dict[str, Any]:
        answer = self._http.get(f"{self.url}/emulator/{what}", timeout=30)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found
