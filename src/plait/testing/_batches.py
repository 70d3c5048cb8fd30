"""A second account of `collect_events`, kept from the records alone.

The kernel counts what is missing, so that a call costs the same whatever is waiting. This account
keeps lists and looks through them: slow, short, and easy to believe.
"""

from __future__ import annotations

from collections.abc import Hashable

from plait._kernel.records import Collected


class Batches:
    """Which calls complete a batch, and with what."""

    def __init__(self) -> None:
        #: What lies in a buffer, by the class that it counts as, in the order of the calls.
        self._lying: dict[Hashable, dict[type, list[object]]] = {}

    def add(self, step: str, record: Collected) -> tuple[object, ...] | None:
        """Take note of a call; the batch, if it completes one."""
        shape = record.shape
        buffer = (step, record.buffer_id, shape.wants, record.key)
        lying = self._lying.setdefault(buffer, {kind: [] for kind in shape.need})
        lying[record.kind].append(record.event)
        if any(len(lying[kind]) < count for kind, count in shape.need.items()):
            return None
        return tuple(lying[kind].pop(0) for kind, count in shape.runs for _ in range(count))
