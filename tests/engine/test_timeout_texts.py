"""What a timeout says of a step that waits, whoever the scheduler wakes first."""

import pytest
from hypothesis import given, settings

from plait import Context, HumanResponseEvent, StartEvent, StopEvent, Workflow, step
from plait.errors import WorkflowTimeoutError
from plait.testing import run, schedules


class Asks(Workflow):
    """A step that waits for what never comes."""

    @step
    async def ask(self, ctx: Context, ev: StartEvent) -> StopEvent:
        await ctx.wait_for_event(HumanResponseEvent)
        return StopEvent()


@settings(max_examples=30)
@given(schedules())
def test_a_step_that_waits_is_not_active_and_the_run_was_idle(schedule):
    async def main():
        with pytest.raises(WorkflowTimeoutError) as caught:
            await Asks(timeout=5).run()
        assert str(caught.value) == (
            "Operation timed out after 5 seconds. No steps active\n"
            "Workflow 'Asks' is idle: it waits for an event from outside.\n"
            "  step 'ask': wait_for_event(HumanResponseEvent, waiter 'ask:1:0') since 5.0 s"
        )

    run(main)
