"""One step of a stepwise run: which delivery it was, and what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plait._event import Event
from plait._ids import DeliveryId
from plait._kernel import records
from plait._kernel.records import Record

if TYPE_CHECKING:
    from .native import Happening


class Walker:
    """An observer that follows the next delivery that starts, to its end."""

    def __init__(self, done: Happening) -> None:
        self.done = done
        self.ended = False
        self.events: list[Event] = []
        self._delivery: DeliveryId | None = None

    def __call__(self, record: Record) -> None:
        """Follow one record."""
        match record:
            case records.Started() if self._delivery is None:
                self._delivery = record.delivery
            case records.Emitted() if record.cause == self._delivery:
                self._add(record.event)
            case records.Completed() if record.delivery == self._delivery:
                self._add(record.event)
                self._end()
            case (
                records.Failed() | records.Interrupted() | records.Retrying() | records.Recovered()
            ) if record.delivery == self._delivery:
                self._end()
            case _:
                pass

    def _add(self, event: object) -> None:
        if isinstance(event, Event):
            self.events.append(event)

    def _end(self) -> None:
        self.ended = True
        self.done.set()
