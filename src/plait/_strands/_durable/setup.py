"""All that a decoration says beside the function itself, and every mistake in it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeAlias, cast

import attrs

from plait._kernel.retry.policy import RetryPolicy
from plait._show import show
from plait._steps.arguments import check_retries, policy_of
from plait._steps.checks import SHOWN, Faults, is_async

from .checks import WRITE_A_FUNCTION, check_function
from .context import Context
from .event import Event, FunctionFailed
from .middleware import Middleware
from .options import (
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
from .triggers import Trigger, TriggerCron, TriggerEvent

OnFailure: TypeAlias = Callable[[Context[FunctionFailed]], Awaitable[object]]

#: What makes no sense beside `batch_events`: each is about one event.
NOT_WITH_BATCHES: Final = (
    "cancel",
    "debounce",
    "singleton",
    "priority",
    "rate_limit",
    "idempotency",
)

#: The class of each option that has one.
KINDS: Final[dict[str, type]] = {
    "throttle": Throttle,
    "rate_limit": RateLimit,
    "debounce": Debounce,
    "batch_events": Batch,
    "priority": Priority,
    "timeouts": Timeouts,
    "singleton": Singleton,
}


def _several(given: Any) -> tuple[Any, ...]:
    """Make a tuple of one thing, of several, or of none."""
    if given is None:
        return ()
    return tuple(given) if _is_a_sequence(given) else (given,)


def _is_a_sequence(given: object) -> bool:
    return isinstance(given, Sequence) and not isinstance(given, str | bytes)


def _limits(given: Any) -> tuple[Any, ...]:
    return tuple(Concurrency(one) if type(one) is int else one for one in _several(given))


@attrs.frozen(kw_only=True)
class Setup:
    """What was said to `create_function`, as it was given: `faults()` tells what is wrong with it.

    One trigger, one `Concurrency` and one `Cancel` become tuples, and a number a `Concurrency`.
    """

    trigger: tuple[Trigger, ...] = attrs.field(converter=_several)
    retries: int | RetryPolicy = 4
    concurrency: tuple[Concurrency, ...] = attrs.field(default=(), converter=_limits)
    throttle: Throttle | None = None
    rate_limit: RateLimit | None = None
    debounce: Debounce | None = None
    batch_events: Batch | None = None
    priority: Priority | None = None
    idempotency: Callable[[Event[Any]], str] | None = None
    cancel: tuple[Cancel, ...] = attrs.field(default=(), converter=_several)
    timeouts: Timeouts | None = None
    singleton: Singleton | None = None
    on_failure: OnFailure | None = None
    middleware: tuple[Middleware, ...] = attrs.field(default=(), converter=_several)
    output_type: Any = None

    @property
    def policy(self) -> RetryPolicy:
        """The policy of the function's body, and of its steps that have none of their own."""
        return policy_of(self.retries)

    def faults(self) -> Faults:
        """Tell everything that is wrong.

        Raises:
            MissingExtra: There is a `TriggerCron`, and the library for it is not installed.
        """
        yield from self._faults_of_triggers()
        yield from check_retries("retries", self.retries)
        yield from _check_all("concurrency", self.concurrency, Concurrency)
        for name, kind in KINDS.items():
            given = getattr(self, name)
            if given is not None:
                yield from _check_all(name, (given,), kind)
        yield from check_function("idempotency", self.idempotency)
        yield from _check_all("cancel", self.cancel, Cancel)
        yield from _check_on_failure(self.on_failure)
        for one in cast("tuple[object, ...]", self.middleware):
            if not isinstance(one, Middleware):
                made = isinstance(one, type) and issubclass(one, Middleware)
                hint = f": write {one.__name__}()" if isinstance(one, type) and made else ""
                yield f"middleware takes Middleware objects, not {show(one, SHOWN)}{hint}"
        if self.batch_events is not None:
            for name in NOT_WITH_BATCHES:
                if getattr(self, name) not in (None, ()):
                    yield f"{name} cannot be used with batch_events: it is about one event"

    def _faults_of_triggers(self) -> Faults:
        if not self.trigger:
            yield "there is no trigger: write trigger=TriggerEvent(...)"
        seen: set[object] = set()
        for one in cast("tuple[object, ...]", self.trigger):
            if not isinstance(one, TriggerEvent | TriggerCron):
                hint = f": write TriggerEvent({one!r})" if isinstance(one, str) else ""
                yield f"trigger takes a TriggerEvent or a TriggerCron, not {show(one, SHOWN)}{hint}"
                continue
            faults = [*one.faults()]
            yield from faults
            if not faults:
                known = _identity(one)
                if known in seen:
                    yield f"there are two triggers of {known[0]!r}"
                seen.add(known)


def _identity(trigger: Trigger) -> tuple[str, object]:
    """Say by what a trigger is another one."""
    if isinstance(trigger, TriggerEvent):
        return trigger.name, trigger.expression
    return " ".join(trigger.cron.split()), trigger.tz


def _check_all(name: str, given: tuple[object, ...], kind: type) -> Faults:
    for one in given:
        if isinstance(one, kind):
            option: Any = one
            yield from option.faults()
        else:
            yield f"{name} takes a {kind.__name__}, not {show(one, SHOWN)}"


def _check_on_failure(given: Any) -> Faults:
    if given is None:
        return
    if not callable(given):
        yield f"on_failure is {show(given, SHOWN)}: {WRITE_A_FUNCTION.split(',')[0]}"
    elif not is_async(given):
        yield "on_failure is a plain function: write async def on_failure(ctx: Context[FunctionFailed])"


# ---------------------------------------------------------------- retries
