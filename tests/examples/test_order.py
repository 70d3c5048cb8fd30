"""The shop that survives: killed for good, as often as one likes, it does no recorded step again."""

import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

ORDER = Path(__file__).parents[2] / "examples" / "order.py"
#: On each backend, after which lines it is killed.
KILLS = {"trio": (1, 18, 12), "asyncio": (25,)}
ORDERS = 10
#: A payment and a shipment for each order, and 30 things to pack.
STEPS = 50

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")


def start(*arguments):
    """Start the command; what it says on the way can be read while it runs."""
    return subprocess.Popen(
        [sys.executable, str(ORDER), "--orders", str(ORDERS), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def finish(*arguments):
    """Let the command run to its end: what it printed, and the keys of the handlers that it ran."""
    process = start(*arguments)
    printed, said = process.communicate()
    assert process.returncode == 0, said
    return printed, keys(said.splitlines())


def kill_at(line, *arguments):
    """Kill the command when it has said so many lines: the keys of the handlers that it ran."""
    process = start(*arguments)
    said = []
    for said_now in process.stderr:
        said.append(said_now)
        if len(said) == line:
            process.kill()
            break
    said += process.stderr  # `communicate` does not know what has been read ahead
    process.communicate()
    assert process.returncode == -signal.SIGKILL, "it was faster"
    return keys(said)


def keys(said):
    return [line.split()[0] for line in said if line.strip()]


def recorded(journal):
    """The idempotency keys of the steps that have ended, by what is in the file."""
    with closing(sqlite3.connect(journal)) as file:
        rows = file.execute("SELECT stream, key FROM record WHERE kind = 'step.completed'")
        ended = [hashlib.sha256(f"{stream}\n{key}".encode()) for stream, key in rows]
    return {digest.hexdigest()[:32] for digest in ended}


@pytest.mark.parametrize("backend", KILLS)
def test_killed_again_and_again_it_does_no_recorded_step_again(tmp_path, backend):
    whole, said = finish("--journal", tmp_path / "whole.db", "--backend", backend)
    assert len(whole.splitlines()) == ORDERS
    assert Counter(said).most_common(1) == [(said[0], 1)]
    assert len(said) == STEPS
    arguments = ["--journal", tmp_path / "killed.db", "--backend", backend]
    everything, done = [], set()
    for line in KILLS[backend]:
        said = kill_at(line, *arguments)
        assert not done & set(said)
        assert done <= (done := recorded(tmp_path / "killed.db"))
        everything += said
    assert done, "nothing was recorded before the last kill"
    printed, said = finish(*arguments)
    assert printed == whole
    assert not done & set(said)
    assert len({*everything, *said}) == STEPS
    # However often a payment was asked for, the bank knows it once.
    assert len(list((tmp_path / "killed.bank").iterdir())) == ORDERS
    assert finish(*arguments) == (whole, [])


def test_interrupted_it_says_how_to_go_on(tmp_path):
    arguments = ["--journal", tmp_path / "runs.db"]
    process = start(*arguments)
    process.stderr.readline()
    process.send_signal(signal.SIGINT)
    said = [*process.stderr]
    process.communicate()
    assert process.returncode == 130, said
    assert said[-1].strip() == "order: interrupted; the same command goes on"
    assert len(finish(*arguments)[0].splitlines()) == ORDERS
