"""Events on their way: from what users send to what the app's stream keeps, and back.

Rule 1: all that is wrong with a send is told before any of it is heard of: all events, or none.
Rule 2: data is written once, by the app, which knows the types that its functions take and each typed
    event; then the app's middleware seals it. So it lies in the app's stream, in the streams of the
    runs that it started, and in what waits were given. Nobody else seals it.
Rule 3: each reader gets data of its own. What a run does to it, no other sees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, cast

from plait._annotations import NOT_GIVEN, UnresolvedAnnotation
from plait._errors import ConfigError, ContextSerdeError
from plait._journal.outputs import MAX_VALUE, Output, OutputRefused
from plait._kernel.admission.records import EventReceived
from plait._kernel.admission.stimuli import Arrival
from plait._show import show
from plait._steps.checks import SHOWN

from .event import Event, FunctionFailed, envelopes
from .function import Function
from .middleware import Middleware, before_send, seal, unseal

#: The end of the year 9999, in Unix milliseconds: what is later was meant in another unit.
LATEST: Final = 253_402_300_799_999

#: What a record that is not the app's has of an event.
FIELDS: Final = {"id", "name", "data", "ts"}

#: Of an event that a `buffer=True` wait has taken: its number, so that no other such wait takes it.
NUMBER: Final = "number"


class Events:
    """Writes and reads the events of one app.

    Args:
        hints: The types of data that its functions take, beside typed events.
        middleware: The app's.
        max_value: The largest data, in bytes of JSON.

    Example:
        >>> events = Events()
        >>> [arrival] = events.arrivals([Event(name="a", data={"n": 1})], now=7.5, new_id=str)
        >>> arrival
        Arrival(id='0', name='a', data={'n': 1}, ts=7500)
    """

    def __init__(
        self,
        hints: Iterable[object] = (),
        middleware: Sequence[Middleware] = (),
        *,
        max_value: int = MAX_VALUE,
    ) -> None:
        self._middleware = (*middleware,)
        self._data = Output.of_events(FunctionFailed, *hints, max_value=max_value)

    @classmethod
    def of(
        cls, functions: Iterable[Function[Any, Any]], middleware: Sequence[Middleware] = ()
    ) -> Events:
        """Make them for these functions.

        Raises:
            ConfigError: What a function takes cannot be known: its annotation names what does not exist.
        """
        return cls(tuple(_data_types(functions)), middleware)

    # ------------------------------------------------------------ sent

    def prepare(
        self, given: Any, middleware: Sequence[Middleware] | None = None, where: str = "send()"
    ) -> list[Event[Any]]:
        """Put what is to be sent into envelopes, and hand it through `before_send`.

        Args:
            given: An event, a typed event, or several of either.
            middleware: By default the app's; in a run the function's follow.
            where: Who sends, for the texts of errors.

        Raises:
            TypeError: There is something else among them; or a middleware gave something else.
        """
        stack = self._middleware if middleware is None else middleware
        return before_send(stack, envelopes(given, where))

    def arrivals(
        self,
        events: Sequence[Event[Any]],
        *,
        now: float,
        new_id: Callable[[int], str],
        where: str = "send()",
    ) -> tuple[Arrival, ...]:
        """Write events for the app's stream, each with an id and a time.

        Args:
            events: What `prepare` made.
            now: Unix seconds: the time of an event that has none.
            new_id: Makes the id of the k-th event, if it has none.
            where: Who sends, for the texts of errors.

        Raises:
            ContextSerdeError: The data of one cannot be recorded.
            ValueError: Its time is no time in milliseconds.
        """
        return tuple(
            self._arrival(event, k, now, new_id, _place(where, event, k, len(events)))
            for k, event in enumerate(events)
        )

    def _arrival(
        self, event: Event[Any], k: int, now: float, new_id: Callable[[int], str], place: str
    ) -> Arrival:
        if event.ts > LATEST:
            raise ValueError(f"{place} has ts={event.ts}: that is not in Unix milliseconds")
        try:
            data = self.write(event.data)
        except OutputRefused as refused:
            raise ContextSerdeError(f"{place} has data that is not sent. {refused}") from refused
        ts = event.ts or int(now * 1000)
        return Arrival(event.id or new_id(k), event.name, data, ts)

    def write(self, data: object) -> object:
        """Write the data of an event.

        Raises:
            OutputRefused: It cannot be written, or is too large.
            TypeError: A middleware gave no bytes.
        """
        return seal(self._middleware, self._data.write(data))

    # ------------------------------------------------------------ received

    def event_of(self, received: EventReceived) -> Event[Any]:
        """Read an event that was received; its data is nobody else's.

        Raises:
            ContextSerdeError: Its data is of a class that is not known any more, or cannot be opened.
            TypeError: A middleware gave no bytes.
        """
        return self._event(received.id, received.name, received.data, received.ts)

    def read(self, recorded: object) -> Event[Any]:
        """Read what `recorded` has made.

        Raises:
            ContextSerdeError: It is something else; or as for `event_of`.
        """
        found = _fields(recorded)
        return self._event(found["id"], found["name"], found["data"], found["ts"])

    def _event(self, event_id: str, name: str, data: object, ts: int) -> Event[Any]:
        value = self._data.read(unseal(self._middleware, data))
        return Event(name=name, data=value, id=event_id, ts=ts)


# ---------------------------------------------------------------- in records that are not the app's


def recorded(received: EventReceived) -> dict[str, object]:
    """Write an event as the records of a run have it."""
    return {
        "id": received.id,
        "name": received.name,
        "data": received.data,
        "ts": received.ts,
    }


def received(recorded: object, at: float) -> EventReceived:
    """Make of what a run has of an event what the app had. It has no number there.

    Raises:
        ContextSerdeError: It is something else.
    """
    found = _fields(recorded)
    return EventReceived(at, 0, found["id"], found["name"], found["data"], found["ts"])


def _fields(given: Any) -> dict[str, Any]:
    found = cast("dict[str, Any]", given) if isinstance(given, dict) else {}
    if (
        {*found} - {NUMBER} != FIELDS
        or not isinstance(found["id"], str)
        or not isinstance(found["name"], str)
        or not found["name"]
        or type(found["ts"]) is not int
        or found["ts"] < 0
    ):
        raise ContextSerdeError(f"This is no recorded event: {show(cast('object', given), 200)}")
    return found


# ---------------------------------------------------------------- what is wrong, and with which


def _data_types(functions: Iterable[Function[Any, Any]]) -> Iterable[object]:
    for function in functions:
        try:
            hint = function.data_type
        except UnresolvedAnnotation as unresolved:
            raise ConfigError(
                f"What {function.fn_id!r} takes cannot be known: {unresolved.reason}\n"
                "  import the name where the program runs, not under TYPE_CHECKING",
                function=function.fn_id,
            ) from None
        if hint is not NOT_GIVEN:
            yield hint


def _place(where: str, event: Event[Any], k: int, count: int) -> str:
    which = "" if count == 1 else f" ({k + 1} of {count})"
    return f"{where}: event {show(event.name, SHOWN)}{which}"
