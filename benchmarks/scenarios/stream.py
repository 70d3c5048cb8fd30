"""Stream: a step writes a burst of N events, and a consumer outside of the run reads them all.

Two floors have a meaning here: **a** is a memory channel that is read item by item; **c** is a deque that wakes its
reader once for a burst, and the reader lets others run after every 64 items.
"""

from collections import deque
from typing import TypedDict

import attrs

from benchmarks.scenario import FASTEST_PEER, Program, Ratio, Scenario, Sleep, Target

stream = Scenario(
    name="stream",
    title="Stream",
    unit="µs per event",
    about="A step writes a burst of N events to the stream; one consumer reads them while the run goes on.",
    sizes=(100, 1_000, 10_000),
    quick_sizes=(100, 1_000, 10_000),
    reference=10_000,
    growth_from=1_000,
    expected=lambda size: size * (size - 1) // 2,
    targets=(
        Target(Ratio("llamaindex", "plait"), first=3, at_least=True),
        Target(Ratio("plait", FASTEST_PEER), goal=1),
        Target(Ratio("plait_asyncio", "plait"), first=2, goal=1.3),
    ),
)


@stream.contender("plait", "plait_asyncio")
def plait(sleep: Sleep) -> Program:
    from plait import Context, Event, StartEvent, StopEvent, Workflow, step

    class Begin(StartEvent):
        size: int

    class Item(Event):
        number: int

    class Burst(Workflow):
        @step
        async def start(self, ctx: Context, ev: Begin) -> StopEvent:
            for number in range(ev.size):
                ctx.write_event_to_stream(Item(number=number))
            return StopEvent(ev.size)

    flow = Burst()

    async def program(size: int) -> object:
        total = 0
        async with flow.run(size=size) as run:
            async for event in run.stream_events():
                if isinstance(event, Item):
                    total += event.number
        return total

    return program


@attrs.define
class Item:
    """What the floors stream."""

    number: int


@stream.contender("floor_a")
def floor_a(sleep: Sleep) -> Program:
    import trio

    async def program(size: int) -> object:
        total = 0
        writer, reader = trio.open_memory_channel[Item](float("inf"))

        async def write() -> None:
            for number in range(size):
                writer.send_nowait(Item(number))
            writer.close()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(write)
            async for item in reader:
                total += item.number
        return total

    return program


@stream.contender("floor_c")
def floor_c(sleep: Sleep) -> Program:
    import trio

    async def program(size: int) -> object:
        total = 0
        backlog: deque[Item] = deque()
        parked: list[trio.lowlevel.Task] = []

        async def write() -> None:
            for number in range(size):
                backlog.append(Item(number))
                if parked:
                    trio.lowlevel.reschedule(parked.pop())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(write)
            seen = 0
            while seen < size:
                if not backlog:
                    parked.append(trio.lowlevel.current_task())
                    await trio.lowlevel.wait_task_rescheduled(
                        lambda _: trio.lowlevel.Abort.SUCCEEDED
                    )
                total += backlog.popleft().number
                seen += 1
                if seen % 64 == 0:
                    await trio.lowlevel.checkpoint()
        return total

    return program


@stream.contender("llamaindex")
def llamaindex(sleep: Sleep) -> Program:
    from workflows import Context, Workflow, step
    from workflows.events import Event, StartEvent, StopEvent

    class Begin(StartEvent):
        size: int

    class Item(Event):
        number: int

    class Burst(Workflow):
        @step
        async def start(self, ctx: Context, ev: Begin) -> StopEvent:
            for number in range(ev.size):
                ctx.write_event_to_stream(Item(number=number))
            return StopEvent(result=ev.size)

    flow = Burst(timeout=None)

    async def program(size: int) -> object:
        total = 0
        handler = flow.run(size=size)
        async for event in handler.stream_events():
            if isinstance(event, Item):
                total += event.number
        await handler
        return total

    return program


@stream.contender("langgraph")
def langgraph(sleep: Sleep) -> Program:
    from langgraph.graph import END, START, StateGraph
    from langgraph.types import StreamWriter

    class State(TypedDict):
        size: int

    async def start(state: State, writer: StreamWriter) -> dict[str, object]:
        for number in range(state["size"]):
            writer(number)
        return {}

    graph = StateGraph(State)
    graph.add_node("start", start)
    graph.add_edge(START, "start")
    graph.add_edge("start", END)
    compiled = graph.compile()

    async def program(size: int) -> object:
        total = 0
        async for number in compiled.astream({"size": size}, stream_mode="custom"):
            total += number
        return total

    return program


@stream.contender("burr")
def burr(sleep: Sleep) -> Program:
    from collections.abc import AsyncGenerator

    from burr.core import ApplicationBuilder, State
    from burr.core.action import streaming_action

    @streaming_action(reads=["size"], writes=["total"])
    async def start(state: State) -> AsyncGenerator[tuple[dict[str, int], State | None], None]:
        for number in range(state["size"]):
            yield {"number": number}, None
        yield {"number": 0}, state.update(total=state["size"])

    async def program(size: int) -> object:
        application = (
            ApplicationBuilder()
            .with_actions(start=start)
            .with_transitions()
            .with_entrypoint("start")
            .with_state(size=size)
            .build()
        )
        _, items = await application.astream_result(halt_after=["start"])
        total = 0
        async for item in items:
            total += item["number"]
        return total

    return program
