"""Chance of a run: it comes from the run's seed, for each task apart.

So a recovery draws the same, whichever task the event loop runs first. A handler has chance of its own,
for each attempt: it does not run again in a recovery, and must not leave its task's chance changed.
"""

from __future__ import annotations

from hashlib import sha256
from random import Random
from uuid import UUID

from plait._engine.bodies.current import CurrentStep
from plait._engine.bodies.paths import Path
from plait._kernel.calls.keys import Key, key_text


class Chance:
    """The generators of one start of a body.

    Args:
        seed: The run's.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._of_tasks: dict[Path, Random] = {}
        #: Of handlers that run: one at a time in each task.
        self._of_handlers: dict[Path, tuple[CurrentStep, Random]] = {}

    def of_task(self, path: Path) -> Random:
        """Give the generator of the task that has this place."""
        found = self._of_tasks.get(path)
        if found is None:
            place = key_text(Key(path, None, 0))
            found = self._of_tasks[path] = self._new(f"task {place}")
        return found

    def of_handler(self, step: CurrentStep) -> Random:
        """Give the generator of an attempt of a handler."""
        last, found = self._of_handlers.get(step.call.path, (None, None))
        if found is None or last != step:
            found = self._new(f"attempt {step.attempt} of {step.key}")
            self._of_handlers[step.call.path] = (step, found)
        return found

    def _new(self, whose: str) -> Random:
        digest = sha256(f"{self._seed}\n{whose}".encode()).digest()
        return Random(int.from_bytes(digest))  # noqa: S311 - it must be the same again, not secret


def uuid_of(random: Random) -> UUID:
    """Draw a UUID (version 4)."""
    return UUID(int=random.getrandbits(128), version=4)
