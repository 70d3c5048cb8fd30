"""asyncio's own `Task.cancel()` may come before a task has begun; its coroutine is then never entered."""

import asyncio
import gc

import pytest

import plait
from plait import StartEvent, StopEvent, Workflow, step
from plait.errors import WorkflowCancelledByUser


class Sleeps(Workflow):
    """Sleeps as long as it is told to."""

    @step
    async def sleep(self, ev: StartEvent) -> StopEvent:
        await asyncio.sleep(ev.seconds)
        return StopEvent(result="slept")


def cancel_all_others():
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
@pytest.mark.parametrize("limit", [None, 1])
def test_a_run_of_a_block_ends_though_its_host_never_began(limit):
    flow = Sleeps(num_concurrent_runs=limit)

    async def main():
        run = flow.run(seconds=0)
        async with run:
            cancel_all_others()
        assert run.is_done()
        with pytest.raises(WorkflowCancelledByUser):
            await run
        assert await flow.run(seconds=0) == "slept", "the gate has its place back"

    asyncio.run(main())
    gc.collect()  # the coroutine that was never entered says so


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
def test_a_run_of_a_runtime_ends_though_its_host_never_began():
    async def main():
        async with plait.open_runtime():
            run = Sleeps().run(seconds=0)
            cancel_all_others()
        assert run.is_done()
        with pytest.raises(WorkflowCancelledByUser):
            await run

    asyncio.run(main())
    gc.collect()  # the coroutine that was never entered says so
