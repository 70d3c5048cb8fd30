"""`make faults`: plant each bug, and say which test caught it. `ARGS="lost wake"` chooses by name."""

import sys
import time

from tests.faults.planted.bug import Bug, planted
from tests.faults.planted.trial import try_all


def main(words: list[str]) -> int:
    bugs = [bug for bug in planted() if all(word in f"{bug.layer}: {bug.name}" for word in words)]
    if not bugs:
        print("there is no such bug")
        return 2
    began, good = time.monotonic(), 0
    for bug, verdict in try_all(bugs):
        print(f"{verdict.seconds:5.1f} s  {_line(bug, verdict.good, verdict.test, verdict.said)}")
        good += verdict.good
    caught, wanted = max(0, good - 1), len(bugs)
    print(f"{caught} of {wanted} planted bugs caught in {time.monotonic() - began:.0f} s")
    return int(good != wanted + 1)


def _line(bug: Bug | None, good: bool, test: str, said: str) -> str:  # noqa: FBT001 - a column
    if bug is None:
        return "without a bug  passed" if good else f"WITHOUT A BUG  {test}\n{said}"
    name = f"{bug.layer}: {bug.name}"
    if not good:
        return f"{name}  NOT CAUGHT  {test}\n{said}"
    return f"{name}\n         {test.removeprefix('tests/')}\n         {said[:160]}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
