"""Take checkpoints, and run from each of them: only what was left to do is done again.

python examples/checkpoints.py
"""

import random

import trio

from plait import Context, Event, StartEvent, StopEvent, Workflow, WorkflowCheckpointer, step


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


async def main() -> None:
    checkpointer = WorkflowCheckpointer(workflow=ParallelWorkflow())
    handler = checkpointer.run()
    await handler
    for checkpoint in list(checkpointer.checkpoints[handler.run_id]):
        print(await checkpointer.run_from(checkpoint))
    for run_id, checkpoints in checkpointer.checkpoints.items():
        print(f"Run: {run_id} has {[c.last_completed_step for c in checkpoints]}")


if __name__ == "__main__":
    trio.run(main)
