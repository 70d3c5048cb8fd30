"""Memory is flat in the number of steps that a run has run, and of runs that have ended.

Each load does so many units of work, then what is alive is counted: objects by type, and blocks of
memory. Ten times the units must leave as much. Nothing is timed. What a stream has shown is not
here: it is kept on purpose, for readers that come late.
"""

from contextlib import asynccontextmanager, suppress
from typing import Annotated

import anyio
import anyio.lowlevel
import pytest
import trio

import plait
from plait import (
    Collect,
    Context,
    Event,
    HumanResponseEvent,
    Resource,
    StartEvent,
    StopEvent,
    Take,
    Workflow,
    catch_error,
    step,
)
from plait.errors import WorkflowCancelledByUser, WorkflowTimeoutError
from plait.events import StepFailedEvent
from plait.retry import retry_policy, stop_after_attempt, wait_fixed
from plait.testing import run as in_virtual_time
from tests.engine.hanging import no_test_hangs as no_test_hangs
from tests.faults.census import Census, growth


class Boom(Exception):  # noqa: N818 - it is one
    pass


class Turn(Event):
    left: int


class Part(Event):
    n: int
    left: int


class Other(Event):
    n: int


class Answer(HumanResponseEvent):
    n: int = 0


class Loop(Workflow):
    """Does its work once a turn, and is counted in the last one, while it still runs."""

    @step
    async def start(self, ctx: Context, ev: StartEvent) -> Turn:
        return Turn(left=ev.units)

    @step
    async def turn(self, ctx: Context, ev: Turn) -> Turn | StopEvent:
        if not ev.left:
            return StopEvent(result=Census.take())
        await self.work(ctx, ev.left)
        return Turn(left=ev.left - 1)

    async def work(self, ctx, left):
        """Do a unit."""


class Spreading(Loop):
    """Fans out to lists and gathers them, with a list inside."""

    @step
    async def turn(self, ctx: Context, ev: Turn) -> list[Part] | StopEvent:
        if not ev.left:
            return StopEvent(result=Census.take())
        return [Part(n=n, left=ev.left) for n in range(3)]

    @step
    async def part(self, ev: Part) -> list[Other]:
        return [Other(n=ev.left)]

    @step
    async def inner(self, evs: list[Other]) -> Answer:
        return Answer(n=evs[0].n)

    @step
    async def gather(self, evs: list[Answer]) -> Turn:
        return Turn(left=evs[0].n - 1)


class Racing(Loop):
    """Cancels the rest of each list."""

    @step
    async def turn(self, ctx: Context, ev: Turn) -> list[Part] | StopEvent:
        if not ev.left:
            return StopEvent(result=Census.take())
        return [Part(n=n, left=ev.left) for n in range(3)]

    @step(num_workers=2)
    async def part(self, ev: Part) -> Other:
        if ev.n == 1:
            await anyio.sleep_forever()
        return Other(n=ev.left)

    @step
    async def first(self, evs: Annotated[list[Other], Collect(Take(1, cancel_rest=True))]) -> Turn:
        return Turn(left=evs[0].n - 1)


class Collecting(Loop):
    """Collects batches: in one buffer, and in one for each key, which is used once."""

    @step
    async def turn(self, ctx: Context, ev: Turn) -> Part | StopEvent:
        if not ev.left:
            return StopEvent(result=Census.take())
        ctx.send_event(Part(n=0, left=ev.left))
        return Part(n=1, left=ev.left)

    @step
    async def part(self, ctx: Context, ev: Part) -> Turn | None:
        both = ctx.collect_events(ev, [Part] * 2)
        keyed = ctx.collect_events(ev, [Part] * 2, key=lambda part: part.left)
        assert both == keyed
        return both and Turn(left=ev.left - 1)


class Naming(Collecting):
    """Collects each batch in a buffer of its own name."""

    @step
    async def part(self, ctx: Context, ev: Part) -> Turn | None:
        both = ctx.collect_events(ev, [Part] * 2, f"buffer {ev.left}")
        return both and Turn(left=ev.left - 1)


class Joining(Loop):
    """Joins two events a turn."""

    @step
    async def turn(self, ctx: Context, ev: Turn) -> Part | Other | StopEvent:
        if not ev.left:
            return StopEvent(result=Census.take())
        ctx.send_event(Part(n=0, left=ev.left), on_success=True)
        return Other(n=ev.left)

    @step
    async def join(self, one: Part, other: Other) -> Turn:
        return Turn(left=other.n - 1)


class Retrying(Loop):
    """Fails in each turn: once for the next attempt, then for the handler."""

    @step(retry_policy=retry_policy(wait=wait_fixed(1), stop=stop_after_attempt(2)))
    async def turn(self, ctx: Context, ev: Turn) -> Turn | StopEvent:
        if not ev.left:
            return StopEvent(result=Census.take())
        if ev.left % 2 and ctx.retry_info().retry_number:
            return Turn(left=ev.left - 1)
        raise Boom

    @catch_error(max_recoveries=10**9)
    async def mend(self, ev: StepFailedEvent) -> Turn:
        return Turn(left=ev.input_event.left - 1)


class TimingOut(Loop):
    """Takes too long in each turn."""

    @step(timeout=1)
    async def turn(self, ctx: Context, ev: Turn) -> Turn | StopEvent:
        if not ev.left:
            return StopEvent(result=Census.take())
        await anyio.sleep_forever()

    @catch_error(max_recoveries=10**9)
    async def mend(self, ev: StepFailedEvent) -> Turn:
        return Turn(left=ev.input_event.left - 1)


