"""Chain: A → B → A … → Stop. What it costs to hand one event from a step to the next, and nothing else."""

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TypedDict

import attrs

from benchmarks.scenario import (
    FASTEST_PEER,
    Equivalent,
    Growth,
    Program,
    Ratio,
    Scenario,
    Sleep,
    Target,
)

chain = Scenario(
    name="chain",
    title="Chain",
    unit="µs per hop",
    about="A → B → A … → Stop: one event at a time goes from step to step, and no body ever waits.",
    sizes=(10, 100, 1_000, 10_000),
    quick_sizes=(10, 100, 1_000, 10_000),
    reference=10_000,
    growth_from=1_000,
    expected=lambda hops: hops,
    targets=(
        Target(Equivalent("plait"), first=12),
        Target(Ratio("plait", "floor_b"), first=2, goal=1),
        Target(Ratio("llamaindex", "plait"), first=20, goal=60, at_least=True),
        Target(Ratio("plait", FASTEST_PEER), first=1, goal=1),
        Target(Ratio("plait_asyncio", "plait"), first=2, goal=1.3),
        Target(Growth("plait"), first=1.3, goal=1.1),
    ),
)

chain_waiting = Scenario(
    name="chain_waiting",
    title="Chain whose bodies wait",
    unit="µs per hop",
    about="The same with a `sleep(0)` in each body: real steps wait for something.",
    sizes=(100, 1_000, 10_000),
    quick_sizes=(100, 1_000, 10_000),
    reference=10_000,
    growth_from=1_000,
    expected=lambda hops: hops,
    targets=(
        Target(Ratio("plait", "floor_b"), first=2, goal=1),
        Target(Ratio("plait_asyncio", "plait"), first=2, goal=1.3),
    ),
)


def plait(sleep: Sleep | None) -> Program:
    from plait import Event, StartEvent, StopEvent, Workflow, step

    hops = 0

    class A(Event):
        number: int

    class B(Event):
        number: int

    class Chain(Workflow):
        @step
        async def start(self, ev: StartEvent) -> A:
            return A(number=1)

        @step
        async def a(self, ev: A) -> B | StopEvent:
            if sleep:
                await sleep(0)
            return StopEvent(ev.number) if ev.number == hops else B(number=ev.number + 1)

        @step
        async def b(self, ev: B) -> A | StopEvent:
            if sleep:
                await sleep(0)
            return StopEvent(ev.number) if ev.number == hops else A(number=ev.number + 1)

    flow = Chain()

    async def program(size: int) -> object:
        nonlocal hops
        hops = size
        return await flow.run()

    return program


def floor(key: str, sleep: Sleep | None) -> Program:
    from benchmarks.floors import FLOORS, Send, Step, Stop

    @attrs.define
    class A:
        number: int

    @attrs.define
    class B:
        number: int

    hops = 0

    async def a(event: A, send: Send) -> B | Stop:
        if sleep:
            await sleep(0)
        return Stop(event.number) if event.number == hops else B(event.number + 1)

    async def b(event: B, send: Send) -> A | Stop:
        if sleep:
            await sleep(0)
        return Stop(event.number) if event.number == hops else A(event.number + 1)

    engine, steps = FLOORS[key], [Step(A, a), Step(B, b)]

    async def program(size: int) -> object:
        nonlocal hops
        hops = size
        return await engine(steps, A(1))

    return program


def llamaindex(sleep: Sleep | None) -> Program:
    from workflows import Workflow, step
    from workflows.events import Event, StartEvent, StopEvent

    hops = 0

    class A(Event):
        number: int

    class B(Event):
        number: int

    class Chain(Workflow):
        @step
        async def start(self, ev: StartEvent) -> A:
            return A(number=1)

        @step
        async def a(self, ev: A) -> B | StopEvent:
            if sleep:
                await sleep(0)
            return StopEvent(result=ev.number) if ev.number == hops else B(number=ev.number + 1)

        @step
        async def b(self, ev: B) -> A | StopEvent:
            if sleep:
                await sleep(0)
            return StopEvent(result=ev.number) if ev.number == hops else A(number=ev.number + 1)

    flow = Chain(timeout=None)

    async def program(size: int) -> object:
        nonlocal hops
        hops = size
        return await flow.run()

    return program


