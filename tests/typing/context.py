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
from plait.durable import Failed, Group, Ok
from plait.lowlevel import Record, RunId
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


def count(text: str) -> int:
    return len(text)


async def load(key: str) -> Answer:
    return Answer(text=key)


async def durable_calls(ctx: Context) -> None:
    assert_type(await ctx.step.run("count", count, "text"), int)
    assert_type(await ctx.step.run("load", load, "key"), Answer)
    assert_type(await ctx.step.run("load", load, "key", retry=3, output_type=Answer), Answer)
    assert_type(await ctx.step.sleep("nap", 1.5), None)
    assert_type(ctx.group, Group)
    both = await ctx.group.parallel(
        (lambda: ctx.step.run("count", count, "a"), lambda: ctx.step.run("load", load, "a"))
    )
    assert_type(both, tuple[int, Answer])
    settled = await ctx.group.parallel(
        (lambda: ctx.step.run("count", count, "a"), lambda: ctx.step.run("load", load, "a")),
        mode="settled",
    )
    assert_type(settled, tuple[Ok[int] | Failed, Ok[Answer] | Failed])
    assert_type(await ctx.group.map("load", load, ["a", "b"], limit=2), tuple[Answer, ...])
    assert_type(ctx.patched("v2"), bool)
    with ctx.move_on_after(1) as scope:
        assert_type(scope.cancelled_caught, bool)
    with ctx.fail_after(1):
        pass

    await ctx.step.run("count", count, 3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await ctx.step.run("count", count, "a", rollback=count)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    await ctx.step.wait_for_event("w")  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    ctx.patched(2)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def goes_on(flow: Child) -> None:
    assert_type(await flow.resume("r"), Report)
    assert_type(await flow.resume("r", accept_changes=True), Report)
    flow.resume("r", True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # noqa: FBT003


def watches(record: Record) -> None:
    assert_type(record.at, float)


async def watched(flow: Child) -> None:
    await flow.run().observe(watches)
