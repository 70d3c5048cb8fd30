"""Deterministic simulation: each seed is a workflow, its schedule, its clock and all that goes wrong.

`python -m tests.faults.simulation --seeds 100000` goes on where this ends.
"""

import functools
import gc
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random

import attrs
import pytest
import trio
from trio.testing import MockClock

from plait._kernel import records
from tests.faults.simulation import __main__ as command
from tests.faults.simulation import scenario as scenarios
from tests.faults.simulation.scenario import draw
from tests.faults.simulation.simulate import one_world, simulate

ROOT = Path(__file__).parents[2]
SEEDS = Path(__file__).parent / "seeds" / "simulation.txt"
#: How many seeds, and in how many tests: a failure shall not hide those of other hundreds.
COUNT, TESTS = 1000, 20
EACH = COUNT // TESTS


@functools.cache
def reports(first):
    """Live through a range of the fixed seeds, once in a session."""
    found = [simulate(seed) for seed in range(first, first + EACH)]
    gc.collect()
    return found


@pytest.mark.parametrize("first", range(0, COUNT, EACH))
def test_every_promise_holds_and_the_same_seed_gives_the_same_trace(first):
    failed = [report.line for report in reports(first) if report.wrong]
    assert not failed, "\n".join(failed)


def once_failed():
    lines = [line for line in SEEDS.read_text(encoding="utf-8").splitlines() if line.strip()]
    return [line.split(maxsplit=1) for line in lines if not line.startswith("#")]


def test_seeds_that_once_failed_pass():
    failed = [(simulate(int(seed)), why) for seed, why in once_failed()]
    wrong = [f"{report.line} (once: {why})" for report, why in failed if report.wrong]
    assert not wrong, "\n".join(wrong)


def test_everything_that_can_go_wrong_really_does():
    """Statistics of the fixed seeds: no kind of workflow, of fault or of end is only on paper."""
    seen = Counter()
    for first in range(0, COUNT, EACH):
        for report in reports(first):
            seen += report.seen
    wanted = [
        *(f"flow: {flow}" for flow in scenarios.STEPS),
        *(f"owner: {owner}" for owner in scenarios.OWNERS),
        *(f"fault: {what}" for what in scenarios.AT_A_CALL),
        *(f"fault: cancelled: {what}" for what in scenarios.IN_CLEAN_UP),
        *(f"fault: {what}" for what in scenarios.OF_RESOURCES),
        *(f"fault: cut: {what}" for what in scenarios.CUTS),
        *(f"fault: a reader {what}" for what in scenarios.READERS),
        *(f"fault: a human {what}" for what in scenarios.HUMANS),
        "fault: an observer raises",
        "fault: bodies are unwanted",
        "fault: back-pressure",
        "fault: a full stream",
        "fault: patience is lost",
        *(f"end: {end}" for end in ("Stopped", "Crashed", "TimedOut", "Stalled")),
        "end: cancelled by a user",
        "end: cancelled by its owner",
        *(f"record: {record.__name__}" for record in _records()),
    ]
    rare = {what: seen[what] for what in wanted if seen[what] < 5}
    assert not rare, f"seen less than five times: {rare}"


#: Written by a run that outlives its process, and none of these does; or when a human answers before
#: there is anybody who asks, and these humans wait for the question.
ELSEWHERE = {
    records.Reopened,
    records.Repeated,
    records.StreamedBefore,
    records.Recalled,
    records.Stored,
    records.HandedOver,
    records.FunctionHeld,
}


def _records():
    return {*records.Record.__args__} - ELSEWHERE


# ---------------------------------------------------------------- one seed


def test_the_schedule_comes_from_the_seed():
    """Two private names of Trio: `one_world` sets them, and this says if they have changed."""

    def order(seed):
        log = []

        async def task(n):
            for _ in range(3):
                await trio.lowlevel.checkpoint()
                log.append(n)

        async def main():
            async with trio.open_nursery() as nursery:
                for n in range(6):
                    nursery.start_soon(task, n)

        before = trio._core._run._r, trio._core._run._ALLOW_DETERMINISTIC_SCHEDULING
        with one_world(seed):
            assert isinstance(trio._core._run._r, Random)
            trio.run(main, clock=MockClock(autojump_threshold=0))
        assert (trio._core._run._r, trio._core._run._ALLOW_DETERMINISTIC_SCHEDULING) == before
        return tuple(log)

    assert order(1) == order(1)
    assert len({order(seed) for seed in range(20)}) > 15


def test_other_seeds_are_other_traces():
    assert len({report.text for report in reports(0)}) == EACH


def test_the_order_of_sets_decides_nothing():
    """What iterates over a set of strings or classes is another order in another process."""

    def digest(hashes):
        return subprocess.run(
            [sys.executable, "-m", "tests.faults.simulation", "--seeds", "40", "--digest"],
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": hashes},
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    assert digest("1") == digest("2")


def test_a_scenario_can_be_made_smaller_by_hand():
    """Without its faults, a seed is still a simulation."""
    whole = draw(3)
    bare = attrs.evolve(whole, faults=(), lent=(), cuts=(), readers=(), observer=-1)
    assert not simulate(bare).wrong


ROUND_AND_ROUND = """
import trio
from tests.faults.simulation import simulate as simulation

async def round_and_round(world):
    while True:
        await trio.lowlevel.checkpoint()

simulation.main, simulation.TOO_LONG = round_and_round, 0.5
print(simulation.simulate(0).wrong[0])
"""


def test_what_goes_round_and_round_is_a_failure():
    """In a process of its own: an event loop that was torn down leaves things behind."""
    command = [sys.executable, "-W", "ignore", "-c", ROUND_AND_ROUND]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "no end after 0.5 s" in told.stdout


# ---------------------------------------------------------------- the command


def test_the_command_tells_of_one_seed(capsys):
    assert command.run(["--seed", "7", "-v"]) == 0
    told = capsys.readouterr().out
    assert told.startswith(str(draw(7)))
    assert "RunStarted(at=0.0" in told
    assert told.endswith("1 seeds, 0 failed\n")


def test_the_command_fails_in_one_line_that_replays_it(capsys, monkeypatch):
    def wrong(seed):
        report = simulate(seed)
        return (
            attrs.evolve(report, wrong=("promise 1:\n a body", "another")) if seed == 5 else report
        )

    monkeypatch.setattr(command, "simulate", wrong)
    assert command.run(["--from", "4", "--seeds", "3"]) == 1
    first, last = capsys.readouterr().out.splitlines()
    replays, _, why = first.partition("  # ")
    assert why == "promise 1: a body (and 1 more)"
    assert last == "3 seeds, 1 failed"
    arguments = replays.removeprefix("python -m tests.faults.simulation ").split()
    assert command.run(arguments) == 1
    assert re.match(r"seed 5: ", capsys.readouterr().out)
