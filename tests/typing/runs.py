"""Runs, their streams, and the blocks that own them. Checked, never run."""

from collections.abc import AsyncIterator, Awaitable
from contextlib import AbstractAsyncContextManager
from typing import Any, Literal, assert_type

import anyio.abc
import trio

import plait
from plait import (
    Context,
    Event,
    HumanResponseEvent,
    InputRequiredEvent,
    Run,
    Runtime,
    StartEvent,
    StopEvent,
    Workflow,
    WorkflowHandler,
    step,
)
from plait.abc import Observer
from plait.events import EventStream, Trace, Waiting
from plait.lowlevel import Completed, Record, RunId


class Counts(Workflow[int]):
    @step
    async def only(self, ev: StartEvent) -> StopEvent:
        return StopEvent(result=1)


# Four ways to start, and what each gives.


async def ways(nursery: trio.Nursery, group: anyio.abc.TaskGroup) -> None:
    assert_type(await Counts().run(), int)

    async with Counts().run() as run:
        assert_type(run, Run[int])
        assert_type(await run, int)
        assert_type(await run.result(), int)
        assert_type(await run.stop_event_result(), int)

    assert_type(Counts().run().start_soon(nursery), Run[int])
    assert_type(Counts().run().start_soon(group), Run[int])

    async with plait.open_runtime() as runtime:
        assert_type(runtime, Runtime)
        for each in runtime.runs:
            assert_type(each.run_id, RunId)
        runtime.cancel()
        handler: WorkflowHandler[int] = Counts().run()
        assert_type(await handler, int)

    opened: AbstractAsyncContextManager[Runtime] = plait.open_runtime()
    awaited: Awaitable[int] = Counts().run()
    del opened, awaited

    Counts().run().start_soon(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Counts().run().start_soon()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    with Counts().run():  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues]
        pass
    async with plait.open_runtime(1):  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
        pass


# The stream.


async def streams(run: Run[int]) -> None:
    async for event in run.stream_events():
        assert_type(event, Event)
        if isinstance(event, InputRequiredEvent):
            assert_type(event, InputRequiredEvent)
            run.send_event(HumanResponseEvent(response="yes"))
    assert_type(run.stream_events(expose_internal=True), EventStream)
    async with run.stream_events() as stream:
        assert_type(stream, EventStream)
        assert_type(await anext(stream), Event)
        assert_type([event async for event in stream], list[Event])
        await stream.aclose()
    as_iterator: AsyncIterator[Event] = run.stream_events()
    del as_iterator

    run.stream_events(True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue] # noqa: FBT003
    iter(run.stream_events())  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await run.stream_events()  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]


# Meanwhile, and afterwards.


async def looking(run: Run[int]) -> None:
    assert_type(run.run_id, RunId)
    name: str = run.run_id
    assert_type(run.ctx, Context[Any])
    assert_type(
        run.state,
        Literal["created", "queued", "running", "idle", "completed", "failed", "cancelled"],
    )
    assert_type(run.undelivered, tuple[Event, ...])
    assert_type(run.get_stop_event(), StopEvent | None)
    assert_type(run.is_done(), bool)
    assert_type(run.running_steps(), list[str])
    assert_type(run.waiting(), tuple[Waiting, ...])
    assert_type(run.explain(), str)
    run.send_event(Event(), step="only")
    run.cancel()
    await run.cancel_run()
    await run.wait_idle()
    del name

    run.send_event("yes")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    run.send_event(Event)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    run.send_event(Event(), Counts.only)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await run.send_event(Event())  # type: ignore[func-returns-value, misc]  # pyright: ignore[reportGeneralTypeIssues]
    await run.cancel()  # type: ignore[func-returns-value, misc]  # pyright: ignore[reportGeneralTypeIssues]
    await run.cancel_run(timeout=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    if run.state == "done":  # type: ignore[comparison-overlap]  # pyright: ignore[reportUnnecessaryComparison]
        pass
    run.state = "failed"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def waits(waiting: Waiting) -> None:
    assert_type(waiting.step, str)
    assert_type(waiting.kind, Literal["collect", "join", "wait"])
    assert_type(waiting.have, dict[str, int])
    assert_type(waiting.need, dict[str, int])
    assert_type(waiting.buffer_id, str | None)
    assert_type(waiting.key, Any)
    assert_type(waiting.waiter_id, str | None)
    assert_type(waiting.since, float)
    waiting.since = 0.0  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


# Before the start.


def look(record: Record) -> None:
    if isinstance(record, Completed):
        assert_type(record.at, float)


class Sees:
    def __call__(self, record: object) -> str:
        return repr(record)


def look_at_text(record: str) -> None:
    pass


kept: list[object] = []
observers: list[Observer] = [look, Sees(), print, Trace(), kept.append]


async def before(run: Run[int]) -> None:
    assert_type(run.stepwise(), Run[int])
    assert_type(run.trace(), Trace)
    assert_type(run.trace().records, tuple[Any, ...])
    assert_type(str(run.trace()), str)
    assert_type(run.observe(look), Run[int])
    assert_type(run.observe(Sees()).observe(print).stepwise(), Run[int])
    assert_type(await run.run_step(), list[Event] | None)

    run.observe(look_at_text)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    run.observe(look(Completed))  # type: ignore[func-returns-value, arg-type]  # pyright: ignore[reportArgumentType]
    run.stepwise(True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue] # noqa: FBT003
