"""What a run shows while it runs: one list of events, any number of readers, each from the first.

The list is kept as long as the run object, so that late readers see everything. A reader is woken
once for a burst, not once for an event, and lets others run after every 64 events.

A bound, where there is one, is on the writer's lead: the events that the slowest open reader has not
taken, or, while none is open, that nobody has.
"""

from __future__ import annotations

import math
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self, final
from weakref import WeakSet

from plait._errors import StreamFullError
from plait._event import Event
from plait._naming import publish

if TYPE_CHECKING:
    from .native import Backend, Happening

#: Events that a reader takes without a checkpoint.
BURST: Final = 64


class Feed:
    """The writing end. It belongs to the run."""

    def __init__(self, buffer: float = math.inf) -> None:
        self.events: list[Event] = []
        self.closed: bool = False
        self._buffer = buffer
        #: Without a bound nobody asks how far the readers have come.
        self.bounded: bool = buffer < math.inf
        #: Made with the first reader: most runs have none.
        self._readers: WeakSet[EventStream] | None = None
        #: The furthest that any reader or listener has come.
        self._taken = 0
        #: Set by the next event; there is none while nobody waits for it.
        self._news: Happening | None = None
        self._blocked: deque[Happening] = deque()
        #: Writers that have been let in and have not written yet.
        self._let_in = 0
        #: Called with each event: a parent run's, to forward it. What they are given is taken.
        self.listeners: list[Callable[[Event], object]] = []

    def publish(self, event: Event) -> None:
        """Add an event and wake the readers that have seen all others."""
        self.events.append(event)
        if self._news is not None:
            self.wake()
        for listener in self.listeners:
            listener(event)
            self._taken = len(self.events)

    def close(self, last: Event) -> None:
        """Add the last event; there will be no other."""
        self.closed = True
        self.publish(last)

    def whisper(self, event: Event) -> None:
        """Tell those readers that have asked for internal events, and keep nothing."""
        for reader in self._readers or ():
            reader._overhear(event)
        self.wake()

    def wake(self) -> None:
        """Wake the readers that wait."""
        if self._news is not None:
            news, self._news = self._news, None
            news.set()

    async def wait(self, backend: Backend) -> None:
        """Wait for the next event."""
        if self._news is None:
            self._news = backend.event()
        await self._news.wait()

    # ------------------------------------------------------------ the bound

    @property
    def backlog(self) -> int:
        """How far the writers are ahead."""
        taken = min((reader._taken for reader in self._readers or ()), default=self._taken)
        return len(self.events) - taken

    def check_room(self) -> None:
        """Raise `StreamFullError` if the backlog is full."""
        if self.bounded and (backlog := self.backlog + self._let_in) >= self._buffer:
            raise StreamFullError(
                f"The stream buffer is full ({backlog} of {self._buffer}). "
                "Use await ctx.emit(ev), which waits."
            )

    async def room(self, backend: Backend) -> None:  # noqa: ASYNC910 - `Attempt.emit` has one
        """Wait until the backlog is not full, first come, first served; then write at once."""
        await backend.checkpoint_if_cancelled()
        if not self._blocked and not self._is_full:
            return
        blocked = backend.event()
        self._blocked.append(blocked)
        try:
            await blocked.wait()
        except backend.cancelled:
            if blocked in self._blocked:
                self._blocked.remove(blocked)
            else:  # its turn had come: the next one's, then
                self._let_in -= 1
                self.admit()
            raise
        self._let_in -= 1

    @property
    def _is_full(self) -> bool:
        return self.bounded and self.backlog + self._let_in >= self._buffer

    def admit(self) -> None:
        """Let those write that wait, as many as there is room for."""
        while self._blocked and not self._is_full:
            self._let_in += 1
            self._blocked.popleft().set()

    def open(self, reader: EventStream) -> None:
        """Count a reader among those that the writers wait for."""
        if self._readers is None:
            self._readers = WeakSet()
        self._readers.add(reader)
        # A collector runs anywhere, in the middle of anything, in any thread.
        lost = weakref.finalize(reader, _call, reader._backend.caller(), self.admit)
        lost.atexit = False

    def leave(self, reader: EventStream) -> None:
        """Stop waiting for a reader."""
        assert self._readers is not None
        self._readers.discard(reader)
        self.admit()

    def took(self, taken: int) -> None:
        """Hear that a reader has come this far."""
        self._taken = max(self._taken, taken)
        self.admit()


@final
class EventStream:
    """The events of a run, from its first to its last, as an async iterator.

    Iteration ends after the terminal event, without raising. Any number of streams may be open on
    one run. A cancelled iteration has taken no event. Use it as an async context manager, or call
    `aclose()`, to stop early; both are optional, since a stream owns no task.

    Example:
        ```python
        async for event in run.stream_events():
            print(event)
        ```
    """

    def __init__(self, feed: Feed, backend: Backend, *, internal: bool = False) -> None:
        self._feed = feed
        self._backend = backend
        self._taken: int = 0
        #: The same, with internal events.
        self._given: int = 0
        self._closed = False
        #: Internal events, each with the number of events that it comes after.
        self._overheard: deque[tuple[int, Event]] | None = deque() if internal else None
        feed.open(self)

    def __aiter__(self) -> Self:
        return self

    def _overhear(self, event: Event) -> None:
        """Keep an internal event, if this stream shows them."""
        if self._overheard is not None:
            self._overheard.append((len(self._feed.events), event))

    async def __anext__(self) -> Event:
        """Take the next event, waiting for it if need be.

        A checkpoint where it waits, and every 64 events. Cancelled, it has taken none.
        """
        feed = self._feed
        if self._given % BURST == 0:
            await self._backend.checkpoint()
        self._given += 1
        while not self._closed:
            if self._overheard and self._overheard[0][0] <= self._taken:
                return self._overheard.popleft()[1]  # noqa: ASYNC910 - as below
            if self._taken < len(feed.events):
                event = feed.events[self._taken]
                self._taken += 1
                if feed.bounded:
                    feed.took(self._taken)
                return event  # noqa: ASYNC910 - a checkpoint for each burst
            if feed.closed:
                break
            await feed.wait(self._backend)
        feed.leave(self)
        raise StopAsyncIteration

    async def __aenter__(self) -> Self:
        return self  # noqa: ASYNC910 - nothing is opened

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close()

    async def aclose(self) -> None:
        """Stop: iteration ends. Calling it twice is fine. A checkpoint."""
        self._close()
        await self._backend.checkpoint()

    def _close(self) -> None:
        self._closed = True
        self._feed.leave(self)
        self._feed.wake()


def _call(soon: Callable[[Callable[[], object]], object], fn: Callable[[], object]) -> None:
    with suppress(RuntimeError):  # the event loop is over: nobody waits
        soon(fn)


publish("plait.events", EventStream)
