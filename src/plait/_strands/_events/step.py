"""`@step` and `@catch_error`: they make a function a step, and keep it the function that it is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

import attrs

from plait._annotations import UnresolvedAnnotation, visible_names
from plait._engine.worker import SharedLimiter
from plait._errors import Fault, WorkflowValidationError
from plait._event import StepFailedEvent
from plait._kernel.retry.ask import AnyRetryPolicy

from .advice import was
from .arguments import are_names, check_names, has_method, is_count, is_positive, unknown_checks
from .places import (
    FaultMaker,
    caller,
    caller_place,
    fault_maker,
    is_method,
    place,
)
from .reading_code import may_make_calls
from .signature import Signature, read

if TYPE_CHECKING:
    from .workflow import Workflow

F = TypeVar("F", bound=Callable[..., Any])

#: Where a step keeps what `@step` said about it.
MARK: Final = "__plait_step__"


@attrs.frozen
class Catch:
    """What `@catch_error` said."""

    #: `None`: it catches what no other handler does.
    for_steps: tuple[str, ...] | None
    max_recoveries: int


@attrs.define(eq=False)
class StepSpec:
    """A step as the user declared it."""

    name: str
    func: Callable[..., Any]
    fault: FaultMaker
    #: The names that its annotations may use; dropped once they are resolved.
    names: Mapping[str, Any]
    #: Free functions take no `self`.
    free: bool
    num_workers: int = 4
    retry_policy: AnyRetryPolicy | None = None
    timeout: float | None = None
    limiter: SharedLimiter | None = None
    accept_event_subclasses: bool = False
    skip_graph_checks: frozenset[str] = frozenset()
    catches: Catch | None = None
    _signature: Signature | None = None
    _durable: bool | None = None

    def signature(self, names: Mapping[str, Any] | None = None) -> Signature:
        """Read the signature, once.

        Raises:
            WorkflowValidationError: It cannot be a step.
            UnresolvedAnnotation: An annotation names what does not exist (yet).
        """
        if self._signature is None:
            signature = read(self.func, {**self.names, **(names or {})}, self.fault)
            if self.catches is not None and signature.accepts != (StepFailedEvent,):
                raise self.fault(
                    f"@catch_error handler {self.name!r} must accept StepFailedEvent as its "
                    "event parameter."
                )
            self._signature = signature
            self.names = {}
        return self._signature

    @property
    def durable(self) -> bool:
        """May its body make durable calls? Known once the signature has been read."""
        if self._durable is None:
            contexts = (p.name for p in self.signature().parameters if p.role == "context")
            self._durable = any(may_make_calls(self.func, name) for name in contexts)
        return self._durable


@overload
def step(func: F, /) -> F: ...
@overload
def step(
    *,
    num_workers: int = 4,
    retry_policy: AnyRetryPolicy | None = None,
    timeout: float | None = None,
    limiter: SharedLimiter | None = None,
    workflow: type[Workflow[Any]] | None = None,
    accept_event_subclasses: bool = False,
    skip_graph_checks: Collection[str] | None = None,
) -> Callable[[F], F]: ...
def step(
    func: F | None = None,
    /,
    *,
    num_workers: int = 4,
    retry_policy: AnyRetryPolicy | None = None,
    timeout: float | None = None,
    limiter: SharedLimiter | None = None,
    workflow: type[Workflow[Any]] | None = None,
    accept_event_subclasses: bool = False,
    skip_graph_checks: Collection[str] | None = None,
) -> F | Callable[[F], F]:
    """Make a method a step of its workflow; a free function, a step of `workflow`.

    Its annotations say what it does: the event parameter which events it takes (one class, or a
    union; several parameters are a join, `list[E]` is a fan-in), the return annotation which it
    returns. A parameter annotated as `Context` is given the step's context, one annotated with a
    `Resource` the resource. A plain `def` runs in a worker thread. The function stays callable.

    Args:
        func: The function, when the decorator is written without parentheses.
        num_workers: How many of its bodies may run at once in one run.
        retry_policy: What to do when an attempt fails, see `plait.retry`. `None`: the run fails.
        timeout: Seconds that one attempt may take, waits for events left out. A thread cannot be
            interrupted: what a plain function returns counts, however late.
        limiter: A capacity limiter that it shares with other steps, runs or programs: a body runs
            only with a token of it.
        workflow: The class that a free function becomes a step of, and its subclasses.
        accept_event_subclasses: Take instances of subclasses of the declared classes as well.
        skip_graph_checks: Checks of the graph that shall not look at this step: `"dead_end"`,
            `"reachability"`, `"terminal_event"`.

    Raises:
        WorkflowValidationError: The function cannot be a step; the text says what to write.

    Example:
        ```python
        class Flow(Workflow):
            @step(num_workers=2)
            async def answer(self, ev: StartEvent) -> StopEvent:
                return StopEvent(result=42)
        ```
    """

    def decorate(func: F) -> F:
        _refuse_no_function(func, "step")
        fault = fault_maker(func)
        if not is_count(num_workers):
            raise fault("num_workers must be an integer greater than 0", was(num_workers))
        if timeout is not None and not is_positive(timeout):
            raise fault("timeout must be a number greater than 0 or None", was(timeout))
        if not (retry_policy is None or has_method(retry_policy, "next")):
            raise fault(
                "retry_policy must be made by plait.retry, or have a method next(), or be None",
                was(retry_policy),
            )
        if not (limiter is None or has_method(limiter, "acquire_on_behalf_of")):
            raise fault(
                "limiter must be a trio.CapacityLimiter or an anyio.CapacityLimiter", was(limiter)
            )
        if unknown := unknown_checks(skip_graph_checks):
            raise fault(unknown)
        spec = StepSpec(
            name=func.__name__,
            func=func,
            fault=fault,
            names=visible_names(depth),
            free=not is_method(func),
            num_workers=num_workers,
            retry_policy=retry_policy,
            timeout=timeout,
            limiter=limiter,
            accept_event_subclasses=accept_event_subclasses,
            skip_graph_checks=check_names(skip_graph_checks),
        )
        return _mark(func, spec, workflow)

    if func is not None:
        depth = 2
        return decorate(func)
    depth = 1
    return decorate


@overload
def catch_error(func: F, /) -> F: ...
@overload
def catch_error(
    *,
    for_steps: list[str] | None = None,
    max_recoveries: int = 1,
    workflow: type[Workflow[Any]] | None = None,
) -> Callable[[F], F]: ...
def catch_error(
    func: F | None = None,
    /,
    *,
    for_steps: list[str] | None = None,
    max_recoveries: int = 1,
    workflow: type[Workflow[Any]] | None = None,
) -> F | Callable[[F], F]:
    """Make a method the handler of failures: it is given a `StepFailedEvent` and goes on from it.

    It is called when a step has failed and has no attempts left. What it returns is routed in the
    place of what the step would have returned. A failure of its own fails the run.

    Args:
        func: The function, when the decorator is written without parentheses.
        for_steps: The names of the steps whose failures it takes; `None`: those that no other
            handler takes. There may be one such.
        max_recoveries: How often it may be called along one line of descent; then the original
            error is raised.
        workflow: The class that a free function becomes a handler of.

    Raises:
        WorkflowValidationError: The function cannot be a handler.

    Example:
        ```python
        @catch_error(for_steps=["fetch"])
        async def fall_back(self, ev: StepFailedEvent) -> Page:
            return Page(text="", failed=str(ev.exception))
        ```
    """

    def decorate(func: F) -> F:
        _refuse_no_function(func, "catch_error")
        fault = fault_maker(func)
        if not is_count(max_recoveries):
            raise fault("@catch_error max_recoveries must be an integer >= 1", was(max_recoveries))
        if for_steps is not None and not are_names(for_steps):
            raise fault(
                "@catch_error for_steps must be None or a list of step name strings",
                was(for_steps),
            )
        spec = StepSpec(
            name=func.__name__,
            func=func,
            fault=fault,
            names=visible_names(depth),
            free=not is_method(func),
            catches=Catch(None if for_steps is None else tuple(for_steps), max_recoveries),
        )
        return _mark(func, spec, workflow)

    if func is not None:
        depth = 2
        return decorate(func)
    depth = 1
    return decorate


def _mark(func: F, spec: StepSpec, workflow: type[Workflow[Any]] | None) -> F:
    """Keep `spec` at the function. What is wrong with it is raised from here: a short traceback."""
    try:
        _check_place(func, spec, workflow)
        with suppress(UnresolvedAnnotation):  # tried again later: the name may be defined below
            spec.signature()
        setattr(func, MARK, spec)
        if workflow is not None:
            workflow.add_step(func)
    except WorkflowValidationError as fault:
        raise fault.with_traceback(None) from None
    return func


def _check_place(func: object, spec: StepSpec, workflow: object) -> None:
    """Check that the decorator stands where it can work."""
    name = spec.name
    if spec.free and workflow is None:
        raise spec.fault(
            f"To decorate {name} please pass a workflow class to the @step decorator.",
            "Write @step(workflow=W) above a function; a method needs no workflow",
        )
    if workflow is not None and not (isinstance(workflow, type) and hasattr(workflow, "add_step")):
        raise spec.fault("workflow must be a Workflow class", was(workflow))
    other = spec_of(func)
    if other is not None and (other.catches is None) != (spec.catches is None):
        raise spec.fault(
            f"{name!r} has both @step and @catch_error.", "Keep @catch_error: it makes a step too"
        )
    frame = caller()
    if frame is None or spec.free or frame.f_code.co_name != spec.func.__qualname__.split(".")[-2]:
        return
    before = frame.f_locals.get(name)  # in the body of the class, where names are still local
    other = spec_of(before)
    if other is not None and before is not func:
        line = place(other.func)[1]
        raise spec.fault(
            f"Step {name!r} is defined twice in one class.",
            f"The other one is in line {line}: give one of them another name",
        )


def _refuse_no_function(func: object, decorator: str) -> None:
    """Refuse what `@step` cannot make a step of."""
    kind, name = type(func).__name__, _name_of(func)
    if isinstance(func, staticmethod | classmethod | property):
        text = f"@{decorator} does not go with @{kind}."
        hint = "A step is a method with self, or a free function with @step(workflow=W)"
    elif isinstance(func, type) or not (callable(func) and hasattr(func, "__qualname__")):
        text = f"@{decorator} makes a step of a function, not of {func!r}."
        hint = f"Write @{decorator} above def; options have names, as in @step(num_workers=4)"
    else:
        return
    raise WorkflowValidationError(Fault(text, *caller_place(), name, hint))


def _name_of(func: object) -> str | None:
    name: object = getattr(func, "__name__", None)
    return name if isinstance(name, str) else None


def spec_of(func: object) -> StepSpec | None:
    """Find what `@step` said about a function, if it did."""
    spec = getattr(func, "__dict__", {}).get(MARK)
    return spec if isinstance(spec, StepSpec) else None
