"""Durable functions: what strict checkers infer of steps, groups and functions. Checked, never run."""

import functools
import typing
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, Never, assert_type
from uuid import UUID

import plait
import plait.testing
from plait._steps import signatures
from plait._steps.attempt import current_step
from plait._steps.branches import Failed, Ok, Winner
from plait._strands._durable import sync_signatures
from plait._strands._durable.context import Context, SyncContext
from plait._strands._durable.event import Event, FunctionFailed, Sendable
from plait._strands._durable.function import Function, FunctionDecorator
from plait._strands._durable.middleware import CallNext, Middleware
from plait._strands._durable.options import (
    Batch,
    Cancel,
    Concurrency,
    Debounce,
    Priority,
    RateLimit,
    Singleton,
    Throttle,
    Timeouts,
)
from plait._strands._durable.step import Step
from plait._strands._durable.sync import SyncStep
from plait._strands._durable.triggers import Trigger, TriggerCron, TriggerEvent
from plait.errors import RetryAfterError, StepError
from plait.retry import ConstantDelayRetryPolicy


class OrderPlaced(plait.Event):
    id: int


async def update_user(user_id: int) -> bool:
    return user_id > 0


async def send_email(user_id: int, *, subject: str = "") -> str:
    return f"{subject}{user_id}"


def count(text: str, base: int) -> int:
    return int(text, base)


# ---------------------------------------------------------------- groups


async def two_lambdas(ctx: Context) -> None:
    user_id = ctx.event.data["user_id"]
    (updated_user, sent_email) = await ctx.group.parallel(
        (
            lambda: ctx.step.run("update-user", update_user, user_id),
            lambda: ctx.step.run("send-email", send_email, user_id),
        )
    )
    assert_type(updated_user, bool)
    assert_type(sent_email, str)
    both = await ctx.group.parallel(
        (
            lambda: ctx.step.run("update-user", update_user, user_id),
            lambda: ctx.step.run("send-email", send_email, user_id),
        )
    )
    assert_type(both, tuple[bool, str])


async def built_in_a_loop(ctx: Context) -> None:
    parallel_steps = tuple[typing.Callable[[], typing.Awaitable[bool]]]()
    for user_id in ctx.event.data["user_ids"]:
        parallel_steps += tuple(  # noqa: C409 - as its author wrote it
            [
                functools.partial(
                    ctx.step.run,
                    f"get-user-{user_id}",
                    functools.partial(update_user, user_id),
                )
            ]
        )
    assert_type(await ctx.group.parallel(parallel_steps), tuple[bool, ...])


async def a() -> int:
    return 1


async def b() -> str:
    return ""


async def c() -> bytes:
    return b""


async def modes(ctx: Context, many: tuple[Callable[[], Awaitable[int]], ...]) -> None:
    group = ctx.group
    assert_type(await group.parallel(()), tuple[()])
    assert_type(await group.parallel((a,)), tuple[int])
    assert_type(await group.parallel((a, b, c)), tuple[int, str, bytes])
    assert_type(
        await group.parallel((a, b, c, a, b, c, a, b)),
        tuple[int, str, bytes, int, str, bytes, int, str],
    )
    assert_type(await group.parallel((a, a, a, a, a, a, a, a, a)), tuple[int, ...])
    assert_type(await group.parallel(many, on_error="wait"), tuple[int, ...])
    assert_type(
        await group.parallel((a, b), mode="settled"), tuple[Ok[int] | Failed, Ok[str] | Failed]
    )
    assert_type(await group.parallel(many, mode="settled"), tuple[Ok[int] | Failed, ...])
    assert_type(await group.parallel((a, b), mode="race"), Winner[int | str])
    assert_type(await group.parallel(many, mode="any"), Winner[int])
    await group.parallel([a, b])  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    await group.parallel((a(), b()))  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
    await group.parallel((a, b), mode="first")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    await group.parallel((a, b), on_error="go on")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]


async def nobody_can_win(ctx: Context) -> None:
    assert_type(await ctx.group.parallel((), mode="race"), Never)


def sync_group(ctx: SyncContext) -> None:
    assert_type(
        ctx.group.parallel(
            (
                lambda: ctx.step.run("update-user", update_user, 1),
                lambda: ctx.step.run("count", count, "7", 10),
            )
        ),
        tuple[bool, int],
    )


