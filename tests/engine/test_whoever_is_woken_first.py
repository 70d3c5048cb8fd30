"""A cancellation wakes several tasks at once: whoever is first, the run says the same."""

import pytest
import trio
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


class Swallows(Workflow):
    """A body that makes a result of its cancellation."""

    @step
    async def sleep(self, ev: StartEvent) -> StopEvent:
        try:
            await trio.sleep(10)
        except trio.Cancelled:
            return StopEvent(result="swallowed")
        return StopEvent()


@settings(max_examples=30)
@given(schedules())
def test_what_a_body_returns_after_its_run_was_cancelled_does_not_count(schedule):
    async def main():
        with pytest.raises(WorkflowTimeoutError):
            await Swallows(timeout=1).run()
        current = Swallows().run()
        with trio.move_on_after(1) as scope:
            await current
        assert scope.cancelled_caught
        assert current.state == "cancelled"

    run(main)
