"""Scenarios with others: runs inside runs, people who answer, readers who are slow."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import anyio

from plait import (
    Context,
    Event,
    HumanResponseEvent,
    InputRequiredEvent,
    Run,
    StartEvent,
    StopEvent,
    step,
)
from plait.errors import WorkflowRuntimeError
from plait.events import ChildEvent
from tests.faults.scenarios.scenario import Program, Scenario


class Part(Event):
    n: int


class Done(Event):
    n: int


class Progress(Event, observable=True):
    n: int


class Question(InputRequiredEvent):
    n: int
    turn: int


class Answer(HumanResponseEvent):
    n: int
    text: str


# ---------------------------------------------------------------- nested runs


class Grandchild(Program):
    """Has something to show."""

    @step
    async def start(self, ctx: Context, ev: StartEvent) -> StopEvent:
        async with self.body("grandchild"):
            ctx.write_event_to_stream(Progress(n=1))
            await anyio.sleep(1)
        return StopEvent(result=1)


class Child(Program):
    """Runs another one: as its child whose events are forwarded, or in a block."""

    def __init__(self, witness, *, forwards):
        super().__init__(witness)
        self.inside = Grandchild(witness)
        self.forwards = forwards

    @step
    async def start(self, ctx: Context, ev: StartEvent) -> StopEvent:
        async with self.body("child"):
            if self.forwards:
                return StopEvent(result=await ctx.run_child(self.inside, forward_events=True))
            async with self.inside.run() as run:
                return StopEvent(result=await run)


class Parent(Program):
    """Runs two others, of which one forwards its events."""

    def __init__(self, witness):
        super().__init__(witness)
        self.inside = [Child(witness, forwards=True), Child(witness, forwards=False)]

    @step
    async def start(self, ctx: Context, ev: StartEvent) -> Part | None:
        for n in range(2):
            ctx.send_event(Part(n=n))

    @step(num_workers=2)
    async def delegate(self, ctx: Context, ev: Part) -> Done:
        async with self.body("parent"):
            result = await ctx.run_child(self.inside[ev.n], forward_events=ev.n == 0)
        return Done(n=result)

    @step
    async def end(self, ctx: Context, ev: Done) -> StopEvent | None:
        batch = ctx.collect_events(ev, [Done] * 2)
        return batch and StopEvent(result=sum(done.n for done in batch))


class Nested(Scenario):
    """Runs two deep, whose events are forwarded to a reader."""

    result = 2
    attended = True

    def make(self) -> Program:
        return Parent(self.witness)

    async def attend(self, run: Run[Any]) -> None:
        async for event in run.stream_events():
            if isinstance(event, ChildEvent):
                await anyio.sleep(0.5)


# ---------------------------------------------------------------- people


class Asking(Program):
    """Asks again and again until it is told to go on."""

    @step
    async def start(self, ctx: Context, ev: StartEvent) -> Part | None:
        for n in range(2):
            ctx.send_event(Part(n=n))

    @step(num_workers=1)
    async def ask(self, ctx: Context, ev: Part) -> Done:
        async with self.body("ask"):
            for turn in range(3):
                answer = await ctx.wait_for_event(
                    Answer, Question(n=ev.n, turn=turn), requirements={"n": ev.n}, timeout=60
                )
                await anyio.sleep(1.5)  # meanwhile the other one is answered, and needs the slot
                if answer.text == "go on":
                    break
        return Done(n=turn)

    @step
    async def end(self, ctx: Context, ev: Done) -> StopEvent | None:
        batch = ctx.collect_events(ev, [Done] * 2)
        return batch and StopEvent(result=[done.n for done in batch])


class Human(Scenario):
    """Two loops wait for a person, who takes a while and changes their mind."""

    result = [1, 1]
    attended = True

    def make(self) -> Program:
        return Asking(self.witness)

    async def attend(self, run: Run[Any]) -> None:
        async for event in run.stream_events():
            if isinstance(event, Question):
                await anyio.sleep(1)
                text = "go on" if event.turn else "again"
                with suppress(WorkflowRuntimeError):  # the run has been decided meanwhile
                    run.send_event(Answer(n=event.n, text=text))


# ---------------------------------------------------------------- readers


class Producing(Program):
    """Writers that are faster than the reader."""

    @step
    async def start(self, ctx: Context, ev: StartEvent) -> Part | None:
        for n in range(2):
            ctx.send_event(Part(n=n))

    @step(num_workers=2)
    async def write(self, ctx: Context, ev: Part) -> Done:
        async with self.body("write"):
            for n in range(3):
                await ctx.emit(Progress(n=n))
        return Done(n=ev.n)

    @step
    async def end(self, ctx: Context, ev: Done) -> StopEvent | None:
        batch = ctx.collect_events(ev, [Done] * 2)
        return batch and StopEvent(result=len(batch))


class Reader(Scenario):
    """A bounded stream with a slow reader, and one that soon has enough."""

    result = 2
    attended = True

    def make(self) -> Program:
        return Producing(self.witness, stream_buffer=2)

    async def attend(self, run: Run[Any]) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._glance, run)
            async for _ in run.stream_events():
                await anyio.sleep(1)

    async def _glance(self, run: Run[Any]) -> None:
        async with run.stream_events() as stream:
            async for _ in stream:
                await anyio.sleep(0.5)
                break
