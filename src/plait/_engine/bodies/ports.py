"""The ports of a body's calls: what they ask of whoever keeps records, events and other runs.

None of them may report back before it has returned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from plait._kernel.calls.keys import Key
from plait._kernel.calls.records import CallFailed
from plait._kernel.functions.stimuli import Stimulus


class Door(Protocol):
    """The kernel, and who keeps its records: one door for whatever is heard in a run."""

    @property
    def may_move(self) -> bool:
        """Is it worth while to tell `AtRest`? If not, the body waits for the world."""
        ...

    def take_in(self, stimulus: Stimulus, /) -> tuple[Sequence[object], Sequence[object]]:
        """Decide, and have the records kept, in one piece. Not a checkpoint.

        When they are on disk, the brain of the body that lives then is told `Acknowledged`; if they
        cannot be kept, the body is failed. Neither before this has returned.

        Returns:
            The records, and the effects.
        """
        ...


class Output(Protocol):
    """Makes of a value what is recorded, and of that what the body gets."""

    def settle(self, value: object) -> tuple[object, object]:
        """Give what is recorded, and what recovery would read of it. What it raises fails the call."""
        ...

    def read(self, data: object) -> object:
        """Read what was recorded."""
        ...


class Unchanged:
    """An output that is recorded as it is."""

    def settle(self, value: object) -> tuple[object, object]:
        """Give the value, twice."""
        return value, value

    def read(self, data: object) -> object:
        """Give it back."""
        return data


class ErrorOf(Protocol):
    """Makes the exception that a call raises of what is recorded of its failure."""

    def __call__(self, failed: CallFailed, /) -> BaseException:
        """Make it. Live, `failed.error` is what the handler raised; else what was read of it."""
        ...


class Waits(Protocol):
    """Looks out for events; tells `Calls.event_arrived` of the first that a wait accepts."""

    @property
    def since(self) -> int:
        """The number of the last record in the stream of events, as the call is made."""
        ...

    def look_out(self, key: Key, event: str) -> object:
        """Begin to."""
        ...

    def forget(self, key: Key) -> object:
        """Do so no longer."""
        ...

    def overdue(self, key: Key, over: Callable[[], object]) -> bool:
        """Hear that its time is over; say whether an event that came in time is still looked for.

        If so, `over` is called when there is none.
        """
        ...


class Children(Protocol):
    """Runs what is invoked; tells `Calls.child_ended` of its end."""

    def start(self, key: Key, child: str) -> object:
        """Run it, or enter it again, or look up how it ended."""
        ...

    def cancel(self, key: Key, child: str) -> object:
        """Cancel it for good, also if it does not run here."""
        ...

    async def over(self, child: str, /) -> None:
        """Wait until its clean-up is over, if it runs here: whoever has invoked it outlives it."""
        ...
