"""`kill -9`, again and again, on a file: nothing that was acknowledged is lost or done again.

`python -m tests.faults.journal.kill --kills 100000` goes on where this ends.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
#: How many kills, and in how many tests.
COUNT, TESTS = 1000, 4


def killed(*arguments):
    """Run the command as a process of its own: it forks, and a test may have threads."""
    command = [sys.executable, "-m", "tests.faults.journal.kill", *map(str, arguments)]
    paths = [*filter(None, [os.environ.get("PYTHONPATH")]), *map(str, PACKAGES)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


#: Where this process has plait from.
PACKAGES = [Path(sys.modules["plait"].__file__).parents[1]] if "plait" in sys.modules else []


@pytest.mark.parametrize("seed", range(TESTS))
def test_nothing_acknowledged_is_lost_or_run_again(seed):
    ended = killed("--kills", COUNT // TESTS, "--seed", seed)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    *_, seen, last = ended.stdout.splitlines()
    assert int(re.match(r"(\d+) kills", last)[1]) >= COUNT // TESTS
    seen = json.loads(seen)
    for what in ("bodies that ran again", "sends not repeated", "retries"):
        assert seen[what] > seen["runs"], what


def test_a_run_can_be_repeated():
    ended = killed("--only", 3, "--seed", 1)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert re.fullmatch(r"\d+ kills\n", ended.stdout)
