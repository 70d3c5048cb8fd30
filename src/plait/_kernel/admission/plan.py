"""The plan: an app's functions and their knobs, compiled from what the user declared.

Nothing is judged here: whoever makes a plan has refused limits below one and forbidden pairs. All
durations are seconds. Keys and predicates are the user's; they take the event as it was recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal, TypeAlias

import attrs

from .records import EventReceived

Key: TypeAlias = Callable[[EventReceived], str]
Predicate: TypeAlias = Callable[[EventReceived], bool]


@attrs.frozen
class Trigger:
    """An event of this name, for which `expression` holds, leads to a run."""

    event: str
    expression: Predicate | None = None


@attrs.frozen
class Concurrency:
    """At most `limit` at a time for each key: handlers, or runs from start to end."""

    limit: int
    key: Key | None = None
    #: `app`: shared with all functions whose limit has this scope, and the same key.
    scope: Literal["fn", "app"] = "fn"
    of: Literal["steps", "runs"] = "steps"


@attrs.frozen
class Throttle:
    """Runs start at most this often; the others wait. See `start`."""

    limit: int
    period: float
    key: Key | None = None
    burst: int = 1

    @property
    def interval(self) -> float:
        """Seconds from one start to the next, in the long run."""
        return self.period / self.limit


@attrs.frozen
class RateLimit:
    """At most `limit` events pass in any window of `period`; the others are dropped."""

    limit: int
    period: float
    key: Key | None = None


@attrs.frozen
class Debounce:
    """One run `period` after the last event, at the latest `timeout` after the first."""

    period: float
    key: Key | None = None
    timeout: float | None = None


@attrs.frozen
class Batch:
    """One run for `max_size` events, or for those that have come `timeout` after the first."""

    max_size: int
    timeout: float
    key: Key | None = None
    #: Where it does not hold, the event gets a run of its own.
    if_exp: Predicate | None = None


@attrs.frozen
class Cancel:
    """An event of this name cancels runs: `if_exp` is asked about their event, and this one."""

    event: str
    if_exp: Callable[[EventReceived, EventReceived], bool] | None = None
    #: Runs that were queued longer ago are left alone.
    timeout: float | None = None


@attrs.frozen
class Timeouts:
    """How long a run may be in the queue, and how long it may take from its start."""

    start: float | None = None
    finish: float | None = None


@attrs.frozen
class Singleton:
    """One unfinished run for each key: the new event is dropped, or the older run cancelled."""

    mode: Literal["skip", "cancel"]
    key: Key | None = None


@attrs.frozen
class FunctionPlan:
    """One function."""

    fn_id: str
    triggers: tuple[Trigger, ...] = ()
    idempotency: Key | None = None
    rate_limit: RateLimit | None = None
    debounce: Debounce | None = None
    batch: Batch | None = None
    singleton: Singleton | None = None
    #: Seconds; beyond 600 either way they count as 600.
    priority: Callable[[EventReceived], float] | None = None
    throttle: Throttle | None = None
    concurrency: tuple[Concurrency, ...] = ()
    cancels: tuple[Cancel, ...] = ()
    timeouts: Timeouts = Timeouts()


#: Functions by the name of an event, each with what it has to say about it.
Triggered: TypeAlias = dict[str, dict[str, tuple[Trigger, ...]]]
Cancelling: TypeAlias = dict[str, dict[str, tuple[Cancel, ...]]]


def _by_id(functions: Iterable[FunctionPlan]) -> dict[str, FunctionPlan]:
    return {function.fn_id: function for function in functions}


def _triggered(plan: AppPlan) -> Triggered:
    found: Triggered = {}
    for function in plan.functions.values():
        for trigger in function.triggers:
            row = found.setdefault(trigger.event, {})
            row[function.fn_id] = (*row.get(function.fn_id, ()), trigger)
    return found


def _cancelling(plan: AppPlan) -> Cancelling:
    found: Cancelling = {}
    for function in plan.functions.values():
        for cancel in function.cancels:
            row = found.setdefault(cancel.event, {})
            row[function.fn_id] = (*row.get(function.fn_id, ()), cancel)
    return found


@attrs.frozen
class AppPlan:
    """An app.

    Args:
        functions: By their ids.
        name_run: Makes the id of the run that a function may get for an event. It must differ for
            each function and event number, and be the same when it is asked again.
    """

    functions: dict[str, FunctionPlan] = attrs.field(converter=_by_id)
    name_run: Callable[[str, EventReceived], str]
    triggered: Triggered = attrs.field(
        init=False, default=attrs.Factory(_triggered, takes_self=True)
    )
    cancelling: Cancelling = attrs.field(
        init=False, default=attrs.Factory(_cancelling, takes_self=True)
    )
