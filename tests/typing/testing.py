"""What pyright (strict) and mypy (strict) must say of `plait.testing`. Checked, never run."""

from typing import Any, assert_type

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

import plait
import plait.testing
from plait import Context, Event, StartEvent, StopEvent, Workflow, step
from plait.abc import Journal
from plait.durable import App, MemoryJournal, SqliteJournal, TriggerEvent
from plait.durable import Context as DurableContext
from plait.durable import Event as DurableEvent
from plait.testing import (
    Delivery,
    Story,
    WorkflowTestResult,
    WorkflowTestRunner,
    check_journal,
    check_recovery,
    check_workflow,
    explore_schedules,
    schedules,
    task_tree,
)


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


# The checks have the type of the workflow's result, and a decorated test the parameters it had.

assert_type(check_workflow(lambda: Counts().run()), int)


async def drive(run: plait.Run[int]) -> None:
    await run.wait_idle()


def wanted(result: int) -> bool:
    return result == 1


assert_type(
    check_workflow(lambda: Counts().run(), drive=drive, check_result=wanted, check_after=bool), int
)


@explore_schedules
async def explored(n: int) -> None:
    print(n)


@explore_schedules(examples=3)
def a_few(n: int) -> None:
    print(n)


assert_type(explored(3), None)
assert_type(a_few(n=3), None)
a_few("x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

# The story.

story = Story(Counts().run())
assert_type(story.steps, tuple[str, ...])
assert_type(story.of("count"), list[Delivery])
assert_type(story.of("count")[0].cause, Delivery | None)

# A journal is whatever has its methods; what is given to `reopen` and `fail` is one.

assert_type(check_journal(MemoryJournal), None)


def again(journal: Journal) -> Journal:
    assert isinstance(journal, SqliteJournal)
    return SqliteJournal("shop.db", sync="fast", patience=1)


check_journal(
    lambda: SqliteJournal("shop.db"),
    reopen=again,
    fail=print,
    backend="asyncio",
    examples=0,
    only="x",
)
check_journal(MemoryJournal())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
check_journal(object)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
check_journal(MemoryJournal, backend="curio")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
SqliteJournal("shop.db", sync="off")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# ---------------------------------------------------------------- durable functions

shop = App("shop")


@shop.create_function(fn_id="pay", trigger=TriggerEvent("pay"))
async def pay(ctx: DurableContext[dict[str, int]]) -> str:
    return str(ctx.event.data["amount"])


async def sends(app: App) -> None:
    await app.send(DurableEvent(name="paid"))


assert_type(check_recovery(pay), str)
assert_type(check_recovery(pay, {"amount": 3}, drive=sends, backend="asyncio"), str)
assert_type(check_recovery(pay, DurableEvent(name="pay", data={"amount": 3})), str)
check_recovery(pay, check_result=lambda text: text.isdigit())
check_recovery(pay, 3)  # type: ignore[misc]  # pyright: ignore[reportArgumentType]
check_recovery(sends)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
check_recovery(pay, backend="curio")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
