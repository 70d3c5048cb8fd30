"""Snapshots: what it costs to write a run down, for each event that is pending."""

import json
import time

import attrs

from benchmarks.scenario import (
    Equivalent,
    Growth,
    Measured,
    Program,
    Ratio,
    Scenario,
    Sleep,
    Target,
)

snapshot = Scenario(
    name="snapshot",
    title="Snapshot",
    unit="µs per pending event",
    about="N events wait in the queue of a step; the run's context is written as JSON text.",
    sizes=(100, 1_000, 10_000),
    quick_sizes=(100, 1_000),
    reference=1_000,
    growth_from=1_000,
    expected=lambda size: size,
    scale=None,
    targets=(
        Target(Equivalent("plait"), first=5),
        Target(Ratio("plait", "floor_json"), goal=2),
        Target(Growth("plait"), first=1.3),
    ),
)

#: The fastest of so many: the first one also makes what is made once.
TIMES = 5


@snapshot.contender("plait", "plait_asyncio")
def plait(sleep: Sleep) -> Program:
    from plait import Context, Event, StartEvent, StopEvent, Workflow, step

    class Begin(StartEvent):
        size: int

    class Task(Event):
        number: int

    class Pending(Workflow):
        @step
        async def start(self, ctx: Context, ev: Begin) -> Task | None:
            for number in range(ev.size):
                ctx.send_event(Task(number=number))

        @step(num_workers=1)
        async def work(self, ev: Task) -> StopEvent | None:
            await sleep(60)

    flow = Pending()

    async def program(size: int) -> object:
        async with flow.run(size=size + 1) as run:
            while "work" not in run.running_steps():
                await sleep(0)
            best, text = float("inf"), ""
            for _ in range(TIMES):
                start = time.perf_counter()
                text = json.dumps(run.ctx.to_dict())
                best = min(best, time.perf_counter() - start)
            run.cancel()
        return Measured(best / size * 1e6, len(json.loads(text)["steps"]["work"]["queue"]))

    return program


@snapshot.contender("floor_json")
def floor(sleep: Sleep) -> Program:
    @attrs.define
    class Task:
        number: int

    async def program(size: int) -> object:
        events = [Task(number) for number in range(size)]
        best, text = float("inf"), ""
        for _ in range(TIMES):
            start = time.perf_counter()
            text = json.dumps([attrs.asdict(event) for event in events])
            best = min(best, time.perf_counter() - start)
        return Measured(best / size * 1e6, len(json.loads(text)))

    return program


@snapshot.contender("llamaindex", limit=1_000)
def llamaindex(sleep: Sleep) -> Program:
    from workflows import Context, Workflow, step
    from workflows.events import Event, StartEvent, StopEvent

    class Begin(StartEvent):
        size: int

    class Task(Event):
        number: int

    class Pending(Workflow):
        @step
        async def start(self, ctx: Context, ev: Begin) -> Task | None:
            for number in range(ev.size):
                ctx.send_event(Task(number=number))

        @step(num_workers=1)
        async def work(self, ev: Task) -> StopEvent | None:
            await sleep(60)

    flow = Pending(timeout=None)

    async def program(size: int) -> object:
        handler = flow.run(size=size)
        text, count = "", 0
        while count < size:
            await sleep(0.05)
            text = json.dumps(handler.ctx.to_dict())
            count = text.count('\\"number\\"')
        start = time.perf_counter()
        json.dumps(handler.ctx.to_dict())
        took = time.perf_counter() - start
        await handler.cancel_run()
        return Measured(took / size * 1e6, min(count, size))

    return program
