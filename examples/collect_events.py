"""Collect events: three slow queries at once, and the step that waits for all three of them."""

import random

import trio

from plait import Context, Event, StartEvent, StopEvent, Workflow, step


class StepTwoEvent(Event):
    query: str


class StepThreeEvent(Event):
    result: str


class ConcurrentFlow(Workflow):
    @step
    async def start(self, ctx: Context, ev: StartEvent) -> StepTwoEvent | None:
        for n in (1, 2, 3):
            ctx.send_event(StepTwoEvent(query=f"Query {n}"))

    @step(num_workers=4)
    async def step_two(self, ctx: Context, ev: StepTwoEvent) -> StepThreeEvent:
        print("Running query ", ev.query)
        await trio.sleep(random.randint(1, 5))
        return StepThreeEvent(result=ev.query)

    @step
    async def step_three(self, ctx: Context, ev: StepThreeEvent) -> StopEvent | None:
        result = ctx.collect_events(ev, [StepThreeEvent] * 3)
        if result is None:
            return None
        print(result)  # three StepThreeEvents, in the order in which they were ready
        return StopEvent(result="Done")


async def main() -> None:
    print(await ConcurrentFlow().run())


if __name__ == "__main__":
    trio.run(main)
