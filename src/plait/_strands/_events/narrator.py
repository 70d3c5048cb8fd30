"""`verbose=True`: a line for each start and end of a step. An observer, like any other."""

# ruff: noqa: T201 - printing is what it is for.

from __future__ import annotations

from typing import cast

from plait._ids import DeliveryId
from plait._kernel import records
from plait._kernel.records import AnyRecord
from plait._kernel.state import RunState
from plait._show import show


class Narrator:
    """Prints what happens in a run: `[step:worker] started from A`."""

    def __init__(self, state: RunState) -> None:
        self._state = state
        self._who: dict[DeliveryId, str] = {}

    def __call__(self, record: AnyRecord) -> None:
        """Print the line of a record, if it has one."""
        match record:
            case records.Started():
                event = self._state.running[record.delivery].event
                self._who[record.delivery] = who = f"[{record.step}:{record.worker}]"
                print(f"{who} started from {_name(event)}")
            case records.Completed():
                print(f"{self._who.pop(record.delivery)} complete with {_name(record.event)}")
            case records.Retrying():
                who = self._who.pop(record.delivery)
                print(f"{who} failed: {show(record.error)}")
                print(f"{who} retry in {round(record.due - record.at, 3)} s")
            case records.Failed() | records.Recovered():
                print(f"{self._who.pop(record.delivery)} failed: {show(record.error)}")
            case records.Interrupted():
                print(f"{self._who.pop(record.delivery)} cancelled")
            case records.Decided(_, records.Stopped(event)):
                print(f"[result] {show(event)}")
            case _:
                pass


def _name(event: object) -> str:
    if isinstance(event, tuple):
        parts = cast("tuple[object, ...]", event)
        return ", ".join(_name(part) for part in parts) or "an empty list"
    if isinstance(event, records.Listed):
        return f"a list of {event.size}"
    if isinstance(event, list):  # while draining
        return f"a list of {len(cast('list[object]', event))}"
    return "None" if event is None else type(event).__name__
