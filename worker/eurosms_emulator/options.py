"""The emulator's command line."""

from __future__ import annotations

import argparse
import ipaddress
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from urllib.parse import urlsplit

from worker.eurosms_emulator.faults import PATHS, Fault, Kind
from worker.eurosms_emulator.networks import FATES, NETWORKS
from worker.eurosms_emulator.pushes import Format, Receiver
from worker.eurosms_emulator.reports import Shape

PUBLIC_ID, PUBLIC_KEY = "2-A2gHjk", "Gh-s7-J6"
"""The credentials that the gateway's own documentation uses in its examples."""

_NEVER = "no final status"
_FATES = "\n".join(
    f"    …{ending}  {', then '.join(after) or _NEVER}{' (UNDELIV for the last segment)' * lost}"
    for ending, after in FATES.items()
    for lost in (ending == "08",)
)
_PRICES = "\n".join(
    f"    {start + '…' if start else 'others':<9} {one.code}  {one.price / 1000:.3f}"
    for start, one in NETWORKS.items()
)
_KINDS = textwrap.fill(", ".join(Kind), 92, subsequent_indent="  ", break_on_hyphens=False)
_PATHS = textwrap.fill(
    ", ".join(f"{kind} {path}" for kind, path in PATHS.items()), 92, subsequent_indent="  "
)
EPILOG = f"""\
magic numbers: by their last two digits, what follows ENROUTE and ACCEPTD (else DELIVRD):
{_FATES}
  An SMS without flag 1 never gets a final status.

networks, all made up: by how a number begins, code and EUR for a segment:
{_PRICES}

faults: KIND[:NAME=VALUE[,NAME=VALUE…]]
  kinds: {_KINDS}
  names: number (shell pattern for recipients), path (shell pattern such as send/* or status/any),
  times (at most), after (lets so many pass first), chance (0 to 1), seconds (of slow and late),
  code (of refuse), carry_out (yes, no: whether error-json, error-html, html and redirect do what
  was asked for). doubled has the paths status/any and push. Without a path they strike
  everything, but
  {_PATHS}.

control, on the same address, in JSON: GET /emulator/records, GET /emulator/figures,
  GET and POST /emulator/faults, POST /emulator/clock, /emulator/balance, /emulator/push,
  /emulator/inbound.

examples:
  kadencia eurosms-emulator --listen 127.0.0.1:8095 --records sms.jsonl
  kadencia eurosms-emulator --fault drop-after-accept:times=1 --fault slow:path=send/*,seconds=5
  kadencia eurosms-emulator --push-url http://127.0.0.1:8096/hooks/secret --push-format json
"""


@dataclass(frozen=True, slots=True)
class Manners:
    """How the gateway behaves.

    Attributes:
        integration_id: the only one it knows.
        key: of that integration.
        report_after: seconds from the sending to the first status after ACCEPTD.
        magic_numbers: whether the last digits of a number decide what becomes of an SMS.
        shape: of the answers of `status/one`.
        refusal_status: HTTP status of a refusal; 200, or 400 and above.
    """

    integration_id: str = PUBLIC_ID
    key: str = field(default=PUBLIC_KEY, repr=False)
    report_after: float = 2.0
    magic_numbers: bool = True
    shape: Shape = Shape.FLAT
    refusal_status: int = 200


@dataclass(frozen=True, slots=True)
class Options:
    """All that was said on the command line.

    Attributes:
        host: on loopback.
        port: 0 for a free one.
        manners: how the gateway behaves.
        receiver: where it pushes to.
        faults: what it does wrong.
        seed: of the faults' dice.
        balance: in thousandths of a euro.
        keep_days: for which statuses are kept.
        records: the journal.
        clock_offset: seconds ahead of this machine's clock.
        days_per_second: how fast the clock runs; None is as fast as time does.
        quiet: say nothing of SMS.
    """

    host: str
    port: int
    manners: Manners
    receiver: Receiver
    faults: tuple[Fault, ...]
    seed: int | None
    balance: int
    keep_days: float
    records: Path | None
    clock_offset: float
    days_per_second: float | None
    quiet: bool


