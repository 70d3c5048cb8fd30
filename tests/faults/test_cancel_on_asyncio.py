"""Cancel scenarios on asyncio at each callback of the loop: by `task.cancel()`, a scope, the run.

The loop jumps over time and takes its callbacks in one order, so that each number of a callback is one
moment of the scenario. Threads and processes are Trio's matter: here their order would be chance.
"""

import asyncio
import functools
import itertools
import os

import anyio
import pytest

from plait.errors import WorkflowCancelledByUser
from tests.engine.hanging import no_test_hangs as no_test_hangs
from tests.engine.harness import collect_garbage
from tests.faults import owners
from tests.faults.account import check_that_all_is_told, kept_books
from tests.faults.scenarios import company, gathering, trouble
from tests.faults.ways import only
from tests.leaks import Belongings
from tests.parity.clocks import JumpingLoop, live_tasks

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
]
#: In CI every seventh callback, in the night each.
STRIDE = 1 if os.environ.get("HYPOTHESIS_PROFILE") == "nightly" else 7


class CountingLoop(JumpingLoop):
    """Counts the callbacks that it has called, and does something else just before some of them."""

    def __init__(self):
        super().__init__()
        self.steps = None
        self.cuts = {}

    def call_soon(self, callback, *args, context=None):
        return super().call_soon(self._counted, callback, args, context=context)

    def _counted(self, callback, args):
        if self.steps is not None:
            self.steps += 1
            if cut := self.cuts.pop(self.steps, None):
                cut()
        callback(*args)


async def undisturbed(scenario, owner):
    results = await owner(scenario, scenario.use)
    assert results == [scenario.result] * scenario.count


async def act(scenario, owner):
    with only(*scenario.fails):
        results = await owner(scenario, scenario.use)
        assert results == [scenario.result] * scenario.count


async def by_task(scenario, owner, ats):
    """Cancel the task as asyncio does."""
    task = asyncio.get_running_loop().create_task(act(scenario, owner))
    begin(dict.fromkeys(ats, task.cancel))
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()


async def by_scope(scenario, owner, ats):
    """Cancel the scope around it."""
    with anyio.CancelScope() as scope:
        begin(dict.fromkeys(ats, scope.cancel))
        await act(scenario, owner)


async def by_run(scenario, owner, ats):
    """Cancel the runs, and their task while they are cleaned up."""

    def cancel():
        for run in scenario.runs:
            run.cancel()

    at, *later = ats
    task = asyncio.get_running_loop().create_task(act(scenario, owner))
    begin({at: cancel, **dict.fromkeys(later, task.cancel)})
    await asyncio.wait([task])
    if not task.cancelled():
        with only(WorkflowCancelledByUser):
            task.result()


def begin(cuts):
    loop = asyncio.get_running_loop()
    loop.steps, loop.cuts = 0, cuts


async def disturbed(cut, make, owner, books, ats):
    scenario, tasks, belongings = make(), live_tasks(), Belongings.now()

    def check():
        assert live_tasks() == tasks
        assert belongings.left_behind() == []
        scenario.check()
        for book in books:
            book.check()
        check_that_all_is_told(scenario.witness.raised, books)
        books.clear()

    await cut(scenario, owner, ats)
    loop = asyncio.get_running_loop()
    reached = ats[0] not in loop.cuts
    loop.steps, loop.cuts = None, {}
    states = [run.state for run in scenario.runs]
    check()
    await undisturbed(scenario, owner)
    check()
    return states, reached


def each(cut, owner, *later):
    name = f"{cut.__name__}-{owner.__name__}{'-twice' * (len(later) > 1)}"
    return pytest.param(cut, owner, later, id=name)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
@pytest.mark.parametrize(
    ("cut", "owner", "later"),
    [
        each(by_task, owners.caller, 0),
        each(by_task, owners.caller, 0, 3),
        each(by_task, owners.block, 0),
        each(by_task, owners.runtime, 0),
        each(by_scope, owners.caller, 0),
        each(by_run, owners.caller, 0),
        each(by_run, owners.caller, 0, 3),
    ],
)
def test_cancel(cut, owner, scenario, later, monkeypatch, tmp_path):
    if owner is owners.runtime and scenario is trouble.Stepwise:
        pytest.skip("a runtime starts runs at once: nobody can say before that to go step by step")
    owner = owners.block if owner is owners.caller and scenario.attended else owner
    states = []
    for at in itertools.count(1, STRIDE):
        ats = [at + more for more in later]
        with kept_books(monkeypatch) as books:
            make = functools.partial(scenario, tmp_path)
            try:
                ended, reached = anyio.run(
                    disturbed,
                    cut,
                    make,
                    owner,
                    books,
                    ats,
                    backend="asyncio",
                    backend_options={"loop_factory": CountingLoop},
                )
            except BaseException as error:
                error.add_note(f"cancelled at callback {at}")
                raise
        if not reached:
            break
        states += ended
    collect_garbage()
    assert states.count("cancelled") > len(states) / 8
