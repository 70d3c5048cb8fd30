"""What bodies really did, noted outside of the journal: side effects that a crash does not undo.

Rule 1: a note is made when the thing is done, and stays, whatever becomes of the run.
Rule 2: a process that is dead makes no notes. In a simulation its clean-up still runs, since Python
    cannot be killed inside of itself; it is as if it did not.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import attrs
from anyio import current_time


@attrs.frozen
class Note:
    """One thing that somebody did."""

    life: int
    #: `begin`, `end`, `left` for bodies; `answer`; or a word of the program's.
    what: str
    step: str
    #: The delivery's idempotency key.
    key: str
    #: How many attempts of this delivery had failed before.
    attempt: int
    #: What it is about, of which there is one only.
    item: str
    at: float
    #: How many entries of the delivery's stream were on disk.
    kept: int

    @property
    def stream(self) -> str:
        return self.key.split(":")[0]

    @property
    def delivery(self) -> int:
        return int(self.key.rsplit(":", 1)[1])


def _now() -> float:
    """The loop's time, or in a thread another one: only a loop that jumps is asked for it later."""
    try:
        return current_time()
    except RuntimeError:
        return time.monotonic()


class Witness:
    """Takes notes, life by life."""

    def __init__(self, kept: Callable[[str], int], write: Callable[[Note], object]) -> None:
        self.life = 0
        self.alive = True
        self._kept = kept
        self._write = write

    def note(self, what: str, ctx: Any, item: object = "") -> None:
        """Note what the body of a context does."""
        key = ctx.idempotency_key
        self.tell(what, ctx.step_name, key, ctx.retry_info().retry_number, item)

    def tell(self, what: str, step: str, key: str, attempt: int, item: object) -> None:
        """Note something."""
        if self.alive:
            kept = self._kept(key.split(":", maxsplit=1)[0])
            self._write(Note(self.life, what, step, key, attempt, str(item), _now(), kept))

    @contextmanager
    def plain_body(self, ctx: Any, item: object = "") -> Iterator[None]:
        """Do as `body`, for one that runs in a thread."""
        self.note("begin", ctx, item)
        yield
        self.note("end", ctx, item)

    @asynccontextmanager
    async def body(self, ctx: Any, item: object = "") -> AsyncIterator[None]:
        """Note the beginning and the end of a body, or how else it was left."""
        self.note("begin", ctx, item)
        try:
            yield
        except BaseException as error:
            self.note(f"left: {type(error).__name__}", ctx, item)
            raise
        self.note("end", ctx, item)
