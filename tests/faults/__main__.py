"""Make faults and print what became of the promises.

    python -m tests.faults [--only WORDS] [--rounds N] [--random SECONDS --seed S] [--logs DIR]
        [--table FILE]
    python -m tests.faults --list

The exit code is 1 if a promise was broken.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.faults.catalogue import named
from tests.faults.runner import Runner, calm
from tests.faults.verdict import Verdict

HEAD = f"{'fault':<50} runs  mails lost dbl unknown worst   use resumed"


COLUMNS = (
    "| fault | runs | messages | lost | doubled | unknown | worst window ÷ limit | use | resumed |",
    "|---|---|---|---|---|---|---|---|---|",
)


def line(verdict: Verdict) -> str:
    """A verdict as a line of the table."""
    use = "    -" if verdict.use is None else f"{verdict.use:5.2f}"
    return (
        f"{verdict.name:<50} {verdict.runs:4d} {verdict.messages:6d} {verdict.lost:4d} "
        f"{verdict.doubled:3d} {verdict.unknown:3d}/{verdict.allowed:<3d} {verdict.worst:5.3f} "
        f"{use} {verdict.resumed:5.1f} s"
    )


def tell(verdict: Verdict) -> None:
    """Print a verdict at once."""
    print(line(verdict), flush=True)
    for words in verdict.broken:
        print(f"    BROKEN: {words}", flush=True)


def markdown(verdicts: list[Verdict]) -> str:
    """All runs of each fault together, as a table for the documentation."""
    by_name: dict[str, Verdict] = {}
    for one in verdicts:
        by_name[one.name] = by_name[one.name].plus(one) if one.name in by_name else one
    rows = [
        f"| {one.name} | {one.runs} | {one.messages:,} | {one.lost} | {one.doubled} | "
        f"{one.unknown} of {one.allowed} | {one.worst:.2f} | "
        f"{'' if one.use is None else f'{one.use:.2f}'} | {one.resumed:.1f} s |"
        for one in by_name.values()
    ]
    return "\n".join([*COLUMNS, *rows]) + "\n"


def main(argv: Sequence[str]) -> int:
    """Run; see the module."""
    options = _parser().parse_args(argv)
    faults = named(options.only or [""])
    if options.list:
        print("\n".join(fault.name for fault in faults))
        return 0
    if not faults:
        print(f"no fault is called {' or '.join(options.only)}; --list names them", file=sys.stderr)
        return 2
    if options.logs:
        options.logs.mkdir(parents=True, exist_ok=True)
    runner = Runner(tell, options.logs)
    print(HEAD, flush=True)
    if options.random:
        seed = options.seed if options.seed is not None else random.randrange(10**6)
        print(f"at random for {options.random:g} s, seed {seed}", flush=True)
        verdicts = list(
            runner.at_random([one for one in faults if not one.alone], options.random, seed)
        )
    else:
        verdicts = [] if options.only else [calm(tell, options.logs)]
        verdicts += runner.each(faults * options.rounds)
    if options.table:
        options.table.write_text(markdown(verdicts))
    return _sum_up(verdicts)


def _sum_up(verdicts: list[Verdict]) -> int:
    made = [verdict for verdict in verdicts if verdict.runs]
    if not made:
        print("no fault could be made here", file=sys.stderr)
        return 1
    total = made[0]
    for verdict in made[1:]:
        total = total.plus(verdict)
    total.name = "all"
    print(line(total))
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
