"""The sink's command line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from worker.smtp_sink.faults import IN_SECONDS, Fault, Faults, Kind
from worker.smtp_sink.session import Manners

EXAMPLES = f"""\
faults:
  KIND:PATTERN[:NUMBER], where PATTERN is a shell pattern for recipients (for the sender with
  `busy`, for the client's IP address with `closed`); NUMBER says how often it happens to one
  address (always, if left out), or for how many seconds with {" and ".join(sorted(IN_SECONDS))}.
  Kinds: {", ".join(Kind)}.

examples:
  kadencia smtp-sink --port 2525 --directory mails
  kadencia smtp-sink --directory mails --journal journal.jsonl \\
      --fault 'defer:*@later.example:2' --fault 'drop-after-dot:lost@*'
  kadencia smtp-sink --tls starttls --cert server.pem --key server.key \\
      --user sender --password-file password.txt
"""


@dataclass(frozen=True, slots=True)
class Options:
    """All that was said on the command line."""

    host: str
    port: int
    directory: Path | None
    journal: Path | None
    tls: str | None
    cert: Path | None
    key: Path | None
    client_ca: Path | None
    manners: Manners
    faults: Faults


def parse(argv: Sequence[str]) -> Options:
    """Read the command line.

    Raises:
        SystemExit: `--help` (0), or bad options (2, with a line on stderr).
    """
    parser = _parser()
    args = parser.parse_args(argv)
    if args.tls and not args.cert:
        parser.error("--tls needs --cert (and --key, unless the certificate's file has it)")
    if bool(args.user) != bool(args.password_file or args.token_file):
        parser.error("--user and --password-file (or --token-file) go together")
    if args.client_ca and not args.tls:
        parser.error("--client-ca needs --tls")
    try:
        faults = [Fault.parse(text) for text in args.fault]
        password = args.password_file.read_text().rstrip("\r\n") if args.password_file else ""
    except (OSError, ValueError) as error:
        parser.error(str(error))
    manners = Manners(
        user=args.user,
        password=password,
        size=args.size,
        eight_bit=not args.no_8bitmime,
        smtputf8=not args.no_smtputf8,
        mechanisms=tuple(args.mechanisms.upper().split(",")) if args.mechanisms else (),
        token_file=args.token_file,
        dsn=args.dsn,
        delay=args.delay,
        idle=args.idle,
        most_connections=args.max_connections,
    )
    return Options(
        host=args.host,
        port=args.port,
        directory=args.directory,
        journal=args.journal,
        tls=args.tls,
        cert=args.cert,
        key=args.key,
        client_ca=args.client_ca,
        manners=manners,
        faults=Faults(faults),
    )


def _parser() -> argparse.ArgumentParser:
    defaults = Manners()
    parser = argparse.ArgumentParser(
        prog="kadencia smtp-sink",
        description="An SMTP server that keeps every mail and sends none on.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    add("--port", type=_port, default=0, help="port; 0 takes a free one, which is printed")
    add("--directory", type=Path, metavar="DIR", help="keep each accepted mail here as .eml")
    add("--journal", type=Path, metavar="FILE", help="append a JSON line for each transaction")
    add("--tls", choices=["implicit", "starttls"], help="encrypt, from the start or when asked")
    add("--cert", type=Path, metavar="FILE", help="certificate chain, PEM")
    add("--key", type=Path, metavar="FILE", help="its private key, PEM")
    add("--client-ca", type=Path, metavar="FILE", help="demand a client certificate from it")
    add("--user", help="demand a log-in as this user")
    add("--password-file", type=Path, metavar="FILE", help="the first line is the password")
    add("--token-file", type=Path, metavar="FILE", help="access tokens that are taken, a line each")
    add(
        "--mechanisms",
        default="PLAIN,LOGIN",
        help="log-ins offered (%(default)s), of these and CRAM-MD5, XOAUTH2, OAUTHBEARER",
    )
    add("--dsn", action="store_true", help="offer DSN, and keep in the journal what is asked for")
    add("--fault", action="append", default=[], metavar="KIND:PATTERN[:NUMBER]", help="see below")
    add("--size", type=_count, default=defaults.size, help="most bytes of a mail (%(default)s)")
    add("--no-8bitmime", action="store_true", help="do not offer 8BITMIME")
    add("--no-smtputf8", action="store_true", help="do not offer SMTPUTF8")
    add("--delay", type=_seconds, default=0.0, help="seconds before each answer to a mail")
    add("--idle", type=_seconds, default=defaults.idle, help="close after so many idle seconds")
    add("--max-connections", type=_count, default=defaults.most_connections, help="at once")
    return parser


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is not a port")
    return port


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return count


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a time in seconds")
    return seconds
