"""Repeat a trial: python -m tests.faults.journal CASE PLOT... [--seed N] [--slow] [--pause S] [-v]"""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Sequence

from .disk import Plot
from .judge import faults
from .programs.every import CASES
from .trial import Trial


def main(arguments: Sequence[str]) -> int:
    """Do what the command line says; 1 if something is wrong."""
    parser = argparse.ArgumentParser("python -m tests.faults.journal")
    parser.add_argument("case", choices=CASES)
    parser.add_argument("plots", nargs="*", type=Plot.of, help="what goes wrong, life by life")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--slow", action="store_true", help="a slow disk")
    parser.add_argument("--pause", type=float, default=0, help="seconds between lives")
    parser.add_argument("--asyncio", action="store_true")
    parser.add_argument("-v", "--verbose", action="store_true", help="entries, notes and lives")
    told = parser.parse_args(arguments)
    trial = Trial(
        told.case, tuple(told.plots), told.seed, told.slow, told.pause, asyncio=told.asyncio
    )
    story = trial.live()
    if told.verbose:
        for stream, entries in story.disk.streams.items():
            print(stream)
            print(*(f"{e.n:5} {e.kind:20} {e.body.decode()[:150]}" for e in entries), sep="\n")
        print(*story.notes, *story.lives, sep="\n")
    for life in story.lives:
        if life.raised is not None:
            traceback.print_exception(life.raised)
    print(*faults(story), sep="\n")
    return int(bool(faults(story)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
