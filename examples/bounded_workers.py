"""Bound the workers: the same work one item at a time, then three at a time."""

import random

import trio

from plait import Context, Event, StartEvent, StopEvent, Workflow, step


class ProcessEvent(Event):
    data: str


class ResultEvent(Event):
    result: str


class ParallelWorkflow(Workflow):
    @step
    async def start(self, ctx: Context, ev: StartEvent) -> ProcessEvent | None:
        data_list = ["A", "B", "C"]
        await ctx.store.set("num_to_collect", len(data_list))
        for item in data_list:
            ctx.send_event(ProcessEvent(data=item))

    @step(num_workers=3)
    async def process_data(self, ev: ProcessEvent) -> ResultEvent:
        await trio.sleep(2 + random.random())
        print(f"Completed processing: {ev.data}")
        return ResultEvent(result=f"Processed: {ev.data}")

    @step
    async def combine_results(self, ctx: Context, ev: ResultEvent) -> StopEvent | None:
        num_to_collect = await ctx.store.get("num_to_collect")
        results = ctx.collect_events(ev, [ResultEvent] * num_to_collect)
        if results is None:
            return None
        return StopEvent(result=", ".join(event.result for event in results))


class SequentialWorkflow(ParallelWorkflow):
    @step(num_workers=1)
    async def process_data(self, ev: ProcessEvent) -> ResultEvent:
        return await super().process_data(ev)


async def main() -> None:
    print(await SequentialWorkflow().run())  # A, B, C in this order, after 6 to 9 seconds
    print(await ParallelWorkflow().run())  # in the order of completion, after 2 to 3 seconds


if __name__ == "__main__":
    trio.run(main)
