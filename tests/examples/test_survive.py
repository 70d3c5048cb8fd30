"""The example that survives: killed for good, as often as one likes, it prints what it would have printed."""

import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

SURVIVE = Path(__file__).parents[2] / "examples" / "survive.py"
#: On each backend, after which lines it is killed.
KILLS = {"trio": (1, 60, 150), "asyncio": (90,)}

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")


def start(*arguments):
    """Start the command; what it says on the way can be read while it runs."""
    return subprocess.Popen(
        [sys.executable, str(SURVIVE), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def finish(*arguments):
    """Let the command run to its end: what it printed, and the last line that it said."""
    process = start(*arguments)
    printed, said = process.communicate()
    assert process.returncode == 0, said
    return printed, said.splitlines()


def read_by(said):
    """How many files this process has read."""
    return int(said[-1].split()[2])


def kill_at(line, *arguments, number=signal.SIGKILL):
    """Kill the command when it has said so many lines; were there as many?"""
    process = start(*arguments)
    for number_of_line, _ in enumerate(process.stderr, 1):
        if number_of_line == line:
            process.send_signal(number)
            break
    process.communicate()
    return process.returncode == -number


@pytest.mark.parametrize("backend", KILLS)
def test_killed_again_and_again_it_prints_the_same(tmp_path, backend):
    """The library of this Python: the last process comes to what one alone comes to."""
    arguments = ["--journal", tmp_path / "whole.db", "--backend", backend]
    whole, said = finish(*arguments)
    total = len(whole.splitlines())
    assert total == 200
    assert read_by(said) == total
    arguments[1] = tmp_path / "killed.db"
    killed = [kill_at(line, *arguments) for line in KILLS[backend]]
    assert any(killed)
    printed, said = finish(*arguments)
    assert printed == whole
    # Each life repeats at most what its four workers had in hand.
    assert read_by(said) <= total - max(KILLS[backend]) + 4 * len(killed)
    again, said = finish(*arguments)
    assert again == whole
    assert read_by(said) == 0


def test_a_folder_of_ones_own(tmp_path):
    """The lines are those of `sha256sum`, and the run is found under its name."""
    for name, text in {"a.py": "a = 1\n", "b/c.py": "", "no.txt": "no"}.items():
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    arguments = [tmp_path / "tree", "--journal", tmp_path / "runs.db", "--run-id", "mine"]
    printed, said = finish(*arguments)
    paths = [tmp_path / "tree" / name for name in ("a.py", "b/c.py")]
    assert printed.splitlines() == [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path}" for path in paths
    ]
    assert said[-1] == "2 files, 2 read by this process"
    (tmp_path / "tree" / "a.py").unlink()
    assert finish(*arguments)[0] == printed


def test_interrupted_it_says_how_to_go_on(tmp_path):
    arguments = ["--journal", tmp_path / "runs.db"]
    process = start(*arguments)
    process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    if process.returncode:  # else it was faster
        assert process.returncode == 130
        assert said.splitlines()[-1] == "survive: interrupted; the same command goes on"
    assert len(finish(*arguments)[0].splitlines()) == 200
