"""Ticks: the planned times of cron triggers, reported as they come, and those that were missed.

Rule 1: one trigger's ticks are reported in the order of their planned times. Jitter starts each later,
    and none before the one in front of it.
Rule 2: a tick was missed if its start came while nobody served: before this process began, or while it
    slept, as a laptop does. What then becomes of it, the trigger says.
Rule 3: a tick is known by its function and its planned time. Reported again, it is the same run; so it
    does not matter whether the last report came to disk.

Since when a trigger is served is recorded when it is first seen, and from then on the last tick that
fired: what comes after that and before now was missed. A text that has changed is another trigger.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import islice
from typing import Any, Final, TypeAlias

import attrs

from plait._engine.bodies.timers import RECHECK, Alarm, Timers
from plait._kernel.admission.stimuli import CronWatched, Ticked

from .arrivals import Events
from .cron import AWHILE, due, start_of, tick_id
from .event import Event
from .function import Function
from .triggers import TriggerCron

#: The name of the event that a tick is.
CRON: Final = "plait/cron"

#: A tick that is later than this, in seconds, was missed: the process slept. Alarms that are late for
#: that reason ring within `RECHECK`.
SLEPT: Final = 2 * RECHECK

#: So many ticks that were missed are reported at a time, and then others have their turn.
BURST: Final = 100
#: How long that is, in seconds.
TURN: Final = 0.001

Report: TypeAlias = Callable[[Ticked | CronWatched], object]
Fired: TypeAlias = Mapping[tuple[str, str], float]


@attrs.define(eq=False)
class _Trigger:
    """A trigger of a function, while it is served."""

    function_id: str
    cron: str
    trigger: TriggerCron
    #: What has fired last, or since when it counts.
    last: float
    #: When that was reported: nothing starts before it.
    started: float = -math.inf
    #: Those that are still to be reported, the next one first.
    ahead: Iterator[float] = attrs.field(factory=lambda: iter(()))
    alarm: Alarm | None = None


class Ticks:
    """Reports the ticks of one app.

    Args:
        timers: Rings alarms; somebody serves them.
        report: Is told of each tick, and of each trigger that is seen for the first time. It may not
            raise.
        events: Writes the events that ticks are.
        app_id: Goes into the names of runs.
        seed: Chance in jitter comes from it; for one app always the same.

    Example:
        ```python
        ticks = Ticks(timers, app.hear, events=events, app_id="shop")
        ticks.begin(functions, state.ticks)
        ```
    """

    def __init__(
        self, timers: Timers, report: Report, *, events: Events, app_id: str, seed: int = 0
    ) -> None:
        self._timers = timers
        self._report = report
        self._events = events
        self._app_id = app_id
        self._seed = seed
        self._triggers: list[_Trigger] = []

    def begin(self, functions: Iterable[Function[Any, Any]], fired: Fired) -> None:
        """Report what was missed, and from now on each tick as it comes. Not a checkpoint.

        Args:
            functions: Whose cron triggers these are.
            fired: For each function and trigger what fired last, as the app's state has it.

        Raises:
            MissingExtra: There is a cron trigger, and the library for it is not installed.
        """
        now = self._timers.now()
        for function in functions:
            for trigger in function.setup.trigger:
                if not isinstance(trigger, TriggerCron):
                    continue
                cron = text_of(trigger)
                last = fired.get((function.id, cron))
                if last is None:
                    self._report(CronWatched(now, function.id, cron))
                one = _Trigger(function.id, cron, trigger, now if last is None else last)
                self._triggers.append(one)
                self._missed(one, now)

    def stop(self) -> None:
        """Report nothing more. Not a checkpoint."""
        for one in self._triggers:
            if one.alarm is not None:
                one.alarm.clear()
        self._triggers.clear()

    # ------------------------------------------------------------ what comes

    def _plan(self, one: _Trigger) -> None:
        """Wait for the next tick."""
        planned = next(one.ahead, None)
        if planned is None:
            return  # its times are over
        at = max(one.started, self._start_of(one, planned))
        one.alarm = self._timers.set(at, partial(self._ring, one, planned, at))

    def _ring(self, one: _Trigger, planned: float, at: float) -> None:
        now = self._timers.now()
        if now - at > SLEPT:
            self._missed(one, now)
        else:
            self._fire(one, planned, now)
            self._plan(one)

    def _fire(self, one: _Trigger, planned: float, now: float) -> None:
        one.last = planned
        one.started = max(one.started, self._start_of(one, planned))
        run_id = tick_id(json.dumps([self._app_id, one.function_id]), planned)
        data = {"cron": one.cron, "scheduled_at": planned}
        event = Event(name=CRON, data=data, ts=max(0, int(planned * 1000)))
        [arrival] = self._events.arrivals([event], now=now, new_id=lambda _: run_id, where="cron")
        self._report(Ticked(now, one.function_id, one.cron, planned, arrival, run_id))

    # ------------------------------------------------------------ what was missed

    def _missed(self, one: _Trigger, now: float) -> None:
        """Rule 2; then go on with what comes."""
        trigger, start = one.trigger, partial(self._start_of, one)
        missed = due(
            trigger.schedule, one.last, now, trigger.missed, start=start, jitter=trigger.jitter
        )
        self._catch_up(one, missed, now)

    def _catch_up(self, one: _Trigger, missed: Iterator[float], until: float) -> None:
        """Report them, not all in one go."""
        now = self._timers.now()
        several = [*islice(missed, BURST)]
        for planned in several:
            self._fire(one, planned, now)
        if len(several) == BURST:
            again = partial(self._catch_up, one, missed, until)
            one.alarm = self._timers.set(now + TURN, again)
            return
        one.ahead = self._after(one, until)
        self._plan(one)

    def _after(self, one: _Trigger, now: float) -> Iterator[float]:
        """Plan: the times that have not been missed, in their order."""
        start, trigger = -math.inf, one.trigger
        # All before this have started. Not nearer, since a night may have a time twice: see `cron`.
        begin = now - trigger.jitter - AWHILE
        for planned in trigger.schedule.after(max(one.last, begin)):
            start = max(start, self._start_of(one, planned))
            if start > now:
                yield planned

    def _start_of(self, one: _Trigger, planned: float) -> float:
        return start_of(planned, one.trigger.jitter, self._seed, one.function_id)


def text_of(trigger: TriggerCron) -> str:
    """Write by what a trigger is another one."""
    text = " ".join(trigger.cron.split())
    return text if trigger.tz is None else f"TZ={trigger.tz} {text}"
