"""What a durable function really did, noted outside of the journal: by its handlers and by its body.

Rule 1: a note is made when the thing is done, and stays, whatever becomes of the run.
Rule 2: a process that is dead makes no notes. Its clean-up still runs here, as Python cannot be killed
    inside of itself; it is as if it did not.
Rule 3: what is wrong at the moment is said at the moment: a handler that begins though the disk has its
    outcome, a body that sees what the disk does not have.
"""

from __future__ import annotations

import json
from collections import Counter
from random import Random
from typing import Any, Final

import anyio
import anyio.lowlevel
import attrs

from plait.durable import current_step
from tests.faults.journal.disk import Disk

OUTCOMES: Final = ("step.completed", "step.failed")
#: Seconds that a handler takes, in virtual time.
TIMES: Final = (0.0, 0.0, 0.1, 0.5, 1.0, 1.5)


@attrs.frozen
class Begun:
    """A handler that has begun."""

    life: int
    key: str
    idempotency_key: str
    attempt: int


class Witness:
    """Takes notes of one run, life by life."""

    def __init__(self, disk: Disk, random: Random) -> None:
        self.disk: Final = disk
        #: Of how long things take: it is another world in each life.
        self.random: Final = random
        self.life = 0
        self.alive = True
        #: Is the run being suspended? What its body makes of that comes to nothing.
        self.leaves = False
        self.begun: Final[list[Begun]] = []
        #: What a body saw, one after the other: by life, and by attempt of the body and lane.
        self.seen: Final[dict[tuple[int, tuple[int, str]], list[object]]] = {}
        self.wrong: Final[list[str]] = []
        self._tokens = 0
        self._read = _Reader(disk)

    # ------------------------------------------------------------ handlers

    def begins(self) -> int:
        """Note that a handler begins; its attempt."""
        step = current_step()
        if not self.alive:
            return step.attempt
        self.begun.append(Begun(self.life, step.key, step.idempotency_key, step.attempt))
        place = f"{step.key}, attempt {step.attempt}, in life {self.life}"
        known = self._read.of_run()
        if step.key in known.outcomes:
            self.wrong.append(f"{place} runs, and its outcome is recorded")
        if step.key in known.cancelled:
            self.wrong.append(f"{place} runs, and was cancelled")
        if step.attempt != known.retries[step.key]:
            self.wrong.append(f"{place} runs; {known.retries[step.key]} have failed on record")
        return step.attempt

    async def takes(self) -> None:
        """Take a time that is another one in each life."""
        for _ in range(self.random.randrange(3)):
            await anyio.lowlevel.checkpoint()
        await anyio.sleep(self.random.choice(TIMES))

    async def gives(self, item: Any, fails: int = 0) -> str:
        """Be a handler: fail so many times, then return what nobody else returns."""
        attempt = self.begins()
        await self.takes()
        if attempt < fails:
            raise ValueError(f"{item} failed")
        self._tokens += 1
        return f"{item}#{self._tokens}"

    async def fails(self, item: Any) -> str:
        """Be a handler that fails."""
        self.begins()
        await self.takes()
        raise ValueError(f"{item} failed")

    async def lingers(self, item: Any) -> str:
        """Be a handler that never ends, and takes its time when it is cancelled."""
        self.begins()
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await self.takes()
        return str(item)

    async def says_goodbye(self, done: bool) -> bool:  # noqa: FBT001 - a handler's
        """Be a handler in a `finally`, which nobody is to come to before the rest is done."""
        self.begins()
        if self.alive and not done:
            self.wrong.append(f"a step of the clean-up ran in life {self.life}, and was not due")
        return done

    # ------------------------------------------------------------ the body

    async def idle(self) -> None:
        """Do something between two calls, that takes a number of turns nobody knows."""
        for _ in range(self.random.randrange(3)):
            await anyio.lowlevel.checkpoint()

    def sees(self, attempt: int, what: Any, lane: str = "") -> None:
        """Note what the body has seen: the outcome of a call, or what it made of outcomes.

        Args:
            attempt: The body's.
            what: The same in each life, and in the same order.
            lane: Of which that is true.
        """
        if not self.alive or self.leaves:
            return
        self.seen.setdefault((self.life, (attempt, lane)), []).append(what)
        if isinstance(what, str) and "#" in what and what not in self._read.of_run().values:
            self.wrong.append(f"the body saw {what} in life {self.life}, and the disk has it not")


@attrs.define
class Known:
    """What the disk has of the run."""

    outcomes: set[str] = attrs.field(factory=set)
    values: set[str] = attrs.field(factory=set)
    #: Since the body's last attempt began.
    cancelled: set[str] = attrs.field(factory=set)
    retries: Counter[str] = attrs.field(factory=Counter)
    #: How many entries were read.
    read: int = 0


class _Reader:
    """Reads the entries of the run as the JSON that they are, and each once."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._known = Known()

    def of_run(self) -> Known:
        known = self._known
        entries = self._disk.streams[run_of(self._disk) or ""]
        for entry in entries[known.read :]:
            if entry.kind in OUTCOMES:
                assert entry.key is not None
                known.outcomes.add(entry.key)
                value = json.loads(entry.body).get("value")
                if isinstance(value, str):
                    known.values.add(value)
            elif entry.kind == "step.cancelled":
                assert entry.key is not None
                known.cancelled.add(entry.key)
            elif entry.kind == "step.retrying":
                assert entry.key is not None
                known.retries[entry.key] += 1
            elif entry.kind == "run.retrying":
                known.cancelled.clear()
        known.read = len(entries)
        return known


def run_of(disk: Disk) -> str | None:
    """Name the run of which a disk has the stream."""
    found = [stream for stream in disk.streams if not stream.startswith("app/")]
    assert len(found) <= 1, found
    return found[0] if found else None
