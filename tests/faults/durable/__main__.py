"""Repetitions of crash and recovery: python -m tests.faults.durable [PATTERN...] [--seeds N | --seed N] [-v]"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from .judge import faults
from .lives import Trial, told
from .patterns import PATTERNS
from .trial import wrong

#: So many failures are enough.
ENOUGH = 10


def main(arguments: Sequence[str]) -> int:
    """Do what the command line says; 1 if something is wrong."""
    parser = argparse.ArgumentParser("python -m tests.faults.durable")
    parser.add_argument("patterns", nargs="*", choices=[*PATTERNS, []], help="default all")
    parser.add_argument("--seeds", type=int, default=200, help="repetitions of each")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--asyncio", action="store_true", help="only on asyncio")
    parser.add_argument("-v", "--verbose", action="store_true", help="entries, notes and lives")
    told_ = parser.parse_args(arguments)
    backends = ("asyncio",) if told_.asyncio else ("trio", "asyncio")
    if told_.seed is not None:
        backend = "asyncio" if told_.asyncio else "trio"
        return max(
            _show(Trial(name, told_.seed, backend), verbose=told_.verbose)
            for name in told_.patterns or PATTERNS
            if backend in PATTERNS[name].backends
        )
    failed = 0
    for name in told_.patterns or PATTERNS:
        for backend in backends:
            if backend not in PATTERNS[name].backends:
                continue
            began = time.process_time()
            bad = 0
            for seed in range(told_.first, told_.first + told_.seeds):
                if line := wrong(Trial(name, seed, backend)):
                    print(line, flush=True)
                    bad += 1
                    if bad == ENOUGH:
                        break
            failed += bad
            spent = time.process_time() - began
            print(f"{name} on {backend}: {told_.seeds} in {spent:.1f} s, {bad} failed", flush=True)
    return int(bool(failed))


def _show(trial: Trial, *, verbose: bool) -> int:
    story = trial.live()
    if verbose:
        for stream, entries in story.disk.streams.items():
            print(stream)
            for entry in entries:
                print(
                    f"{entry.n:5} {entry.kind:18} {entry.key or '':35} {entry.body.decode()[:120]}"
                )
        print(*story.witness.begun, *story.witness.seen.items(), *story.lives, sep="\n")
    for life in story.lives:
        if life.raised is not None:
            print(told(life.raised))
    found = faults(story)
    print(*found, sep="\n")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
