"""Durable calls in steps, and the three kinds of cancellation: from outside, by plait, inside the body."""

import json

import anyio
import pytest

from plait import Context, StartEvent, StopEvent, step
from plait._engine import native
from plait.errors import RunSuspended, StepTimeoutError, WorkflowTimeoutError
from plait.retry import ConstantDelayRetryPolicy
from tests.parity.clocks import in_virtual_time
from tests.parity.letters import A
from tests.strands.events.journal.durable_programs import Durable, Race, double, ran
from tests.strands.events.journal.lives import Kept, entries_of, live_for, outcome_of


@pytest.fixture(autouse=True)
def nothing_ran():
    ran.clear()


def told(journal, run_id="r"):
    """What is recorded of calls: the kind of each record and the id of its call."""
    return [
        (entry.kind.removeprefix("step."), json.loads(entry.key)[1])
        for entry in entries_of(journal, run_id)
        if entry.key is not None
    ]


async def stuck():
    try:
        await anyio.sleep_forever()
    finally:
        ran.append("left")


AGAIN = ConstantDelayRetryPolicy(maximum_attempts=3, delay=1)


class TimesOut(Durable):
    """Its first attempt takes too long."""

    @step(retry_policy=AGAIN, timeout=10)
    async def start(self, ctx: Context, ev: StartEvent) -> StopEvent:
        first = await ctx.step.run("first", double, 1)
        if ctx.retry_info().retry_number == 0:
            await ctx.step.run("second", stuck)
        second = await ctx.step.run("second", double, first)
        return StopEvent(result=second)


@in_virtual_time
async def test_a_step_that_times_out_keeps_what_its_calls_have_come_to():
    """What was under way is cancelled with the attempt, and the next attempt begins it anew."""
    journal = Kept()
    assert await TimesOut(journal=journal).run(run_id="r") == 4
    first, second = '[[["start",1]],"first",0]', '[[["start",1]],"second",0]'
    assert ran == [first, "left", second]
    assert told(journal) == [
        ("started", "first"),
        ("completed", "first"),
        ("started", "second"),
        ("cancelled", "second"),
        ("started", "second"),
        ("completed", "second"),
    ]


@in_virtual_time
async def test_a_step_that_times_out_for_good_fails_with_that():
    class Slow(Durable):
        @step(timeout=10)
        async def start(self, ctx: Context, ev: StartEvent) -> StopEvent:
            await ctx.step.sleep("nap", 100)
            return StopEvent(result=None)

    with pytest.raises(StepTimeoutError):
        await Slow(journal=Kept()).run(run_id="r")


@in_virtual_time
async def test_cancel_step_cancels_the_calls_of_that_delivery():
    class Cancels(Durable):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> A | None:
            ctx.send_event(A(n=1))
            ctx.send_event(A(n=2))
            await anyio.sleep(5)
            assert ctx.cancel_step("each", where=lambda one: one.n == 1) == 1

        @step
        async def each(self, ctx: Context, ev: A) -> StopEvent:
            if ev.n == 1:
                await ctx.step.run("stuck", stuck)
            await ctx.step.run("slow", double, ev.n, 10)
            return StopEvent(result=ev.n)

    journal = Kept()
    assert await Cancels(journal=journal).run(run_id="r") == 2
    assert ran == ['[[["each",3]],"slow",0]', "left"]


@in_virtual_time
async def test_a_run_that_ends_cancels_the_calls_of_others_and_awaits_their_clean_up():
    class Ends(Durable):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> A | None:
            ctx.send_event(A(n=1))
            await ctx.step.run("stuck", stuck)

        @step
        async def stop(self, ctx: Context, ev: A) -> StopEvent:
            await ctx.step.sleep("nap", 5)
            return StopEvent(result="stopped")

    journal = Kept()
    assert await Ends(journal=journal).run(run_id="r") == "stopped"
    assert ran == ["left"]
    assert await Ends(journal=journal).resume("r") == "stopped"
    assert ran == ["left"]


