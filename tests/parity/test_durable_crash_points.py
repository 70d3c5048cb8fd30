"""The rows again, with a process that dies at each of its appends: what it was about is on disk, or is not.

A fresh app goes on with what is on disk. What was in flight may run once more, with the same key; otherwise
the row must hold: it is the row's own test that says so, run a second time in the same world.
"""

import importlib
import inspect
from pathlib import Path

import pytest
import trio

from plait._strands._durable import function
from plait._strands._durable.source import digest
from tests.conftest import MOCK_CLOCK
from tests.parity.worlds import PROGRAMS, World, dying_at
from tests.strands.durable import patience

HERE = Path(__file__)

for path in sorted(HERE.parent.glob("test_durable_*.py")):
    if path != HERE:
        importlib.import_module(f"tests.parity.{path.stem}")

BACKENDS = [("trio", MOCK_CLOCK), ("asyncio", {"loop_factory": patience.PatientLoop})]
BOTH = pytest.mark.parametrize("anyio_backend", BACKENDS, ids=["trio", "asyncio"])
IN_PATIENT_TIME = pytest.mark.usefixtures("time_waits_for_threads")

#: On a disk: a death costs a file, two openings and their syncs.
ON_DISK = [name for n, name in enumerate(sorted(PROGRAMS)) if n % 10 == 0]

sources = {}


@pytest.fixture(autouse=True)
def sources_are_read_once(monkeypatch):
    """The same functions are declared in each life, and reading their sources is a third of a life."""

    def read_once(handler):
        code = inspect.unwrap(handler).__code__
        if code not in sources:
            sources[code] = digest(handler)
        return sources[code]

    monkeypatch.setattr(function, "digest", read_once)


async def dies_everywhere(program, fresh, *, every=1, both_ways=True):
    """Run a row with a death at each append, on disk and lost, or either in turn. How often that was."""
    append = deaths = 0
    while append < 1000:
        died = False
        for kept in (False, True) if both_ways else (append % 2 == 1,):
            world = fresh()
            where = f"died at append {append}, which was {'on disk' if kept else 'lost'}"
            try:
                died = await dying_at(world, program, append, kept=kept)
                await world.revive()
                await program(world)
            except BaseException as error:
                error.add_note(where)
                raise
            deaths += died
        if not died:
            return deaths
        append += every
    raise AssertionError("it appends without end")


@pytest.mark.anyio
@IN_PATIENT_TIME
@BOTH
@pytest.mark.parametrize("name", sorted(PROGRAMS))
async def test_a_process_dies_at_each_append(name):
    both_ways = trio.lowlevel.in_trio_task()
    assert await dies_everywhere(PROGRAMS[name], World, both_ways=both_ways) > 2


@pytest.mark.anyio
@IN_PATIENT_TIME
@BOTH
@pytest.mark.parametrize("name", ON_DISK)
async def test_a_process_dies_with_its_journal_on_a_disk(name, tmp_path):
    made = []

    def fresh():
        made.append(None)
        return World(tmp_path / f"{len(made)}.db")

    assert await dies_everywhere(PROGRAMS[name], fresh, every=4) > 1


#: Those whose bodies do one thing after another.
ONE_BY_ONE = [
    name
    for name in sorted(PROGRAMS)
    if name.startswith(("test_durable_steps", "test_durable_failures")) and "row_005" not in name
]


@pytest.mark.anyio
@IN_PATIENT_TIME
@BOTH
@pytest.mark.parametrize("name", ONE_BY_ONE)
async def test_nothing_is_done_before_what_led_to_it_is_on_disk(name):
    world = World()
    world.passes = 10
    await PROGRAMS[name](world)
    assert {one.underway for one in world.execs} <= {()}


@pytest.mark.anyio
@IN_PATIENT_TIME
@BOTH
async def test_a_loser_does_not_run_again_once_its_winner_is_on_disk(anyio_backend):
    """Also when nothing is on disk of its cancellation: its call is held until the winner cancels it."""
    program = PROGRAMS["test_durable_groups:test_row_034_a_race"]
    won = append = 0
    while True:
        world = World()
        if not await dying_at(world, program, append, kept=True):
            break
        ended = [entry.key for entry in await world.entries() if entry.kind == "step.completed"]
        ran = sum(one.name == "b.1" for one in world.execs)
        await world.revive()
        await program(world)
        if any('"a.2"' in key for key in ended):
            won += 1
            assert sum(one.name == "b.1" for one in world.execs) == ran == 1
        append += 1
    assert won > 1
