"""The command: choose scenarios and contenders, run, print, and write the page if asked."""

import argparse
import sys
from contextlib import nullcontext
from pathlib import Path

import attrs

from benchmarks.contenders import CONTENDERS, select
from benchmarks.outcome import Outcome
from benchmarks.pool import Pool
from benchmarks.report import page, section, targets
from benchmarks.scenarios import SCENARIOS
from benchmarks.session import FULL, QUICK, measure

#: Seconds after which a contender counts as hanging.
PATIENCE = 300.0
PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"


def main() -> int:
    """Run what the command line asks for; 1 if a contender failed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="plait beside its peers: costs, ratios, growth."
    )
    parser.add_argument(
        "scenarios", nargs="*", metavar="scenario", help=f"of {', '.join(SCENARIOS)}; default all"
    )
    parser.add_argument("--rounds", type=int, help="interleaved rounds, default 7 (3 with --quick)")
    parser.add_argument("--quick", action="store_true", help="a first look in about a minute")
    parser.add_argument(
        "--only",
        help=f"contenders, by comma, of {', '.join(CONTENDERS)}; `plait`, `floors` and `peers` take all of a kind",
    )
    parser.add_argument(
        "--write", action="store_true", help="write docs/benchmarks.md; needs all scenarios"
    )
    asked = parser.parse_args()
    unknown = [name for name in asked.scenarios if name not in SCENARIOS]
    if unknown:
        parser.error(f"no scenario is called {unknown[0]!r}; there are {', '.join(SCENARIOS)}")
    if asked.write and (asked.scenarios or asked.only):
        parser.error("--write needs all scenarios and contenders: half a page would hide the rest")
    try:
        contenders = select(asked.only.split(",")) if asked.only else [*CONTENDERS.values()]
    except ValueError as error:
        parser.error(str(error))
    effort = QUICK if asked.quick else FULL
    if asked.rounds:
        effort = attrs.evolve(effort, rounds=asked.rounds)

    def tell(line: str) -> None:
        print(line, file=sys.stderr)

    outcomes: list[Outcome] = []
    # Importing the peers anew for each scenario takes longer than a quick look at all of them.
    with Pool(PATIENCE) as shared:
        for name in asked.scenarios or SCENARIOS:
            with nullcontext(shared) if asked.quick else Pool(PATIENCE) as pool:
                outcome = measure(SCENARIOS[name], contenders, effort, pool, tell)
            outcomes.append(outcome)
            print(section(outcome), end="\n\n", flush=True)
    print(targets(outcomes))
    if asked.write:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(page(outcomes, contenders, effort), encoding="utf-8")
        print(f"\nwritten to {PAGE.name}")
    return 1 if any(outcome.failed for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
