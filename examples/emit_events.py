"""Emit several events: three slow queries at once, and the first that is ready is the result."""

import random

import trio

from plait import Context, Event, StartEvent, StopEvent, Workflow, step


class StepTwoEvent(Event):
    query: str


class ParallelFlow(Workflow):
    @step
    async def start(self, ctx: Context, ev: StartEvent) -> StepTwoEvent | None:
        ctx.send_event(StepTwoEvent(query="Query 1"))
        ctx.send_event(StepTwoEvent(query="Query 2"))
        ctx.send_event(StepTwoEvent(query="Query 3"))

    @step(num_workers=4)
    async def step_two(self, ev: StepTwoEvent) -> StopEvent:
        print("Running slow query ", ev.query)
        await trio.sleep(random.randint(1, 5))
        return StopEvent(result=ev.query)


async def main() -> None:
    print(await ParallelFlow().run())


if __name__ == "__main__":
    trio.run(main)
