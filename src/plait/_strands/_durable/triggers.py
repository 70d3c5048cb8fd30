"""What starts a function: an event, or a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import attrs

import plait._event
from plait._naming import publish
from plait._steps.checks import Faults, check_word, seconds

from .checks import check_duration, check_event, check_function
from .cron import Schedule
from .event import Event, name_of


@attrs.frozen
class TriggerEvent:
    """A function is started by each event of a name.

    Args:
        event: The name, or a class of typed events.
        expression: Only by events for which it is true.

    Example:
        >>> TriggerEvent("order/placed", expression=lambda e: e.data["total"] > 100).name
        'order/placed'
    """

    event: str | type[plait._event.Event]
    expression: Callable[[Event[Any]], bool] | None = attrs.field(default=None, kw_only=True)

    @property
    def name(self) -> str:
        """The name under which the event travels."""
        return name_of(self.event, "TriggerEvent")

    def faults(self) -> Faults:
        """Tell what is wrong with it."""
        yield from check_event("TriggerEvent", self.event)
        yield from check_function("TriggerEvent: expression", self.expression)


@attrs.frozen
class TriggerCron:
    """A function is started at planned times. Needs `plait[flows]`.

    Args:
        cron: Five fields: minute, hour, day of the month, month, day of the week; before them, if you
            like, `TZ=Europe/Paris`.
        tz: The time zone, if it is not in the text; by default UTC.
        jitter: A run starts later by up to this many seconds, each tick by another time.
        missed: What becomes of ticks while nobody served: `"skip"`, `"once"` for one run with the
            last of them, `"all"`.

    Example:
        >>> TriggerCron("TZ=Europe/Paris 30 9 * * MON-FRI", jitter=60).missed
        'once'
    """

    cron: str
    tz: str | None = attrs.field(default=None, kw_only=True)
    jitter: float = attrs.field(default=0.0, kw_only=True, converter=seconds)
    missed: Literal["skip", "once", "all"] = attrs.field(default="once", kw_only=True)

    @property
    def schedule(self) -> Schedule:
        """The times it stands for."""
        return Schedule(self.cron, self.tz)

    def faults(self) -> Faults:
        """Tell what is wrong with it.

        Raises:
            MissingExtra: The library that reads such texts is not installed.
        """
        try:
            self.schedule.check()
        except (TypeError, ValueError) as error:
            yield f"TriggerCron: {error}"
        yield from check_duration("TriggerCron: jitter", self.jitter, zero=True)
        yield from check_word("TriggerCron: missed", self.missed, ("skip", "once", "all"))


Trigger: TypeAlias = TriggerEvent | TriggerCron

publish("plait.durable", TriggerEvent, TriggerCron)
