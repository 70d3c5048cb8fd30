"""Flow control as it is declared: one class a knob. What they do is decided in the kernel.

An option that is wrong is made all the same: `faults()` says what is wrong with it, and the decorator
collects that of all of them into one `ConfigError`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal, TypeAlias

import attrs

import plait._event
from plait._naming import publish
from plait._steps.checks import Faults, check_word, seconds

from .checks import check_count, check_duration, check_event, check_function, optional_seconds
from .event import Event, name_of

#: Makes the key by which runs, or their steps, are counted apart.
Key: TypeAlias = Callable[[Event[Any]], str]


@attrs.frozen
class Concurrency:
    """At most `limit` handlers at a time. Surplus waits, first come, first served, by priority.

    A run that sleeps, waits or invokes holds no slot.

    Args:
        limit: How many; at least 1.
        key: Each key has a limit of its own.
        scope: `"fn"`, or `"app"` for a limit that functions share; that needs a key.
        of: `"steps"`, or `"runs"` to count runs from their start to their end. A child run needs no
            slot that its parent holds.

    Example:
        >>> Concurrency(2, key=lambda e: e.data["user_id"]).limit
        2
    """

    knob: ClassVar[str] = "concurrency"
    limit: int
    key: Key | None = attrs.field(default=None, kw_only=True)
    scope: Literal["fn", "app"] = attrs.field(default="fn", kw_only=True)
    of: Literal["steps", "runs"] = attrs.field(default="steps", kw_only=True)

    def faults(self) -> Faults:
        """Tell what is wrong with it."""
        yield from check_count("Concurrency: limit", self.limit)
        yield from check_function("Concurrency: key", self.key)
        yield from check_word("Concurrency: scope", self.scope, ("fn", "app"))
        yield from check_word("Concurrency: of", self.of, ("steps", "runs"))
        if self.scope == "app" and self.key is None:
            yield 'Concurrency: scope="app" needs a key: it says who shares the limit'


@attrs.frozen
class Throttle:
    """Starts of runs are spread over time. Surplus waits.

    Args:
        limit: How many may start within a period; at least 1.
        period: Seconds or a `timedelta`, greater than 0.
        key: Each key is spread by itself.
        burst: How many may start at once; at least 1.

    Example:
        >>> Throttle(10, period=60).period
        60
    """

    knob: ClassVar[str] = "throttle"
    limit: int
    period: float = attrs.field(converter=seconds)
    key: Key | None = attrs.field(default=None, kw_only=True)
    burst: int = attrs.field(default=1, kw_only=True)

    def faults(self) -> Faults:
        """Tell what is wrong with it."""
        yield from check_count("Throttle: limit", self.limit)
        yield from check_duration("Throttle: period", self.period)
        yield from check_function("Throttle: key", self.key)
        yield from check_count("Throttle: burst", self.burst)


@attrs.frozen
class RateLimit:
    """At most `limit` runs within any window of time. Surplus is dropped, and that is recorded.

    Args:
        limit: How many; at least 1.
        period: The window, in seconds or as a `timedelta`, greater than 0.
        key: Each key has a window of its own.

    Example:
        >>> RateLimit(1, period=3600, key=lambda e: e.data["user_id"]).limit
        1
    """

    knob: ClassVar[str] = "rate_limit"
    limit: int
    period: float = attrs.field(converter=seconds)
    key: Key | None = attrs.field(default=None, kw_only=True)

    def faults(self) -> Faults:
        """Tell what is wrong with it."""
        yield from check_count("RateLimit: limit", self.limit)
        yield from check_duration("RateLimit: period", self.period)
        yield from check_function("RateLimit: key", self.key)


@attrs.frozen
class Debounce:
    """One run, when no event has come for a while, with the last one. Those before it are replaced.

    Args:
        period: How long, in seconds or as a `timedelta`, greater than 0.
        key: Each key waits by itself.
        timeout: The run starts at the latest this long after the first event. By default it may be
            put off for ever.

    Example:
        >>> Debounce(2, timeout=60).timeout
        60
    """

    knob: ClassVar[str] = "debounce"
    period: float = attrs.field(converter=seconds)
    key: Key | None = attrs.field(default=None, kw_only=True)
    timeout: float | None = attrs.field(default=None, kw_only=True, converter=optional_seconds)

    def faults(self) -> Faults:
        """Tell what is wrong with it."""
        yield from check_duration("Debounce: period", self.period)
        yield from check_function("Debounce: key", self.key)
        if self.timeout is not None:
            yield from check_duration("Debounce: timeout", self.timeout)


@attrs.frozen
class Batch:
    """One run for several events, in the order in which they came: `ctx.events`.

    Args:
        max_size: How many; at least 2.
        timeout: The run starts at the latest this long after the first event: seconds or a
            `timedelta`, greater than 0.
        key: Each key has a batch of its own.
        if_exp: An event for which it is false gets a run of its own.

    Example:
        >>> Batch(100, timeout=5).max_size
        100
    """

    knob: ClassVar[str] = "batch_events"
    max_size: int
    timeout: float = attrs.field(converter=seconds)
    key: Key | None = attrs.field(default=None, kw_only=True)
    if_exp: Callable[[Event[Any]], bool] | None = attrs.field(default=None, kw_only=True)

    def faults(self) -> Faults:
        """Tell what is wrong with it."""
        yield from check_count("Batch: max_size", self.max_size, least=2)
        yield from check_duration("Batch: timeout", self.timeout)
        yield from check_function("Batch: key", self.key)
        yield from check_function("Batch: if_exp", self.if_exp)


@attrs.frozen
class Priority:
    """Some runs go before others that have waited longer.

    Args:
        run: Says by how many seconds a run goes before its place in the queue: -600 to 600.

    Example:
        >>> priority = Priority(lambda e: 60 if e.data["paid"] else 0)
    """

    knob: ClassVar[str] = "priority"
    run: Callable[[Event[Any]], float]

    def faults(self) -> Faults:
        """Tell what is wrong with it."""
        yield from check_function("Priority: run", self.run, optional=False)


@attrs.frozen
class Cancel:
    """An event that cancels queued and running runs, inside a step as well.

    Args:
        event: Its name, or its class.
        if_exp: Called with the event that started the run and with this one; by default any
            cancels.
        timeout: Only for this long after the run was queued: seconds or a `timedelta`, greater
            than 0.

    Example:
        >>> Cancel("order/cancelled", if_exp=lambda t, e: t.data["id"] == e.data["id"]).name
        'order/cancelled'
    """

    knob: ClassVar[str] = "cancel"
    event: str | type[plait._event.Event]
    if_exp: Callable[[Event[Any], Event[Any]], bool] | None = attrs.field(
        default=None, kw_only=True
    )
    timeout: float | None = attrs.field(default=None, kw_only=True, converter=optional_seconds)

    @property
    def name(self) -> str:
        """The name under which the event travels."""
        return name_of(self.event, "Cancel: event")

    def faults(self) -> Faults:
        """Tell what is wrong with it."""
        yield from check_event("Cancel: event", self.event)
        yield from check_function("Cancel: if_exp", self.if_exp, takes=2)
        if self.timeout is not None:
            yield from check_duration("Cancel: timeout", self.timeout)


@attrs.frozen(kw_only=True)
class Timeouts:
    """A run that takes too long is cancelled.

    Args:
        start: The longest time in the queue.
        finish: The longest time from the first start to the end, over restarts.

    Both are seconds or a `timedelta`, greater than 0.

    Example:
        >>> Timeouts(finish=3600).finish
        3600
    """

    knob: ClassVar[str] = "timeouts"
    start: float | None = attrs.field(default=None, converter=optional_seconds)
    finish: float | None = attrs.field(default=None, converter=optional_seconds)

    def faults(self) -> Faults:
        """Tell what is wrong with it."""
        if self.start is not None:
            yield from check_duration("Timeouts: start", self.start)
        if self.finish is not None:
            yield from check_duration("Timeouts: finish", self.finish)


@attrs.frozen
class Singleton:
    """One unfinished run at a time.

    Args:
        mode: `"skip"` drops the new event; `"cancel"` cancels the older run first.
        key: One for each key.

    Example:
        >>> Singleton("skip", key=lambda e: e.data["user_id"]).mode
        'skip'
    """

    knob: ClassVar[str] = "singleton"
    mode: Literal["skip", "cancel"]
    key: Key | None = attrs.field(default=None, kw_only=True)

    def faults(self) -> Faults:
        """Tell what is wrong with it."""
        yield from check_word("Singleton: mode", self.mode, ("skip", "cancel"))
        yield from check_function("Singleton: key", self.key)


publish(
    "plait.durable",
    Concurrency,
    Throttle,
    RateLimit,
    Debounce,
    Batch,
    Priority,
    Cancel,
    Timeouts,
    Singleton,
)
