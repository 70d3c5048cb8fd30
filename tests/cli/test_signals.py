"""Ctrl-C and SIGTERM, sent to a real process: the run is cancelled, cleaned up, and kept."""

import json
import os
import signal
import subprocess
import sys

import pytest

from tests.cli.conftest import environment

SLOW = """
import trio
from plait import StartEvent, StopEvent, Workflow, step

class Slow(Workflow):
    @step
    async def wait(self, ev: StartEvent) -> StopEvent:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(0)
            print("cleaned up", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_cancels_the_run_and_waits_for_its_clean_up(command, here, number):
    (here / "slow.py").write_text(SLOW)
    with command("run", "slow:Slow", "-j") as running:
        running.until("started    wait")
        running.send(number)
        done = running.wait()
    assert done.code == 130
    assert done.out == ""
    assert "cleaned up" in done.err
    assert "cancelled  wait" in done.err
    assert "plait: cancelled in " in done.err
    assert "Traceback" not in done.err


def test_the_journal_knows_what_a_signal_has_ended(command, here):
    (here / "slow.py").write_text(SLOW)
    with command("run", "slow:Slow", "--journal", "runs.db") as running:
        running.until("started    wait")
        running.send()
        assert running.wait().code == 130
    listed = subprocess.run(
        [sys.executable, "-m", "plait", "runs", "--journal", "runs.db", "-j"],
        env=environment(),
        capture_output=True,
        check=True,
    )
    [run] = json.loads(listed.stdout)
    assert run["state"] == "cancelled"
    assert run["steps"] == {"cancelled": 1}


STUBBORN = """
import trio
from plait import StartEvent, StopEvent, Workflow, step

class Slow(Workflow):
    @step
    async def wait(self, ev: StartEvent) -> StopEvent:
        try:
            await trio.sleep_forever()
        finally:
            print("cleaning", flush=True)
            with trio.CancelScope(shield=True), open("go") as go:
                await trio.to_thread.run_sync(go.read)
            print("cleaned up", flush=True)
"""


def test_a_second_signal_does_not_cut_a_clean_up_short(command, here):
    """A step's own clean-up has no grace of plait's: it is awaited, however often one asks."""
    (here / "slow.py").write_text(STUBBORN)
    os.mkfifo(here / "go")
    with command("run", "slow:Slow") as running:
        running.until("started    wait")
        running.send()
        running.until("cleaning")
        running.send()
        (here / "go").write_text("go")
        done = running.wait()
    assert done.code == 130
    assert "cleaned up" in done.err


IMPORTING = """
import sys, time
print("importing", file=sys.stderr, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_what_has_not_begun(command, here, number):
    (here / "long.py").write_text(IMPORTING)
    with command("run", "long:Flow") as running:
        running.until("importing")
        running.send(number)
        done = running.wait()
    assert (done.code, done.out) == (130, "")
    assert "Traceback" not in done.err


def test_an_old_file_stays_if_there_is_no_result(command, here):
    (here / "slow.py").write_text(SLOW)
    (here / "out.json").write_text("old")
    with command("run", "slow:Slow", "-o", "out.json") as running:
        running.until("started    wait")
        running.send()
        assert running.wait().code == 130
    assert (here / "out.json").read_text() == "old"
    assert sorted(path.name for path in here.iterdir() if ".part" in path.name) == []
