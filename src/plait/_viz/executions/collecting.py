"""What has been collected in a run, and waits for the rest of its batch."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias

from plait._kernel import records
from plait._kernel.state import RunState
from plait._show import show

from .names import event_name
from .parts import Activity, Buffer, Cause

if TYPE_CHECKING:
    from .reduce import Reducer

#: The step, the id and the key of a buffer, and how many of which class make a batch.
Name: TypeAlias = tuple[object, ...]


class Collections:
    """Follows the buffers of one run. Whoever completes a batch is caused by all that are in it."""

    def __init__(self, reducer: Reducer, find: Callable[[int], Activity]) -> None:
        self._reducer = reducer
        self._buffers = reducer.execution.buffers
        self._find = find
        #: The ids of those who gave their events, by the names of the classes that these count as.
        self._kept: dict[Name, dict[str, deque[str]]] = {}

    def take(self, record: records.Collected) -> None:
        """Take in that a delivery gave its event."""
        activity = self._find(record.delivery)
        need = _names(record.shape.need)
        name = _name(activity.name, record.buffer_id, record.key, need)
        kept = self._kept.setdefault(name, {})
        kept.setdefault(event_name(record.kind), deque()).append(activity.id)
        if all(len(kept.get(kind, ())) >= count for kind, count in need.items()):
            for kind, count in need.items():
                for _ in range(count):
                    source = kept[kind].popleft()
                    if source != activity.id:
                        activity.causes.append(Cause(source, "collected", kind))
        self._reducer.touch(activity)
        if not any(kept.values()):
            del self._kept[name]
            self._buffers.pop(name, None)
            return
        have = {kind: len(sources) for kind, sources in kept.items() if sources}
        if name in self._buffers:
            self._buffers[name].have = have
        else:
            self._buffers[name] = _buffer(name, have, need, self._reducer.at)

    def begin_anew(self, state: RunState) -> None:
        """Take in what a state has collected, instead of what was known of it."""
        self._kept.clear()
        self._buffers.clear()
        for step in state.steps.values():
            for key, buffer in step.buffers.items():
                need = _names(buffer.need)
                name = _name(step.plan.name, key.buffer_id, key.key, need)
                kept = {
                    event_name(kind): deque(f"{step.plan.name}#{number}" for number, _ in line)
                    for kind, line in buffer.have.items()
                }
                self._kept[name] = kept
                have = {kind: len(sources) for kind, sources in kept.items() if sources}
                since = self._reducer.time(buffer.since)
                self._buffers[name] = _buffer(name, have, need, since)


def _names(need: Mapping[type, int]) -> dict[str, int]:
    return {event_name(kind): count for kind, count in need.items()}


def _name(step: str, buffer_id: str, key: object, need: Mapping[str, int]) -> Name:
    return (step, buffer_id, "" if key is None else show(key, 80), *sorted(need.items()))


def _buffer(name: Name, have: dict[str, int], need: dict[str, int], since: float) -> Buffer:
    step, buffer_id, key = map(str, name[:3])
    return Buffer(step, buffer_id, key, have, need, since)
