"""Effects: what the shell must now do. Imperative, and only ever a consequence of a record."""

from __future__ import annotations

from typing import TypeAlias

import attrs

from .state import Delivery


@attrs.frozen
class Offer:
    """Let one worker more of this step stand ready: there is a delivery and a free slot for it."""

    step: str


@attrs.frozen
class Begin:
    """Run the step's body on this delivery. The answer to `Ready`."""

    delivery: Delivery


@attrs.frozen
class Give:
    """Hand this batch to the caller. The answer to `Contributed`; none means not yet complete."""

    batch: tuple[object, ...]


@attrs.frozen
class Refuse:
    """Raise this in whoever reported: what was asked cannot be done, and nothing has changed."""

    error: Exception


@attrs.frozen
class Publish:
    """Put this event on the run's stream."""

    event: object


@attrs.frozen
class Rest:
    """Tell whoever waits for it that the run is idle: only the outside can move it on."""


@attrs.frozen
class Wind:
    """Wind the run up: cancel its scope, one round of the scheduler from now."""


Effect: TypeAlias = Offer | Begin | Give | Publish | Refuse | Rest | Wind
