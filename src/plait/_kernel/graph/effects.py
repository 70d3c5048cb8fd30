"""What the shell must do for steps that follow one another, and for no others."""

from __future__ import annotations

from typing import TypeAlias

from plait._ids import DeliveryId
from plait._kernel import effects
from plait._kernel.value import value


@value
class Launch:
    """Run this delivery's body in a task of its own: it has its slot."""

    delivery: DeliveryId


Effect: TypeAlias = Launch | effects.Effect
