"""Waits for events: who waits for which, and who is told of what.

Rule 1: *A wait is for what comes after it* in the stream of the app. Where that was is recorded with
    the wait: so one that goes on after a restart gets what came meanwhile, and nothing else.
Rule 2: *`buffer=True` is for what came before as well*, since the run was queued, the oldest first. What
    one such wait of a run was given, no other such wait of this run gets. Other waits take no notice.
Rule 3: *The past first.* While it is looked through, what arrives waits; and a wait whose time is over
    meanwhile ends only when the past has nothing for it that came in time.
Rule 4: *Who cannot say whether he accepts an event fails his own call*, and no other.

Nothing is kept for all this: see `past` for how the past is found. Which events buffered waits were
given is in the records of the waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol, TypeAlias, cast

from plait._kernel.admission.records import EventReceived
from plait._kernel.calls.keys import Key
from plait._kernel.calls.records import CallCompleted
from plait._kernel.calls.state import BodyState

from .arrivals import NUMBER, Events, recorded
from .event import Event
from .past import FEW, PAGE, History

Predicate: TypeAlias = Callable[[Event[Any]], bool]
#: So many names are remembered with the place of their last event. Of others the past is looked at.
NAMES: Final = 10_000
#: Runs something beside what runs already: a nursery's `start_soon`.
Spawn: TypeAlias = Callable[[Callable[[], Coroutine[Any, Any, None]]], object]


class HearsOfEvents(Protocol):
    """The calls of one start of a body. The engine's `Calls` are such."""

    @property
    def state(self) -> BodyState:
        """What is known of them."""
        ...

    def event_arrived(self, key: Key, value: object, error: object = None) -> bool:
        """As `Calls.event_arrived`."""
        ...


class Inbox:
    """Tells waits of the events that one app receives. Made where an event loop runs.

    Args:
        events: Reads events.
        history: Finds those that came before.
        last: Where the stream of the app is: the place of its last record.
        first_event: Of a run that has not ended: the number of its first event.
    """

    def __init__(
        self,
        events: Events,
        history: History,
        *,
        last: Callable[[], int],
        first_event: Callable[[str], int],
    ) -> None:
        self.events = events
        self.history = history
        self.last = last
        self.first_event = first_event
        #: Of what came before this nothing is known: it was another process, for example.
        self._began = last()
        #: The place of the last event of each name that has come since then.
        self._latest: dict[str, int] = {}
        #: In the order in which they began to look out.
        self._waits: dict[str, dict[Wait, None]] = {}
        self._shown: tuple[EventReceived, Event[Any]] | None = None

    def run(
        self,
        run_id: str,
        calls: HearsOfEvents,
        fail: Callable[[BaseException], object],
        spawn: Spawn,
    ) -> RunWaits:
        """Make the waits of a start of a body. Not a checkpoint.

        Args:
            run_id: The run.
            calls: Its calls.
            fail: Told if the past cannot be read: the body cannot go on.
            spawn: Where the past is looked through: it ends with the run's host.
        """
        return RunWaits(self, run_id, calls, fail, spawn)

    def received(self, event: EventReceived, place: int) -> None:
        """Hear of an event that the app has accepted, as it is appended. Not a checkpoint.

        What it ends is to be in the same append: whoever calls this collects meanwhile.

        Args:
            event: One that was made for a function, by `invoke` or a tick, is for nobody else.
            place: Of its record in the app's stream.
        """
        if event.to:
            return
        if len(self._latest) == NAMES:
            self._began, self._latest = place - 1, {}
        self._latest[event.name] = place
        for wait in [*self._waits.get(event.name, ())]:
            wait.offer(event, place)

    def shown(self, event: EventReceived) -> Event[Any]:
        """Read an event for who says whether it is accepted: all who are asked about it see one object."""
        if self._shown is None or self._shown[0] is not event:
            self._shown = event, self.events.event_of(event)
        return self._shown[1]

    def join(self, name: str, wait: Wait) -> None:
        """Tell a wait of events of this name from now on."""
        self._waits.setdefault(name, {})[wait] = None

    def leave(self, name: str, wait: Wait) -> None:
        """Tell it no more."""
        waits = self._waits.get(name, {})
        waits.pop(wait, None)
        if not waits:
            self._waits.pop(name, None)

    def has_past(self, name: str, after: int) -> bool:
        """Say whether there may have been an event of this name after a place."""
        return after < self._began or self._latest.get(name, 0) > after


class RunWaits:
    """The waits of one start of a body."""

    def __init__(
        self,
        inbox: Inbox,
        run_id: str,
        calls: HearsOfEvents,
        fail: Callable[[BaseException], object],
        spawn: Spawn,
    ) -> None:
        self.inbox = inbox
        self.calls = calls
        self.fail = fail
        self.spawn = spawn
        self._run_id = run_id
        self._queued: int | None = None
        #: The numbers of the events that buffered waits were given, rule 2.
        self.taken: set[int] = {*_taken(calls.state)}

    def wait(self, if_exp: Predicate | None = None, buffer: bool = False) -> Wait:  # noqa: FBT001, FBT002 - as the port has it
        """Make what looks out for the event of the call that is about to be made.

        Args:
            if_exp: Says whether an event is accepted; by default any is.
            buffer: May it be one that came before the call?
        """
        return Wait(self, if_exp, buffer=buffer)

    async def queued(self) -> int:
        """Find where the run was queued. A checkpoint when it is first asked for."""
        if self._queued is None:
            inbox = self.inbox
            number = inbox.first_event(self._run_id)
            self._queued = await inbox.history.queued(self._run_id, number, inbox.last())
        return self._queued  # noqa: ASYNC910 - it has been found


