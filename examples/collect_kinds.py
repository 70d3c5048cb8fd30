"""Collect events of several types: they come in the order in which they are asked for."""

import trio

from plait import Context, Event, StartEvent, StopEvent, Workflow, step


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


class ThreeKindsFlow(Workflow):
    @step
    async def start(
        self, ctx: Context, ev: StartEvent
    ) -> StepAEvent | StepBEvent | StepCEvent | None:
        ctx.send_event(StepAEvent(query="Query 1"))
        ctx.send_event(StepBEvent(query="Query 2"))
        ctx.send_event(StepCEvent(query="Query 3"))

    @step
    async def step_a(self, ctx: Context, ev: StepAEvent) -> StepACompleteEvent:
        return StepACompleteEvent(result=ev.query)

    @step
    async def step_b(self, ctx: Context, ev: StepBEvent) -> StepBCompleteEvent:
        return StepBCompleteEvent(result=ev.query)

    @step
    async def step_c(self, ctx: Context, ev: StepCEvent) -> StepCCompleteEvent:
        return StepCCompleteEvent(result=ev.query)

    @step
    async def step_three(
        self, ctx: Context, ev: StepACompleteEvent | StepBCompleteEvent | StepCCompleteEvent
    ) -> StopEvent | None:
        done = ctx.collect_events(ev, [StepCCompleteEvent, StepACompleteEvent, StepBCompleteEvent])
        if done is None:
            return None
        return StopEvent(result=[event.result for event in done])


async def main() -> None:
    print(await ThreeKindsFlow().run())


if __name__ == "__main__":
    trio.run(main)
