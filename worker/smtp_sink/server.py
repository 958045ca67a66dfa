"""The sink as a process: listen, say where, stop when told to."""

from __future__ import annotations

import asyncio
import json
import signal
import ssl
import sys
from collections.abc import Sequence

from worker.smtp_sink.options import Options, parse
from worker.smtp_sink.records import Records
from worker.smtp_sink.session import Sink


def main(argv: Sequence[str]) -> int:
    """Run the sink until SIGTERM or SIGINT.

    Returns:
        The exit code: 0 after a clean stop, 1 when it could not start, 2 for bad options.
    """
    try:
        options = parse(argv)
    except SystemExit as end:  # argparse has said why
        return end.code if isinstance(end.code, int) else 2
    return run(options)


def run(options: Options) -> int:
    """Serve until SIGTERM or SIGINT; see `main` for what it returns."""
    try:
        context = _tls_context(options)
    except OSError as error:
        return _fail(error, f"cannot use the certificate {options.cert}: ")
    try:
        records = Records(options.directory, options.journal)
    except OSError as error:
        return _fail(error)
    try:
        asyncio.run(_serve(options, records, context))
    except OSError as error:
        return _fail(error, f"cannot listen on {options.host}:{options.port}, try another --port: ")
    finally:
        records.close()
    return 0


async def _serve(options: Options, records: Records, context: ssl.SSLContext | None) -> None:
    starttls = context if options.tls == "starttls" else None
    implicit = context if options.tls == "implicit" else None
    sink = Sink(options.manners, options.faults, records, starttls)
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = await loop.create_server(
        sink.connection, options.host, options.port, ssl=implicit, backlog=1024
    )
    host, port = server.sockets[0].getsockname()[:2]
    sys.stdout.write(json.dumps({"listening": f"{host}:{port}"}) + "\n")
    sys.stdout.flush()
    await stop.wait()
    server.close()
    for connection in list(sink.open):
        connection.abort()
    await asyncio.sleep(0)  # lets the connections end, and their journal be written


def _tls_context(options: Options) -> ssl.SSLContext | None:
    if options.tls is None or options.cert is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(options.cert, options.key)
    if options.client_ca is not None:
        context.load_verify_locations(options.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _fail(error: OSError, what: str = "") -> int:
    reason = error.strerror or str(error)
    name = f" ({error.filename})" if error.filename else ""
    sys.stderr.write(f"kadencia: smtp-sink {what}{reason}{name}\n")
    return 1
