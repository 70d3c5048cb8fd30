"""Scenarios in which work is spread, gathered and joined, with what it is lent."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Annotated

import anyio

from plait import (
    Collect,
    Context,
    Event,
    Resource,
    StartEvent,
    StopEvent,
    Take,
    step,
)
from tests.faults.scenarios.scenario import WITNESS, Program, Scenario


class Part(Event):
    n: int


class Done(Event):
    n: int


class Left(Event):
    n: int


class Right(Event):
    n: int


# ---------------------------------------------------------------- resources of all scopes


async def settings() -> str:
    """Serve all runs of the object, and be made once."""
    await anyio.sleep(0.5)
    WITNESS.get().made["settings"] += 1
    return "settings"


def pool(
    ctx: Context, settings: Annotated[str, Resource(settings)]
) -> AbstractAsyncContextManager[str]:
    """Serve one run."""
    return WITNESS.get().resource("pool", ctx.run_id)


def cache(ctx: Context, pool: Annotated[str, Resource(pool)]) -> AbstractAsyncContextManager[str]:
    """Serve one run, and lie inside of the pool."""
    return WITNESS.get().resource("cache", ctx.run_id)


def session(ctx: Context, pool: Annotated[str, Resource(pool)]) -> AbstractAsyncContextManager[str]:
    """Serve one attempt."""
    return WITNESS.get().resource("session", ctx.idempotency_key)


def cursor(
    ctx: Context, session: Annotated[str, Resource(session, scope="step")]
) -> AbstractAsyncContextManager[str]:
    """Serve one attempt, and lie inside of its session."""
    return WITNESS.get().resource("cursor", ctx.idempotency_key)


class Importing(Program):
    """Spreads a job over two workers, each with a session and a cursor of one pool."""

    @step
    async def start(self, ev: StartEvent) -> list[Part]:
        return [Part(n=n) for n in range(3)]

    @step(num_workers=2)
    async def work(
        self,
        ctx: Context,
        ev: Part,
        cursor: Annotated[str, Resource(cursor, scope="step")],
        cache: Annotated[str, Resource(cache)],
    ) -> Done:
        async with self.body("work"):
            try:
                await anyio.sleep(ev.n + 1)
            finally:  # the clean-up of a body needs what it was lent
                self.witness.use(cursor, ctx.idempotency_key)
                self.witness.use(cache, ctx.run_id)
        return Done(n=ev.n)

    @step
    async def end(
        self,
        evs: Annotated[list[Done], Collect(order="input")],
        pool: Annotated[str, Resource(pool)],
    ) -> StopEvent:
        return StopEvent(result=[ev.n for ev in evs])


class Resources(Scenario):
    """Fan-out and fan-in, with resources of a workflow, of a run and of a step."""

    result = [0, 1, 2]

    def make(self) -> Program:
        return Importing(self.witness)

    def check(self) -> None:
        super().check()
        assert self.witness.made["settings"] <= 1, "made twice"


# ---------------------------------------------------------------- joins and races


class Pairing(Program):
    """Joins what two senders send, of which the one sends when it has succeeded."""

    @step
    async def start(self, ctx: Context, ev: StartEvent) -> Part | None:
        for n in range(2):
            ctx.send_event(Part(n=n))

    @step(num_workers=2)
    async def split(self, ctx: Context, ev: Part) -> Right | Left:
        async with self.body("split"):
            ctx.send_event(Left(n=ev.n), on_success=True)
            await anyio.sleep(ev.n + 1)
        return Right(n=ev.n)

    @step
    async def pair(self, left: Left, right: Right) -> Done:
        async with self.body("pair"):
            await anyio.sleep(1)
        return Done(n=left.n + right.n)

    @step
    async def end(self, ctx: Context, ev: Done) -> StopEvent | None:
        batch = ctx.collect_events(ev, [Done] * 2)
        return batch and StopEvent(result=[done.n for done in batch])


class Joins(Scenario):
    """Joins, collected."""

    result = [0, 2]

    def make(self) -> Program:
        return Pairing(self.witness)


class Racing(Program):
    """The first of three wins; the others clean up after themselves."""

    @step
    async def start(self, ev: StartEvent) -> list[Part]:
        return [Part(n=n) for n in range(4)]

    @step(num_workers=3)
    async def run_for_it(self, ev: Part) -> Done | None:
        async with self.body("run_for_it", 0.5):
            await anyio.sleep(3 + ev.n)
        return Done(n=ev.n)

    @step
    async def win(self, evs: Annotated[list[Done], Collect(Take(1, cancel_rest=True))]) -> Left:
        async with self.body("win"):
            await anyio.sleep(1)
        return Left(n=evs[0].n)

    @step
    async def end(self, ev: Left) -> StopEvent:
        return StopEvent(result=ev.n)


class Races(Scenario):
    """A race whose losers are cancelled while the run goes on."""

    result = 0

    def make(self) -> Program:
        return Racing(self.witness)


# ---------------------------------------------------------------- the store, scopes, a drain


class Counting(Program):
    """Bodies that take turns at the state, and open nurseries and scopes of their own."""

    @step
    async def start(self, ctx: Context, ev: StartEvent) -> Part | None:
        for n in range(4):
            ctx.send_event(Part(n=n))

    @step(num_workers=3)
    async def count(self, ctx: Context, ev: Part) -> Done | None:
        async with self.body("count"):
            async with ctx.store.edit_state() as state:
                state["count"] = state.get("count", 0) + 1
                with anyio.move_on_after(0.5):
                    async with anyio.create_task_group() as tasks:
                        tasks.start_soon(anyio.sleep, 1)
            if ev.n == 1:
                ctx.cancel_step("count", lambda part: part.n == 2)
            return Done(n=ev.n)

    @step
    async def end(self, ctx: Context, ev: Done) -> StopEvent | None:
        if ctx.collect_events(ev, {Done: 3}):
            return StopEvent(result=await ctx.store.get("count") >= 3)


class Store(Scenario):
    """An exclusive edit across waits, and a body that cancels another."""

    result = True

    def make(self) -> Program:
        return Counting(self.witness)


class Draining(Program):
    """What runs when the stop comes is left to finish, and what it emits goes nowhere."""

    @step
    async def start(self, ctx: Context, ev: StartEvent) -> Part | None:
        for n in range(5):
            ctx.send_event(Part(n=n))

    @step(num_workers=3)
    async def work(self, ctx: Context, ev: Part) -> Done:
        async with self.body("work"):
            await anyio.sleep(1 + ev.n)
            ctx.write_event_to_stream(ev)
        return Done(n=ev.n)

    @step
    async def end(self, ev: Done) -> StopEvent | None:
        return StopEvent(result=ev.n) if ev.n else None


class Drain(Scenario):
    """A drain."""

    result = 1

    def make(self) -> Program:
        return Draining(self.witness, on_stop="drain")
