"""One run has one owner at a time."""

import anyio
import pytest

from plait import Event, StartEvent, StopEvent, Workflow, step
from plait.durable import MemoryJournal
from plait.errors import RunLockedError

LOCKED = "'r' is under way in this process"
#: Seconds after which a second owner has got what it shall not have.
PATIENCE = 5


class Half(Event):
    pass


class Long(Workflow):
    """Two bodies, of which the second says that it has begun and waits until it may go on."""

    def __init__(self, began, journal):
        super().__init__(journal=journal)
        self.began = began
        self.half = anyio.Event()
        self.go_on = anyio.Event()

    @step
    async def start(self, ev: StartEvent) -> Half:
        self.began.append("start")
        return Half()

    @step
    async def end(self, ev: Half) -> StopEvent:
        self.began.append("end")
        self.half.set()
        await self.go_on.wait()
        return StopEvent(result="done")


@pytest.mark.anyio
async def test_nobody_takes_up_a_run_that_is_under_way_here():
    """Not by another object of the class either; it goes on unharmed, and is free afterwards."""
    journal, began = MemoryJournal(), []
    flow = Long(began, journal)
    async with flow.run(run_id="r") as run:
        await flow.half.wait()
        with pytest.raises(RunLockedError, match=LOCKED), anyio.fail_after(PATIENCE):
            await Long(began, journal).run(run_id="r")
        with pytest.raises(RunLockedError, match=LOCKED), anyio.fail_after(PATIENCE):
            await Long(began, journal).resume("r")
        flow.go_on.set()
        assert await run.result() == "done"
    assert await Long(began, journal).resume("r") == "done"
    assert began == ["start", "end"]


@pytest.mark.anyio
async def test_a_run_that_was_left_is_free():
    journal, began = MemoryJournal(), []
    flow = Long(began, journal)
    async with anyio.create_task_group() as tasks:
        flow.run(run_id="r").start_soon(tasks)
        await flow.half.wait()
        tasks.cancel_scope.cancel()
    again = Long(began, journal)
    again.go_on.set()
    assert await again.resume("r") == "done"
    assert began == ["start", "end", "end"]
