"""One run has one owner at a time."""

import anyio
import pytest

from plait import Event, StartEvent, StopEvent, Workflow, step
from plait.durable import MemoryJournal
from plait.errors import RunLockedError


class Half(Event):
    pass


class Long(Workflow):
    """Two bodies."""

    def __init__(self, began, **options):
        super().__init__(**options)
        self.began = began

    @step
    async def start(self, ev: StartEvent) -> Half:
        self.began.append("start")
        await anyio.sleep(0.02)
        return Half()

    @step
    async def end(self, ev: Half) -> StopEvent:
        self.began.append("end")
        await anyio.sleep(0.02)
        return StopEvent(result="done")


@pytest.mark.anyio
async def test_nobody_takes_up_a_run_that_is_under_way_here():
    """Not by another object of the class either; it goes on unharmed, and is free afterwards."""
    journal, began = MemoryJournal(), []
    async with Long(began, journal=journal).run(run_id="r") as run:
        await anyio.sleep(0.01)
        for again in (
            Long(began, journal=journal).run(run_id="r"),
            Long(began, journal=journal).resume("r"),
        ):
            with pytest.raises(RunLockedError, match="'r' is under way in this process"):
                await again
        assert await run.result() == "done"
    assert await Long(began, journal=journal).resume("r") == "done"
    assert began == ["start", "end"]


@pytest.mark.anyio
async def test_a_run_that_was_left_is_free():
    journal, began = MemoryJournal(), []
    with anyio.move_on_after(0.03):
        await Long(began, journal=journal).run(run_id="r")
    assert await Long(began, journal=journal).resume("r") == "done"
    assert began == ["start", "end", "end"]
