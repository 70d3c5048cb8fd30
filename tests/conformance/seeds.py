"""The programs of the contract's section 1, which run on every backend.

What takes time there takes `pause(seconds)` here: virtual seconds on a clock that jumps, turns of the
scheduler on a real one. So the order of completion is the same, and nobody really sleeps.
"""

import anyio
import anyio.lowlevel
import trio
from trio.testing import MockClock

from plait import Context, Event, StartEvent, StopEvent, Workflow, step

#: Turns of the scheduler that stand for a second: more than it takes an event to get anywhere.
TURNS = 12


def is_virtual():
    if not trio.lowlevel.in_trio_task():
        return False
    return isinstance(trio.lowlevel.current_clock(), MockClock)


async def pause(seconds):
    if is_virtual():
        await trio.sleep(seconds)
        return
    for _ in range(round(TURNS * seconds)):
        await anyio.lowlevel.checkpoint()


class Seed(Workflow):
    """What the programs share: delays by the data of an event, and a list of what they print.

    `began` and `ended` count bodies: each that began must end, in a `finally`.
    """

    def __init__(self, delays=None, **options):
        super().__init__(**options)
        self.delays = delays or {}
        self.began = self.ended = 0
        self.printed = []

    async def work(self, data):
        self.began += 1
        try:
            await pause(self.delays.get(data, 1))
        finally:
            self.ended += 1


class StepTwoEvent(Event):
    query: str


class StepThreeEvent(Event):
    result: str


class ParallelFlow(Seed):
    """1.1: emit several events; the first that is ready wins."""

    @step
    async def start(self, ctx: Context, ev: StartEvent) -> StepTwoEvent | None:
        ctx.send_event(StepTwoEvent(query="Query 1"))
        ctx.send_event(StepTwoEvent(query="Query 2"))
        ctx.send_event(StepTwoEvent(query="Query 3"))

    @step(num_workers=4)
    async def step_two(self, ev: StepTwoEvent) -> StopEvent:
        self.printed.append(f"Running slow query  {ev.query}")
        await self.work(ev.query)
        return StopEvent(result=ev.query)


class ConcurrentFlow(Seed):
    """1.2: collect events of one type."""

    @step
    async def start(self, ctx: Context, ev: StartEvent) -> StepTwoEvent | None:
        for n in (1, 2, 3):
            ctx.send_event(StepTwoEvent(query=f"Query {n}"))

    @step(num_workers=4)
    async def step_two(self, ctx: Context, ev: StepTwoEvent) -> StepThreeEvent:
        self.printed.append(f"Running query  {ev.query}")
        await self.work(ev.query)
        return StepThreeEvent(result=ev.query)

    @step
    async def step_three(self, ctx: Context, ev: StepThreeEvent) -> StopEvent | None:
        result = ctx.collect_events(ev, [StepThreeEvent] * 3)
        if result is None:
            return None
        self.printed.append(result)
        return StopEvent(result="Done")


class StepAEvent(Event):
    query: str


class StepBEvent(Event):
    query: str


class StepCEvent(Event):
    query: str


class StepACompleteEvent(Event):
    result: str


class StepBCompleteEvent(Event):
    result: str


class StepCCompleteEvent(Event):
    result: str


class ThreeKindsFlow(Seed):
    """1.2: collect events of several types."""

    @step
    async def start(
        self, ctx: Context, ev: StartEvent
    ) -> StepAEvent | StepBEvent | StepCEvent | None:
        ctx.send_event(StepAEvent(query="Query 1"))
        ctx.send_event(StepBEvent(query="Query 2"))
        ctx.send_event(StepCEvent(query="Query 3"))

    @step
    async def step_a(self, ctx: Context, ev: StepAEvent) -> StepACompleteEvent:
        await self.work(ev.query)
        return StepACompleteEvent(result=ev.query)

    @step
    async def step_b(self, ctx: Context, ev: StepBEvent) -> StepBCompleteEvent:
        await self.work(ev.query)
        return StepBCompleteEvent(result=ev.query)

    @step
    async def step_c(self, ctx: Context, ev: StepCEvent) -> StepCCompleteEvent:
        await self.work(ev.query)
        return StepCCompleteEvent(result=ev.query)

    @step
    async def step_three(
        self,
        ctx: Context,
        ev: StepACompleteEvent | StepBCompleteEvent | StepCCompleteEvent,
    ) -> StopEvent | None:
        done = ctx.collect_events(ev, [StepCCompleteEvent, StepACompleteEvent, StepBCompleteEvent])
        if done is None:
            return None
        return StopEvent(result=[event.result for event in done])


class ProcessEvent(Event):
    data: str


class ResultEvent(Event):
    result: str


class ParallelWorkflow(Seed):
    """1.3: three workers."""

    @step
    async def start(self, ctx: Context, ev: StartEvent) -> ProcessEvent | None:
        data_list = ["A", "B", "C"]
        await ctx.store.set("num_to_collect", len(data_list))
        for item in data_list:
            ctx.send_event(ProcessEvent(data=item))

    @step(num_workers=3)
    async def process_data(self, ev: ProcessEvent) -> ResultEvent:
        await self.work(ev.data)
        self.printed.append(f"Completed processing: {ev.data}")
        return ResultEvent(result=f"Processed: {ev.data}")

    @step
    async def combine_results(self, ctx: Context, ev: ResultEvent) -> StopEvent | None:
        num_to_collect = await ctx.store.get("num_to_collect")
        results = ctx.collect_events(ev, [ResultEvent] * num_to_collect)
        if results is None:
            return None
        return StopEvent(result=", ".join(event.result for event in results))


class SequentialWorkflow(ParallelWorkflow):
    """1.3: one worker."""

    @step(num_workers=1)
    async def process_data(self, ev: ProcessEvent) -> ResultEvent:
        return await super().process_data(ev)
