"""Waits: a body that asks for one event, and goes on when it has come."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import attrs

from plait._ids import DeliveryId

WaitKey: TypeAlias = tuple[DeliveryId, int]


@attrs.frozen
class Wait:
    """One open question of one delivery: its `ordinal`-th."""

    delivery: DeliveryId
    ordinal: int
    step: str
    kind: type
    subclasses: bool
    requirements: Mapping[str, object] = attrs.field(hash=False)
    broadcast: bool
    waiter_id: str
    since: float

    @property
    def key(self) -> WaitKey:
        """How it is known."""
        return self.delivery, self.ordinal

    def wants(self, event: object) -> bool:
        """Say whether this event answers it."""
        kind = type(event)
        if kind is not self.kind and not (self.subclasses and issubclass(kind, self.kind)):
            return False
        missing = object()
        return all(
            getattr(event, name, missing) == wanted for name, wanted in self.requirements.items()
        )


class TimedOutWait:
    """The answer to a wait that has taken too long."""


TIMED_OUT = TimedOutWait()
