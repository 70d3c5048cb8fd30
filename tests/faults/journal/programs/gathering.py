"""Programs that spread work and gather it again."""

from __future__ import annotations

from typing import Annotated

import anyio

from plait import Collect, Context, Event, StartEvent, StopEvent, Take, step

from .program import Case, Program


class Part(Event):
    n: int


class Done(Event):
    n: int


class Left(Event):
    n: int


class Right(Event):
    n: int


class Gather(Program):
    """Sends out parts, and collects what became of them; two workers write to the store."""

    @step
    async def start(self, ctx: Context, ev: StartEvent) -> Part | None:
        async with self.body(ctx):
            if await ctx.store.get("seen", None) is None:
                await ctx.store.set("seen", {})
            for n in range(4):
                ctx.send_event(Part(n=n))

    @step(num_workers=2)
    async def work(self, ctx: Context, ev: Part) -> Done:
        async with self.body(ctx, ev.n):
            await self.sleep(1 + ev.n % 2)
            async with ctx.store.edit_state() as state:
                state.seen[str(ev.n)] = ev.n * ev.n
            await self.sleep(0.5)
        return Done(n=ev.n)

    @step
    async def end(self, ctx: Context, ev: Done) -> StopEvent | None:
        async with self.body(ctx, ev.n):
            got = ctx.collect_events(ev, [Done] * 4)
            seen = await ctx.store.get("seen")
            if got is not None:
                self.witness.note("batch", ctx, sorted(done.n for done in got))
        return got and StopEvent(result=(sorted(done.n for done in got), seen))


GATHER = Case(
    make=Gather,
    right=lambda got: got == ([0, 1, 2, 3], {"0": 0, "1": 1, "2": 4, "3": 9}),
)


class FanIn(Program):
    """Returns a list, and takes one."""

    @step
    async def start(self, ctx: Context, ev: StartEvent) -> list[Part]:
        async with self.body(ctx):
            await self.sleep(1)
        return [Part(n=n) for n in range(4)]

    @step(num_workers=3)
    async def work(self, ctx: Context, ev: Part) -> Done:
        async with self.body(ctx, ev.n):
            await self.sleep(2 - ev.n % 2)
        return Done(n=10 * ev.n)

    @step
    async def gather(
        self, ctx: Context, evs: Annotated[list[Done], Collect(order="input")]
    ) -> Left:
        async with self.body(ctx, [ev.n for ev in evs]):
            await self.sleep(1)
        return Left(n=sum(ev.n for ev in evs))

    @step
    async def end(self, ctx: Context, ev: Left) -> StopEvent:
        async with self.body(ctx, ev.n):
            pass
        return StopEvent(result=ev.n)


FAN_IN = Case(make=FanIn, right=lambda got: got == 60)


class Racing(Program):
    """The first two of five win; the others are cancelled."""

    @step
    async def start(self, ctx: Context, ev: StartEvent) -> list[Part]:
        async with self.body(ctx):
            return [Part(n=n) for n in range(5)]

    @step(num_workers=4)
    async def run_for_it(self, ctx: Context, ev: Part) -> Done | None:
        async with self.body(ctx, ev.n):
            await self.sleep(1 + 2 * ev.n)
        return Done(n=ev.n)

    @step
    async def win(
        self, ctx: Context, evs: Annotated[list[Done], Collect(Take(2, cancel_rest=True))]
    ) -> Left:
        async with self.body(ctx, "once"):
            await self.sleep(1)
        return Left(n=len(evs))

    @step
    async def end(self, ctx: Context, ev: Left) -> StopEvent:
        async with self.body(ctx, "once"):
            pass
        return StopEvent(result=ev.n)


RACING = Case(make=Racing, right=lambda got: got == 2)


