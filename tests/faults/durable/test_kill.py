"""`kill -9`, again and again, on a durable function's file: no step that was acknowledged runs again.

`python -m tests.faults.durable.kill --kills 100000` goes on where this ends.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import plait

ROOT = Path(__file__).parents[3]
#: How many kills, and in how many tests.
COUNT, TESTS = 1000, 4


def killed(*arguments):
    """Run the command as a process of its own: it forks, and a test may have threads."""
    command = [sys.executable, "-m", "tests.faults.durable.kill", *map(str, arguments)]
    #: Where this process has plait from.
    package = str(Path(plait.__file__).parents[1])
    paths = filter(None, [os.environ.get("PYTHONPATH"), package])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("seed", range(TESTS))
def test_no_acknowledged_step_is_lost_or_run_again(seed):
    ended = killed("--kills", COUNT // TESTS, "--seed", seed)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    *_, seen, last = ended.stdout.splitlines()
    assert int(re.match(r"(\d+) kills", last)[1]) >= COUNT // TESTS
    seen = json.loads(seen)
    for what in ("steps that ran again", "retries", "cancelled"):
        assert seen[what] > seen["runs"] / 2, what
