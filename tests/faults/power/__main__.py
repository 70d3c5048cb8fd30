"""Look at what is left when the power fails: python -m tests.faults.power --images 100000 --seed 1"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from .judge import count
from .load import MODES


def main(arguments: Sequence[str]) -> int:
    """Do what the command line says; 1 if something is lost or damaged."""
    parser = argparse.ArgumentParser("python -m tests.faults.power")
    parser.add_argument("--images", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--image", type=int, help="only this one, of this seed")
    parser.add_argument("--mode", choices=MODES, default="full", help="how the journal syncs")
    told = parser.parse_args(arguments)
    start = time.perf_counter()
    images = told.images if told.image is None else 50
    found = count(images, told.seed, told.mode, told.image)
    print(
        f"{found.images} images, {found.torn} of them torn, {found.rows} rows to find: "
        f"{len(found.lost)} have lost some, {len(found.unsound)} are not sound "
        f"({time.perf_counter() - start:.0f} s)"
    )
    for verdict in (*found.lost[:3], *found.unsound[:3]):
        print(verdict)
    return int(bool(found.lost or found.unsound))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
