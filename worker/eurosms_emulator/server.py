"""The emulator as a process: listen on loopback, say where, stop when told to."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import sys
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from threading import Thread
from typing import Any

from worker.eurosms_emulator.agenda import Agenda
from worker.eurosms_emulator.control import Control
from worker.eurosms_emulator.exchange import PLAIN, Answer, End, Request
from worker.eurosms_emulator.faults import Faults
from worker.eurosms_emulator.gateway import Gateway
from worker.eurosms_emulator.journal import Journal
from worker.eurosms_emulator.ledger import Ledger
from worker.eurosms_emulator.options import Options, parse
from worker.eurosms_emulator.pushes import Pushes
from worker.eurosms_emulator.times import Clock

WHAT_IT_IS = """\
This is an EMULATOR of the SMS gateway EuroSMS, for trying things out. It sends no SMS.
`kadencia eurosms-emulator --help` tells what it can do.
"""
MOST_OCTETS = 8_388_608
"""Chosen: of a body; 1000 long messages need a quarter of it."""


class Server(ThreadingHTTPServer):
    """One thread for each connection; none of them keeps the process from ending."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 1024

    def __init__(self, host: str, port: int, gateway: Gateway, control: Control) -> None:
        self.gateway = gateway
        self.control = control
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), Handler)

    def server_bind(self) -> None:
        """Bind, without asking the DNS for the address's name as `HTTPServer` would."""
        TCPServer.server_bind(self)

    @property
    def url(self) -> str:
        """Where it listens."""
        host, port = self.server_address[:2]
        name = host.decode() if isinstance(host, bytes | bytearray) else str(host)
        return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is an everyday thing; anything else is told."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server_version = "EMULATOR"
    sys_version = "of-EuroSMS-by-Kadencia"
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body leave in one piece
    server: Server

    def do_GET(self) -> None:
        """Answer."""
        self._serve()

    def do_POST(self) -> None:
        """Answer."""
        self._serve()

    def end_headers(self) -> None:
        """Every answer says what gave it."""
        self.send_header("X-Kadencia", "EMULATOR")
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing; the figures count the requests."""

    def _serve(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not length.isdecimal():
            self.send_error(411)
        elif int(length) > MOST_OCTETS:
            self.send_error(413)
        else:
            request = Request(self.command, self.path, self.rfile.read(int(length)))
            self._give(self._answer(request))

    def _answer(self, request: Request) -> Answer:
        if request.parts == [""]:
            return Answer(WHAT_IT_IS.encode(), kind=PLAIN)
        if request.parts[0] == "emulator":
            return self.server.control.respond(request)
        return self.server.gateway.respond(request)

    def _give(self, answer: Answer) -> None:
        self.close_connection |= answer.end is not End.KEPT
        if answer.end is End.RESET:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        if answer.end in (End.RESET, End.CLOSED):
            return
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(answer.body)))
        if answer.location is not None:
            self.send_header("Location", answer.location)
        self.end_headers()
        half = len(answer.body) // 2
        self.wfile.write(answer.body[:half] if answer.end is End.CUT else answer.body)
        self.wfile.flush()


def main(argv: Sequence[str]) -> int:
    """Run the emulator until SIGTERM or SIGINT.

    Returns:
        The exit code: 0 after a clean stop, 1 when it could not start, 2 for bad options.
    """
    try:
        options = parse(argv)
    except SystemExit as end:  # argparse has said why
        return end.code if isinstance(end.code, int) else 2
    try:
        journal = Journal(options.records)
    except OSError as error:
        return _fail(f"{error.strerror} ({error.filename})")
    except ValueError as error:
        return _fail(str(error))
    try:
        return _run(options, journal)
    except OSError as error:
        where = f"{options.host}:{options.port}"
        return _fail(f"cannot listen on {where}, try another port: {error.strerror}")
    finally:
        journal.close()


def _run(options: Options, journal: Journal) -> int:
    clock = Clock(options.clock_offset, options.days_per_second)
    ledger = Ledger(journal, options.balance, options.keep_days, clock.now())
    clock.not_before(ledger.latest)
    faults, agenda = Faults(options.faults, options.seed), Agenda(clock)
    pushes = Pushes(options.receiver, ledger, agenda, faults, clock)
    gateway = Gateway(options.manners, ledger, pushes, faults, agenda, clock, quiet=options.quiet)
    pushes.resume()
    server = Server(options.host, options.port, gateway, Control(gateway, agenda, clock))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: Thread(target=server.shutdown, daemon=True).start())
    sys.stdout.write(json.dumps({"emulator": server.url, "pid": os.getpid()}) + "\n")
    sys.stdout.flush()
    agenda.start()
    server.serve_forever(poll_interval=0.1)
    server.server_close()
    return 0


def _fail(what: str) -> int:
    sys.stderr.write(f"kadencia: eurosms-emulator {what}\n")
    return 1
