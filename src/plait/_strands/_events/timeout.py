"""`Timeout`: how long a run may take, when a number does not say it."""

from __future__ import annotations

from typing import final

import attrs

from plait._errors import Fault, WorkflowValidationError
from plait._naming import publish

from .advice import was
from .arguments import is_positive
from .places import caller_place


@final
@attrs.frozen
class Timeout:
    """How long a run may take.

    Args:
        seconds: How many seconds.
        while_idle: Does the clock run while the run waits for the outside, and nothing in it does?

    Raises:
        WorkflowValidationError: `seconds` is no number greater than 0.

    Example:
        ```python
        Flow(timeout=Timeout(30, while_idle=False))  # a human may take as long as they like
        ```
    """

    seconds: float
    while_idle: bool = attrs.field(default=True, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if not is_positive(self.seconds):
            text = "timeout must be a number greater than 0 or None"
            raise WorkflowValidationError(Fault(text, *caller_place(), hint=was(self.seconds)))


publish("plait", Timeout)
