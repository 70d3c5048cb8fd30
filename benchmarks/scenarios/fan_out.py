"""Fan-out and fan-in: N events, one worker step, one step that collects the N results.

`[E] * n` is how users of LlamaIndex write it, and it is kept as a row of its own: building that list on each call
takes time in proportion to n, whatever the engine does.
"""

import operator
from functools import partial
from typing import Annotated, TypedDict

import attrs

from benchmarks.scenario import (
    FASTEST_PEER,
    Growth,
    Program,
    Ratio,
    Scenario,
    Sleep,
    Target,
)

fan_out = Scenario(
    name="fan_out",
    title="Fan-out and fan-in",
    unit="µs per event",
    about="One step sends N events, another works on each, a third collects the N results.",
    sizes=(10, 100, 1_000, 10_000, 100_000),
    quick_sizes=(100, 1_000, 10_000),
    reference=1_000,
    growth_from=1_000,
    expected=lambda size: size * (size - 1) // 2,
    targets=(
        Target(Ratio("plait", "floor_b"), first=2),
        Target(Ratio("plait", "floor_c"), goal=2.5),
        Target(Ratio("llamaindex", "plait"), first=200, goal=1_000, at_least=True),
        Target(Ratio("plait", FASTEST_PEER), first=1, goal=1),
        Target(Ratio("plait_asyncio", "plait"), first=2, goal=1.3),
        Target(Growth("plait"), first=1.3, goal=1.1),
    ),
)


def plait(sleep: Sleep, *, as_list: bool) -> Program:
    from plait import Context, Event, StartEvent, StopEvent, Workflow, step

    class Begin(StartEvent):
        size: int

    class Task(Event):
        number: int

    class Result(Event):
        number: int

    total = 0

    class FanOut(Workflow):
        @step
        async def start(self, ctx: Context, ev: Begin) -> Task | None:
            for number in range(ev.size):
                ctx.send_event(Task(number=number))

        @step
        async def work(self, ev: Task) -> Result:
            return Result(number=ev.number)

        @step
        async def combine(self, ctx: Context, ev: Result) -> StopEvent | None:
            results = ctx.collect_events(ev, [Result] * total if as_list else {Result: total})
            if results is None:
                return None
            return StopEvent(sum(result.number for result in results))

    flow = FanOut()

    async def program(size: int) -> object:
        nonlocal total
        total = size
        return await flow.run(size=size)

    return program


fan_out.contender("plait", "plait_asyncio")(partial(plait, as_list=False))
fan_out.contender("plait_list", limit=10_000)(partial(plait, as_list=True))


def floor(key: str, sleep: Sleep) -> Program:
    from benchmarks.floors import FLOORS, Send, Step, Stop

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
            return Result(event.number)

        async def combine(event: Result, send: Send) -> Stop | None:
            results.append(event)
            if len(results) < size:
                return None
            return Stop(sum(result.number for result in results))

        steps = [Step(Begin, start), Step(Task, work), Step(Result, combine)]
        return await FLOORS[key](steps, Begin(size))

    return program


for key in ("floor_a", "floor_b", "floor_b_drain", "floor_c"):
    fan_out.contender(key)(partial(floor, key))


@fan_out.contender("llamaindex", limit=1_000)
def llamaindex(sleep: Sleep) -> Program:
    from workflows import Context, Workflow, step
    from workflows.events import Event, StartEvent, StopEvent

    class Begin(StartEvent):
        size: int

    class Task(Event):
        number: int

    class Result(Event):
        number: int

    wanted: list[type[Result]] = []

    class FanOut(Workflow):
        @step
        async def start(self, ctx: Context, ev: Begin) -> Task | None:
            for number in range(ev.size):
                ctx.send_event(Task(number=number))

        @step
        async def work(self, ev: Task) -> Result:
            return Result(number=ev.number)

        @step
        async def combine(self, ctx: Context, ev: Result) -> StopEvent | None:
            results = ctx.collect_events(ev, wanted)
            if results is None:
                return None
            return StopEvent(result=sum(result.number for result in results))

    flow = FanOut(timeout=None)

    async def program(size: int) -> object:
        nonlocal wanted
        wanted = [Result] * size
        return await flow.run(size=size)

    return program


@fan_out.contender("langgraph", limit=1_000)
def langgraph(sleep: Sleep) -> Program:
    from langgraph.graph import END, START, StateGraph
    from langgraph.types import Send

    class State(TypedDict):
        size: int
        results: Annotated[list[int], operator.add]
        total: int

    async def start(state: State) -> dict[str, object]:
        return {}

    def fan(state: State) -> list[Send]:
        return [Send("work", number) for number in range(state["size"])]

    async def work(number: int) -> dict[str, object]:
        return {"results": [number]}

    async def combine(state: State) -> dict[str, object]:
        return {"total": sum(state["results"])}

    graph = StateGraph(State)
    graph.add_node("start", start)
    graph.add_node("work", work)
    graph.add_node("combine", combine)
    graph.add_edge(START, "start")
    graph.add_conditional_edges("start", fan, ["work"])
    graph.add_edge("work", "combine")
    graph.add_edge("combine", END)
    compiled = graph.compile()

    async def program(size: int) -> object:
        state = {"size": size, "results": [], "total": 0}
        # As many at a time as a step of plait and of LlamaIndex has workers by default.
        return (await compiled.ainvoke(state, {"max_concurrency": 4}))["total"]

    return program


@fan_out.contender("pydantic_graph", limit=10_000)
def pydantic_graph(sleep: Sleep) -> Program:
    from pydantic_graph import GraphBuilder, StepContext, reduce_list_append

    builder = GraphBuilder(input_type=int, output_type=int)

    @builder.step
    async def start(ctx: StepContext[None, None, int]) -> list[int]:
        return list(range(ctx.inputs))

    @builder.step
    async def work(ctx: StepContext[None, None, int]) -> int:
        return ctx.inputs

    @builder.step
    async def combine(ctx: StepContext[None, None, list[int]]) -> int:
        return sum(ctx.inputs)

    collect = builder.join(reduce_list_append, initial_factory=list[int])
    builder.add(
        builder.edge_from(builder.start_node).to(start),
        builder.edge_from(start).map().to(work),
        builder.edge_from(work).to(collect),
        builder.edge_from(collect).to(combine),
        builder.edge_from(combine).to(builder.end_node),
    )
    graph = builder.build()
    return lambda size: graph.run(inputs=size)


@fan_out.contender("taskiq", limit=10_000)
def taskiq(sleep: Sleep) -> Program:
    from taskiq import InMemoryBroker

    broker = InMemoryBroker(max_stored_results=10_000)

    @broker.task
    async def work(number: int) -> int:
        return number

    async def program(size: int) -> object:
        tasks = [await work.kiq(number) for number in range(size)]
        await broker.wait_all()
        return sum([(await task.get_result()).return_value for task in tasks])

    return program