def langgraph(sleep: Sleep | None) -> Program:
    from langgraph.graph import END, START, StateGraph

    hops = 0

    class State(TypedDict):
        number: int

    async def advance(state: State) -> State:
        if sleep:
            await sleep(0)
        return {"number": state["number"] + 1}

    graph = StateGraph(State)
    graph.add_node("a", advance)
    graph.add_node("b", advance)
    graph.add_edge(START, "a")
    graph.add_conditional_edges("a", lambda state: END if state["number"] == hops else "b")
    graph.add_conditional_edges("b", lambda state: END if state["number"] == hops else "a")
    compiled = graph.compile()

    async def program(size: int) -> object:
        nonlocal hops
        hops = size
        return (await compiled.ainvoke({"number": 0}, {"recursion_limit": size + 10}))["number"]

    return program


def pydantic_graph(sleep: Sleep | None) -> Program:
    from pydantic_graph import BaseNode, End, GraphBuilder, GraphRunContext

    hops = 0

    @dataclass
    class A(BaseNode[None, None, int]):
        number: int

        async def run(self, ctx: GraphRunContext) -> "B | End[int]":
            if sleep:
                await sleep(0)
            return End(self.number) if self.number == hops else B(self.number + 1)

    @dataclass
    class B(BaseNode[None, None, int]):
        number: int

        async def run(self, ctx: GraphRunContext) -> "A | End[int]":
            if sleep:
                await sleep(0)
            return End(self.number) if self.number == hops else A(self.number + 1)

    builder = GraphBuilder(input_type=A, output_type=int)
    builder.add(builder.node(A), builder.node(B), builder.edge_from(builder.start_node).to(A))
    graph = builder.build()

    async def program(size: int) -> object:
        nonlocal hops
        hops = size
        return await graph.run(inputs=A(1))

    return program


def burr(sleep: Sleep | None) -> Program:
    from burr.core import ApplicationBuilder, Condition, State, action

    @action(reads=["number"], writes=["number"])
    async def advance(state: State) -> State:
        if sleep:
            await sleep(0)
        return state.update(number=state["number"] + 1)

    @action(reads=["number"], writes=["number"])
    async def stop(state: State) -> State:
        return state

    async def program(size: int) -> object:
        done = Condition.expr(f"number == {size}")
        # An application holds the state of one run: it is built for each.
        application = (
            ApplicationBuilder()
            .with_actions(a=advance, b=advance, stop=stop)
            .with_transitions(("a", "stop", done), ("a", "b"), ("b", "stop", done), ("b", "a"))
            .with_entrypoint("a")
            .with_state(number=0)
            .build()
        )
        _, _, state = await application.arun(halt_after=["stop"])
        return state["number"]

    return program


def taskiq(sleep: Sleep | None) -> Program:
    from taskiq import InMemoryBroker

    broker = InMemoryBroker()
    hops = 0
    done: asyncio.Future[int]

    @broker.task
    async def a(number: int) -> None:
        if sleep:
            await sleep(0)
        if number == hops:
            done.set_result(number)
        else:
            await b.kiq(number + 1)

    @broker.task
    async def b(number: int) -> None:
        if sleep:
            await sleep(0)
        if number == hops:
            done.set_result(number)
        else:
            await a.kiq(number + 1)

    async def program(size: int) -> object:
        nonlocal hops, done
        hops, done = size, asyncio.get_running_loop().create_future()
        await a.kiq(1)
        return await done

    return program


for keys, build in {
    ("plait", "plait_asyncio"): plait,
    ("floor_a",): partial(floor, "floor_a"),
    ("floor_b",): partial(floor, "floor_b"),
    ("floor_c",): partial(floor, "floor_c"),
    ("llamaindex",): llamaindex,
    ("langgraph",): langgraph,
    ("pydantic_graph",): pydantic_graph,
    ("burr",): burr,
    ("taskiq",): taskiq,
}.items():
    chain.contender(*keys)(lambda _sleep, build=build: build(None))
    if not set(keys) & {"langgraph", "pydantic_graph", "burr", "taskiq"}:
        chain_waiting.contender(*keys)(build)
