"""What a run shows while it runs: one list of events, any number of readers, each from the first.

The list is kept as long as the run object, so that late readers see everything. A reader is woken
once for a burst, not once for an event, and lets others run after every 64 events.
"""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Final, Self, final

from plait._event import Event
from plait._naming import publish

if TYPE_CHECKING:
    from .native import Backend, Happening

#: Events that a reader takes without a checkpoint.
BURST: Final = 64


class Feed:
    """The writing end. It belongs to the run."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.closed = False
        self._sleepers: list[Happening] = []

    def publish(self, event: Event) -> None:
        """Add an event and wake the readers that have seen all others."""
        self.events.append(event)
        self._wake()

    def close(self, last: Event) -> None:
        """Add the last event; there will be no other."""
        self.closed = True
        self.publish(last)

    def _wake(self) -> None:
        if self._sleepers:
            sleepers, self._sleepers = self._sleepers, []
            for sleeper in sleepers:
                sleeper.set()

    async def wait(self, backend: Backend) -> None:
        """Wait for the next event."""
        sleeper = backend.event()
        self._sleepers.append(sleeper)
        await sleeper.wait()


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

    def __init__(self, feed: Feed, backend: Backend) -> None:
        self._feed = feed
        self._backend = backend
        self._taken = 0
        self._closed = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        """Take the next event, waiting for it if need be. A checkpoint every 64 events."""
        feed = self._feed
        if self._taken % BURST == 0:
            await self._backend.checkpoint()
        while not self._closed:
            if self._taken < len(feed.events):
                event = feed.events[self._taken]
                self._taken += 1
                return event  # noqa: ASYNC910 - a checkpoint for each burst
            if feed.closed:
                break
            await feed.wait(self._backend)
        raise StopAsyncIteration

    async def __aenter__(self) -> Self:
        return self  # noqa: ASYNC910 - nothing is opened

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:  # a stream owns no task: nothing to wait for
        self._closed = True

    async def aclose(self) -> None:
        """Stop: iteration ends. Calling it twice is fine. A checkpoint."""
        self._closed = True
        await self._backend.checkpoint()


publish("plait.events", EventStream)
