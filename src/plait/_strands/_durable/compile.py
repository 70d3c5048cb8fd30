"""What users declare, as the kernel wants it: functions with their options become an app's plan.

Rule 1: users' callables see events, with data read for its types; the kernel sees what was recorded.
Rule 2: nothing is judged here. What the decorator has let pass is right.
Rule 3: a run's name is made of what leads to it, so that whoever asks again gets the same name: of the
    app, the function, and the number of the event or the planned time. Two apps may share a journal.

Durations are seconds already: options convert them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Final, TypeVar

from plait._errors import ConfigError
from plait._kernel.admission import plan
from plait._kernel.admission.plan import AppPlan, FunctionPlan
from plait._kernel.admission.records import EventReceived

from . import options
from .arrivals import Events
from .event import Event
from .function import Function
from .setup import Setup
from .triggers import TriggerEvent

A = TypeVar("A")
T = TypeVar("T")

#: How long the name of a run may be, and how much of it tells one run from all others.
LONGEST: Final = 64
DIGITS: Final = 16

#: So many events are kept as users' callables were shown them: of one send all functions are asked.
SHOWN_LATELY: Final = 8


def plan_of(
    functions: Iterable[Function[Any, Any]], events: Events, *, app_id: str = ""
) -> AppPlan:
    """Compile the functions of an app.

    Args:
        functions: Their ids are those that the kernel knows them by.
        events: Reads what callables are shown.
        app_id: Goes into the names of runs.

    Raises:
        ConfigError: Two functions have one id: one is called as another's `on_failure`.
    """
    compiler = _Compiler(_Shown(events))
    plans = [one for function in functions for one in compiler.function(function)]
    seen: set[str] = set()
    for one in plans:
        if one.fn_id in seen:
            raise ConfigError(
                f"two functions have the id {one.fn_id!r}: call one of them otherwise"
            )
        seen.add(one.fn_id)

    def name_run(fn_id: str, event: EventReceived) -> str:
        return run_name(app_id, fn_id, event.number)

    return AppPlan(plans, name_run)


def on_failure_id(function_id: str) -> str:
    """Name the function that a function's `on_failure` is."""
    return f"{function_id}/on_failure"


def run_name(app_id: str, function_id: str, *of: object) -> str:
    """Name the run that a function gets for something, for instance for the number of an event.

    Returns:
        A text of `[A-Za-z0-9_-]{1,64}`: readable as far as there is room, and of its own.
    """
    told = json.dumps([app_id, function_id, *of])
    digest = hashlib.sha256(told.encode()).hexdigest()[:DIGITS]
    tail = "-".join([*(_plain(str(one))[:12] for one in of), digest])
    head = _plain(function_id)[: LONGEST - len(tail) - 1]
    return f"{head}-{tail}"


def _plain(text: str) -> str:
    return re.sub("[^A-Za-z0-9_]+", "-", text).strip("-")


class _Shown:
    """Events as users' callables see them. Those of one event are shown one object."""

    def __init__(self, events: Events) -> None:
        self._events = events
        #: By identity; a record that is in here lives, so that no other has its.
        self._lately: dict[int, tuple[EventReceived, Event[Any]]] = {}

    def __call__(self, received: EventReceived) -> Event[Any]:
        """Read an event, unless it was shown lately."""
        found = self._lately.pop(id(received), None)
        if found is None:
            found = received, self._events.event_of(received)
        self._lately[id(received)] = found
        if len(self._lately) > SHOWN_LATELY:
            del self._lately[next(iter(self._lately))]
        return found[1]


class _Compiler:
    """Turns options into what the kernel has for each."""

    def __init__(self, shown: Callable[[EventReceived], Event[Any]]) -> None:
        self._shown = shown

    def function(self, function: Function[Any, Any]) -> Iterator[FunctionPlan]:
        """Compile a function, and its `on_failure`: one without triggers, since the app starts it."""
        setup, asked = function.setup, self._asked
        timeouts = setup.timeouts or options.Timeouts()
        yield FunctionPlan(
            function.id,
            tuple(self._triggers(setup)),
            idempotency=asked(setup.idempotency),
            rate_limit=_if(
                setup.rate_limit, lambda o: plan.RateLimit(o.limit, o.period, asked(o.key))
            ),
            debounce=_if(
                setup.debounce, lambda o: plan.Debounce(o.period, asked(o.key), o.timeout)
            ),
            batch=_if(
                setup.batch_events,
                lambda o: plan.Batch(o.max_size, o.timeout, asked(o.key), asked(o.if_exp)),
            ),
            singleton=_if(setup.singleton, lambda o: plan.Singleton(o.mode, asked(o.key))),
            priority=_if(setup.priority, lambda o: asked(o.run)),
            throttle=_if(
                setup.throttle, lambda o: plan.Throttle(o.limit, o.period, asked(o.key), o.burst)
            ),
            concurrency=tuple(
                plan.Concurrency(limit.limit, asked(limit.key), limit.scope, limit.of)
                for limit in setup.concurrency
            ),
            cancels=tuple(map(self._cancel, setup.cancel)),
            timeouts=plan.Timeouts(timeouts.start, timeouts.finish),
        )
        if setup.on_failure is not None:
            yield FunctionPlan(on_failure_id(function.id))

    def _triggers(self, setup: Setup) -> Iterator[plan.Trigger]:
        for trigger in setup.trigger:
            if isinstance(trigger, TriggerEvent):
                yield plan.Trigger(trigger.name, self._asked(trigger.expression))

    def _cancel(self, given: options.Cancel) -> plan.Cancel:
        means = _if(given.if_exp, lambda if_exp: partial(_both, if_exp, self._shown))
        return plan.Cancel(given.name, means, given.timeout)

    def _asked(
        self, given: Callable[[Event[Any]], T] | None
    ) -> Callable[[EventReceived], T] | None:
        """Rule 1."""
        return None if given is None else partial(_one, given, self._shown)


def _if(given: A | None, make: Callable[[A], T]) -> T | None:
    return None if given is None else make(given)


def _one(
    given: Callable[[Event[Any]], T],
    shown: Callable[[EventReceived], Event[Any]],
    received: EventReceived,
) -> T:
    return given(shown(received))


def _both(
    given: Callable[[Event[Any], Event[Any]], bool],
    shown: Callable[[EventReceived], Event[Any]],
    trigger: EventReceived,
    received: EventReceived,
) -> bool:
    return given(shown(trigger), shown(received))
