"""Memory: what a pending event costs, and whether a run grows with the steps it has completed.

`tracemalloc` counts what Python allocated, the event itself included. It slows every contender down, which does not
matter: nothing here is timed.
"""

import gc
import tracemalloc
from functools import partial
from typing import Final

import attrs

from benchmarks.scenario import Cost, Measured, Program, Scenario, Sleep, Target

memory_pending = Scenario(
    name="memory_pending",
    title="Memory of a pending event",
    unit="bytes per event",
    about="A step sends N events to a step with 4 workers that do not finish; bytes allocated since, over N.",
    sizes=(100, 1_000, 10_000),
    quick_sizes=(100, 10_000),
    reference=10_000,
    expected=lambda size: size,
    scale=None,
    equivalent=False,
    targets=(Target(Cost("plait"), first=600, goal=250),),
)

memory_steps = Scenario(
    name="memory_steps",
    title="Memory of a completed step",
    unit="bytes per step",
    about="A chain of N hops; bytes allocated between its 100th and its last hop, over the number of hops.",
    sizes=(1_000, 5_000, 20_000),
    quick_sizes=(1_000, 20_000),
    reference=20_000,
    expected=lambda size: size,
    scale=None,
    equivalent=False,
    ratios=False,
    targets=(Target(Cost("plait"), first=1, goal=1),),
)

#: The hop of a chain at which everything that is made once has been made.
SETTLED: Final = 100


def allocated() -> int:
    """Bytes that are in use, without what the garbage collector would free."""
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


async def settled(sleep: Sleep) -> int:
    """Bytes that are in use once the engine has digested what was sent to it."""
    before = now = allocated()
    while True:
        await sleep(0.05)
        before, now = now, allocated()
        if abs(now - before) < 1_000:
            return now


@attrs.define
class Ledger:
    """Two readings of one run."""

    first: int = 0
    last: int = 0
    claimed: bool = False

    def claim(self) -> bool:
        """Whether this is the first call since `first` was read: only one body takes the last reading."""
        claimed, self.claimed = self.claimed, True
        return not claimed

    def open(self) -> None:
        """Take the first reading."""
        self.claimed, self.first = False, allocated()

    def cost(self, count: int) -> float:
        return (self.last - self.first) / count


def traced(program: Program) -> Program:
    """Count allocations while `program` runs, and only then."""

    async def tracing(size: int) -> object:
        tracemalloc.start()
        try:
            return await program(size)
        finally:
            tracemalloc.stop()

    return tracing


@memory_pending.contender("plait", "plait_asyncio")
def plait_pending(sleep: Sleep) -> Program:
    from plait import Context, Event, StartEvent, StopEvent, Workflow, step

    class Begin(StartEvent):
        size: int

    class Task(Event):
        number: int

    ledger = Ledger()

    class Pending(Workflow):
        @step
        async def start(self, ctx: Context, ev: Begin) -> Task | None:
            ledger.open()
            for number in range(ev.size):
                ctx.send_event(Task(number=number))

        @step
        async def work(self, ev: Task) -> StopEvent | None:
            if not ledger.claim():
                await sleep(3_600)
            ledger.last = await settled(sleep)
            return StopEvent()

    flow = Pending()

    async def program(size: int) -> object:
        await flow.run(size=size)
        return Measured(ledger.cost(size), size)

    return traced(program)


def floor_pending(key: str, sleep: Sleep) -> Program:
    from benchmarks.floors import FLOORS, Send, Step, Stop

    @attrs.define
    class Begin:
        size: int

    @attrs.define
    class Task:
        number: int

    ledger = Ledger()

    async def start(event: Begin, send: Send) -> None:
        ledger.open()
        for number in range(event.size):
            send(Task(number))

    async def work(event: Task, send: Send) -> Stop | None:
        if not ledger.claim():
            await sleep(3_600)
        ledger.last = await settled(sleep)
        return Stop(None)

    async def program(size: int) -> object:
        await FLOORS[key]([Step(Begin, start), Step(Task, work)], Begin(size))
        return Measured(ledger.cost(size), size)

    return traced(program)


