"""What pyright (strict) and mypy (strict) must say of `plait.testing`. Checked, never run."""

from typing import Any, assert_type

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

import plait.testing
from plait import Context, Event, StartEvent, StopEvent, Workflow, step
from plait.testing import WorkflowTestResult, WorkflowTestRunner, schedules, task_tree


class Ping(Event):
    pass


class Counts(Workflow[int]):
    @step
    async def count(self, ev: StartEvent) -> StopEvent:
        return StopEvent(result=1)


class Anything(Workflow):
    @step
    async def work(self, ev: StartEvent) -> StopEvent:
        return StopEvent()


# The result has the workflow's type.


async def runner() -> None:
    test = await WorkflowTestRunner(Counts()).run()
    assert_type(test, WorkflowTestResult[int])
    assert_type(test.result, int)
    assert_type(test.collected, list[Event])
    assert_type(test.event_types, dict[type[Event], int])
    assert_type(test.event_types[Ping], int)
    assert_type(test.ctx, Context[Any])
    assert_type((await WorkflowTestRunner(Anything()).run()).result, Any)

    flow = Counts()
    counts = WorkflowTestRunner(flow)
    assert_type(counts, WorkflowTestRunner[int])
    await counts.run(StartEvent(n=1), Context(flow), False, [Ping, StopEvent])  # noqa: FBT003
    await counts.run(start_event=None, ctx=None, expose_internal=True, exclude_events=None)
    await counts.run(exclude_events=(Ping,))

    bare: WorkflowTestRunner = counts
    wide: WorkflowTestRunner[object] = counts
    told: WorkflowTestResult = test
    del bare, wide, told

    test.result = 2  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    WorkflowTestRunner(Counts)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await counts.run(Ping())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await counts.run(n=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await counts.run(exclude_events=Ping)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await counts.run(exclude_events=[int])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]


# A schedule is a strategy like any other.

assert_type(schedules(), SearchStrategy[object])


@given(schedules(), st.integers())
def test_counts(schedule: object, n: int) -> None:
    async def main(more: int) -> int:
        return await Counts().run() + more

    assert_type(plait.testing.run(main, n), int)


test_counts()
plait.testing.run(runner)
assert_type(task_tree(), str)