# ---------------------------------------------------------------- steps


async def map_and_open(ctx: Context) -> None:
    assert_type(await ctx.group.map("m", update_user, [1, 2]), tuple[bool, ...])
    await ctx.group.map("m", update_user, (1,), limit=2, on_error="wait", retry=1)
    await ctx.group.map("m", update_user, ["1"])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    async with ctx.group.open() as tasks:
        tasks.start_soon(update_user, 1)


def sync_map_and_open(ctx: SyncContext) -> None:
    assert_type(ctx.group.map("m", update_user, [1, 2]), tuple[bool, ...])
    assert_type(ctx.group.map("m", str, [1, 2]), tuple[str, ...])
    with ctx.group.open() as tasks:
        tasks.start_soon(count, "7", 10)
        tasks.start_soon(count, "7")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def other_steps(ctx: Context, child: Function[OrderPlaced, int]) -> None:
    step = ctx.step
    found = await step.wait_for_event("a", event="paid", timeout=60, if_exp=lambda e: True)
    assert_type(found, Event[Any] | None)
    placed = await step.wait_for_event("b", event=OrderPlaced, timeout=timedelta(days=1))
    assert_type(placed, Event[OrderPlaced] | None)
    assert_type(await step.invoke("c", function=child, data=OrderPlaced(id=3)), int)
    assert_type(await step.invoke_by_id("d", function_id="shop-fn", data={"a": 1}), object)
    assert_type(await step.send_event("e", [plain, OrderPlaced(id=3)]), list[str])
    await step.sleep("f", timedelta(hours=1))
    await step.sleep_until("g", ctx.now() + timedelta(hours=1))
    await step.sleep("h", "1h")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await step.wait_for_event("i", event="paid")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    await step.invoke("j", function="shop-fn")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def other_sync_steps(ctx: SyncContext, child: Function[OrderPlaced, int]) -> None:
    placed = ctx.step.wait_for_event("b", event=OrderPlaced, timeout=1)
    assert_type(placed, Event[OrderPlaced] | None)
    assert_type(ctx.step.invoke("c", function=child), int)
    assert_type(ctx.step.send_event("e", plain), list[str])
    with ctx.move_on_after(5) as scope:
        assert_type(scope.cancelled_caught, bool)


def contexts(ctx: Context[OrderPlaced]) -> None:
    assert_type(ctx.event, Event[OrderPlaced])
    assert_type((ctx.now(), ctx.attempt, ctx.replaying), tuple[datetime, int, bool])
    assert_type((ctx.random.random(), ctx.uuid()), tuple[float, UUID])
    assert_type(ctx.patched("v2"), bool)
    with ctx.move_on_after(5) as scope:
        assert_type(scope.cancelled_caught, bool)
    assert_type((current_step().attempt, current_step().idempotency_key), tuple[int, str])


async def in_a_test(fn: Function[OrderPlaced, int]) -> None:
    ctx = plait.testing.context(OrderPlaced(id=3), {"charge": "ok"})
    assert_type(await fn(ctx), int)
    assert_type(plait.testing.context(plain).event.data, dict[str, Any])
    assert_type(plait.testing.context([plain], sync=True).step, SyncStep)


async def steps(ctx: Context) -> None:
    run = ctx.step.run
    assert_type(await ctx.step.run("a", update_user, 7), bool)
    assert_type(await ctx.step.run("b", functools.partial(send_email, 7, subject="!")), str)
    assert_type(await ctx.step.run("c", count, "7", 10), int)
    assert_type(await ctx.step.run("d", lambda: update_user(7)), bool)
    assert_type(await run("e", update_user, 7, retry=2, rollback=print), bool)
    assert_type(await run("f", count, "7", 10, retry=ConstantDelayRetryPolicy()), int)
    assert_type(await run("g", count, "7", 10, output_type=int), int)
    await ctx.step.run("h", update_user, "7")  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
    await ctx.step.run("i", update_user)  # type: ignore[arg-type, call-arg]  # pyright: ignore[reportCallIssue, reportArgumentType]
    await ctx.step.run(1, update_user, 7)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    await ctx.step.run("j", update_user(7))  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]


def sync_steps(ctx: SyncContext) -> None:
    assert_type(ctx.step.run("a", update_user, 7), bool)
    assert_type(ctx.step.run("c", count, "7", 10), int)


