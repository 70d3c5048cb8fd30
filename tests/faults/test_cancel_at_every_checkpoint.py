"""Cancel each scenario at each step of the scheduler: nothing is left, lost or half done.

Under one fixed schedule an instrument counts the steps that a scenario's tasks make. Then the scenario
runs once per step and is cancelled there, in each of the ways that there are. Afterwards the same
workflow object runs again, to the right result.
"""

import functools
import itertools
import os
import re
import signal

import pytest
import trio

from tests.engine.hanging import no_test_hangs as no_test_hangs
from tests.engine.harness import collect_garbage, one_schedule, recorded, run_fixed
from tests.faults import owners, ways
from tests.faults.account import kept_books
from tests.faults.scenarios import company, gathering, trouble, world

SCENARIOS = [
    gathering.Resources,
    gathering.Joins,
    gathering.Races,
    gathering.Store,
    gathering.Drain,
    trouble.Retries,
    trouble.Timeouts,
    trouble.Limiter,
    trouble.Crowd,
    trouble.Stepwise,
    company.Nested,
    company.Human,
    company.Reader,
    world.Threads,
    world.Files,
    world.Processes,
]
VIRTUAL = [scenario for scenario in SCENARIOS if scenario.virtual]
#: In CI the rarer ways take every fifth step; in the night all of them.
STRIDE = 1 if os.environ.get("HYPOTHESIS_PROFILE") == "nightly" else 5


def each(scenarios):
    return pytest.mark.parametrize("scenario", scenarios, ids=lambda scenario: scenario.__name__)


@pytest.fixture(autouse=True)
def fixed(monkeypatch):
    with one_schedule(monkeypatch):
        yield


@pytest.fixture(autouse=True)
def keyboard():
    """Have Ctrl-C mean what it means in a terminal: whoever starts tests in the background may ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def sweep(monkeypatch, tmp_path):
    """Cancel a scenario at each step, and return in which states the runs ended."""

    def run(main, scenario):
        return run_fixed(main) if scenario.virtual else trio.run(main)

    def sweep(cut, scenario, owner, *args, stride=1, first=1):
        owner = owners.block if owner is owners.caller and scenario.attended else owner
        make = functools.partial(scenario, tmp_path)
        with recorded(monkeypatch) as made, kept_books(monkeypatch) as books:

            async def cut_here():
                return await ways.disturbed(cut, make, owner, made, books, at, *args)

            states, reached = [], True
            for at in itertools.count(first, stride):
                try:
                    ended, reached = run(cut_here, scenario)
                except BaseException as error:
                    error.add_note(f"cancelled at step {at}")
                    raise
                if not reached:
                    break
                states += ended
        collect_garbage()
        return states

    return sweep


@each(VIRTUAL)
def test_the_schedule_is_fixed(scenario, tmp_path):
    async def main():
        attempt = ways.Attempt(scenario(tmp_path), owners.block)
        await ways.undisturbed(attempt)
        return [re.sub("^run .*", "run", name) for name in attempt.cutter.trace]

    first = run_fixed(main)
    assert run_fixed(main) == run_fixed(main) == first


@each(SCENARIOS)
def test_the_scope_around_it_is_cancelled(sweep, scenario):
    states = sweep(ways.scope, scenario, owners.caller)
    assert states.count("cancelled") > len(states) / 4


@each(SCENARIOS)
def test_its_runs_are_cancelled(sweep, scenario):
    states = sweep(ways.run, scenario, owners.caller)
    assert states.count("cancelled") > len(states) / 4


@each(SCENARIOS)
def test_the_deadline_of_the_scope_around_it_comes(sweep, scenario):
    states = sweep(ways.deadline, scenario, owners.block)
    assert states.count("cancelled") > len(states) / 4


@each(VIRTUAL)
def test_its_own_timeout_passes(sweep, scenario):
    states = sweep(ways.timeout, scenario, owners.caller)
    assert states.count("failed") > len(states) / 4


@each(SCENARIOS)
def test_ctrl_c_is_pressed(sweep, scenario):
    states = sweep(ways.interrupt, scenario, owners.caller)
    ended = (
        "cancelled" if scenario.attended else "failed"
    )  # a run that is awaited is interrupted itself
    assert states.count(ended) > len(states) / 4


# ---------------------------------------------------------------- other owners, and twice


@each(SCENARIOS)
@pytest.mark.parametrize(
    ("owner", "cut"),
    [
        (owners.nursery, ways.scope),
        (owners.nursery, ways.run),
        (owners.nursery, ways.sibling),
        (owners.nursery, ways.interrupt),
        (owners.block, ways.sibling),
        (owners.runtime, ways.scope),
        (owners.runtime, ways.closing),
        (owners.runtime, ways.sibling),
        (owners.runtime, ways.interrupt),
    ],
    ids=lambda it: it.__name__,
)
def test_another_owner(sweep, scenario, owner, cut):
    if owner is owners.runtime and scenario is trouble.Stepwise:
        pytest.skip("a runtime starts runs at once: nobody can say before that to go step by step")
    states = sweep(cut, scenario, owner, stride=STRIDE)
    assert states.count("cancelled") > len(states) / 5


@each(SCENARIOS)
@pytest.mark.parametrize("later", [1, 4])
@pytest.mark.parametrize("cut", [ways.scope_then_run, ways.run_then_scope, ways.run_then_key])
def test_a_second_cancel_comes_during_the_clean_up(sweep, scenario, cut, later):
    sweep(cut, scenario, owners.caller, later, stride=STRIDE, first=later)


@pytest.mark.parametrize("how", [ways.run_of, ways.scope_of])
@pytest.mark.parametrize("which", [0, 1, 2])
def test_one_of_several_runs_is_cancelled(sweep, how, which):
    """Two may be live, and the third waits. Whichever is cancelled, the others give their results."""
    states = sweep(how, trouble.Crowd, owners.each_in_a_task, which, stride=STRIDE)
    assert {*states[which::3]} == {"cancelled", "completed"}
    del states[which::3]
    assert {*states} == {"completed"}


@each(VIRTUAL)
def test_its_timeout_at_each_instant(scenario, monkeypatch, tmp_path):
    """At each time at which something happens, and between any two, when all sleep or wait."""
    owner = owners.block if scenario.attended else owners.caller

    async def times():
        attempt = ways.Attempt(scenario(tmp_path), owner, ways.Timer())
        await ways.undisturbed(attempt)
        return sorted({*attempt.cutter.times})

    with recorded(monkeypatch) as made, kept_books(monkeypatch) as books:

        async def main(seconds):
            return await ways.disturbed(
                ways.timeout_after,
                functools.partial(scenario, tmp_path),
                owner,
                made,
                books,
                seconds,
            )

        instants = run_fixed(times)
        between = [(one + other) / 2 for one, other in itertools.pairwise(instants)]
        states = [run_fixed(main, at)[0] for at in sorted([*instants[1:], *between])]
    assert states[0][0] == "failed"
