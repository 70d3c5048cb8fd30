"""`@step`: makes a function a step, and keeps it the function that it is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

import attrs

from .signature import (
    FaultMaker,
    Signature,
    UnresolvedAnnotation,
    fault_maker,
    is_method,
    read,
    visible_names,
)

if TYPE_CHECKING:
    from .workflow import Workflow

F = TypeVar("F", bound=Callable[..., Any])

#: Where a step keeps what `@step` said about it.
MARK: Final = "__plait_step__"

GRAPH_CHECKS: Final = ("dead_end", "reachability", "terminal_event")


@attrs.define(eq=False)
class StepSpec:
    """A step as the user declared it."""

    name: str
    func: Callable[..., Any]
    num_workers: int
    accept_event_subclasses: bool
    skip_graph_checks: frozenset[str]
    #: Free functions take no `self`.
    free: bool
    fault: FaultMaker
    #: The names that its annotations may use; dropped once they are resolved.
    names: Mapping[str, Any]
    _signature: Signature | None = None

    def signature(self, names: Mapping[str, Any] | None = None) -> Signature:
        """Read the signature, once.

        Raises:
            WorkflowValidationError: It cannot be a step.
            UnresolvedAnnotation: An annotation names what does not exist (yet).
        """
        if self._signature is None:
            self._signature = read(self.func, {**self.names, **(names or {})}, self.fault)
            self.names = {}
        return self._signature


@overload
def step(func: F, /) -> F: ...
@overload
def step(
    *,
    num_workers: int = 4,
    workflow: type[Workflow[Any]] | None = None,
    accept_event_subclasses: bool = False,
    skip_graph_checks: Collection[str] | None = None,
) -> Callable[[F], F]: ...
def step(
    func: F | None = None,
    /,
    *,
    num_workers: int = 4,
    workflow: type[Workflow[Any]] | None = None,
    accept_event_subclasses: bool = False,
    skip_graph_checks: Collection[str] | None = None,
) -> F | Callable[[F], F]:
    """Make a method a step of its workflow; a free function, a step of `workflow`.

    Its annotations say what it does: the event parameter which events it takes (one class, or a
    union), the return annotation which it returns. A parameter annotated as `Context` is given the
    step's context. A plain `def` runs in a worker thread. The function stays callable.

    Args:
        func: The function, when the decorator is written without parentheses.
        num_workers: How many of its bodies may run at once in one run.
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
        fault = fault_maker(func)
        if type(num_workers) is not int or num_workers < 1:
            raise fault("num_workers must be an integer greater than 0")
        if unknown := unknown_checks(skip_graph_checks):
            raise fault(unknown)
        spec = StepSpec(
            name=func.__name__,
            func=func,
            num_workers=num_workers,
            accept_event_subclasses=accept_event_subclasses,
            skip_graph_checks=check_names(skip_graph_checks),
            free=not is_method(func),
            fault=fault,
            names=visible_names(depth),
        )
        if spec.free and workflow is None:
            raise fault(
                f"To decorate {spec.name} please pass a workflow class to the @step decorator."
            )
        with suppress(UnresolvedAnnotation):  # tried again later: the name may be defined below
            spec.signature()
        setattr(func, MARK, spec)
        if workflow is not None:
            workflow.add_step(func)
        return func

    if func is not None:
        depth = 2
        return decorate(func)
    depth = 1
    return decorate


def check_names(names: Collection[str] | None) -> frozenset[str]:
    """Make a set of the names of graph checks; one may stand alone."""
    return frozenset([names] if isinstance(names, str) else names or ())


def unknown_checks(names: Collection[str] | None) -> str | None:
    """Say which names are no graph checks."""
    unknown = sorted(check_names(names) - {*GRAPH_CHECKS})
    if not unknown:
        return None
    valid = ", ".join(GRAPH_CHECKS)
    return f"Unknown graph check names: {', '.join(unknown)}. Valid names are: {valid}"


def spec_of(func: object) -> StepSpec | None:
    """Find what `@step` said about a function, if it did."""
    spec = getattr(func, "__dict__", {}).get(MARK)
    return spec if isinstance(spec, StepSpec) else None
