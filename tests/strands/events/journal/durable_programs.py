"""Workflows whose steps make durable calls, with a witness of the handlers outside of their journal.

`ran` has the key of each attempt of a handler, in the order of time: what is in it was done, whatever
the journal says. Each workflow comes to the same result however often it is interrupted.
"""

import asyncio
from contextlib import asynccontextmanager

import anyio
import sniffio
import trio

from plait import (
    Context,
    Event,
    HumanResponseEvent,
    InputRequiredEvent,
    JsonSerializer,
    StartEvent,
    StopEvent,
    Workflow,
    catch_error,
    step,
)
from plait._steps.attempt import current_step
from plait.events import StepFailedEvent
from plait.retry import ConstantDelayRetryPolicy
from tests.parity.letters import A, B

ran = []


class Asked(InputRequiredEvent):
    n: int


class Told(HumanResponseEvent):
    n: int


class Note(Event):
    text: str


class Durable(Workflow):
    """Knows the events that only go to the stream."""

    def __init__(self, **options):
        super().__init__(serializer=JsonSerializer(allowed_types=[Asked, Told, Note]), **options)


async def double(x, seconds=0.0):
    ran.append(current_step().key)
    await anyio.sleep(seconds)
    return 2 * x


def triple(x):
    ran.append(current_step().key)
    return 3 * x


async def second_time(x):
    """Fails in its first attempt."""
    ran.append(current_step().key)
    await anyio.lowlevel.checkpoint()
    if current_step().attempt == 0:
        raise ValueError("not yet")
    return x


async def broken():
    ran.append(current_step().key)
    await anyio.lowlevel.checkpoint()
    raise OSError("no disk")


@asynccontextmanager
async def plain_nursery():
    """Whatever the backend's users have: Trio's nursery, asyncio's own task group."""
    if sniffio.current_async_library() == "trio":
        async with trio.open_nursery() as nursery:
            yield nursery.start_soon
        return
    async with asyncio.TaskGroup() as tasks:
        yield lambda fn, *args: tasks.create_task(fn(*args))


class Sequence(Durable):
    @step
    async def start(self, ctx: Context, ev: StartEvent) -> StopEvent:
        a = await ctx.step.run("a", double, 1)
        await ctx.step.sleep("nap", 3600)
        b = await ctx.step.run("b", triple, a)
        again = [await ctx.step.run("again", double, n) for n in range(3)]
        return StopEvent(result=[a, b, again])


class Groups(Durable):
    @step
    async def start(self, ctx: Context, ev: StartEvent) -> StopEvent:
        async def branch(ids, seconds):
            return [await ctx.step.run("it", double, n, seconds) for n in ids]

        parted = await ctx.group.parallel(
            (lambda: branch([1, 2, 3], 1.0), lambda: branch([4, 5], 1.5))
        )
        mapped = await ctx.group.map("m", triple, [1, 2, 3], limit=2)
        ok, failed = await ctx.group.parallel(
            (lambda: ctx.step.run("ok", double, 1), lambda: ctx.step.run("bad", broken)),
            mode="settled",
        )
        return StopEvent(result=[*map(list, parted), list(mapped), ok.value, failed.error.name])


class Nursery(Durable):
    @step
    async def start(self, ctx: Context, ev: StartEvent) -> StopEvent:
        got = {}

        async def one(n):
            first = await ctx.step.run("one", double, n, 5.0 - n)
            got[n] = await ctx.step.run("one", double, first)

        async with plain_nursery() as start_soon:
            for n in range(4):
                start_soon(one, n)
        return StopEvent(result=[got[n] for n in range(4)])


class Race(Durable):
    @step
    async def start(self, ctx: Context, ev: StartEvent) -> StopEvent:
        async def slow():
            await ctx.step.run("slow", double, 1, 50.0)
            return await ctx.step.run("never", double, 1)

        won = await ctx.group.parallel(
            (slow, lambda: ctx.step.run("fast", double, 2, 1.0)), mode="race"
        )
        after = await ctx.step.run("after", double, won.value)
        return StopEvent(result=[won.branch, won.value, after])


class Deadline(Durable):
    @step
    async def start(self, ctx: Context, ev: StartEvent) -> StopEvent:
        with ctx.move_on_after(10) as scope:
            await ctx.step.run("long", double, 1, 100.0)
        try:
            with ctx.fail_after(5):
                await ctx.step.sleep("too-long", 50)
        except TimeoutError:
            caught = await ctx.step.run("instead", double, 3)
        return StopEvent(result=[scope.cancelled_caught, caught])


