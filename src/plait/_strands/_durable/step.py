"""`ctx.step`: calls that are remembered.

What a call is given is looked at here, what it records and reads is made here; when and whether it
runs is the engine's affair.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from hashlib import sha256
from typing import Any, TypeVar, TypeVarTuple, overload

import attrs

import plait._event
from plait._journal.outputs import output_of
from plait._kernel.calls.keys import Key, key_text
from plait._kernel.retry.policy import RetryPolicy
from plait._naming import publish
from plait._show import show
from plait._steps.arguments import check_handler, check_id, duration, text
from plait._steps.attempt import current_step
from plait._steps.checks import SHOWN, Duration
from plait._steps.returned import name_of_handler
from plait._steps.step import StepCalls

from . import arguments
from .event import Event, Sendable, envelopes
from .function import Function
from .middleware import around_step, before_send
from .parts import RunParts, Undoing
from .recorded import Sealed

D = TypeVar("D")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")
E = TypeVar("E", bound=plait._event.Event)


class Step(StepCalls):
    """The calls of a run. Each is recorded under its place, its id, and how often that was used there.

    Every method is a checkpoint. A call that is cancelled by a scope of the function is recorded as
    cancelled, and is cancelled again in a recovery; a call whose outcome is recorded already returns
    it, and the cancellation acts at the next checkpoint. A call in a scope that has been cancelled
    raises at once, and begins nothing.

    Use `ctx.move_on_after` and `ctx.fail_after` for deadlines around calls, and
    `ctx.group.parallel(..., mode="race")` for the first of several. A scope that something else than a
    call cancels (`trio.sleep(5)`, then `scope.cancel()`) is not recorded: a recovery may find nobody
    who cancels the call again. Then the run is held, with a `DeterminismError`. Write
    `await ctx.step.sleep("patience", 5)` before `scope.cancel()`.

    Each method also raises:
        TypeError: An argument is of another type; the text says what to write.
        StepError: The call has failed for good; so it does in every recovery.
        NestedStepError: The caller is inside a handler.
        UntrackedTaskError: The caller is not a task of this run.
        DeterminismError: The journal has something else under this key. The run is held.
        RunSuspended: The run is being suspended, and the caller is under a shield.

    Example:
        ```python
        user = await ctx.step.run("get-user", get_user, user_id)
        await ctx.step.sleep("a day", 86400)
        await ctx.step.send_event("tell", Event(name="user/seen", data={"id": user_id}))
        ```
    """

    _parts: RunParts

    def __init__(self, parts: RunParts) -> None:
        super().__init__(parts)

    @overload
    async def run(
        self,
        step_id: str,
        handler: Callable[[*Ts], Awaitable[T]],
        *args: *Ts,
        output_type: type[T] | None = None,
        retry: int | RetryPolicy | None = None,
        rollback: Callable[[T], object] | None = None,
    ) -> T: ...
    @overload
    async def run(
        self,
        step_id: str,
        handler: Callable[[*Ts], T],
        *args: *Ts,
        output_type: type[T] | None = None,
        retry: int | RetryPolicy | None = None,
        rollback: Callable[[T], object] | None = None,
    ) -> T: ...
    async def run(
        self,
        step_id: str,
        handler: Callable[[*Ts], Any],
        *args: *Ts,
        output_type: Any = None,
        retry: int | RetryPolicy | None = None,
        rollback: Callable[[Any], object] | None = None,
    ) -> Any:
        """Run a handler once, and return what it returned; if that is recorded, without running it.

        An async handler runs in the calling task: the caller's scopes and context variables hold. A
        plain one runs in a worker thread, for which a cancellation waits; what it returns is awaited
        if it is awaitable. Give keyword arguments through `functools.partial`.

        What is returned was written and read again, as a recovery would do it: without an annotation
        it is JSON, and a tuple has become a list.

        An attempt that the process does not survive is made again, with the same
        `current_step().idempotency_key`.

        A checkpoint. When the caller is cancelled, so is the handler, and that is recorded; in a
        recovery the call does not run: it waits to be cancelled again. So let calls decide when: a
        durable deadline (`with ctx.move_on_after(5):`), the winner of a group, a `ctx.step.sleep()`
        before `scope.cancel()`. With a `trio.sleep()` before it nobody may come to cancel the call
        again, and the run is held.

        Args:
            step_id: The id of the call. In one task it may be used several times.
            handler: The function to run. It makes no calls on `ctx.step` itself.
            *args: What it is called with.
            output_type: The type of what it returns; by default as it is annotated.
            retry: How many attempts may follow the first one, or a retry policy; by default the
                function's.
            rollback: Called with what the handler returned if the run fails or is cancelled for good;
                each of them in its turn, the last step first. May be async; plain ones run in a thread.

        Raises:
            TypeError: An argument is of another type.
            ValueError: `retry` is negative.
            ConfigError: The annotation of what is returned names what does not exist.
            NonRetriableStepError: The handler raised a `NonRetriableError`, or does not take `args`.
            StepOutputError: What it returned cannot be recorded. It has run, and will not run again.
            StepError: The last attempt failed; its `__cause__` is what the handler raised.

        Example:
            ```python
            sent: str = await ctx.step.run("send-email", send_email, user_id)
            ```
        """
        parts = self._parts
        policy, known = self._look_at(step_id, handler, output_type, retry)
        output = Sealed(known.output, parts.middleware)
        if rollback is not None:
            check_handler("rollback", rollback, f"ctx.step.run({step_id!r}, ..., rollback=")
            undo = partial(self._undo, rollback, output)
            again = policy or parts.policy
            parts.undoable(step_id, Undoing(name_of_handler(rollback), undo, again))
        return await self._run(
            step_id,
            handler,
            args,
            policy,
            known,
            output,
            undoable=rollback is not None,
            around=bool(parts.middleware),
        )

    async def _attempt(self, handler: Callable[..., Any], args: Sequence[object]) -> object:
        run = partial(super()._attempt, handler, args)
        middleware = self._parts.middleware
        return await (around_step(middleware, current_step(), run) if middleware else run())

    async def _undo(self, rollback: Callable[[Any], object], output: Sealed, data: object) -> None:
        await self._attempt(rollback, (output.read(data),))

    @overload
    async def wait_for_event(
        self,
        step_id: str,
        *,
        event: str,
        timeout: Duration,  # noqa: ASYNC109 - it is recorded, and outlives a process
        if_exp: Callable[[Event[Any]], bool] | None = None,
        buffer: bool = False,
    ) -> Event[Any] | None: ...
    @overload
    async def wait_for_event(
        self,
        step_id: str,
        *,
        event: type[E],
        timeout: Duration,  # noqa: ASYNC109
        if_exp: Callable[[Event[Any]], bool] | None = None,
        buffer: bool = False,
    ) -> Event[E] | None: ...
    async def wait_for_event(
        self,
        step_id: str,
        *,
        event: str | type[plait._event.Event],
        timeout: Duration,  # noqa: ASYNC109
        if_exp: Callable[[Event[Any]], bool] | None = None,
        buffer: bool = False,
    ) -> Event[Any] | None:
        """Wait for an event; the first that fits is recorded. A checkpoint.

        Only events that come after the call count, unless `buffer` says otherwise. Cancelled by a scope of
        the caller, it has taken no event, and is cancelled there again in a recovery. A process that ends
        or dies meanwhile cancels nothing: the next one waits on, for the rest of the time.

        Args:
            step_id: The id of the call.
            event: Its name, or its class; then only events that carry one of that class fit.
            timeout: Seconds or a `timedelta`, counted on over restarts.
            if_exp: Says whether an event fits. A plain function; what it raises fails the call.
            buffer: Look first at events that came since the run was queued, the oldest first. One
                event serves one such wait of a run.

        Returns:
            The event; `None` after `timeout`.

        Raises:
            TypeError: An argument is of another type.
            ValueError: `event` is empty, or `timeout` is negative or not finite.
            ConfigError: `if_exp` is no plain function of one event.
        """
        check_id(step_id, "ctx.step.wait_for_event")
        name = arguments.event_name("event", event)
        seconds = duration("timeout", timeout, least=0)
        fits = arguments.predicate("if_exp", if_exp, event)
        lookout = self._parts.waits(fits, arguments.flag("buffer", buffer))
        found: Event[Any] | None = await self._parts.calls.wait(
            step_id, name, seconds=seconds, waits=lookout, output=lookout
        )
        return found

    async def invoke(
        self,
        step_id: str,
        *,
        function: Function[D, T],
        data: D | Event[D] | None = None,
        timeout: Duration | None = None,  # noqa: ASYNC109
    ) -> T:
        """Run another function of the app, and return what it returned. A checkpoint.

        It is a run of its own, which ends with this one: cancelled when this one fails or is cancelled,
        suspended when this one is.

        Args:
            step_id: The id of the call.
            function: What `app.create_function(...)` made.
            data: What its event carries, or the event.
            timeout: Seconds or a `timedelta`, greater than 0; then the function is cancelled.

        Raises:
            TypeError: An argument is of another type.
            ValueError: `timeout` is not greater than 0; or the function is of another app.
            InvokeTimeoutError: It did not end in time. Its clean-up is over.
            StepError: It failed; with the name and the message of its error. If flow control dropped its
                run, that is a `RunSkippedError`, and so is the cause.
        """
        check_id(step_id, "ctx.step.invoke")
        function_id = _id_of(function, step_id)
        result: T = await self._invoke(step_id, function_id, data, timeout)
        return result

    async def invoke_by_id(
        self,
        step_id: str,
        *,
        function_id: str,
        data: object = None,
        timeout: Duration | None = None,  # noqa: ASYNC109
    ) -> object:
        """As `invoke`, of a function that is known by its id. A checkpoint; cancelled, it cancels the run.

        Args:
            step_id: The id of the call.
            function_id: The `id` of the function, `"<app_id>-<fn_id>"`.
            data: What its event carries, or the event.
            timeout: As for `invoke`.

        Raises:
            ValueError: There is no such function.
            Exception: As `invoke` does.
        """
        check_id(step_id, "ctx.step.invoke_by_id")
        name = text("function_id", function_id, 'function_id="<app_id>-<fn_id>"')
        return await self._invoke(step_id, name, data, timeout)

    async def _invoke(
        self, step_id: str, function_id: str, data: object, within: Duration | None
    ) -> Any:
        seconds = None if within is None else duration("timeout", within, least=0)
        if seconds == 0:
            raise ValueError("timeout must be greater than 0, not 0")
        invocation = self._parts.invocation(function_id, data)
        return await self._parts.calls.invoke(
            step_id,
            partial(child_run_id, self._parts.run_id),
            name=function_id,
            children=invocation.children,
            seconds=seconds,
            output=invocation.output,
        )

    async def send_event(self, step_id: str, events: Sendable | Iterable[Sendable]) -> list[str]:
        """Send events to the app, once: in one append with the outcome of the call. A checkpoint.

        Cancelled before that append, it has sent none; in a recovery they are not sent again.

        An event without an id gets one from the run, the call and its position.

        Args:
            step_id: The id of the call.
            events: One, or several.

        Returns:
            Their ids.

        Raises:
            TypeError: There is something else among them.
        """
        check_id(step_id, "ctx.step.send_event")
        sent = envelopes(events, "ctx.step.send_event()")
        output = Sealed(output_of(list[str]), self._parts.middleware)
        ids: list[str] = await self._parts.calls.send(
            step_id, partial(self._put, sent), output=output
        )
        return ids

    def _put(self, events: list[Event[Any]], key: Key, complete: Callable[[object], None]) -> None:
        after = before_send(self._parts.middleware, events)
        ids = (_digest(self._parts.run_id, key, n) for n in range(len(after)))
        named = [
            event if event.id else attrs.evolve(event, id=made)
            for event, made in zip(after, ids, strict=True)
        ]
        self._parts.send(key, named, complete)


def child_run_id(run_id: str, key: Key, again: int) -> str:
    """Name the run of what a call invokes.

    Args:
        run_id: The parent.
        key: The call.
        again: How often the call was cancelled before: the child was, with it.
    """
    return _digest(run_id, key, again)


def _digest(run_id: str, key: Key, n: int) -> str:
    # A run's id has no line break, and a key's text has none.
    return sha256(f"{run_id}\n{key_text(key)}\n{n}".encode()).hexdigest()[:32]


def _id_of(given: object, step_id: str) -> str:
    if isinstance(given, Function):
        return given.id
    raise TypeError(_no_function(step_id, given))


def _no_function(step_id: str, given: object) -> str:
    text = f"function must be what app.create_function(...) made, not {show(given, SHOWN)}"
    if isinstance(given, str):
        return f"{text}\n  write ctx.step.invoke_by_id({step_id!r}, function_id={given!r})"
    if callable(given):
        return (
            f"{text}\n  write ctx.step.run({step_id!r}, ...) for a function without the decorator"
        )
    return text


publish("plait.durable", Step)