def _taken(state: BodyState) -> list[int]:
    values = [
        past.ending.value
        for past in state.past.values()
        if isinstance(past.ending, CallCompleted) and past.ending.op == "wait"
    ]
    found = [cast("dict[str, Any]", value) for value in values if isinstance(value, dict)]
    return [value[NUMBER] for value in found if NUMBER in value]


class Wait:
    """One call of `wait_for_event`: looks out for its event, and reads what is recorded of it."""

    def __init__(self, run: RunWaits, if_exp: Predicate | None, *, buffer: bool) -> None:
        self._run = run
        self._if_exp = if_exp
        self._buffer = buffer
        self._since = run.inbox.last()
        self._key: Key | None = None
        self._name = ""
        #: Up to here it is for who looks through the past.
        self._upto = 0
        #: What has arrived since: while the past is looked through; else `None`.
        self._arrived: deque[EventReceived] | None = None
        #: What is to be called when the past has nothing, since the time is over.
        self._over: Callable[[], object] | None = None

    # ------------------------------------------------------------ the port of the calls

    @property
    def since(self) -> int:
        """The place of the last record of the app's stream, as the call is made."""
        return self._since

    def look_out(self, key: Key, event: str) -> None:
        """Begin to look out. Not a checkpoint; nothing is reported at once."""
        inbox = self._run.inbox
        self._key, self._name, self._upto = key, event, inbox.last()
        after = self._scheduled_at(key)
        inbox.join(event, self)
        if self._buffer or inbox.has_past(event, after):
            self._arrived = deque()
            self._run.spawn(self._look_back)

    def forget(self, key: Key) -> None:  # noqa: ARG002 - it has one
        """Look out no longer."""
        self._leave()

    def overdue(self, key: Key, over: Callable[[], object]) -> bool:  # noqa: ARG002 - it has one
        """Hear that the time is over, rule 3."""
        if self._key is None or self._arrived is None:
            return False
        self._over = over
        return True

    def _scheduled_at(self, key: Key) -> int:
        """Say where the app's stream was when the call was recorded, in whatever process."""
        past = self._run.calls.state.past.get(key)
        scheduled = None if past is None else past.scheduled
        if scheduled is None or scheduled.since is None:
            return self._since
        return scheduled.since

    def _due_at(self, key: Key) -> float:
        past = self._run.calls.state.past.get(key)
        scheduled = None if past is None else past.scheduled
        due_at = None if scheduled is None else scheduled.due_at
        return float("inf") if due_at is None else due_at

    @property
    def _is_over(self) -> bool:
        """Has an event been reported, or was it told to forget it?"""
        return self._key is None

    # ------------------------------------------------------------ the output of the calls

    def settle(self, value: object) -> tuple[object, object]:
        """Give the value, twice: a wait has no handler."""
        return value, value

    def read(self, data: object) -> Event[Any] | None:
        """Read what is recorded: an event, or `None` if none came in time.

        Raises:
            ContextSerdeError: It is something else.
        """
        return None if data is None else self._run.inbox.events.read(data)

    # ------------------------------------------------------------ events

    def offer(self, event: EventReceived, place: int) -> None:
        """Hear of an event that arrives."""
        if place <= self._upto:
            return  # who looks through the past comes to it
        if self._arrived is not None:
            self._arrived.append(event)
        else:
            self._try(event)

    async def _look_back(self) -> None:
        """Rule 3."""
        try:
            if await self._find():
                return
        except Exception as error:  # noqa: BLE001 - the body is suspended, and its host raises it
            self._leave()
            self._run.fail(error)
            return  # noqa: ASYNC910 - a task of its own
        while self._arrived:
            self._try(self._arrived.popleft())
        self._arrived = None
        if self._over is not None and not self._is_over:
            self._over()

    async def _find(self) -> bool:
        """Look through the past; say whether the wait is over."""
        key, history = self._key, self._run.inbox.history
        if key is None:
            return True  # noqa: ASYNC910 - a task of its own
        after = await self._run.queued() if self._buffer else self._scheduled_at(key)
        places = await history.places(self._name, after, self._upto)
        limit = FEW
        while places and not self._is_over:
            events = await history.events(places, limit)
            for event in events:
                self._try(event)
            places, limit = places[len(events) :], PAGE
        return self._is_over

    def _try(self, event: EventReceived) -> None:
        """Report an event, if it is accepted."""
        key, run = self._key, self._run
        if key is None or event.at > self._due_at(key):
            return
        if self._buffer and event.number in run.taken:
            return
        try:
            if self._if_exp is not None and not self._if_exp(run.inbox.shown(event)):
                return
        except Exception as error:  # noqa: BLE001 - rule 4
            self._leave()
            run.calls.event_arrived(key, None, error)
            return
        value = recorded(event)
        if self._buffer:
            value[NUMBER] = event.number
        self._leave()
        if run.calls.event_arrived(key, value) and self._buffer:
            run.taken.add(event.number)

    def _leave(self) -> None:
        self._key = None
        self._run.inbox.leave(self._name, self)
