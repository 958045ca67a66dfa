"""What can be seen of an installation at work: kept, so that it can be searched."""

from __future__ import annotations

import base64
import threading
from contextlib import suppress

import redis
import requests

from tests.support.installation import Installation


class Place:
    """An installation at work, and all that was seen of it."""

    def __init__(self, installation: Installation) -> None:
        self.up = installation
        self.seen: dict[str, str] = {}

    def keep(self, name: str, words: str) -> None:
        self.seen[name] = self.seen.get(name, "") + words

    def run(self, *words: str, stdin: str = "", secret: bool = False, fails: bool = False) -> str:
        """Run a command; unless its purpose is to print a secret, what it prints is kept."""
        ended = self.up.command(*words, stdin=stdin)
        assert bool(ended.returncode) is fails, f"{words}: {ended.stderr or ended.stdout}"
        self.keep(f"kadencia {' '.join(words[:2])}: errors", ended.stderr)
        if not secret:
            self.keep(f"kadencia {' '.join(words[:2])}", ended.stdout)
        return ended.stdout

    def ask(self, method: str, path: str, token: str, **more: object) -> requests.Response:
        headers = {"Authorization": f"Bearer {token}"}
        url = self.up.endpoint("api_url") + path
        answer = requests.request(method, url, headers=headers, timeout=30, **more)  # type: ignore[arg-type]
        if answer.status_code >= 400:
            self.keep(f"{method} {path}: {answer.status_code}", answer.text + str(answer.headers))
        return answer


class Monitor:
    """Writes down every command that Redis is given."""

    def __init__(self, url: str) -> None:
        self._client = redis.Redis.from_url(url)
        self._lines: list[str] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        # An installation that ends early takes it along.
        with suppress(redis.ConnectionError), self._client.monitor() as monitor:
            for command in monitor.listen():
                self._lines.append(command["command"])
                if self._ended.is_set():
                    return

    def end(self) -> str:
        self._ended.set()
        self._client.ping()
        self._thread.join(10)
        self._client.close()
        assert len(self._lines) > 100
        return "\n".join(self._lines)


def dump(url: str) -> str:
    client = redis.Redis.from_url(url)
    reads = {
        b"string": client.get,
        b"list": lambda key: client.lrange(key, 0, -1),
        b"set": client.smembers,
        b"zset": lambda key: client.zrange(key, 0, -1),
        b"hash": client.hgetall,
    }
    found = []
    for key in client.scan_iter():
        kind = client.type(key)
        found.append(f"{key!r}: {reads[kind](key)!r}")
    client.close()
    return "\n".join(found)


def forms(secret: str) -> list[str]:
    """As it stands, and as base64 would carry it, wherever in a text it begins."""
    octets = secret.encode()
    shifted = (base64.b64encode(b"\0" * n + octets)[4 if n else 0 : -4].decode() for n in range(3))
    return [secret, *(form for form in shifted if len(form) >= 8)]
