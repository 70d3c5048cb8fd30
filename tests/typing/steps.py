"""`@step` and `@catch_error` keep the static type of what they decorate. Checked, never run.

An expected error has an ignore of its own on its line, by rule, for each checker that reports it.
"""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any, assert_type

import anyio
import trio

from plait import (
    All,
    Collect,
    Context,
    Event,
    Resource,
    StartEvent,
    StopEvent,
    Take,
    Workflow,
    catch_error,
    step,
)
from plait.events import Cardinality, StepFailedEvent
from plait.retry import ConstantDelayRetryPolicy, retry_policy, stop_after_attempt, wait_fixed


class A(Event):
    n: int


class B(Event):
    text: str


def connect() -> str:
    return "connected"


class Flow(Workflow[str]):
    @step
    async def bare(self, ctx: Context, ev: StartEvent) -> A | None:
        return A(n=1)

    @step()
    async def called(self, ev: A) -> B:
        return B(text=str(ev.n))

    @step(num_workers=2)
    def plain(self, ev: A, *, loud: bool = False) -> B | StopEvent:
        return B(text="!" if loud else "")

    @step
    async def list_out(self, ev: B) -> list[A]:
        return [A(n=1)]

    @step
    async def list_in(self, evs: Annotated[list[A | B], Collect(Take(2))]) -> StopEvent:
        assert_type(evs, list[A | B])
        return StopEvent(result=len(evs))

    @step
    async def join(self, first: A, second: B, db: Annotated[str, Resource(connect)]) -> StopEvent:
        assert_type(db, str)
        return StopEvent(result=(first.n, second.text))

    @step
    async def wrong_body(self, ev: A) -> B:
        ev.m  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
        return A(n=1)  # type: ignore[return-value]  # pyright: ignore[reportReturnType]

    @catch_error
    async def mend(self, ev: StepFailedEvent) -> B:
        assert_type(ev.exception, Exception)
        return B(text=ev.step_name)

    @catch_error(for_steps=["plain"], max_recoveries=2)
    def mend_plain(self, ctx: Context, ev: StepFailedEvent) -> StopEvent:
        return StopEvent(result=ev.attempts)


# A step is still the method that it was: what it takes, and what it gives.


async def methods(flow: Flow, ctx: Context) -> None:
    assert_type(await flow.bare(ctx, StartEvent()), A | None)
    assert_type(await flow.called(A(n=1)), B)
    assert_type(flow.plain(A(n=1), loud=True), B | StopEvent)
    assert_type(await flow.list_out(B(text="")), list[A])
    assert_type(await flow.list_in([A(n=1), B(text="")]), StopEvent)
    assert_type(await flow.join(A(n=1), second=B(text=""), db=""), StopEvent)

    function: Callable[[A], Coroutine[Any, Any, B]] = flow.called
    unbound: Callable[[Flow, A], Coroutine[Any, Any, B]] = Flow.called
    del function, unbound

    await flow.bare(StartEvent())  # type: ignore[call-arg, arg-type]  # pyright: ignore[reportCallIssue]
    await flow.called(B(text=""))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await flow.called()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    flow.plain(A(n=1), True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue] # noqa: FBT003
    await flow.plain(A(n=1))  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]


async def handlers(flow: Flow, ctx: Context, ev: StepFailedEvent) -> None:
    assert_type(await flow.mend(ev), B)
    assert_type(flow.mend_plain(ctx, ev), StopEvent)
    await flow.mend(A(n=1))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


class Heir(Flow):
    @step(num_workers=1)
    async def called(self, ev: A) -> B:
        found = await super().called(ev)
        assert_type(found, B)
        return found


# Free functions too.


@step(workflow=Flow)
async def free(ev: StartEvent) -> A:
    return A(n=1)


@step(workflow=Flow, num_workers=2)
def free_and_plain(ctx: Context, ev: StartEvent) -> B | None:
    return None


@catch_error(workflow=Flow)
async def free_handler(ev: StepFailedEvent) -> B:
    return B(text="")


async def functions(ctx: Context, ev: StepFailedEvent) -> None:
    assert_type(await free(StartEvent()), A)
    assert_type(free_and_plain(ctx, StartEvent()), B | None)
    assert_type(await free_handler(ev), B)
    await free(A(n=1))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# A decorator is generic until it is given its function.

decorate = step(num_workers=2)


@decorate
async def decorated(ev: A) -> B:
    return B(text="")


async def undecorated(ev: A) -> B:
    return B(text="")


async def by_hand() -> None:
    assert_type(await decorated(A(n=1)), B)
    assert_type(await step(undecorated)(A(n=1)), B)
    assert_type(await step(timeout=1)(undecorated)(A(n=1)), B)
    assert_type(step(connect)(), str)
    assert_type(step()(connect)(), str)
    assert_type(catch_error(connect)(), str)
    assert_type(catch_error()(connect)(), str)


# Each option, right.


class Seeded:
    def next(
        self, elapsed_time: float, attempts: int, error: Exception, *, seed: int | None = None
    ) -> float | None:
        return None


class Seedless:
    def next(self, elapsed: float, failures: int, error: Exception) -> float | None:
        return None


class Tokens:
    """What has the interface of a limiter serves as one."""

    async def acquire_on_behalf_of(self, borrower: object) -> None:
        pass

    def release_on_behalf_of(self, borrower: object) -> None:
        pass


step(
    num_workers=2,
    retry_policy=retry_policy(wait=wait_fixed(1), stop=stop_after_attempt(3)),
    timeout=0.5,
    limiter=trio.CapacityLimiter(1),
    workflow=Flow,
    accept_event_subclasses=True,
    skip_graph_checks=["reachability"],
)
step(retry_policy=None, timeout=None, limiter=None, workflow=None, skip_graph_checks=None)
step(timeout=5, skip_graph_checks={"dead_end", "terminal_event"})
step(limiter=anyio.CapacityLimiter(1))
step(limiter=Tokens())
step(retry_policy=ConstantDelayRetryPolicy(maximum_attempts=3))
step(retry_policy=Seeded())
step(retry_policy=Seedless())
step(workflow=Workflow)
catch_error(for_steps=None, workflow=None)
catch_error(for_steps=["bare"], max_recoveries=3)

# And wrong.

step(num_workers="2")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
step(num_workers=1.5)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
step(num_workers=None)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
step(retry_policy=3)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
step(retry_policy=wait_fixed(1))  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
step(timeout="1")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
step(limiter=1)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
step(limiter=trio.Lock())  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
step(workflow=Flow())  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
step(workflow=Event)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
step(accept_event_subclasses="yes")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
step(skip_graph_checks=1)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
step(workers=2)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
step(2)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
catch_error(for_steps="bare")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
catch_error(for_steps=[Flow.bare])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
catch_error(max_recoveries="1")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
catch_error(num_workers=1)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]

# How a list is filled.

every: Cardinality = All()
some: Cardinality = Take(2, cancel_rest=True)
assert_type(Collect(), Collect)
Collect(All(), order="input")
Collect(Take(n=2), order="arrival")
assert_type(Take(2).n, int)
Take()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
Take("2")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Take(2, True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue] # noqa: FBT003
Take(2).n = 3  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
Collect(2)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Collect(All, order="input")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Collect(order="inputs")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
