"""What the records of a flow's run carry: how it began, and what its steps gave.

Secrets are not in them: a placeholder names each, see `redaction`.
"""

from __future__ import annotations

from plait._abc import JSON
from plait._event import Event, StartEvent
from plait._naming import publish


class FlowStarted(StartEvent):
    """A run of a flow begins.

    Attributes:
        files: The files that it is of.
        params: The values of its params.
        resumed: The run whose results it takes over; `""`: none.
        first: The first run of this line: the keys of its steps are made from that name.
    """

    files: list[str]
    params: dict[str, JSON]
    resumed: str = ""
    first: str = ""


class StepDone(Event):
    """A step, or one item of it, has succeeded.

    Attributes:
        outputs: What it gave, by name.
        fingerprint: What it was asked for; `""` if nobody keeps the run.
        reused: Whether that is from an earlier run.
    """

    outputs: dict[str, JSON]
    fingerprint: str = ""
    reused: bool = False


publish("plait.flows", FlowStarted, StepDone)