class Waiting(Loop):
    """Waits for what comes, for what does not come in time, and gives up a wait."""

    async def work(self, ctx, left):
        ctx.send_event(Answer())
        await ctx.wait_for_event(Answer)
        with suppress(TimeoutError):
            await ctx.wait_for_event(Answer, waiter_id=f"{left}", timeout=1)
        with anyio.move_on_after(1):
            await ctx.wait_for_event(Answer, requirements={"n": left}, broadcast=True)


class Cancelling(Loop):
    """Has a body cancelled in each turn."""

    async def work(self, ctx, left):
        ctx.send_event(Other(n=left))
        await anyio.sleep(1)
        assert ctx.cancel_step("forever", None) == 1

    @step
    async def forever(self, ev: Other) -> None:
        await anyio.sleep_forever()


class Small(Workflow):
    """Ends as it is told to."""

    @step
    async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
        match ev.get("how"):
            case "fails":
                raise Boom
            case "sleeps":
                await anyio.sleep_forever()
        await ctx.store.set("key", "value")
        return StopEvent()


class Nesting(Loop):
    """Has children, of which one fails, and a whole runtime of them."""

    child = Small()

    async def work(self, ctx, left):
        await self.child.run()
        await ctx.run_child(self.child)
        with suppress(Boom):
            await self.child.run(how="fails")
        async with plait.open_runtime() as runtime:
            with suppress(WorkflowCancelledByUser):
                async with self.child.run(how="sleeps") as run:
                    run.cancel()
        assert runtime.runs == ()


class Editing(Loop):
    """Changes the state, and what other tasks in the body do with it."""

    async def work(self, ctx, left):
        async with ctx.store.edit_state() as state:
            state["left"] = left
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ctx.store.set, "left", left)


class Reading(Loop):
    """Opens readers, with and without internal events. They are closed, or dropped, or just left."""

    def run(self, **fields):
        self.here = super().run(**fields)
        return self.here

    async def work(self, ctx, left):
        ctx.write_event_to_stream(None)
        async with self.here.stream_events(expose_internal=True) as stream:
            with anyio.move_on_after(1):
                await anext(stream)
        self.here.stream_events()
        with anyio.move_on_after(1):
            async for _ in self.here.stream_events():
                pass


class Threading(Loop):
    """Each turn is in a thread."""

    @step
    def turn(self, ctx: Context, ev: Turn) -> Turn | StopEvent:
        if not ev.left:
            return StopEvent(result=Census.take())
        ctx.store.sync.set("left", ev.left)
        return Turn(left=ev.left - 1)


@asynccontextmanager
async def session():
    await anyio.lowlevel.checkpoint()
    yield "session"


def fresh():
    return object()


class Lending(Loop):
    """Lends what is made for each attempt."""

    @step
    async def turn(
        self,
        ctx: Context,
        ev: Turn,
        session: Annotated[str, Resource(session, scope="step")],
        fresh: Annotated[object, Resource(fresh, cache=False)],
    ) -> Turn | StopEvent:
        if not ev.left:
            return StopEvent(result=Census.take())
        return Turn(left=ev.left - 1)


UNITS = {Loop: (1_000, 10_000), Threading: (50, 500), Nesting: (30, 300)}
LOOPS = [
    Loop,
    Spreading,
    Racing,
    Collecting,
    Naming,
    Joining,
    Retrying,
    TimingOut,
    Waiting,
    Cancelling,
    Nesting,
    Editing,
    Reading,
    Threading,
    Lending,
]


@pytest.mark.parametrize("loop", LOOPS, ids=lambda loop: loop.__name__)
def test_a_run_does_not_grow_with_what_it_has_done(loop):
    async def load(units):
        return await loop(disable_validation=True).run(units=units)

    few, many = UNITS.get(loop, (100, 1_000))
    run = trio.run if loop is Threading else in_virtual_time
    assert run(growth, load, few, many) == {}


# ---------------------------------------------------------------- runs that have ended


async def succeed(flow, units):
    for _ in range(units):
        await flow.run()


async def fail(flow, units):
    for _ in range(units):
        with suppress(Boom):
            await flow.run(how="fails")


async def time_out(flow, units):
    for _ in range(units):
        with suppress(WorkflowTimeoutError):
            await flow.run(how="sleeps")


async def cancel(flow, units):
    for _ in range(units):
        async with flow.run(how="sleeps") as run:
            await anyio.lowlevel.checkpoint()
            run.cancel()
        with anyio.move_on_after(0):
            await flow.run(how="sleeps")


async def never_start(flow, units):
    for _ in range(units):
        flow.run()._tried = True  # else it warns


async def read(flow, units):
    for _ in range(units):
        async with flow.run() as run:
            assert [event async for event in run.stream_events(expose_internal=True)]


async def in_one_nursery(flow, units):
    async with trio.open_nursery() as nursery:
        for _ in range(units):
            await flow.run().start_soon(nursery)
        return Census.take()


async def in_one_runtime(flow, units):
    async with plait.open_runtime():
        for _ in range(units):
            await flow.run()
            with suppress(Boom):
                await flow.run(how="fails")
            run = flow.run(how="sleeps")
            run.cancel()
            with suppress(WorkflowCancelledByUser):
                await run
        del run
        return Census.take()


async def with_one_context(flow, units):
    ctx = Context(flow)
    for _ in range(units):
        await flow.run(ctx)


@pytest.mark.parametrize(
    "use",
    [
        succeed,
        fail,
        time_out,
        cancel,
        never_start,
        read,
        in_one_nursery,
        in_one_runtime,
        with_one_context,
    ],
    ids=lambda use: use.__name__,
)
def test_a_workflow_does_not_grow_with_the_runs_that_it_has_had(use):
    async def main():
        flow = Small(timeout=100, num_concurrent_runs=2)

        async def load(units):
            return await use(flow, units) or Census.take()

        return await growth(load, 50, 750)

    assert in_virtual_time(main) == {}
