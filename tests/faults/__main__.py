"""Make faults and print what became of the promises.

    python -m tests.faults [--only WORDS] [--rounds N] [--random SECONDS --seed S] [--logs DIR]
        [--table FILE]
    python -m tests.faults --list

The names of faults while SMS are sent begin with "SMS:". The exit code is 1 if a promise was
broken.
"""

from __future__ import annotations

import argparse
import logging
import random
import sys
from collections.abc import Sequence
from pathlib import Path

import structlog

from tests.faults import tables
from tests.faults.catalogue import FAULTS, SMS_FAULTS, named
from tests.faults.fault import Fault
from tests.faults.runner import EMAIL, SMS, Channel, Runner, calm
from tests.faults.verdict import Verdict

# What the product says in this process is not part of the report.
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))


def main(argv: Sequence[str]) -> int:
    """Run; see the module."""
    options = _parser().parse_args(argv)
    wanted = options.only or [""]
    faults, sms_faults = named(wanted, FAULTS), named(wanted, SMS_FAULTS)
    if options.list:
        print("\n".join(fault.name for fault in (*faults, *sms_faults)))
        return 0
    if not (faults or sms_faults):
        print(f"no fault is called {' or '.join(options.only)}; --list names them", file=sys.stderr)
        return 2
    if options.logs:
        options.logs.mkdir(parents=True, exist_ok=True)
    print(tables.HEAD, flush=True)
    verdicts = [] if options.only or options.random else [calm(tables.tell, options.logs)]
    verdicts += _make(faults, EMAIL, options)
    of_sms = _make(sms_faults, SMS, options)
    if options.table:
        made = [tables.markdown(verdicts)] if verdicts else []
        made += [tables.sms_markdown(of_sms)] if of_sms else []
        options.table.write_text("\n".join(made))
    return _sum_up([*verdicts, *of_sms])


def _make(faults: list[Fault], channel: Channel, options: argparse.Namespace) -> list[Verdict]:
    runner = Runner(tables.tell, options.logs, channel)
    if not options.random:
        return list(runner.each(faults * options.rounds))
    mixed = [one for one in faults if not one.alone]
    if not mixed:
        return []
    seed = options.seed if options.seed is not None else random.randrange(10**6)
    print(f"at random for {options.random:g} s, seed {seed}", flush=True)
    return list(runner.at_random(mixed, options.random, seed))


def _sum_up(verdicts: list[Verdict]) -> int:
    made = [verdict for verdict in verdicts if verdict.runs]
    if not made:
        print("no fault could be made here", file=sys.stderr)
        return 1
    total = made[0]
    for verdict in made[1:]:
        total = total.plus(verdict)
    total.name = "all"
    print(tables.line(total))
    broken = [verdict.name for verdict in verdicts if verdict.broken]
    print("every promise was kept" if not broken else f"BROKEN: {'; '.join(broken)}")
    return 1 if broken else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="WORDS",
        help="faults whose names hold these; may be given again",
    )
    parser.add_argument("--rounds", type=int, default=1, help="how often each is made")
    parser.add_argument("--random", type=float, metavar="SECONDS", help="by chance, for so long")
    parser.add_argument("--seed", type=int, help="of that chance; printed")
    parser.add_argument("--logs", type=Path, metavar="DIR", help="keep the fleet's logs here")
    parser.add_argument("--table", type=Path, metavar="FILE", help="write the table as Markdown")
    parser.add_argument("--list", action="store_true", help="name the faults, make none")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
