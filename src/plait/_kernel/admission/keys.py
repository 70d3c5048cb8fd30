"""What the user's callables say of an event. Asked once, when it comes; the answers are recorded.

So what an event meets later (the end of its burst, a free slot, another process) asks nobody again,
and every mistake in a callable is known while its sender still listens.
"""

from __future__ import annotations

import attrs

from .plan import (
    Concurrency,
    Debounce,
    FunctionPlan,
    Key,
    RateLimit,
    Singleton,
    Throttle,
    Trigger,
)
from .records import EventReceived, Keys, Knob, Need


@attrs.frozen
class Trouble:
    """A callable raised."""

    knob: Knob
    error: BaseException

    @property
    def because(self) -> str:
        """Say what was raised."""
        return f"{type(self.error).__name__}: {self.error}"


def ask(
    function: FunctionPlan, event: EventReceived, triggers: tuple[Trigger, ...] = ()
) -> Keys | Trouble | None:
    """Ask the callables of a function about an event, in the order of its knobs.

    Args:
        function: Whose callables they are.
        event: What they are asked about.
        triggers: One of their expressions must hold. None: it was made for this function.

    Returns:
        `None`: no trigger wants the event.
    """
    knob: Knob = "expression"
    try:
        if triggers and not any(
            trigger.expression is None or trigger.expression(event) for trigger in triggers
        ):
            return None
        knob = "idempotency"
        used = function.idempotency
        idempotency = None if used is None else _key(used, event)
        knob = "rate_limit"
        rate_limit = _key_of(function.rate_limit, event)
        knob = "debounce"
        debounce = _key_of(function.debounce, event)
        knob, batch = "batch_events", None
        if (wanted := function.batch) and (wanted.if_exp is None or wanted.if_exp(event)):
            batch = _key(wanted.key, event)
        knob = "singleton"
        singleton = _key_of(function.singleton, event)
        knob = "priority"
        priority = 0.0 if function.priority is None else _seconds(function.priority(event))
        knob = "throttle"
        throttle = _key_of(function.throttle, event)
        knob = "concurrency"
        needs = [
            (limit.of, Need(place, _bucket(function.fn_id, place, limit, event)))
            for place, limit in enumerate(function.concurrency)
        ]
    except BaseException as error:  # noqa: BLE001, ASYNC103 - the sender gets it: see `Report`
        return Trouble(knob, error)  # noqa: ASYNC104
    return Keys(
        idempotency,
        rate_limit,
        debounce,
        batch,
        singleton,
        throttle,
        priority,
        tuple(need for of, need in needs if of == "runs"),
        tuple(need for of, need in needs if of == "steps"),
    )


def _key(key: Key | None, event: EventReceived) -> str:
    """One key for all, if there is no callable."""
    return "" if key is None else _text(key(event))


def _text(found: object) -> str:
    if not isinstance(found, str):
        raise TypeError(f"a key must be a str, not {type(found).__name__} ({found!r})")
    return found


def _key_of(
    knob: RateLimit | Debounce | Singleton | Throttle | None, event: EventReceived
) -> str | None:
    return None if knob is None else _key(knob.key, event)


def _seconds(found: object) -> float:
    if isinstance(found, bool) or not isinstance(found, int | float) or found != found:  # noqa: PLR0124 - NaN
        raise TypeError(f"a priority must be a number of seconds, not {found!r}")
    return float(max(-600, min(600, found)))


def _bucket(fn_id: str, place: int, limit: Concurrency, event: EventReceived) -> tuple[str, ...]:
    key = _key(limit.key, event)
    return ("app", key) if limit.scope == "app" else ("fn", fn_id, str(place), key)
