"""Who writes, and who waits to: one at a time, first come, first served.

Rule 1: A writer takes its place in the line before its first checkpoint: the order of the calls
    decides, not the scheduler.
Rule 2: Nothing of a backend is kept: whoever must wait makes an event in the loop that runs. A
    line can be made before there is a loop, and serve one loop after another.
Rule 3: A writer inside an edit would wait for itself. Inside is what sees the edit's context
    variable: its block, and the tasks, threads and child runs that are started there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

from plait._engine import native

if TYPE_CHECKING:
    from plait._engine.native import Happening


class Turn:
    """A writer's place in the line."""

    __slots__ = ("come", "line", "over")

    def __init__(self, line: Line) -> None:
        self.line = line
        #: What the writer waits for, unless it came to an empty line.
        self.come: Happening | None = None
        self.over = False


class Line:
    """The line of those who write."""

    def __init__(self) -> None:
        #: The first has its turn. Whoever is over leaves when it is the first.
        self._turns: deque[Turn] = deque()

    def is_inside(self) -> bool:
        """Say whether whoever calls has a turn already, or was started by one who has."""
        return any(turn.line is self and not turn.over for turn in inside.get())

    async def wait(self) -> Turn:
        """Wait for a turn, which the caller must end. A checkpoint; cancelled, there is no turn."""
        backend = native.current()
        turn = Turn(self)
        try:
            self._turns.append(turn)
            if self._turns[0] is turn:
                await backend.checkpoint()
            else:
                turn.come = backend.event()
                await turn.come.wait()
        except BaseException:
            self.end(turn)
            raise
        return turn

    def end(self, turn: Turn) -> None:
        """End a turn, or give up waiting for it: the next one's begins. May be repeated."""
        turn.over = True
        while self._turns and self._turns[0].over:
            self._turns.popleft()
        if self._turns and (come := self._turns[0].come) is not None:
            come.set()


#: The edits that this task or thread is inside of.
inside: Final[ContextVar[tuple[Turn, ...]]] = ContextVar("inside", default=())


@contextmanager
def being_inside(turn: Turn) -> Generator[None]:
    """Mark what runs in the block, and what is started there, as inside of an edit."""
    token = inside.set((*inside.get(), turn))
    try:
        yield
    finally:
        with suppress(ValueError):  # the block is left in another context than it was entered in
            inside.reset(token)
