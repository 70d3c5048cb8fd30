"""A trial: a copy of the package gets a bug, and the bug's tests run on the copy.

Rule 1: caught is what makes a *test fail*. A copy that cannot be imported, a suite that finds no test
    or does not come to its end proves nothing.
Rule 2: the copy without a bug passes the same tests, or nothing is proved at all.
Rule 3: what runs is the copy: the child process says so, or ends (`copied`).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Final

import attrs

from tests.faults.planted.bug import PACKAGE, ROOT, Bug
from tests.faults.planted.copied import COPY

#: Trials at a time.
AT_ONCE: Final = 2
#: Seconds that no suite needs, on a machine however busy.
PATIENCE: Final = 180
#: A line of pytest's summary, and its last line if all has passed.
BAD: Final = re.compile(r"^(?:FAILED|ERROR) (\S+::[^\n]*?)(?: - (.*))?$", re.MULTILINE)
PASSED: Final = re.compile(r"^\d+ passed[^,]* in ", re.MULTILINE)


@attrs.frozen(kw_only=True)
class Verdict:
    """What came of a trial."""

    #: Is it as it must be: a bug caught, the package without one passed?
    good: bool
    #: The test that failed first.
    test: str = ""
    #: What it said, or what went wrong with the trial.
    said: str
    seconds: float


def try_all(bugs: Sequence[Bug]) -> Iterator[tuple[Bug | None, Verdict]]:
    """Try the package without a bug (`None`) on all their tests, then each bug on its own."""
    suites = dict.fromkeys(test for bug in bugs for test in bug.suite)
    with tempfile.TemporaryDirectory(prefix="planted-") as folder:
        copies: SimpleQueue[Path] = SimpleQueue()
        for number in range(AT_ONCE):
            copies.put(copied(Path(folder) / str(number)))

        def tried(bug: Bug | None) -> Verdict:
            copy = copies.get()
            try:
                return try_sound(copy, suites) if bug is None else try_bug(copy, bug)
            finally:
                copies.put(copy)

        with ThreadPoolExecutor(AT_ONCE) as pool:
            trials = [(bug, pool.submit(tried, bug)) for bug in (None, *bugs)]
            for bug, trial in trials:
                yield bug, trial.result()


def copied(folder: Path, package: Path = PACKAGE) -> Path:
    """Copy a package into a folder of its own."""
    return shutil.copytree(
        package, folder / package.name, ignore=shutil.ignore_patterns("__pycache__")
    )


def try_sound(copy: Path, suite: Iterable[str]) -> Verdict:
    """Run tests on a copy as it is."""
    ended = _run(copy, suite, 4 * PATIENCE)
    if ended.code == 0 and PASSED.search(ended.printed):
        return Verdict(good=True, said="passed", seconds=ended.seconds)
    test, said = _first_failure(ended)
    return Verdict(good=False, test=test, said=said, seconds=ended.seconds)


def try_bug(copy: Path, bug: Bug) -> Verdict:
    """Run a bug's tests on a copy that has it, meanwhile."""
    file = copy / bug.file
    sound, times = file.read_text(encoding="utf-8"), file.stat()
    file.write_text(bug.written_into(sound), encoding="utf-8")
    try:
        ended = _run(copy, bug.suite, PATIENCE)
    finally:
        file.write_text(sound, encoding="utf-8")
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    test, said = _first_failure(ended)
    caught = ended.code == 1 and bool(test)
    return Verdict(good=caught, test=test, said=said, seconds=ended.seconds)


@attrs.frozen
class _Ended:
    #: Pytest's; `None`: it did not come to its end.
    code: int | None
    printed: str
    seconds: float


def _run(copy: Path, suite: Iterable[str], patience: float) -> _Ended:
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
    command += ["-p", "tests.faults.planted.copied", *suite]
    path = os.pathsep.join(filter(None, [str(copy.parent), os.environ.get("PYTHONPATH")]))
    others = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "COV_"))}
    others.pop("PYTHONDONTWRITEBYTECODE", None)
    own = {
        COPY: str(copy.parent),
        "PYTHONPATH": path,
        # To import Hypothesis and a module of tests takes longer than most of these tests.
        "PYTHONPYCACHEPREFIX": str(copy.parents[1] / "compiled"),
        "HYPOTHESIS_PROFILE": "ci",
        "COLUMNS": "400",
    }
    began = time.monotonic()
    try:
        ended = subprocess.run(
            command,
            cwd=ROOT,
            env=others | own,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=patience,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return _Ended(None, "", time.monotonic() - began)
    return _Ended(ended.returncode, ended.stdout, time.monotonic() - began)


def _first_failure(ended: _Ended) -> tuple[str, str]:
    if found := BAD.search(ended.printed):
        return found[1], (found[2] or "").strip()
    if ended.code is None:
        return "", "it did not come to its end"
    if ended.code == 0:
        return "", "every test passed"
    return "", f"pytest ended with {ended.code}:\n{ended.printed}"
