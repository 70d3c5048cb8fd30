"""Steps -> plan and work: what the user wrote, in the words of kernel and engine."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, Literal, cast

from plait._engine import native
from plait._engine.attempt import Attempt
from plait._engine.lane import Body, Work
from plait._event import Event, HumanResponseEvent, StartEvent, StepFailedEvent, StopEvent
from plait._kernel.plan import Gather, Kinds, Plan, StepPlan

from .checkpointing import checkpoint_callbacks, checkpointed
from .collect import Collect, Take
from .context import Context
from .graph import Steps, Streams
from .resources.run_scope import RunScope
from .resources.step_scope import StepScope
from .signature import Parameter, Signature
from .step import StepSpec


def _observable(kind: type) -> bool:
    return bool(getattr(kind, "__plait_observable__", False))


def _failed(
    step: str, event: object, error: Exception, attempts: int, elapsed: float, at: float
) -> StepFailedEvent:
    return StepFailedEvent(
        step_name=step,
        input_event=cast("Event", event),
        exception=error,
        attempts=attempts,
        elapsed_seconds=elapsed,
        failed_at=datetime.fromtimestamp(at, tz=UTC),
    )


KINDS: Final = Kinds(
    event=Event,
    stop=StopEvent,
    answer=HumanResponseEvent,
    observable=_observable,
    failed=StepFailedEvent,
    make_failed=_failed,
    start=StartEvent,
)


def make_plan(name: str, steps: Steps, on_stop: Literal["cancel", "drain"]) -> Plan:
    """Compile the steps of a workflow."""
    streams = Streams(steps)
    return Plan(
        name,
        tuple(
            StepPlan(
                spec.name,
                signature.accepts,
                spec.num_workers,
                spec.accept_event_subclasses,
                slots=tuple(p.events[0] for p in signature.inputs) if signature.is_join else (),
                gather=_gather(signature.gathers),
                opens=streams.fan_ins(spec.name),
                returns_list=signature.returns_list,
                only_listed=tuple(
                    e for e in signature.listed_events if e not in signature.bare_events
                ),
                retry=spec.retry_policy,
                handler=handler_of(spec, steps),
                max_recoveries=spec.catches.max_recoveries if spec.catches else 1,
            )
            for spec, signature in steps
        ),
        KINDS,
        on_stop,
    )


def _gather(collect: Collect | None) -> Gather | None:
    if collect is None:
        return None
    cardinality, by_input = collect.cardinality, collect.order == "input"
    if isinstance(cardinality, Take):
        return Gather(cardinality.n, cardinality.cancel_rest, by_input)
    return Gather(by_input=by_input)


def handler_of(spec: StepSpec, steps: Steps) -> str | None:
    """Find the handler of a step's failures: one of its own, else the one for all others."""
    if spec.catches is not None:
        return None
    handlers = [(other.name, other.catches.for_steps) for other, _ in steps if other.catches]
    own = (name for name, names in handlers if names is not None and spec.name in names)
    for_all = (name for name, names in handlers if names is None)
    return next(own, None) or next(for_all, None)


# ---------------------------------------------------------------- bodies


def work_of(
    workflow: object,
    ctx: Context[Any],
    scope: RunScope | None,
    spec: StepSpec,
    signature: Signature,
) -> Work:
    """Make of a step what a lane runs."""
    func: Callable[..., Any] = spec.func if spec.free else partial(spec.func, workflow)
    body = _body(func, spec, signature, ctx)
    if signature.resources:
        assert scope is not None
        body = _with_resources(func, spec, signature, ctx, scope)
    if callbacks := checkpoint_callbacks(ctx):
        body = checkpointed(body, ctx, callbacks)
    durable = spec.durable and _is_async(spec.func)
    return Work(body, spec.timeout, spec.limiter, durable)


def _body(
    func: Callable[..., Any], spec: StepSpec, signature: Signature, ctx: Context[Any]
) -> Body:
    """Make of a function what a worker calls: no wrapper coroutine, no look-up per delivery."""
    call = _call(func, ctx, signature)
    if _is_async(spec.func):
        return cast("Body", call)

    async def in_thread(attempt: Attempt) -> object:
        attempt.threaded = True
        return await native.current().run_in_thread(call, attempt)

    return in_thread


def _call(
    func: Callable[..., Any], ctx: Context[Any], signature: Signature
) -> Callable[[Attempt], Any]:
    of_attempt = ctx._of_attempt
    roles = tuple(parameter.role for parameter in signature.parameters)
    if signature.positional and roles == ("event",):
        return lambda attempt: func(attempt.delivery.event)
    if signature.positional and roles == ("context", "event"):
        return lambda attempt: func(of_attempt(attempt), attempt.delivery.event)
    return lambda attempt: func(**dict(_filled(signature.parameters, of_attempt, attempt)))


def _filled(
    parameters: Iterable[Parameter],
    of_attempt: Callable[[Attempt], Context[Any]],
    attempt: Attempt,
) -> Iterator[tuple[str, object]]:
    """Fill what an attempt can fill by itself: context, event, the slots of a join, the list."""
    slot = 0
    joined = sum(parameter.role == "event" for parameter in parameters) > 1
    for parameter in parameters:
        match parameter.role:
            case "context":
                yield parameter.name, attempt.context or of_attempt(attempt)
            case "list":
                yield parameter.name, [*cast("tuple[Event, ...]", attempt.delivery.event)]
            case "event" if joined:
                yield parameter.name, cast("tuple[Event, ...]", attempt.delivery.event)[slot]
                slot += 1
            case "event":
                yield parameter.name, attempt.delivery.event
            case "resource":
                pass  # `_with_resources` does


def _with_resources(
    func: Callable[..., Any],
    spec: StepSpec,
    signature: Signature,
    ctx: Context[Any],
    scope: RunScope,
) -> Body:
    """Run a body inside the scope of its attempt's resources."""
    awaits = _is_async(spec.func)

    async def body(attempt: Attempt) -> object:
        value: object = None  # for type checkers: a scope swallows no exception of the body
        async with StepScope(scope.workflow, scope, lambda: _context_of(ctx, attempt)) as lender:
            lent = {
                parameter.name: await lender.get(parameter.resource, parameter.hint)
                for parameter in signature.resources
                if parameter.resource is not None
            }
            filled = dict(_filled(signature.parameters, ctx._of_attempt, attempt))
            if awaits:
                value = await func(**filled, **lent)
            else:
                attempt.threaded = True
                call = partial(func, **filled, **lent)
                value = await native.current().run_in_thread(call)
        return value

    return cast("Body", body)


def _context_of(ctx: Context[Any], attempt: Attempt) -> Context[Any]:
    return cast("Context[Any]", attempt.context or ctx._of_attempt(attempt))


def _is_async(func: Callable[..., Any]) -> bool:
    """Say whether calling it gives a coroutine. A plain wrapper of an async function does, too."""
    return inspect.iscoroutinefunction(func) or inspect.iscoroutinefunction(inspect.unwrap(func))