def parse(argv: Sequence[str]) -> Options:
    """Read the command line.

    Raises:
        SystemExit: `--help` (0), or bad options (2, with a line on stderr).
    """
    args = _parser().parse_args(argv)
    host, port = args.listen
    manners = Manners(
        integration_id=args.integration_id,
        key=args.key,
        report_after=args.report_after,
        magic_numbers=not args.plain_numbers,
        shape=Shape(args.status_shape),
        refusal_status=args.refusal_status,
    )
    receiver = Receiver(
        args.push_url, Format(args.push_format), args.push_every_change, args.push_repeat
    )
    return Options(
        host=host,
        port=port,
        manners=manners,
        receiver=receiver,
        faults=tuple(args.fault),
        seed=args.seed,
        balance=args.balance,
        keep_days=args.keep_days,
        records=args.records,
        clock_offset=args.clock_offset,
        days_per_second=args.days_per_second,
        quiet=args.quiet,
    )


def _parser() -> argparse.ArgumentParser:
    defaults = Manners()
    parser = argparse.ArgumentParser(
        prog="kadencia eurosms-emulator",
        description="An SMS gateway that speaks EuroSMS's protocol and sends nothing.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--listen", type=_address, default="127.0.0.1:0", metavar="HOST:PORT",
        help="on loopback (%(default)s); port 0 takes a free one, which is printed")  # fmt: skip
    add("--integration-id", default=defaults.integration_id, help="(%(default)s)")
    add("--key", default=defaults.key, help="integration key (%(default)s)")
    add("--balance", type=thousandths, default="1000", metavar="EUR", help="(%(default)s)")
    add("--records", type=Path, metavar="FILE", help="write down everything, and go on from there")
    add("--status-shape", choices=list(Shape), default=defaults.shape, help="of status/one")
    add("--refusal-status", type=_status, default=defaults.refusal_status, metavar="CODE",
        help="HTTP status of a refusal: 200, or 400 to 499 (%(default)s)")  # fmt: skip
    add("--report-after", type=_seconds, default=defaults.report_after, metavar="SECONDS",
        help="from sending to delivery (%(default)s)")  # fmt: skip
    add("--plain-numbers", action="store_true", help="no number is magic: all are delivered")
    add("--keep-days", type=_seconds, default=7.0, help="of statuses (%(default)s)")
    add(
        "--clock-offset",
        type=_seconds,
        default=0.0,
        metavar="SECONDS",
        help="ahead of the real time",
    )
    add("--days-per-second", type=_seconds, metavar="DAYS", help="how fast its clock runs")
    _add_pushes(parser)
    add("--fault", type=_fault, action="append", default=[], metavar="KIND[:…]", help="see below")
    add("--seed", type=int, help="of the faults' dice, to have the same again")
    add("--quiet", action="store_true", help="print no line for each SMS")
    return parser


def _add_pushes(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--push-url", type=loopback_url, metavar="URL", help="push delivery reports; on loopback")
    add("--push-format", choices=list(Format), default=Format.QUERY,
        help="GET with parameters; POST of a form; GET with one JSON parameter; POST of JSON "
        "(%(default)s)")  # fmt: skip
    add("--push-every-change", action="store_true", help="not only statuses that end something")
    add("--push-repeat", type=_seconds, default=60.0, metavar="SECONDS",
        help="until an unconfirmed push comes again, for 24 hours (%(default)s)")  # fmt: skip


def loopback_url(text: str) -> str:
    """A URL on this machine.

    Raises:
        argparse.ArgumentTypeError: it is not, or is none.
    """
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not _is_loopback(parts.hostname or ""):
        raise argparse.ArgumentTypeError(
            f"{text} is not a URL on loopback; an emulator pushes to http://127.0.0.1:… only"
        )
    return text


def thousandths(text: str) -> int:
    """EUR as whole thousandths.

    Raises:
        argparse.ArgumentTypeError: it is no amount.

    >>> thousandths("80.693")
    80693
    """
    try:
        amount = Decimal(text) * 1000
        if not amount.is_finite() or amount != int(amount):
            raise InvalidOperation
    except InvalidOperation:
        raise argparse.ArgumentTypeError(f"{text} is no amount in EUR, such as 80.693") from None
    return int(amount)


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"{text} is not HOST:PORT, such as 127.0.0.1:8095")
    if not _is_loopback(host.strip("[]")):
        raise argparse.ArgumentTypeError(
            f"{host or 'every address'} is not loopback; an emulator listens on 127.0.0.1 only, "
            "so that nobody takes it for the gateway"
        )
    return host.strip("[]"), int(port)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _fault(text: str) -> Fault:
    try:
        return Fault.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _status(text: str) -> int:
    if text != "200" and not (len(text) == 3 and text.isdecimal() and text[0] == "4"):
        raise argparse.ArgumentTypeError(f"{text} is neither 200 nor 400 to 499")
    return int(text)


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} must be 0 or more")
    return seconds