class CallsRetry(Durable):
    """The policy of a call; and that of the step, which its calls have by default."""

    @step(retry_policy=ConstantDelayRetryPolicy(maximum_attempts=3, delay=7))
    async def start(self, ctx: Context, ev: StartEvent) -> StopEvent:
        a = await ctx.step.run("by-step", second_time, 1)
        b = await ctx.step.run("own", second_time, 2, retry=1)
        return StopEvent(result=[a, b])


class BodyRetries(Durable):
    """An attempt of the body goes on with what earlier ones have recorded."""

    @step(retry_policy=ConstantDelayRetryPolicy(maximum_attempts=4, delay=7))
    async def start(self, ctx: Context, ev: StartEvent) -> StopEvent:
        attempt = ctx.retry_info().retry_number
        a = await ctx.step.run("a", double, 1)
        if attempt == 0:
            raise ValueError("once")
        b = await ctx.step.run("b", double, a)
        if attempt == 1:
            raise ValueError("twice")
        return StopEvent(result=[a, b])


class Failing(Durable):
    """A call that has failed for good fails the delivery, whatever the policy; a handler is told."""

    @step(retry_policy=ConstantDelayRetryPolicy(maximum_attempts=5, delay=7))
    async def start(self, ctx: Context, ev: StartEvent) -> A:
        await ctx.step.run("bad", broken, retry=0)
        return A(n=1)

    @catch_error
    async def mend(self, ctx: Context, ev: StepFailedEvent) -> StopEvent:
        mended = await ctx.step.run("mend", double, ev.attempts)
        return StopEvent(result=[mended, ev.exception.name])

    @step
    async def never(self, ev: A) -> StopEvent:
        return StopEvent(result="never")


class Many(Durable):
    """Several deliveries at once, each with calls of the same ids; and what a body does beside them."""

    @step
    async def start(self, ctx: Context, ev: StartEvent) -> A | None:
        await ctx.store.set("seen", [])
        for n in range(4):
            ctx.send_event(A(n=n))

    @step(num_workers=3)
    async def each(self, ctx: Context, ev: A) -> B:
        first = await ctx.step.run("first", double, ev.n, 1.0)
        ctx.write_event_to_stream(Note(text=f"{ev.n}"))
        second = await ctx.step.run("second", double, first, 1.0)
        return B(n=second)

    @step
    async def last(self, ctx: Context, ev: B) -> StopEvent | None:
        whole = ctx.collect_events(ev, [B] * 4)
        if whole is None:
            return None
        return StopEvent(result=sorted(one.n for one in whole))


class Waiting(Durable):
    """Waits of the other kind between calls; the question is answered from inside."""

    @step
    async def start(self, ctx: Context, ev: StartEvent) -> A | StopEvent:
        a = await ctx.step.run("a", double, 1)
        ctx.send_event(A(n=a))
        told = await ctx.wait_for_event(Told, waiter_event=Asked(n=a))
        b = await ctx.step.run("b", double, told.n)
        return StopEvent(result=[a, b])

    @step(skip_graph_checks=["dead_end"])
    async def answer(self, ctx: Context, ev: A) -> None:
        ctx.send_event(Told(n=ev.n + 1))


class Inner(Durable):
    @step
    async def start(self, ctx: Context, ev: StartEvent) -> StopEvent:
        got = await ctx.group.map("m", double, [1, 2])
        return StopEvent(result=list(got))


class Outer(Durable):
    """A run inside a body that makes calls makes calls as well."""

    @step
    async def start(self, ctx: Context, ev: StartEvent) -> StopEvent:
        before = await ctx.step.run("before", double, 1)
        inside = await ctx.run_child(Inner())
        after = await ctx.step.run("after", double, 2)
        return StopEvent(result=[before, inside, after])


class Helper(Durable):
    """The calls are made in a function that is given the context."""

    @step
    async def start(self, ctx: Context, ev: StartEvent) -> StopEvent:
        return StopEvent(result=await helped(ctx))


async def helped(ctx):
    return [await ctx.step.run("h", double, n) for n in range(2)]


PROGRAMS = {
    Sequence: [2, 6, [0, 2, 4]],
    Groups: [[2, 4, 6], [8, 10], [3, 6, 9], 2, "OSError"],
    Nursery: [0, 4, 8, 12],
    Race: [1, 4, 8],
    Deadline: [True, 6],
    CallsRetry: [1, 2],
    BodyRetries: [2, 4],
    Failing: [2, "OSError"],
    Many: [0, 4, 8, 12],
    Waiting: [2, 6],
    Outer: [2, [2, 4], 4],
    Helper: [0, 2],
}
