"""Events of durable functions: a name, what it carries, an id and a time.

A typed event of `plait` needs no envelope: it travels under its wire name, as the data of one.

Annotations are no texts here: whoever reads them would look for their names in `plait.durable`.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Generic, TypeAlias, TypeGuard

import attrs
from typing_extensions import TypeVar

import plait._event
from plait._naming import publish
from plait._show import show
from plait._steps.checks import SHOWN

D = TypeVar("D", default=dict[str, Any])


def _check_name(_event: object, _field: object, name: Any) -> None:
    if is_typed_event_class(name) or isinstance(name, plait._event.Event):
        raise TypeError(
            f"Event: name must be a text, not {show(name, SHOWN)}\n"
            "  a typed event needs no envelope: app.send(OrderPlaced(id=3))"
        )
    if not isinstance(name, str):
        raise TypeError(f"Event: name must be a text, not {show(name, SHOWN)}")
    if not name:
        raise ValueError("Event: name must not be empty")


def _check_id(_event: object, _field: object, given: Any) -> None:
    if not isinstance(given, str):
        raise TypeError(
            f"Event: id must be a text, not {show(given, SHOWN)}\n"
            '  leave it out for an id of its own, or write id=f"order-{number}"'
        )


def _check_ts(_event: object, _field: object, ts: Any) -> None:
    if type(ts) is not int:
        hint = ""
        if hasattr(ts, "timestamp") or isinstance(ts, float):
            hint = "\n  write int(moment.timestamp() * 1000)"
        raise TypeError(
            f"Event: ts must be a whole number of Unix milliseconds, not {show(ts, SHOWN)}{hint}"
        )
    if ts < 0:
        raise ValueError(f"Event: ts must be at least 0, not {ts}")


def _no_data() -> Any:
    return {}


@attrs.frozen(kw_only=True)
class Event(Generic[D]):
    """Something that happened, which may start runs and end waits.

    Args:
        name: What happened. Functions are triggered by it.
        data: What it carries; by default a fresh dict.
        id: An event of an id that was seen within 24 hours is accepted once only. By default the app
            gives one.
        ts: When it happened, in Unix milliseconds; 0 is now. For an event of the future the run is
            queued then.

    Raises:
        TypeError: An argument is of another type.
        ValueError: The name is empty, or the time is negative.

    Example:
        >>> Event(name="order/placed", data={"id": 3})
        Event(name='order/placed', data={'id': 3}, id='', ts=0)
    """

    name: str = attrs.field(validator=_check_name)
    data: D = attrs.field(factory=_no_data)
    id: str = attrs.field(default="", validator=_check_id)
    ts: int = attrs.field(default=0, validator=_check_ts)


#: What can be sent.
Sendable: TypeAlias = Event[Any] | plait._event.Event


@attrs.frozen
class FunctionFailed:
    """What `on_failure` finds in `ctx.event.data`: a run of a function has failed.

    Attributes:
        error: What it failed with.
        event: The event that had started it; of a batch, the first.
        events: All of a batch; else that one.
        function_id: The function.
        run_id: The run that failed.

    Example:
        >>> failed = FunctionFailed(OSError("no disk"), Event(name="a"), (), "shop-fn", "r1")
        >>> f"{failed.function_id}: {failed.error}"
        'shop-fn: no disk'
    """

    error: Exception
    event: Event[Any]
    events: tuple[Event[Any], ...]
    function_id: str
    run_id: str


# ---------------------------------------------------------------- typed events, and their envelopes


def is_event(event: object) -> TypeGuard[Event[Any]]:
    """Say whether this is an event with an envelope."""
    return isinstance(event, Event)


def is_typed_event_class(kind: object) -> TypeGuard[type[plait._event.Event]]:
    """Say whether this is a class of typed events."""
    return isinstance(kind, type) and issubclass(kind, plait._event.Event)


def name_of(event: object, where: str) -> str:
    """Say under which name events travel: of a name that itself, of a class its wire name.

    Args:
        event: What the user gave.
        where: What takes it, for the text of an error.

    Raises:
        TypeError: It is neither, or `plait.Event` itself, which has no fields and no name of its own.
        ValueError: It is an empty text.
    """
    if is_typed_event_class(event):
        if event is plait._event.Event:
            raise TypeError(f"{where} takes a subclass of plait.Event, not plait.Event itself")
        return event.__plait_name__
    if is_event(event):
        raise TypeError(f"{where} takes the name of an event: write {event.name!r}")
    if isinstance(event, plait._event.Event):
        raise TypeError(f"{where} takes the class of an event: write {type(event).__name__}")
    if not isinstance(event, str):
        raise TypeError(
            f"{where} takes the name or the class of an event, not {show(event, SHOWN)}"
        )
    if not event:
        raise ValueError(f"{where} takes the name of an event, which must not be empty")
    return event


def envelope(event: object, where: str = "send()") -> Event[Any]:
    """Put a typed event into an `Event`; one that is in one already stays as it is.

    Raises:
        TypeError: It is no event.
    """
    if is_event(event):
        return event
    if isinstance(event, plait._event.Event):
        return Event(name=name_of(type(event), where), data=event)
    raise TypeError(f"{where} takes events, not {show(event, SHOWN)}{_instead(event)}")


def envelopes(events: Any, where: str = "send()") -> list[Event[Any]]:
    """Make a list of events, of one or of several.

    Raises:
        TypeError: There is something else among them.
    """
    return [envelope(event, where) for event in (events if _are_several(events) else [events])]


def _are_several(events: object) -> bool:
    # An event of plait can be iterated over.
    if isinstance(events, Event | plait._event.Event | str | bytes | Mapping | type):
        return False
    return isinstance(events, Iterable)


def _instead(event: object) -> str:
    if isinstance(event, str):
        return f"\n  write Event(name={event!r})"
    if isinstance(event, Mapping):
        return '\n  write Event(name="...", data=...)'
    if is_typed_event_class(event):
        return f"\n  write {event.__name__}(...)"
    return ""


publish("plait.durable", Event, FunctionFailed)
