"""Scenarios in which steps fail, are too slow, stand in line, or go one by one."""

from __future__ import annotations

import functools
from typing import Any

import anyio
import trio

from plait import Context, Event, Run, StartEvent, StopEvent, catch_error, step
from plait.events import StepFailedEvent
from plait.retry import retry_policy, stop_after_attempt, wait_fixed
from tests.faults.scenarios.scenario import Program, Scenario

HOUR = 3600


class Part(Event):
    n: int


class Done(Event):
    n: int


class Turn(Event):
    n: int


class Unlucky(Exception):  # noqa: N818 - it is one
    pass


class Fetching(Program):
    """Asks servers that fail: one comes back within hours, another never does."""

    def __init__(self, witness, **options):
        super().__init__(witness, **options)
        self.tried = {}

    @step
    async def start(self, ctx: Context, ev: StartEvent) -> Part | None:
        for n in range(3):
            ctx.send_event(Part(n=n))

    @step(
        num_workers=2, retry_policy=retry_policy(wait=wait_fixed(HOUR), stop=stop_after_attempt(3))
    )
    async def fetch(self, ctx: Context, ev: Part) -> Done:
        async with self.body("fetch"):
            await anyio.sleep(1)
            if ctx.retry_info().retry_number < (0, 1, 3)[ev.n]:
                raise Unlucky
        return Done(n=ev.n)

    @catch_error
    async def give_up(self, ev: StepFailedEvent) -> Done:
        async with self.body("give_up"):
            await anyio.sleep(1)
        return Done(n=10)

    @step
    async def end(self, ctx: Context, ev: Done) -> StopEvent | None:
        batch = ctx.collect_events(ev, [Done] * 3)
        return batch and StopEvent(result=[done.n for done in batch])


class Retries(Scenario):
    """Retries with a long backoff, and a handler for what fails for good."""

    result = [0, 1, 10]
    fails = (Unlucky,)

    def make(self) -> Program:
        return Fetching(self.witness)


class Slow(Program):
    """Bodies that are too slow for their step, for a wait, and for a scope of their own."""

    @step
    async def start(self, ev: StartEvent) -> list[Part]:
        return [Part(n=n) for n in range(3)]

    @step(num_workers=2, timeout=2, retry_policy=retry_policy(stop=stop_after_attempt(2)))
    async def work(self, ctx: Context, ev: Part) -> Done:
        async with self.body("work"):
            if ev.n == 0:
                await anyio.sleep(5)
            with anyio.move_on_after(1):
                await anyio.sleep(5)
            if ev.n == 1:
                try:
                    await ctx.wait_for_event(Turn, timeout=4)
                except TimeoutError:
                    return Done(n=1)
        return Done(n=ev.n)

    @step
    async def end(self, evs: list[Done | StepFailedEvent]) -> StopEvent:
        failed = sum(isinstance(ev, StepFailedEvent) for ev in evs)
        return StopEvent(result=(len(evs), failed))


class Timeouts(Scenario):
    """Timeouts of attempts, waits and scopes."""

    result = (3, 1)

    def make(self) -> Program:
        return Slow(self.witness)


@functools.cache
def limiter_of(backend: str) -> Any:
    """Make the limiter that all steps share."""
    return trio.CapacityLimiter(1) if backend == "trio" else anyio.CapacityLimiter(1)


def running_backend() -> str:
    return "trio" if trio.lowlevel.in_trio_run() else "asyncio"


@functools.cache
def limited(backend: str) -> type[Program]:
    """Make a class whose steps share the limiter of a backend."""
    limiter = limiter_of(backend)

    class Limited(Program):
        """Two steps share one token, of which a body that waits has no need."""

        @step
        async def start(self, ctx: Context, ev: StartEvent) -> Part | None:
            for n in range(2):
                ctx.send_event(Part(n=n))

        @step(limiter=limiter)
        async def ask(self, ctx: Context, ev: Part) -> Done | Turn:
            async with self.body("ask"):
                ctx.send_event(Turn(n=ev.n))
                await anyio.sleep(1)
                answer = await ctx.wait_for_event(Done, requirements={"n": ev.n})
                await anyio.sleep(1)
            return Done(n=answer.n + 10)

        @step(limiter=limiter)
        async def answer(self, ev: Turn) -> Done:
            async with self.body("answer"):
                await anyio.sleep(1)
            return Done(n=ev.n)

        @step
        async def end(self, ctx: Context, ev: Done) -> StopEvent | None:
            if ev.n < 10:
                return None
            batch = ctx.collect_events(ev, [Done] * 2)
            return batch and StopEvent(result=sorted(done.n for done in batch))

    return Limited


class Limiter(Scenario):
    """A limiter that steps share, given back by a body that waits."""

    result = [10, 11]

    def make(self) -> Program:
        return limited(running_backend())(self.witness)

    def check(self) -> None:
        super().check()
        limiter = limiter_of(running_backend())
        assert limiter.borrowed_tokens == 0, "a token is kept"
        assert limiter.statistics().tasks_waiting == 0


@functools.cache
def crowded(backend: str) -> type[Program]:
    """Make a class whose runs share the limiter of a backend."""

    class Crowded(Program):
        """One step after the other."""

        @step
        async def start(self, ev: StartEvent) -> Part:
            return Part(n=1)

        @step(limiter=limiter_of(backend))
        async def work(self, ev: Part) -> StopEvent:
            async with self.body("work"):
                await anyio.sleep(1)
            return StopEvent(result=ev.n)

    return Crowded


class Crowd(Limiter):
    """Three runs of one object at once, of which two may be live; they share a limiter."""

    result = 1
    count = 3
    attended = True

    def make(self) -> Program:
        return crowded(running_backend())(self.witness, num_concurrent_runs=2)

    def check(self) -> None:
        super().check()
        gate = self.flow._gate
        assert gate is not None
        assert (gate._free, len(gate._waiting)) == (2, 0), (
            "a place is kept, or was given back twice"
        )


class Stepping(Program):
    """Goes one delivery at a time."""

    @step
    async def start(self, ctx: Context, ev: StartEvent) -> Part | None:
        for n in range(3):
            ctx.send_event(Part(n=n))

    @step
    async def work(self, ctx: Context, ev: Part) -> Done:
        async with self.body("work"):
            if ev.n == 1:
                await ctx.wait_for_event(Done)
            await anyio.sleep(1)
        return Done(n=ev.n)

    @step
    async def end(self, ctx: Context, ev: Done) -> StopEvent | None:
        batch = ctx.collect_events(ev, [Done] * 3)
        return batch and StopEvent(result=[done.n for done in batch])


class Stepwise(Scenario):
    """Somebody walks through a run, step by step."""

    result = [0, 2, 1]
    attended = True

    def start(self) -> list[Run[Any]]:
        runs = super().start()
        return [run.stepwise() for run in runs]

    def make(self) -> Program:
        return Stepping(self.witness)

    async def attend(self, run: Run[Any]) -> None:
        while await run.run_step() is not None:  # noqa: ASYNC110 - it walks slowly
            await anyio.sleep(1)
