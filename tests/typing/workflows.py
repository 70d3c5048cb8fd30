"""`Workflow[R]`: what a run of it gives, and what it is made with. Checked, never run."""

from pathlib import Path
from typing import Any, TypeVar, assert_type

import plait
from plait import (
    Context,
    Event,
    Run,
    StartEvent,
    StopEvent,
    Timeout,
    Workflow,
    WorkflowHandler,
    step,
)
from plait.events import ResourceManager


class Report(StopEvent):
    total: int


class Flow(Workflow):
    @step
    async def only(self, ev: StartEvent) -> StopEvent:
        return StopEvent(result=1)


class Counts(Workflow[int]):
    @step
    async def only(self, ev: StartEvent) -> StopEvent:
        return StopEvent(result=1)


class Reports(Workflow[Report]):
    @step
    async def only(self, ev: StartEvent) -> Report:
        return Report(total=1)


T = TypeVar("T")


class Holds(Workflow[list[T]]):
    pass


class CountsMore(Counts):
    pass


# The result type: what the class says, else anything.


async def results() -> None:
    assert_type(await Flow().run(), Any)
    assert_type(await Counts().run(), int)
    assert_type(await CountsMore().run(), int)
    assert_type(await Reports().run(topic="x"), Report)
    assert_type((await Reports().run()).total, int)
    assert_type(await Holds[str]().run(), list[str])
    assert_type(Counts().run(), Run[int])
    assert_type(Flow().run(), Run[Any])
    assert_type(await Counts().run().result(), int)
    text: str = await Counts().run()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    del text


assert_type(plait.run(Flow()), Any)
assert_type(plait.run(Counts(), topic="x"), int)
assert_type(plait.run(Reports(), backend="asyncio").total, int)
plait.run(Counts)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
plait.run(Counts(), backend="curio")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
plait.run(Counts(), "trio")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
plait.run(Counts().run())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

# Whoever takes a workflow or a run of something wide takes one of something narrow.


def bare(workflow: Workflow, run: Run, handler: WorkflowHandler) -> None:
    assert_type(workflow, Workflow[Any])
    assert_type(run, Run[Any])
    assert_type(handler, Run[Any])


def wide(workflow: Workflow[float], run: Run[object]) -> None:
    assert_type(plait.run(workflow), float)
    assert_type(run, Run[object])


bare(Counts(), Counts().run(), Counts().run())
wide(Counts(), Counts().run())
wide(Flow(), Flow().run())
wide(Reports(), Reports().run())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
handlers: list[WorkflowHandler[Any]] = [Counts().run(), Reports().run(), Flow().run()]

# Each option of a workflow, right.

Flow(
    timeout=1.5,
    disable_validation=True,
    verbose=True,
    resource_manager=ResourceManager(),
    num_concurrent_runs=2,
    workflow_name="flow",
    skip_graph_checks=["dead_end"],
    on_stop="drain",
    stream_buffer=10,
)
Flow(
    timeout=None,
    resource_manager=None,
    num_concurrent_runs=None,
    workflow_name=None,
    skip_graph_checks=None,
)
Flow(5)
Flow(timeout=Timeout(30, while_idle=False), on_stop="cancel", stream_buffer=float("inf"))
assert_type(Timeout(30).seconds, float)
assert_type(Timeout(30).while_idle, bool)

# And wrong.

Flow(timeout="1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Flow(num_concurrent_runs="2")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Flow(num_concurrent_runs=1.5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Flow(verbose="yes")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Flow(workflow_name=Path("flow"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Flow(resource_manager={})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Flow(skip_graph_checks=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Flow(on_stop="wait")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Flow(stream_buffer=None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Flow(num_workers=2)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
Timeout()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
Timeout("30")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Timeout(30, False)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue] # noqa: FBT003

# Running: a context, a start event, a name, and whatever fields it has.

Flow().run(Context(Flow()), run_id="a", topic="x", limit=3)
Flow().run(start_event=StartEvent(topic="x"))
Flow().run(ctx=None, start_event=None, run_id=None)
Flow().run("x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Flow().run(run_id=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Flow().run(start_event=Event())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Flow().run(start_event=StartEvent)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

# Looking at it.

assert_type(Flow().validate(), bool)
assert_type(Flow().validate(validate_resource_configs=False, validate_resources=True), bool)
assert_type(Flow().workflow_name, str)
assert_type(Flow().start_event_class, type[StartEvent])
assert_type(Flow().stop_event_class, type[StopEvent])
assert_type(Flow().events, list[type[Event]])
Flow().validate(True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue] # noqa: FBT003
Flow().workflow_name = "x"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


@step(workflow=Counts)
async def extra(ev: StartEvent) -> StopEvent:
    return StopEvent()


Flow.add_step(extra)
Flow.add_step("extra")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
