"""A run that is taken step by step: which body each `run_step()` let run, and what came of it.

Rule: one permit, one body that ends. A body that waits hands its permit on, so that whoever it waits
for can run: what comes of both belongs to the step that is under way.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from plait._event import Event
from plait._ids import OUTSIDE, DeliveryId
from plait._kernel import records
from plait._kernel.records import AnyRecord

if TYPE_CHECKING:
    from .native import Happening


class Stride:
    """One `run_step()`."""

    def __init__(self, done: Happening) -> None:
        self.done = done
        self.ended = False
        self.events: list[Event] = []


class Walker:
    """An observer that hands out what happens, one stride at a time."""

    def __init__(self) -> None:
        #: Those that are not over, the oldest first: what happens is the first one's.
        self._strides: deque[Stride] = deque()
        #: The body that runs, and how many members of the list it returned are to come.
        self._body: DeliveryId | None = None
        self._members = 0

    def begin(self, done: Happening) -> Stride:
        """Take a place behind those who have asked before."""
        stride = Stride(done)
        self._strides.append(stride)
        return stride

    def forgo(self, stride: Stride) -> bool:
        """Say whether a stride was never made; it is forgotten then. Else its body goes on."""
        if stride.done.is_set() or (self._body is not None and self._strides[0] is stride):
            return False
        self._strides.remove(stride)
        return True

    def close(self) -> None:
        """Let everybody go: the run is over."""
        for stride in self._strides:
            stride.done.set()

    def __call__(self, record: AnyRecord) -> None:
        """Follow one record."""
        match record:
            case records.Started():
                self._body = record.delivery
            case records.Resumed() if self._body is None:
                self._body = record.wait[0]
            case records.Waited() if record.wait.delivery == self._body:
                self._body = None
            case records.Emitted() if record.cause != OUTSIDE:
                self._add(record.event)
                if self._members:
                    self._members -= 1
                    self._end(unless=self._members > 0)
            case records.Completed() if record.delivery == self._body:
                if isinstance(record.event, records.Listed):
                    self._members = record.event.size
                self._add(record.event)
                self._end(unless=self._members > 0)
            case (
                records.Failed() | records.Interrupted() | records.Retrying() | records.Recovered()
            ) if record.delivery == self._body:
                self._end()
            case _:
                pass

    def _add(self, event: object) -> None:
        if self._strides and isinstance(event, Event):
            self._strides[0].events.append(event)

    def _end(self, *, unless: bool = False) -> None:
        if unless:
            return
        self._body = None
        if self._strides:
            stride = self._strides.popleft()
            stride.ended = True
            stride.done.set()
