"""Waiting: N sleeps of 50 ms in a step with 500 workers. Whether the engine gets out of the way."""

import asyncio
import math
import operator
from functools import partial
from typing import Annotated, Final, TypedDict

import attrs

from benchmarks.scenario import Cost, Program, Ratio, Scenario, Sleep, Target

DELAY: Final = 0.05
WORKERS: Final = 500

waiting = Scenario(
    name="waiting",
    title="Waiting",
    unit="times the ideal",
    about=f"N sleeps of {DELAY * 1000:.0f} ms in a step with {WORKERS} workers; "
    f"ideal are {DELAY * 1000:.0f} ms for each {WORKERS} of them.",
    sizes=(500, 1_000, 2_000),
    quick_sizes=(100, 1_000),
    reference=2_000,
    expected=lambda size: size,
    scale=lambda seconds, size: seconds / (DELAY * math.ceil(size / WORKERS)),
    equivalent=False,
    targets=(
        Target(Cost("plait"), first=1.3, goal=1.12),
        # The same for a machine of another speed: where those were set, floor b took 1.1.
        Target(Ratio("plait", "floor_b"), first=1.18, goal=1.02),
    ),
)


@attrs.define
class Desk:
    """Where the sleepers report, so that nobody is fast by letting more of them sleep than it was told to."""

    sleep: Sleep
    sleeping: int = 0

    async def nap(self) -> None:
        self.sleeping += 1
        assert self.sleeping <= WORKERS, "more at a time than there are workers"
        await self.sleep(DELAY)
        self.sleeping -= 1


@waiting.contender("plait", "plait_asyncio")
def plait(sleep: Sleep) -> Program:
    from plait import Context, Event, StartEvent, StopEvent, Workflow, step

    desk = Desk(sleep)

    class Begin(StartEvent):
        size: int

    class Task(Event):
        number: int

    class Result(Event):
        number: int

    total = 0

    class Waiting(Workflow):
        @step
        async def start(self, ctx: Context, ev: Begin) -> Task | None:
            for number in range(ev.size):
                ctx.send_event(Task(number=number))

        @step(num_workers=WORKERS)
        async def work(self, ev: Task) -> Result:
            await desk.nap()
            return Result(number=ev.number)

        @step
        async def combine(self, ctx: Context, ev: Result) -> StopEvent | None:
            results = ctx.collect_events(ev, {Result: total})
            return None if results is None else StopEvent(len(results))

    flow = Waiting()

    async def program(size: int) -> object:
        nonlocal total
        total = size
        return await flow.run(size=size)

    return program


def floor(key: str, sleep: Sleep) -> Program:
    from benchmarks.floors import FLOORS, Send, Step, Stop

    desk = Desk(sleep)

    @attrs.define
    class Begin:
        size: int

    @attrs.define
    class Task:
        number: int

    @attrs.define
    class Result:
        number: int

    async def program(size: int) -> object:
        results: list[Result] = []

        async def start(event: Begin, send: Send) -> None:
            for number in range(event.size):
                send(Task(number))

        async def work(event: Task, send: Send) -> Result:
            await desk.nap()
            return Result(event.number)

        async def combine(event: Result, send: Send) -> Stop | None:
            results.append(event)
            return Stop(size) if len(results) == size else None

        steps = [Step(Begin, start), Step(Task, work, WORKERS), Step(Result, combine)]
        return await FLOORS[key](steps, Begin(size))

    return program


for key in ("floor_a", "floor_b", "floor_c"):
    waiting.contender(key)(partial(floor, key))


@waiting.contender("llamaindex")
def llamaindex(sleep: Sleep) -> Program:
    from workflows import Context, Workflow, step
    from workflows.events import Event, StartEvent, StopEvent

    desk = Desk(sleep)

    class Begin(StartEvent):
        size: int

    class Task(Event):
        number: int

    class Result(Event):
        number: int

    wanted: list[type[Result]] = []

    class Waiting(Workflow):
        @step
        async def start(self, ctx: Context, ev: Begin) -> Task | None:
            for number in range(ev.size):
                ctx.send_event(Task(number=number))

        @step(num_workers=WORKERS)
        async def work(self, ev: Task) -> Result:
            await desk.nap()
            return Result(number=ev.number)

        @step
        async def combine(self, ctx: Context, ev: Result) -> StopEvent | None:
            results = ctx.collect_events(ev, wanted)
            return None if results is None else StopEvent(result=len(results))

    flow = Waiting(timeout=None)

    async def program(size: int) -> object:
        nonlocal wanted
        wanted = [Result] * size
        return await flow.run(size=size)

    return program


@waiting.contender("langgraph")
def langgraph(sleep: Sleep) -> Program:
    from langgraph.graph import END, START, StateGraph
    from langgraph.types import Send

    desk = Desk(sleep)

    class State(TypedDict):
        size: int
        results: Annotated[list[int], operator.add]

    def fan(state: State) -> list[Send]:
        return [Send("work", number) for number in range(state["size"])]

    async def work(number: int) -> dict[str, object]:
        await desk.nap()
        return {"results": [number]}

    graph = StateGraph(State)
    graph.add_node("work", work)
    graph.add_conditional_edges(START, fan, ["work"])
    graph.add_edge("work", END)
    compiled = graph.compile()

    async def program(size: int) -> object:
        state = {"size": size, "results": []}
        return len((await compiled.ainvoke(state, {"max_concurrency": WORKERS}))["results"])

    return program


@waiting.contender("pydantic_graph")
def pydantic_graph(sleep: Sleep) -> Program:
    from pydantic_graph import GraphBuilder, StepContext, reduce_list_append

    desk = Desk(sleep)

    builder = GraphBuilder(input_type=int, output_type=int)
    slots: asyncio.Semaphore

    @builder.step
    async def start(ctx: StepContext[None, None, int]) -> list[int]:
        return list(range(ctx.inputs))

    @builder.step
    async def work(ctx: StepContext[None, None, int]) -> int:
        # It has no bound of its own.
        async with slots:
            await desk.nap()
        return ctx.inputs

    @builder.step
    async def combine(ctx: StepContext[None, None, list[int]]) -> int:
        return len(ctx.inputs)

    collect = builder.join(reduce_list_append, initial_factory=list[int])
    builder.add(
        builder.edge_from(builder.start_node).to(start),
        builder.edge_from(start).map().to(work),
        builder.edge_from(work).to(collect),
        builder.edge_from(collect).to(combine),
        builder.edge_from(combine).to(builder.end_node),
    )
    graph = builder.build()

    async def program(size: int) -> object:
        nonlocal slots
        slots = asyncio.Semaphore(WORKERS)
        return await graph.run(inputs=size)

    return program


@waiting.contender("taskiq")
def taskiq(sleep: Sleep) -> Program:
    from taskiq import InMemoryBroker

    desk = Desk(sleep)

    broker = InMemoryBroker(max_stored_results=10_000)
    slots: asyncio.Semaphore

    @broker.task
    async def work(number: int) -> int:
        # The in-memory broker has no bound of its own.
        async with slots:
            await desk.nap()
        return number

    async def program(size: int) -> object:
        nonlocal slots
        slots = asyncio.Semaphore(WORKERS)
        tasks = [await work.kiq(number) for number in range(size)]
        await broker.wait_all()
        return len([(await task.get_result()).return_value for task in tasks])

    return program
