"""What a step asks of its run: sending, waiting, children, retries. Checked, never run."""

from datetime import datetime
from typing import Any, assert_type

from plait import (
    Context,
    Event,
    HumanResponseEvent,
    InputRequiredEvent,
    StartEvent,
    StopEvent,
    Workflow,
    step,
)
from plait.lowlevel import RunId
from plait.retry import RetryInfo


class Answer(HumanResponseEvent):
    text: str


class Report(StopEvent):
    total: int


class Child(Workflow[Report]):
    @step
    async def only(self, ev: StartEvent) -> Report:
        return Report(total=1)


class Untyped(Workflow):
    @step
    async def only(self, ev: StartEvent) -> StopEvent:
        return StopEvent()


async def facts(ctx: Context) -> None:
    assert_type(ctx.run_id, RunId)
    assert_type(ctx.is_running, bool)
    assert_type(ctx.step_name, str)
    assert_type(ctx.idempotency_key, str)
    assert_type(Context.get_step_context(), Context[Any])
    ctx.step_name = "x"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


async def sends(ctx: Context) -> None:
    ctx.send_event(Answer(text=""))
    ctx.send_event(Answer(text=""), "only")
    ctx.send_event(message=Answer(text=""), step=None, on_success=True)
    ctx.write_event_to_stream(Answer(text=""))
    ctx.write_event_to_stream(None)
    await ctx.emit(Answer(text=""))

    ctx.send_event("x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ctx.send_event(None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ctx.send_event(Answer)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ctx.send_event([Answer(text="")])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ctx.send_event(Answer(text=""), None, True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue] # noqa: FBT003
    await ctx.send_event(Answer(text=""))  # type: ignore[func-returns-value, misc]  # pyright: ignore[reportGeneralTypeIssues]
    ctx.write_event_to_stream("x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await ctx.emit(None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ctx.emit(Answer(text=""))  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]


async def waits(ctx: Context) -> None:
    assert_type(await ctx.wait_for_event(Answer), Answer)
    assert_type((await ctx.wait_for_event(Answer)).text, str)
    assert_type(
        await ctx.wait_for_event(
            HumanResponseEvent,
            InputRequiredEvent(prefix="Go on?"),
            waiter_id="go",
            requirements={"user": "bob", "tries": 1},
            timeout=None,
            broadcast=True,
        ),
        HumanResponseEvent,
    )
    text: int = (await ctx.wait_for_event(Answer)).text  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    ctx.wait_for_event(Answer).text  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    await ctx.wait_for_event(int)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
    await ctx.wait_for_event(Answer(text=""))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await ctx.wait_for_event(Answer, InputRequiredEvent)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await ctx.wait_for_event(Answer, timeout="1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await ctx.wait_for_event(Answer, requirements={1: "bob"})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
    del text


async def children(ctx: Context) -> None:
    assert_type(await ctx.run_child(Child()), Report)
    assert_type(await ctx.run_child(Child(), StartEvent(a=1), forward_events=True), Report)
    assert_type(await ctx.run_child(Child(), topic="x"), Report)
    assert_type(await ctx.run_child(Untyped()), Any)
    assert_type(await Child().run(), Report)
    await ctx.run_child(Child)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await ctx.run_child(Child().run())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await ctx.run_child(Child(), Event())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await ctx.run_child(Child(), None, True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue] # noqa: FBT003


async def attempts(ctx: Context) -> None:
    info = ctx.retry_info()
    assert_type(info, RetryInfo)
    assert_type(info.retry_number, int)
    assert_type(info.elapsed_seconds, float)
    assert_type(info.last_exception, Exception | None)
    assert_type(info.last_failed_at, datetime | None)
    await ctx.retry_info()  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]


def is_short(event: Event) -> bool:
    return len(event) == 0


def is_answer(answer: Answer) -> bool:
    return answer.text == ""


async def cancels(ctx: Context) -> None:
    assert_type(ctx.cancel_step("only"), int)
    assert_type(ctx.cancel_step("only", is_short), int)
    assert_type(ctx.cancel_step("only", where=lambda event: "x" in event), int)
    ctx.cancel_step(Child.only)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ctx.cancel_step("only", Answer(text=""))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ctx.cancel_step("only", is_answer)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