class NoSteps:
    """It has another `run`."""

    async def run(self, step_id: str, handler: Callable[[], Awaitable[int]]) -> int:
        return await handler()


right: type[signatures.RunsSteps] = Step
sync_right: type[sync_signatures.RunsSteps] = SyncStep
wrong: signatures.RunsSteps = NoSteps()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
blocking: signatures.RunsSteps = typing.cast("sync_signatures.RunsSteps", None)  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]


# ---------------------------------------------------------------- events and triggers

plain = Event(name="order/placed")
assert_type(plain, Event[dict[str, Any]])
assert_type(Event(name="a", data=OrderPlaced(id=3)).data, OrderPlaced)
assert_type(Event(name="a", data=OrderPlaced(id=3)).data.id, int)
assert_type((plain.name, plain.id, plain.ts), tuple[str, str, int])
sendable: list[Sendable] = [plain, OrderPlaced(id=3)]
Event("a")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
Event(name=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
plain.name = "b"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]

triggers: list[Trigger] = [
    TriggerEvent("order/placed", expression=lambda e: bool(e.data["paid"])),
    TriggerEvent(OrderPlaced),
    TriggerCron("TZ=Europe/Paris 30 9 * * *", jitter=timedelta(minutes=1), missed="all"),
]
TriggerEvent(OrderPlaced(id=3))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
TriggerEvent("a", expression="event.data.paid")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
TriggerCron("* * * * *", missed="some")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

# ---------------------------------------------------------------- options

Concurrency(2, key=lambda e: str(e.data["user_id"]), scope="app", of="runs")
Throttle(1, timedelta(seconds=1), burst=2)
assert_type(Throttle(1, period=60).period, float)
RateLimit(limit=1, period=0.5)
Debounce(1, timeout=timedelta(hours=1))
assert_type(Debounce(1).timeout, float | None)
Batch(2, timeout=5, if_exp=lambda e: True)
Priority(lambda e: 60 if e.data["paid"] else 0)
Cancel("a", if_exp=lambda trigger, e: bool(trigger.data["id"] == e.data["id"]), timeout=5)
Cancel(OrderPlaced)
Timeouts(start=1, finish=timedelta(days=1))
Singleton("skip")
Concurrency("2")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Concurrency(2, key="event.data.id")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Concurrency(2, scope="account")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Throttle(1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
Throttle(1, "1m")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Singleton("wait")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

# ---------------------------------------------------------------- functions


def functions(decorate: FunctionDecorator) -> None:
    @decorate
    async def plain_data(ctx: Context) -> str:
        assert_type(ctx.event.data, dict[str, Any])
        return ""

    @decorate
    async def typed_data(ctx: Context[OrderPlaced]) -> int:
        assert_type(ctx.event.data.id, int)
        assert_type(ctx.events, tuple[Event[OrderPlaced], ...])
        return ctx.event.data.id

    @decorate
    def in_a_thread(ctx: SyncContext[OrderPlaced]) -> bytes:
        return bytes(ctx.event.data.id)

    assert_type(plain_data, Function[dict[str, Any], str])
    assert_type(typed_data, Function[OrderPlaced, int])
    assert_type(in_a_thread, Function[OrderPlaced, bytes])
    assert_type((typed_data.id, typed_data.name), tuple[str, str])

    @decorate  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType, reportUntypedFunctionDecorator]
    async def of_an_event(ev: OrderPlaced) -> int:
        return ev.id


async def called(fn: Function[OrderPlaced, int], ctx: Context[OrderPlaced]) -> None:
    assert_type(await fn(ctx), int)


async def on_failure(ctx: Context[FunctionFailed]) -> None:
    assert_type(ctx.event.data.error, Exception)
    assert_type(ctx.event.data.event, Event[Any])


class Mine(Middleware):
    async def around_run(self, ctx: Any, call_next: CallNext) -> Any:
        return await call_next()

    def before_send(self, events: list[Event[Any]]) -> list[Event[Any]]:
        return events[:1]


def errors(error: StepError) -> None:
    assert_type((error.step_id, error.attempts, error.name), tuple[str, int, str])
    RetryAfterError("later", timedelta(minutes=1))
    RetryAfterError("later")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    RetryAfterError("later", "1m")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
