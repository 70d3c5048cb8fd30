"""`python -m tests.model --seeds 1000 --from 0`: many seeds, and a line for each that fails.

`python -m tests.model --seed 7 -v` plays one again, and shows the program and what happened.
"""

from __future__ import annotations

import argparse
import sys

from tests.model.draw import draw, of_seed
from tests.model.play import Example, one_schedule, play
from tests.model.show import show


def of(seed: int, backend: str) -> Example:
    """Play a seed."""
    program = draw(of_seed(seed))
    with one_schedule(seed):
        return play(program, backend=backend)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.model", description=__doc__)
    parser.add_argument("--seeds", type=int, default=0, help="how many to play")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first of them")
    parser.add_argument("--seed", type=int, help="play this one")
    parser.add_argument("--backend", choices=["trio", "asyncio"], default="trio")
    parser.add_argument("-v", "--verbose", action="store_true")
    options = parser.parse_args()
    first, count = (options.first, options.seeds) if options.seed is None else (options.seed, 1)
    faults = unclear = 0
    for seed in range(first, first + count):
        example = of(seed, options.backend)
        unclear += example.unclear is not None
        if options.verbose:
            print(show(example.program))
            print(*example.facts, sep="\n")
            print(example.seen)
        if example.fault is not None:
            faults += 1
            fault = example.fault if options.verbose else example.fault.splitlines()[0]
            print(f"--seed {seed} --backend {options.backend} -v   {fault}")
    print(f"{count} seeds, {faults} failed, {unclear} left open", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
