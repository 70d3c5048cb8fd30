"""Effects: what the shell must now do. Imperative, and only ever a consequence of a record."""

from __future__ import annotations

from typing import TypeAlias

from plait._ids import DeliveryId

from .value import value
from .waits import WaitKey


@value
class Offer:
    """Let one worker more of this step stand ready: there is a delivery and a free slot for it."""

    step: str


@value
class Begin:
    """Run the step's body on this delivery: the answer to a worker that stands ready."""

    delivery: DeliveryId


@value
class Alarm:
    """Report `Due` for this delivery at this time."""

    delivery: DeliveryId
    at: float


@value
class Resume:
    """Let the body go on: its wait has ended, and it has a slot. `event` is the answer."""

    wait: WaitKey
    event: object


@value
class Interrupt:
    """Cancel these bodies; the run goes on."""

    deliveries: tuple[DeliveryId, ...]


@value
class Give:
    """Hand this batch to the caller. The answer to `Contributed`; none means not yet complete."""

    batch: tuple[object, ...]


@value
class Refuse:
    """Raise this in whoever reported: what was asked cannot be done, and nothing has changed."""

    error: Exception


@value
class Publish:
    """Put this event on the run's stream."""

    event: object


@value
class Rest:
    """Tell whoever waits for it that the run is idle: only the outside can move it on."""


@value
class Wind:
    """Wind the run up: cancel its scope, one round of the scheduler from now."""


#: What is done once, and brings nothing back.
Deed: TypeAlias = Publish | Refuse | Resume | Alarm | Interrupt | Rest | Wind
Effect: TypeAlias = Offer | Begin | Give | Deed
