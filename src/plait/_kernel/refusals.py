"""What the kernel says when it refuses: who did what, what is accepted, and what to write."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import cast

from plait._errors import WorkflowRuntimeError, WorkflowStepDoesNotExistError
from plait._ids import RunId

from .state import RunState


class Refusal(WorkflowRuntimeError):  # noqa: N818 - reads as what it says
    """A body did what cannot be done: no other attempt would do better, no handler is asked."""

    __module__ = "plait.errors"  # who catches or reads it need not know that there are several
    __qualname__ = WorkflowRuntimeError.__qualname__

    #: The run whose body was refused. In the one around it, it is an error like any other.
    run_id: RunId | None = None


class Over(Refusal):
    """A body sent something when the run had just been decided.

    It could not know. If this escapes from it, the body was interrupted; it has not failed.
    """

    __module__ = "plait.errors"
    __qualname__ = WorkflowRuntimeError.__qualname__


for _signal in (Refusal, Over):
    _signal.__name__ = WorkflowRuntimeError.__name__


def is_own(state: RunState, error: BaseException) -> bool:
    """Has this very run refused something to the body that raised?"""
    return isinstance(error, Refusal) and error.run_id == state.run_id


def beside_over(error: BaseException) -> BaseException | None:
    """Take out of what a body raised whatever says no more than that the run was over."""
    if isinstance(error, BaseExceptionGroup):
        return cast("BaseExceptionGroup[BaseException]", error).split(Over)[1]
    return None if isinstance(error, Over) else error


def no_receiver(state: RunState, who: str, kind: type) -> WorkflowRuntimeError:
    """`who` is "Step 's' returned B", "Step 's' sent B" or "B was sent"."""
    plan = state.plan
    lines = [f"{who}, but no step of workflow {plan.name!r} accepts it."]
    accepted = [
        (f"list[{k.__name__}]" if step.gather else k.__name__, step.name)
        for step in plan.steps
        for k in step.accepts
    ]
    lines += [
        f"Step {step.name!r} accepts its base {base.__name__}: "
        "use @step(accept_event_subclasses=True)."
        for step in plan.steps
        for base in step.accepts
        if base is not kind and issubclass(kind, base)
    ]
    lines.append("  accepted: " + ", ".join(f"{k} ({s})" for k, s in accepted))
    name = kind.__name__
    gathers = next((step for step in plan.steps if step.gather and kind in step.accepts), None)
    if gathers is not None:
        lines.append(f"  Step {gathers.name!r} takes it out of a list: return [{name}(...), ...]")
        return _to_body(state, Refusal("\n".join(lines)))
    near = get_close_matches(name, _candidates(state, kind), n=1)
    hint = f"Did you mean {near[0]}? Otherwise add" if near else "Add"
    lines.append(f"  {hint} a step:  @step async def ...(self, ev: {name})")
    return _to_body(state, Refusal("\n".join(lines)))


def _to_body(state: RunState, refusal: Refusal) -> Refusal:
    refusal.run_id = state.run_id
    return refusal


def _candidates(state: RunState, kind: type) -> list[str]:
    """Name the classes that somebody can have meant: not what only plait makes, nor its kinds."""
    kinds = state.plan.kinds
    made = tuple(k for k in (kinds.failed, kinds.start) if k is not None)
    accepted = {k for step in state.plan.steps for k in step.accepts if not issubclass(k, made)}
    return sorted({k.__name__ for k in accepted if not issubclass(k, kind)} - {kind.__name__})


def not_an_event(step: str, value: object, *, in_list: bool = False) -> WorkflowRuntimeError:
    """A body returned something that cannot travel."""
    name = type(value).__name__
    what = f"a list containing {name}" if in_list else name
    refusal = Refusal(f"Step function {step} returned {what} instead of an Event instance.")
    for cure in _cure(value, in_list=in_list):
        refusal.add_note(cure)
    return refusal


def _cure(value: object, *, in_list: bool) -> Iterator[str]:
    """Say what may have been meant."""
    if isinstance(value, type):
        yield f"{value.__name__} is a class. Write {value.__name__}(...)"
    elif isinstance(value, Awaitable):
        yield "An await is missing before the call that makes it"
    elif isinstance(value, list) and not in_list:
        yield "Its return annotation has no list. Write -> list[E] to return several events"
    elif isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping):
        yield "Several events are returned as a list, under the annotation -> list[E]"
    elif not in_list:
        yield "A step returns events. The result of a run is returned in one: StopEvent(result=...)"


def only_in_list(step: str, value: object) -> WorkflowRuntimeError:
    """A body returned by itself what its annotation has in a list only."""
    return Refusal(
        f"Step function {step} returned a bare {type(value).__name__} but its return annotation "
        "only declares it inside a list."
    )


def no_such_step(state: RunState, name: str) -> WorkflowRuntimeError:
    """An event was addressed to a step that does not exist."""
    near = get_close_matches(str(getattr(name, "__name__", name)), state.steps, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    return WorkflowStepDoesNotExistError(f"Step {name} does not exist.{hint}")


def not_accepted(step: str, event: object) -> WorkflowRuntimeError:
    """An event was addressed to a step that does not accept it."""
    return WorkflowRuntimeError(f"Step {step} does not accept event of type {type(event)}")


def over(state: RunState, event: object, done: str = "sent") -> WorkflowRuntimeError:
    """An event was sent after the run was decided, or written or waited for after its end."""
    kind = event if isinstance(event, type) else type(event)
    text = (
        f"Run {state.run_id} of workflow {state.plan.name!r} has ended; "
        f"{kind.__name__} was not {done}."
    )
    return _to_body(state, Over(text))


def not_an_input(step: str) -> WorkflowRuntimeError:
    """`collect_events` was given another event than the delivery's own."""
    refusal = WorkflowRuntimeError(
        f"Step {step!r} called collect_events with an event that is not its input."
    )
    refusal.add_note("Its first argument is the event that the step was given")
    return refusal
