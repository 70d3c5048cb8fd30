"""Users' events, and what the kernel has of them. (The thinnest version: see the owner's.)"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from plait._annotations import NOT_GIVEN
from plait._kernel.admission.records import EventReceived
from plait._kernel.admission.stimuli import Arrival

from .event import Event, envelopes
from .function import Function
from .middleware import Middleware, before_send
from .values import Output


class Events:
    def __init__(self, hints: Iterable[object], middleware: Sequence[Middleware]) -> None:
        self._middleware = middleware
        self._output = Output.of_events(*hints)

    @classmethod
    def of(
        cls, functions: Iterable[Function[Any, Any]], middleware: Sequence[Middleware]
    ) -> Events:
        hints = [one.data_type for one in functions]
        return cls([hint for hint in hints if hint is not NOT_GIVEN], middleware)

    def prepare(self, sendables: Any, middleware: Sequence[Middleware]) -> list[Event[Any]]:
        return before_send(middleware, envelopes(sendables))

    def arrivals(
        self, events: Iterable[Event[Any]], *, now: float, new_id: Callable[[], str]
    ) -> tuple[Arrival, ...]:
        return tuple(
            Arrival(one.id or new_id(), one.name, self.write(one.data), one.ts or int(now * 1000))
            for one in events
        )

    def write(self, data: object) -> object:
        return self._output.write(data)

    def event_of(self, received: EventReceived) -> Event[Any]:
        data = self._output.read(received.data)
        return Event(name=received.name, data=data, id=received.id, ts=received.ts)

    def recorded(self, received: EventReceived) -> dict[str, object]:
        return {
            "id": received.id,
            "name": received.name,
            "data": received.data,
            "ts": received.ts,
        }

    def received(self, row: Any, at: float) -> EventReceived:
        return EventReceived(at, 0, row["id"], row["name"], row["data"], row["ts"])
