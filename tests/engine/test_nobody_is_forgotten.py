"""Who waits for something gets it: a worker, an attempt, a place, a turn, an answer.

Each test ends on a clock that jumps, so one that would wait for ever fails at once.
"""

import trio

from plait import Context, Event, HumanResponseEvent, StartEvent, StopEvent, Workflow, step
from plait.retry import retry_policy, wait_fixed

#: Seconds that no run here takes.
LONG = 1000


class A(Event):
    n: int = 0


class B(Event):
    n: int = 0


class Live(Workflow):
    """Takes a second, and counts how many of its runs are live."""

    live, most = 0, 0

    @step
    async def work(self, ev: StartEvent) -> StopEvent:
        self.live += 1
        self.most = max(self.most, self.live)
        await trio.sleep(1)
        self.live -= 1
        return StopEvent(result=trio.current_time())


async def test_each_delivery_has_a_worker(autojump_clock):
    class Flow(Workflow):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> A | None:
            for n in range(6):
                ctx.send_event(A(n=n))

        @step(num_workers=3)
        async def work(self, ctx: Context, ev: A) -> StopEvent | None:
            await trio.sleep(1)
            return ctx.collect_events(ev, [A] * 6) and StopEvent(result=trio.current_time())

    with trio.fail_after(LONG):
        assert await Flow().run() == 2


async def test_each_failed_attempt_is_tried_again(autojump_clock):
    """Two wait for their next attempt, the later one for less time than the earlier one."""

    class Flow(Workflow):
        @step
        async def start(self, ev: StartEvent) -> list[A]:
            return [A(n=3), A(n=1)]

        @step(retry_policy=retry_policy(wait=lambda state: state.outcome.exception().args[0]))
        async def work(self, ctx: Context, ev: A) -> B:
            if not ctx.retry_info().retry_number:
                raise ValueError(ev.n)
            return B(n=ev.n)

        @step
        async def end(self, evs: list[B]) -> StopEvent:
            return StopEvent(result=[(ev.n, trio.current_time()) for ev in evs])

    with trio.fail_after(LONG):
        assert await Flow().run() == [(1, 3), (3, 3)]


async def test_attempts_that_are_due_in_one_instant_are_all_made(autojump_clock):
    class Flow(Workflow):
        @step
        async def start(self, ev: StartEvent) -> list[A]:
            return [A(n=n) for n in range(3)]

        @step(retry_policy=retry_policy(wait=wait_fixed(2)))
        async def work(self, ctx: Context, ev: A) -> B:
            if not ctx.retry_info().retry_number:
                raise ValueError
            return B(n=ev.n)

        @step
        async def end(self, evs: list[B]) -> StopEvent:
            return StopEvent(result=[ev.n for ev in evs])

    with trio.fail_after(LONG):
        assert await Flow().run() == [0, 1, 2]


async def test_who_has_stopped_waits_for_no_retry(autojump_clock):
    class Flow(Workflow):
        @step
        async def start(self, ev: StartEvent) -> list[A]:
            return [A(n=0), A(n=1)]

        @step(retry_policy=retry_policy(wait=wait_fixed(9)))
        async def work(self, ev: A) -> StopEvent:
            if not ev.n:
                raise ValueError
            await trio.sleep(1)
            return StopEvent()

    with trio.fail_after(LONG):
        await Flow().run()
    assert trio.current_time() == 1


async def test_a_place_that_comes_free_is_given_to_the_next_run(autojump_clock):
    flow = Live(num_concurrent_runs=1)
    with trio.fail_after(LONG):
        async with flow.run() as one, flow.run() as two, flow.run() as three:
            assert [await one, await two, await three] == [1, 2, 3]
    assert flow.most == 1


async def test_a_run_that_leaves_the_line_gives_nobody_its_place(autojump_clock):
    """Not the first in the line: that one could only admit itself."""
    flow = Live(num_concurrent_runs=1)
    with trio.fail_after(LONG):
        async with flow.run() as one, flow.run() as two, flow.run() as three, flow.run() as four:
            await trio.sleep(0.5)
            three.cancel()
            assert [await one, await two, await four] == [1, 2, 3]
    assert flow.most == 1


async def test_a_writer_that_gives_up_lets_the_next_one_write(autojump_clock):
    ends = []

    class Flow(Workflow):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> A | None:
            for n in range(3):
                ctx.send_event(A(n=n))

        @step
        async def write(self, ctx: Context, ev: A) -> StopEvent | None:
            with trio.move_on_after(1 if ev.n == 1 else LONG):
                async with ctx.store.edit_state():
                    await trio.sleep(2)
                ends.append((ev.n, trio.current_time()))
            return StopEvent() if len(ends) == 2 else None

    with trio.fail_after(LONG):
        await Flow().run()
    assert ends in ([(0, 2), (2, 4)], [(2, 2), (0, 4)])


async def test_an_answer_that_has_come_is_not_lost_in_a_cancellation(autojump_clock):
    """It came in time; what takes too long is the line for the shared limiter."""
    limiter = trio.CapacityLimiter(1)

    class Flow(Workflow):
        @step(limiter=limiter)
        async def ask(self, ctx: Context, ev: StartEvent) -> A | StopEvent:
            ctx.send_event(A())
            answer = None
            with trio.move_on_after(2) as scope:
                answer = await ctx.wait_for_event(HumanResponseEvent)
                await trio.lowlevel.checkpoint()
            assert scope.cancelled_caught
            assert limiter.borrowed_tokens == 1
            return StopEvent(result=(answer.response, trio.current_time()))

        @step(limiter=limiter)
        async def hold(self, ctx: Context, ev: A) -> StopEvent | None:
            await trio.sleep(1)
            ctx.send_event(HumanResponseEvent(response="yes"))
            await trio.sleep(2)
            return None

    with trio.fail_after(LONG):
        assert await Flow().run() == ("yes", 3)
    assert limiter.borrowed_tokens == 0
