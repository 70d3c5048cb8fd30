"""`context`: a durable function is called as any other, without an app and a journal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType, TracebackType
from typing import Any, Generic, Literal, TypeVar, overload

import plait._event
from plait._show import show
from plait._steps.checks import SHOWN
from plait._steps.group import Group
from plait._strands._durable.context import Context, SyncContext
from plait._strands._durable.entrance import Entrance
from plait._strands._durable.event import D, Event, envelopes
from plait._strands._durable.step import Step
from plait._strands._durable.sync import SyncGroup, SyncStep
from plait.testing._loops import LoopEntrance
from plait.testing._straight import StraightParts

E = TypeVar("E", bound=plait._event.Event)

NO_RESULTS: Mapping[str, object] = MappingProxyType({})


class _Straight(Generic[D]):
    """What tests may look at, beside what a function sees."""

    _straight: StraightParts

    @property
    def called(self) -> list[str]:
        """The ids of the calls, each once, in the order in which they were made first."""
        return self._straight.calls.made

    @property
    def sent(self) -> list[Event[Any]]:
        """The events that `send_event` has sent."""
        return self._straight.sent

    def _check(self, kind: type[BaseException] | None) -> None:
        if kind is None:
            self._straight.check()


class StraightContext(Context[D], _Straight[D]):
    """A context whose calls are made at once. In a `with`, results that nobody has used are an error."""

    def __init__(self, parts: StraightParts) -> None:
        step = Step(parts)
        super().__init__(parts, step, Group(parts, step))
        self._straight = parts

    def __enter__(self) -> StraightContext[D]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._check(kind)


class StraightSyncContext(SyncContext[D], _Straight[D]):
    """As `StraightContext`, for plain functions."""

    def __init__(self, parts: StraightParts, entrance: Entrance) -> None:
        step = Step(parts)
        group = SyncGroup(parts, Group(parts, step), entrance)
        super().__init__(parts, SyncStep(step, entrance), group, entrance)
        self._straight = parts

    def __enter__(self) -> StraightSyncContext[D]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._check(kind)


@overload
def context(
    event: Event[D],
    results: Mapping[str, object] = ...,
    *,
    run_id: str = ...,
    sync: Literal[False] = False,
) -> StraightContext[D]: ...
@overload
def context(
    event: Event[D],
    results: Mapping[str, object] = ...,
    *,
    run_id: str = ...,
    sync: Literal[True],
) -> StraightSyncContext[D]: ...
@overload
def context(
    event: E,
    results: Mapping[str, object] = ...,
    *,
    run_id: str = ...,
    sync: Literal[False] = False,
) -> StraightContext[E]: ...
@overload
def context(
    event: E,
    results: Mapping[str, object] = ...,
    *,
    run_id: str = ...,
    sync: Literal[True],
) -> StraightSyncContext[E]: ...
@overload
def context(
    event: Iterable[Event[D]],
    results: Mapping[str, object] = ...,
    *,
    run_id: str = ...,
    sync: Literal[False] = False,
) -> StraightContext[D]: ...
@overload
def context(
    event: Iterable[Event[D]],
    results: Mapping[str, object] = ...,
    *,
    run_id: str = ...,
    sync: Literal[True],
) -> StraightSyncContext[D]: ...
def context(
    event: Any,
    results: Mapping[str, object] = NO_RESULTS,
    *,
    run_id: str = "test",
    sync: bool = False,
) -> Any:
    """Make a context for calling a durable function in a test: its calls go straight through.

    A handler is run once, and its value is what a recovery would give; a failure is the `StepError`
    that the function would see. Sleeps are over at once, and `ctx.now()` tells a later time. Events
    that are sent are in `ctx.sent`. Nothing is recorded, tried again or rolled back.

    Args:
        event: What starts the function; of a batch, all of it.
        results: What calls return, by their ids: their handlers do not run. An exception is raised,
            as the cause of a `StepError`. A wait must have one (an `Event`, or `None`), and an invoke.
        run_id: What `ctx.run_id` says.
        sync: Make a `SyncContext`, for a `def` function. Its async handlers run under Trio, in an
            event loop of their own, and its deadlines never fire.

    Returns:
        The context. `with context(...) as ctx:` raises at its end if a result was not used.

    Raises:
        TypeError: There is no event, or an id in `results` is no text.
        LookupError: In the function: a wait or an invoke has no result. At the end of a `with`: no call
            of such an id was made.

    Example:
        ```python
        with plait.testing.context(Event(name="paid", data={"id": 3}), {"charge": "ok"}) as ctx:
            assert await ship(ctx) == "shipped"
        assert ctx.called == ["charge", "ship"]
        ```
    """
    events = tuple(envelopes(event, "context()"))
    if not events:
        raise TypeError("context() takes an event, or several, and there is none")
    for step_id in results:
        _check_id(step_id)
    parts = StraightParts(run_id, events, dict(results))
    return StraightSyncContext(parts, LoopEntrance()) if sync else StraightContext(parts)


def _check_id(step_id: object) -> None:
    if not isinstance(step_id, str):
        raise TypeError(
            f"results takes the ids of steps, not {show(step_id, SHOWN)}\n"
            '  write results={"charge": ...}'
        )
