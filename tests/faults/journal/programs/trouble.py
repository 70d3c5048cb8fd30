"""Programs in which steps fail, and runs do."""

from __future__ import annotations

from plait import Context, Event, StartEvent, StopEvent, catch_error, step
from plait.errors import WorkflowStalledError, WorkflowTimeoutError
from plait.events import StepFailedEvent
from plait.retry import retry_policy, stop_after_attempt, wait_exponential, wait_fixed

from .program import Case, Program


class Part(Event):
    n: int


class Done(Event):
    n: int


class Turn(Event):
    n: int


class Unlucky(Exception):  # noqa: N818 - it is one
    pass


class Fetching(Program):
    """Asks servers that fail: two come back after a while, another never does."""

    @step
    async def start(self, ctx: Context, ev: StartEvent) -> Part | None:
        async with self.body(ctx):
            for n in range(4):
                ctx.send_event(Part(n=n))

    @step(
        num_workers=4,
        retry_policy=retry_policy(wait=wait_fixed(7), stop=stop_after_attempt(3)),
    )
    async def fetch(self, ctx: Context, ev: Part) -> Done:
        async with self.body(ctx, ev.n):
            await self.sleep(1)
            if ctx.retry_info().retry_number < (0, 1, 2, 3)[ev.n]:
                raise Unlucky(ev.n)
        return Done(n=ev.n)

    @catch_error
    async def give_up(self, ctx: Context, ev: StepFailedEvent) -> Done:
        async with self.body(ctx, "once"):
            assert type(ev.exception) is Unlucky, repr(ev.exception)
            assert ev.attempts == 3, ev.attempts
            await self.sleep(1)
        return Done(n=10)

    @step
    async def end(self, ctx: Context, ev: Done) -> StopEvent | None:
        async with self.body(ctx, ev.n):
            batch = ctx.collect_events(ev, [Done] * 4)
        return batch and StopEvent(result=sorted(done.n for done in batch))


FETCHING = Case(make=Fetching, right=lambda got: got == [0, 1, 2, 10], prompt=True)


class Sending(Program):
    """A body that sends, fails, and sends again in its next attempt: those are other events."""

    @step
    async def start(self, ctx: Context, ev: StartEvent) -> Turn:
        async with self.body(ctx):
            await self.sleep(1)
        return Turn(n=0)

    @step(retry_policy=retry_policy(wait=wait_exponential(2), stop=stop_after_attempt(4)))
    async def send(self, ctx: Context, ev: Turn) -> Part | Done | None:
        async with self.body(ctx, ev.n):
            attempt = ctx.retry_info().retry_number
            ctx.send_event(Part(n=10 * attempt))
            await self.sleep(1)
            ctx.send_event(Part(n=10 * attempt + 1))
            await self.sleep(1)
            if attempt < 2:
                raise Unlucky(attempt)

    @step
    async def count(self, ctx: Context, ev: Part) -> Done:
        async with self.body(ctx, ev.n):
            await self.sleep(0.5)
        return Done(n=ev.n)

    @step
    async def end(self, ctx: Context, ev: Done) -> StopEvent | None:
        async with self.body(ctx, ev.n):
            batch = ctx.collect_events(ev, [Done] * 6)
        return batch and StopEvent(result=sorted(done.n for done in batch))


SENDING = Case(make=Sending, right=lambda got: got == [0, 1, 10, 11, 20, 21], prompt=True)


class Failing(Program):
    """Fails for good, after other work was done."""

    @step
    async def start(self, ctx: Context, ev: StartEvent) -> list[Part]:
        async with self.body(ctx):
            return [Part(n=n) for n in range(3)]

    @step(num_workers=2)
    async def work(self, ctx: Context, ev: Part) -> Done:
        async with self.body(ctx, ev.n):
            await self.sleep(1 + ev.n)
            if ev.n == 2:
                raise Unlucky("for good")
        return Done(n=ev.n)

    @step
    async def end(self, ctx: Context, evs: list[Done]) -> StopEvent:
        async with self.body(ctx):
            return StopEvent(result=len(evs))


FAILING = Case(
    make=Failing,
    right=lambda got: type(got) is Unlucky and got.args == ("for good",),
)


class Slow(Program):
    """Takes longer than it may."""

    @step
    async def start(self, ctx: Context, ev: StartEvent) -> Part:
        async with self.body(ctx):
            await self.sleep(1)
        return Part(n=1)

    @step
    async def work(self, ctx: Context, ev: Part) -> Part | StopEvent:
        async with self.body(ctx, ev.n):
            await self.sleep(1)
        return Part(n=ev.n + 1) if ev.n < 100 else StopEvent()


SLOW = Case(make=Slow, options={"timeout": 8}, right=lambda got: type(got) is WorkflowTimeoutError)


class Stalling(Program):
    """Comes to an end without a stop event."""

    @step
    async def start(self, ctx: Context, ev: StartEvent) -> Part | None:
        async with self.body(ctx):
            for n in range(3):
                ctx.send_event(Part(n=n))
                await self.sleep(1)

    @step
    async def work(self, ctx: Context, ev: Part) -> StopEvent | None:
        async with self.body(ctx, ev.n):
            await self.sleep(1)
            ctx.collect_events(ev, [Part] * 4)


STALLING = Case(
    make=Stalling, right=lambda got: type(got) is WorkflowStalledError and "Part" in str(got)
)
