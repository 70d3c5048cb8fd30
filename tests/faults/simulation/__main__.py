"""The command: many seeds, or the story of one."""

from __future__ import annotations

import argparse
import gc
import hashlib
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence

from .simulate import Report, simulate


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m tests.faults.simulation", description="Deterministic simulation from seeds."
    )
    parser.add_argument("--seeds", type=int, default=1000, help="how many")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first one")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--seed", type=int, help="this one alone")
    parser.add_argument("--digest", action="store_true", help="print what tells traces apart")
    parser.add_argument("-v", "--verbose", action="store_true", help="plan, story and records")
    return parser.parse_args(arguments)


def _each(seeds: range, jobs: int) -> Iterator[Report]:
    if jobs == 1:
        yield from map(one, seeds)
        return
    with multiprocessing.Pool(jobs, maxtasksperchild=5000) as pool:
        yield from pool.imap(one, seeds, chunksize=20)


def one(seed: int) -> Report:
    """Live through one of many seeds."""
    report = simulate(seed)
    if seed % 50 == 0:
        gc.collect()
    return report


def _tell(report: Report) -> None:
    print(report.scenario)
    print(report.story)
    print(report.text.removesuffix(report.story))


def run(arguments: Sequence[str]) -> int:
    """Do what the command line says; 1 if a promise was broken."""
    options = _parse(arguments)
    seeds = range(options.first, options.first + options.seeds)
    if options.seed is not None:
        seeds = range(options.seed, options.seed + 1)
    seen: Counter[str] = Counter()
    digest, failed, began = hashlib.sha256(), 0, time.monotonic()
    for nth, report in enumerate(_each(seeds, options.jobs), 1):
        seen += report.seen
        digest.update(report.text.encode())
        if options.seed is not None and options.verbose:
            _tell(report)
        if report.wrong:
            failed += 1
            print(report.line, flush=True)
            if options.seed is not None:
                print(*(f"  {each}" for each in report.wrong), sep="\n")
        if nth % 1000 == 0 and options.seed is None:
            each = (time.monotonic() - began) / nth
            print(f"{nth} seeds, {failed} failed, {each * 1000:.1f} ms each", flush=True)
    if options.digest:
        print(digest.hexdigest())
    if options.verbose and options.seed is None:
        print(*(f"{count:8} {what}" for what, count in sorted(seen.items())), sep="\n")
    print(f"{len(seeds)} seeds, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
