"""An empty run: Start → Stop. What it costs to open and close everything, one at a time and a thousand at once."""

from functools import partial
from typing import TypedDict

import attrs

from benchmarks.scenario import Growth, Program, Ratio, Scenario, Sleep, Target

empty = Scenario(
    name="empty",
    title="Empty runs, one after another",
    unit="µs per run",
    about="A workflow of one step that returns at once.",
    sizes=(1, 10, 100),
    quick_sizes=(1, 100),
    reference=100,
    expected=lambda runs: runs,
    targets=(
        Target(Ratio("llamaindex", "plait"), first=3, at_least=True),
        Target(Ratio("plait", "burr"), goal=1),
    ),
)

empty_concurrent = Scenario(
    name="empty_concurrent",
    title="Empty runs, all at once",
    unit="µs per run",
    about="The same workflow, all runs started before the first is waited for.",
    sizes=(10, 100, 1_000),
    quick_sizes=(10, 100, 1_000),
    reference=1_000,
    growth_from=100,
    expected=lambda runs: runs,
    targets=(
        Target(Ratio("llamaindex", "plait"), first=3, at_least=True),
        Target(Growth("plait"), first=1.3, goal=1.1),
    ),
)


@empty.contender("plait", "plait_asyncio")
def plait(sleep: Sleep) -> Program:
    from plait import StartEvent, StopEvent, Workflow, step

    class Empty(Workflow):
        @step
        async def start(self, ev: StartEvent) -> StopEvent:
            return StopEvent(1)

    flow = Empty()

    async def program(size: int) -> object:
        return sum([await flow.run() for _ in range(size)])

    return program


@empty_concurrent.contender("plait", "plait_asyncio")
def plait_concurrent(sleep: Sleep) -> Program:
    import plait
    from plait import StartEvent, StopEvent, Workflow, step

    class Empty(Workflow):
        @step
        async def start(self, ev: StartEvent) -> StopEvent:
            return StopEvent(1)

    flow = Empty()

    async def program(size: int) -> object:
        async with plait.open_runtime():
            runs = [flow.run() for _ in range(size)]
            return sum([await run for run in runs])

    return program


def floor(key: str, sleep: Sleep, *, concurrent: bool) -> Program:
    import trio

    from benchmarks.floors import FLOORS, Send, Step, Stop

    @attrs.define
    class Begin:
        pass

    async def start(event: Begin, send: Send) -> Stop:
        return Stop(1)

    engine, steps = FLOORS[key], [Step(Begin, start)]

    async def one_by_one(size: int) -> object:
        return [await engine(steps, Begin()) for _ in range(size)].count(1)

    async def at_once(size: int) -> object:
        results: list[object] = []

        async def one() -> None:
            results.append(await engine(steps, Begin()))

        async with trio.open_nursery() as nursery:
            for _ in range(size):
                nursery.start_soon(one)
        return results.count(1)

    return at_once if concurrent else one_by_one


for key in ("floor_a", "floor_b", "floor_c"):
    empty.contender(key)(partial(floor, key, concurrent=False))
    empty_concurrent.contender(key)(partial(floor, key, concurrent=True))


def llamaindex(sleep: Sleep, *, concurrent: bool) -> Program:
    from workflows import Workflow, step
    from workflows.events import StartEvent, StopEvent

    class Empty(Workflow):
        @step
        async def start(self, ev: StartEvent) -> StopEvent:
            return StopEvent(result=1)

    flow = Empty(timeout=None)

    async def one_by_one(size: int) -> object:
        return sum([await flow.run() for _ in range(size)])

    async def at_once(size: int) -> object:
        handlers = [flow.run() for _ in range(size)]
        return sum([await handler for handler in handlers])

    return at_once if concurrent else one_by_one


def langgraph(sleep: Sleep, *, concurrent: bool) -> Program:
    import asyncio

    from langgraph.graph import END, START, StateGraph

    class State(TypedDict):
        result: int

    async def start(state: State) -> State:
        return {"result": 1}

    graph = StateGraph(State)
    graph.add_node("start", start)
    graph.add_edge(START, "start")
    graph.add_edge("start", END)
    compiled = graph.compile()

    async def one_by_one(size: int) -> object:
        return sum([(await compiled.ainvoke({"result": 0}))["result"] for _ in range(size)])

    async def at_once(size: int) -> object:
        states = await asyncio.gather(*[compiled.ainvoke({"result": 0}) for _ in range(size)])
        return sum(state["result"] for state in states)

    return at_once if concurrent else one_by_one


def pydantic_graph(sleep: Sleep, *, concurrent: bool) -> Program:
    import asyncio

    from pydantic_graph import GraphBuilder, StepContext

    builder = GraphBuilder(output_type=int)

    @builder.step
    async def start(ctx: StepContext[None, None, None]) -> int:
        return 1

    builder.add(
        builder.edge_from(builder.start_node).to(start),
        builder.edge_from(start).to(builder.end_node),
    )
    graph = builder.build()

    async def one_by_one(size: int) -> object:
        return sum([await graph.run() for _ in range(size)])

    async def at_once(size: int) -> object:
        return sum(await asyncio.gather(*[graph.run() for _ in range(size)]))

    return at_once if concurrent else one_by_one


def burr(sleep: Sleep, *, concurrent: bool) -> Program:
    import asyncio

    from burr.core import ApplicationBuilder, State, action

    @action(reads=[], writes=["result"])
    async def start(state: State) -> State:
        return state.update(result=1)

    async def one() -> int:
        # An application holds the state of one run: it is built for each.
        builder = ApplicationBuilder().with_actions(start=start).with_entrypoint("start")
        _, _, state = await builder.with_transitions().build().arun(halt_after=["start"])
        return state["result"]

    async def one_by_one(size: int) -> object:
        return sum([await one() for _ in range(size)])

    async def at_once(size: int) -> object:
        return sum(await asyncio.gather(*[one() for _ in range(size)]))

    return at_once if concurrent else one_by_one


for build in (llamaindex, langgraph, pydantic_graph, burr):
    empty.contender(build.__name__)(partial(build, concurrent=False))
    empty_concurrent.contender(build.__name__)(partial(build, concurrent=True))
