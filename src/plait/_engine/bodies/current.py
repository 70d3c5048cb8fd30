"""What a handler can know of its call."""

from __future__ import annotations

from contextvars import ContextVar
from hashlib import sha256
from typing import Final

import attrs

from plait._kernel.calls.keys import Key, key_text


@attrs.frozen
class CurrentStep:
    """The call whose handler runs, and the attempt.

    Example:
        ```python
        step = current_step()
        print(f"{step.step_id}, attempt {step.attempt}, key {step.idempotency_key}")
        ```
    """

    run_id: str
    call: Key
    attempt: int

    @property
    def step_id(self) -> str:
        """The id of the call."""
        return self.call.step_id or ""

    @property
    def key(self) -> str:
        """The call's key, as text."""
        return key_text(self.call)

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt of the call in every process, and different between calls."""
        # A run's id has no line break.
        return sha256(f"{self.run_id}\n{self.key}".encode()).hexdigest()[:32]


#: Set inside a handler, and in the tasks and threads that it starts.
current_step: Final[ContextVar[CurrentStep]] = ContextVar("plait_current_step")