class Pairing(Program):
    """Joins what comes from two sides, of which one is sent on success."""

    @step
    async def start(self, ctx: Context, ev: StartEvent) -> Part | None:
        async with self.body(ctx):
            for n in range(3):
                ctx.send_event(Part(n=n))

    @step(num_workers=2)
    async def split(self, ctx: Context, ev: Part) -> Right | Left:
        async with self.body(ctx, ev.n):
            ctx.send_event(Left(n=ev.n), on_success=True)
            await self.sleep(ev.n + 1)
        return Right(n=ev.n)

    @step
    async def pair(self, ctx: Context, left: Left, right: Right) -> Done:
        async with self.body(ctx, (left.n, right.n)):
            await self.sleep(1)
        return Done(n=left.n)

    @step
    async def end(self, ctx: Context, ev: Done) -> StopEvent | None:
        async with self.body(ctx, ev.n):
            batch = ctx.collect_events(ev, [Done] * 3)
        return batch and StopEvent(result=sorted(done.n for done in batch))


PAIRING = Case(make=Pairing, right=lambda got: got == [0, 1, 2])


class Telling(Program):
    """One long body sends again and again; each of what it sends is handled meanwhile."""

    others = (Left,)

    @step
    async def start(self, ctx: Context, ev: StartEvent) -> Part | None:
        async with self.body(ctx):
            for n in range(4):
                ctx.send_event(Part(n=n))
                ctx.write_event_to_stream(Left(n=n))
                await self.sleep(1)
                if n % 2:
                    ctx.send_event(Part(n=10 + n), "work")

    @step(num_workers=1)
    async def work(self, ctx: Context, ev: Part) -> Done:
        async with self.body(ctx, ev.n):
            await self.sleep(0.7)
        return Done(n=ev.n)

    @step
    async def end(self, ctx: Context, ev: Done) -> StopEvent | None:
        async with self.body(ctx, ev.n):
            batch = ctx.collect_events(ev, {Done: 6})
        return batch and StopEvent(result=[done.n for done in batch])


TELLING = Case(
    make=Telling,
    right=lambda got: sorted(got) == [0, 1, 2, 3, 11, 13],
    streams=tuple(f"Left(n={n})" for n in range(4)),
)


class Draining(Program):
    """What runs when the stop comes is left to finish."""

    others = (Left,)

    @step
    async def start(self, ctx: Context, ev: StartEvent) -> Part | None:
        async with self.body(ctx):
            for n in range(5):
                ctx.send_event(Part(n=n))

    @step(num_workers=3)
    async def work(self, ctx: Context, ev: Part) -> Done:
        async with self.body(ctx, ev.n):
            await self.sleep(1 + ev.n)
            ctx.write_event_to_stream(Left(n=ev.n))
            await self.sleep(0.5)
        return Done(n=ev.n)

    @step
    async def end(self, ctx: Context, ev: Done) -> StopEvent | None:
        async with self.body(ctx, ev.n):
            await self.sleep(0.5)
        return StopEvent(result="enough") if ev.n == 1 else None


DRAINING = Case(
    make=Draining,
    options={"on_stop": "drain"},
    right=lambda got: got == "enough",
    streams=tuple(f"Left(n={n})" for n in range(3)),
    finishes=True,
)


class Tidying(Program):
    """Bodies that tell the stream how they were left, and wait while they clean up."""

    others = (Left,)

    @step
    async def start(self, ctx: Context, ev: StartEvent) -> list[Part]:
        async with self.body(ctx):
            return [Part(n=n) for n in range(3)]

    @step(num_workers=2)
    async def work(self, ctx: Context, ev: Part) -> Done:
        async with self.body(ctx, ev.n):
            try:
                await self.sleep(1 + ev.n)
            finally:
                ctx.write_event_to_stream(Left(n=ev.n))
                with anyio.CancelScope(shield=True):
                    await self.sleep(0.5)
                ctx.write_event_to_stream(Left(n=10 + ev.n))
        return Done(n=ev.n)

    @step
    async def end(self, ctx: Context, evs: list[Done]) -> StopEvent:
        async with self.body(ctx):
            return StopEvent(result=sorted(ev.n for ev in evs))


TIDYING = Case(
    make=Tidying,
    right=lambda got: got == [0, 1, 2],
    streams=tuple(f"Left(n={n})" for n in (0, 1, 2, 10, 11, 12)),
)