@memory_pending.contender("llamaindex", limit=1_000)
def llamaindex_pending(sleep: Sleep) -> Program:
    from workflows import Context, Workflow, step
    from workflows.events import Event, StartEvent, StopEvent

    class Begin(StartEvent):
        size: int

    class Task(Event):
        number: int

    ledger = Ledger()

    class Pending(Workflow):
        @step
        async def start(self, ctx: Context, ev: Begin) -> Task | None:
            ledger.open()
            for number in range(ev.size):
                ctx.send_event(Task(number=number))

        @step
        async def work(self, ev: Task) -> StopEvent | None:
            if not ledger.claim():
                await sleep(3_600)
            ledger.last = await settled(sleep)
            return StopEvent()

    flow = Pending(timeout=None)

    async def program(size: int) -> object:
        await flow.run(size=size)
        return Measured(ledger.cost(size), size)

    return traced(program)


@memory_steps.contender("plait", "plait_asyncio")
def plait_steps(sleep: Sleep) -> Program:
    from plait import Event, StartEvent, StopEvent, Workflow, step

    class Begin(StartEvent):
        size: int

    class Hop(Event):
        left: int

    ledger = Ledger()
    hops = 0

    class Loop(Workflow):
        @step
        async def start(self, ev: Begin) -> Hop:
            return Hop(left=ev.size)

        @step
        async def hop(self, ev: Hop) -> Hop | StopEvent:
            nonlocal hops
            hops += 1
            if hops == SETTLED:
                ledger.open()
            if ev.left > 1:
                return Hop(left=ev.left - 1)
            ledger.last = allocated()
            return StopEvent()

    flow = Loop()

    async def program(size: int) -> object:
        nonlocal hops
        hops = 0
        await flow.run(size=size)
        return Measured(ledger.cost(size - SETTLED), hops)

    return traced(program)


def floor_steps(key: str, sleep: Sleep) -> Program:
    from benchmarks.floors import FLOORS, Send, Step, Stop

    @attrs.define
    class Hop:
        left: int

    ledger = Ledger()
    hops = 0

    async def hop(event: Hop, send: Send) -> Hop | Stop:
        nonlocal hops
        hops += 1
        if hops == SETTLED:
            ledger.open()
        if event.left > 1:
            return Hop(event.left - 1)
        ledger.last = allocated()
        return Stop(None)

    async def program(size: int) -> object:
        nonlocal hops
        hops = 0
        await FLOORS[key]([Step(Hop, hop)], Hop(size))
        return Measured(ledger.cost(size - SETTLED), hops)

    return traced(program)


@memory_steps.contender("llamaindex", limit=5_000)
def llamaindex_steps(sleep: Sleep) -> Program:
    from workflows import Workflow, step
    from workflows.events import Event, StartEvent, StopEvent

    class Begin(StartEvent):
        size: int

    class Hop(Event):
        left: int

    ledger = Ledger()
    hops = 0

    class Loop(Workflow):
        @step
        async def start(self, ev: Begin) -> Hop:
            return Hop(left=ev.size)

        @step
        async def hop(self, ev: Hop) -> Hop | StopEvent:
            nonlocal hops
            hops += 1
            if hops == SETTLED:
                ledger.open()
            if ev.left > 1:
                return Hop(left=ev.left - 1)
            ledger.last = allocated()
            return StopEvent()

    flow = Loop(timeout=None)

    async def program(size: int) -> object:
        nonlocal hops
        hops = 0
        await flow.run(size=size)
        return Measured(ledger.cost(size - SETTLED), hops)

    return traced(program)


for key in ("floor_a", "floor_b", "floor_c"):
    memory_pending.contender(key)(partial(floor_pending, key))
    memory_steps.contender(key)(partial(floor_steps, key))
