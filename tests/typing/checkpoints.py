"""Checkpoints, as somebody uses them. Checked, never run."""

from typing import Any, assert_type

from plait import (
    Checkpoint,
    Context,
    Event,
    JsonSerializer,
    Run,
    StartEvent,
    StopEvent,
    Workflow,
    WorkflowCheckpointer,
    step,
)
from plait.events import CheckpointCallback


class Count(Workflow[int]):
    @step
    async def count(self, ev: StartEvent) -> StopEvent:
        return StopEvent(result=1)


class Plain(Workflow):
    @step
    async def count(self, ev: StartEvent) -> StopEvent:
        return StopEvent(result=1)


checkpointer = WorkflowCheckpointer(Count(), JsonSerializer(), disabled_steps=["count"])
assert_type(checkpointer.run(n=1), Run[int])
assert_type(checkpointer.workflow, Workflow[int])
assert_type(checkpointer.checkpoints, dict[str, list[Checkpoint]])
assert_type(checkpointer.enabled_checkpoints, set[str])
assert_type(WorkflowCheckpointer(Plain()).run(), Run[Any])
checkpointer.workflow = Count()

found = checkpointer.filter_checkpoints("count", output_event_type=StopEvent)
assert_type(found, list[Checkpoint])
first = found[0]
assert_type(checkpointer.run_from(first, run_id="again"), Run[int])
assert_type(first.id_, str)
assert_type(first.input_event, Event | list[Event])
assert_type(first.output_event, Event | list[Event])
assert_type(first.ctx_state, dict[str, Any])
assert_type(Checkpoint.from_json(first.to_json(), Count()), Checkpoint)
first.id_ = "other"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
first.output_event = StopEvent()  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


async def kept() -> None:
    assert_type(await checkpointer.load(), None)
    assert_type(await checkpointer.run(), int)


def plain(
    *, run_id: str, last_completed_step: str, input_ev: Any, output_ev: Any, ctx: Context[Any]
) -> None:
    assert_type(ctx.to_dict(), dict[str, Any])


async def slow(
    *, run_id: str, last_completed_step: str, input_ev: Any, output_ev: Any, ctx: Context[Any]
) -> None: ...


def few(*, output_ev: object, **_: object) -> None: ...


def wrong(*, run_id: int) -> None: ...


callback: CheckpointCallback = checkpointer.new_checkpoint_callback_for_run()
run = Count().run().on_checkpoint(callback).on_checkpoint(plain).on_checkpoint(slow)
assert_type(run.on_checkpoint(few), Run[int])
run.on_checkpoint(wrong)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
WorkflowCheckpointer(Count)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
