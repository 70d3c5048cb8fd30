"""Durable calls in a step: `ctx.step`, `ctx.group` and durable deadlines of a run that is kept in a journal."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar, TypeVarTuple, cast, overload

import attrs

from plait._engine.bodies.calls import Calls
from plait._engine.bodies.groups import Groups
from plait._engine.hosting import HostedBody
from plait._kernel.retry.ask import AnyRetryPolicy
from plait._kernel.retry.policy import RetryPolicy
from plait._steps.arguments import duration, text
from plait._steps.checks import Duration
from plait._steps.group import Group
from plait._steps.step import StepCalls

if TYPE_CHECKING:
    from plait._engine.native import CancelScope, Limiter  # noqa: TC004 - attrs does not look it up

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

#: What steps of functions have, and those of events do in another way.
INSTEAD: Final = {
    "wait_for_event": "await ctx.wait_for_event(Answer)",
    "send_event": "ctx.send_event(Answer())",
    "invoke": "await ctx.run_child(Child())",
    "invoke_by_id": "await ctx.run_child(Child())",
}


class DurableStep(StepCalls):
    """The durable calls of a step's body. Each is recorded, and never runs again once it has ended.

    A call is known by the delivery, by its place among the tasks of the body, by its id, and by how often
    that was used there. When the process dies, or the step has another attempt, the body runs again
    from its start; calls that have ended return what they returned.

    Every method is a checkpoint. A call that is cancelled by a scope of the body is recorded as
    cancelled; in a recovery it waits to be cancelled again. So let calls decide when: a durable deadline
    (`with ctx.move_on_after(5):`), the winner of a group, a `ctx.step.sleep()` before `scope.cancel()`.

    Each method also raises:
        TypeError: An argument is of another type; the text says what to write.
        StepError: The call has failed for good; so it does in each attempt of the step.
        NestedStepError: The caller is inside a handler.
        UntrackedTaskError: The caller is not a task of the body.
        DeterminismError: The journal has something else under this key. The run is suspended.
        RunSuspended: The run is being suspended, and the caller is under a shield.
    """

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            if name in INSTEAD:
                raise AttributeError(
                    f"ctx.step.{name}() is for functions of plait.durable; in a step of events it is "
                    f"ctx that does it.\n  right:  {INSTEAD[name]}"
                )
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @overload
    async def run(
        self,
        step_id: str,
        handler: Callable[[*Ts], Awaitable[T]],
        *args: *Ts,
        output_type: type[T] | None = None,
        retry: int | RetryPolicy | None = None,
    ) -> T: ...
    @overload
    async def run(
        self,
        step_id: str,
        handler: Callable[[*Ts], T],
        *args: *Ts,
        output_type: type[T] | None = None,
        retry: int | RetryPolicy | None = None,
    ) -> T: ...
    async def run(
        self,
        step_id: str,
        handler: Callable[[*Ts], Any],
        *args: *Ts,
        output_type: Any = None,
        retry: int | RetryPolicy | None = None,
        **unknown: Any,
    ) -> Any:
        """Run a handler once, and return what it returned; if that is recorded, without running it.

        An async handler runs in the calling task: the caller's scopes and context variables hold. A
        plain one runs in a worker thread, for which a cancellation waits; what it returns is awaited
        if it is awaitable. Give keyword arguments through `functools.partial`. What is returned was
        written and read again, as a recovery would do it: without an annotation it is JSON, and a
        tuple has become a list.

        An attempt that the process does not survive is made again, with the same
        `plait.durable.current_step().idempotency_key`.

        A checkpoint. When the caller is cancelled, so is the handler.

        Args:
            step_id: The id of the call. In one task it may be used several times.
            handler: The function to run. It makes no calls on `ctx.step` itself.
            *args: What it is called with.
            output_type: The type of what it returns; by default as it is annotated.
            retry: How many attempts may follow the first one, or a retry policy; by default the
                `retry_policy` of the step, and one attempt if it has none.
            **unknown: Nothing else: `rollback=` is for functions.

        Raises:
            TypeError: An argument is of another type.
            ValueError: `retry` is negative.
            ConfigError: The annotation of what is returned names what does not exist.
            NonRetriableStepError: The handler raised a `NonRetriableError`, or does not take `args`.
            StepOutputError: What it returned cannot be recorded. It has run, and will not run again.
            StepError: The last attempt failed; its `__cause__` is what the handler raised. If the body
                lets it out the delivery fails at once, whatever the step's `retry_policy` says.

        Example:
            ```python
            sent: str = await ctx.step.run("send-email", send_email, ev.user_id)
            ```
        """
        if unknown:
            raise TypeError(_unknown(*unknown))
        policy, known = self._look_at(step_id, handler, output_type, retry)
        return await self._run(step_id, handler, args, policy, known, known.output)


def _unknown(name: str, *_: str) -> str:
    if name == "rollback":
        return (
            "ctx.step.run() of a step of events takes no rollback=: a handler of failures can undo "
            "what was done\n  right:  @catch_error(for_steps=[...])"
        )
    return f"ctx.step.run() got an unexpected keyword argument {name!r}"


@attrs.frozen(eq=False)
class Parts:
    """What `ctx.step` and `ctx.group` need of the host."""

    policy: AnyRetryPolicy | None
    calls: Calls
    groups: Groups
    handler_limiter: Limiter


class DurableCalls:
    """The durable calls of one start of a body, as its context has them."""

    def __init__(self, hosted: HostedBody) -> None:
        shell, delivery = hosted.hosting.shell, hosted.attempt.delivery
        self._calls: Final = hosted.calls
        policy = shell.plan.step[delivery.step].retry
        parts = Parts(policy, hosted.calls, hosted.groups, hosted.hosting.handler_limiter)
        self.step: Final = DurableStep(parts)
        self.group: Final = Group(parts, self.step)

    def move_on_after(self, seconds: Duration) -> AbstractContextManager[CancelScope]:
        """As `Context.move_on_after`."""
        return self._calls.move_on_after(duration("seconds", seconds))

    def fail_after(self, seconds: Duration) -> AbstractContextManager[CancelScope]:
        """As `Context.fail_after`."""
        return self._calls.fail_after(duration("seconds", seconds))

    def patched(self, patch: str) -> bool:
        """As `Context.patched`."""
        return self._calls.patched(text("patch", patch, 'ctx.patched("what-has-changed")'))


def calls_of(hosted: HostedBody) -> DurableCalls:
    """Give the durable calls of a body: the same each time."""
    if hosted.face is None:
        hosted.face = DurableCalls(hosted)
    return cast("DurableCalls", hosted.face)