@in_virtual_time
async def test_a_run_that_times_out_lets_clean_up_make_calls_under_a_shield():
    class Slow(Durable):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> StopEvent:
            try:
                await ctx.step.run("stuck", stuck)
            finally:
                with anyio.CancelScope(shield=True):
                    ran.append(await ctx.step.run("tidy", double, 1))
            return StopEvent(result=None)

    journal = Kept()
    with pytest.raises(WorkflowTimeoutError):
        await Slow(journal=journal, timeout=10).run(run_id="r")
    assert ran == ["left", '[[["start",1]],"tidy",0]', 2]
    assert told(journal)[1:] == [
        ("cancelled", "stuck"),
        ("started", "tidy"),
        ("completed", "tidy"),
    ]


@in_virtual_time
async def test_who_is_suspended_makes_no_calls_under_a_shield():
    """A step in a `finally` would be remembered as done, although the body goes on later."""
    seen = []

    class Left(Durable):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> StopEvent:
            try:
                await ctx.step.run("slow", double, 1, 10 if not seen else 0)
            finally:
                if not seen:
                    with anyio.CancelScope(shield=True), pytest.raises(RunSuspended) as caught:
                        await ctx.step.run("tidy", double, 1)
                    seen.append(caught.type)
            return StopEvent(result="went on")

    journal = Kept()
    await live_for(5, Left(journal=journal).run(run_id="r"))
    assert seen == [RunSuspended]
    assert told(journal) == [("started", "slow")]  # a note, and no outcome
    assert await Left(journal=journal).resume("r") == "went on"
    assert ran == ['[[["start",1]],"slow",0]'] * 2


@in_virtual_time
async def test_who_is_cancelled_for_good_is_over():
    class Slow(Durable):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> StopEvent:
            await ctx.step.run("stuck", stuck)
            return StopEvent(result=None)

    journal = Kept()
    run = Slow(journal=journal).run(run_id="r")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(outcome_of, run)
        await anyio.sleep(5)
        run.cancel()
    assert ran == ["left"]
    assert journal._streams["r"].status == "cancelled"


@in_virtual_time
async def test_a_loser_is_recorded_as_cancelled_and_the_body_goes_on():
    journal = Kept()
    await Race(journal=journal).run(run_id="r")
    assert sorted(told(journal)[:2]) == [("started", "fast"), ("started", "slow")]
    assert told(journal)[2:] == [
        ("completed", "fast"),
        ("cancelled", "slow"),
        ("started", "after"),
        ("completed", "after"),
    ]


@in_virtual_time
async def test_a_scope_of_the_users_cancels_again_in_a_recovery():
    class Scoped(Durable):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> StopEvent:
            async def patience():
                await ctx.step.sleep("patience", 5)
                tasks.cancel_scope.cancel()

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(patience)
                await ctx.step.run("stuck", stuck)
            return StopEvent(result=await ctx.step.run("after", double, 1))

    journal = Kept()
    assert await Scoped(journal=journal).run(run_id="r") == 2
    for number in range(1, len(journal.appends)):
        left = journal.killed_after(number)
        slept = any(e.kind == "step.completed" for append in left.appends for e in append)
        ran.clear()
        assert await Scoped(journal=left).resume("r") == 2
        assert ("left" in ran) is not slept


@in_virtual_time
async def test_nothing_is_left_in_the_loop_when_no_such_body_is_alive():
    from plait._engine.bodies import spawning

    during = []

    class Looks(Durable):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> StopEvent:
            during.append(len(spawning._watches))
            return StopEvent(result=await ctx.step.run("a", double, 1))

    class Plain(Durable):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> StopEvent:
            during.append(len(spawning._watches))
            return StopEvent(result=ctx.run_id)

    await Looks(journal=Kept()).run(run_id="r")
    await Plain(journal=Kept()).run(run_id="r")
    assert during == [1, 0]
    assert not spawning._watches
    assert native.current()
