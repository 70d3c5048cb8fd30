"""The app's stream in this process: who may start, and when. What the kernel says of it is done here.

It is told what happens, and writes at once: a stimulus is heard when it comes, in the order in which it
comes. What belongs into the same append goes along; all else is done when that is on disk.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from plait._engine.bodies.timers import Alarm, Timers
from plait._errors import JournalError
from plait._kernel.admission import effects, stimuli
from plait._kernel.admission.advance import advance
from plait._kernel.admission.effects import Effect
from plait._kernel.admission.heap import Rank
from plait._kernel.admission.keeping import kept
from plait._kernel.admission.records import EventReceived, RunLeft
from plait._kernel.admission.state import AppState, Run
from plait._kernel.admission.stimuli import Stimulus
from plait._kernel.calls.keys import Key

if TYPE_CHECKING:
    from plait._engine.native import Backend, Happening

    from .book import Book


class OpensStreams(Protocol):
    """What admission needs of the streams of runs."""

    def queue(self, effect: effects.QueueRun) -> None:
        """Open the stream of a run, within the append that is being collected."""
        ...

    def cancel_queued(self, run: effects.QueueRun, reason: str) -> None:
        """End a run that has not started, within the append that is being collected."""
        ...


class Runs(Protocol):
    """What admission needs of whoever has the runs."""

    def received(self, event: EventReceived, place: int) -> None:
        """Hand an event to who waits for it, within the append that is being collected."""
        ...

    def start(self, effect: effects.StartRun) -> None:
        """Start a run."""
        ...

    def cancel(self, run_id: str, reason: str) -> None:
        """Cancel a run that has started."""
        ...

    def never_started(self, run_id: str, reason: str) -> None:
        """Tell whoever waits that a run was cancelled in the queue."""
        ...

    def failed(self, error: BaseException) -> None:
        """Hear that the journal, or plait, has failed."""
        ...

    def trouble(self, report: effects.Report) -> None:
        """Hear what a callable of the user's has raised, and nobody waits for that."""
        ...

    def news(self) -> None:
        """Look at what is queued, and what runs: something may have changed."""
        ...


class Heard:
    """One stimulus that was heard: what the kernel said, and is it on disk?"""

    def __init__(self, done: Happening, *, unheard: bool = False) -> None:
        self.effects: Sequence[Effect] = ()
        self.done = done
        #: Does nobody wait for what it leads to?
        self.unheard = unheard
        self.error: JournalError | None = None


class Admission:
    """The driver of one app's admission.

    Args:
        state: What the journal has.
        book: Where records go.
        timers: Who rings.
        runs: Who has the runs.
        streams: Where they are recorded.
        native: The backend.
    """

    def __init__(
        self,
        state: AppState,
        *,
        book: Book,
        timers: Timers,
        runs: Runs,
        streams: OpensStreams,
        native: Backend,
    ) -> None:
        self.state: Final = state
        self._book = book
        self._timers = timers
        self._runs = runs
        self._streams = streams
        self._native = native
        self._alarm: Alarm | None = None
        #: Those who wait for a slot for their handlers.
        self._slots: dict[object, Happening] = {}
        #: Those of them who have not asked yet, with their ranks.
        self._asking: dict[tuple[str, Key], tuple[Rank, int]] = {}
        self._call_soon = native.caller()
        #: Those that wait in the queue.
        self._queued: dict[str, effects.QueueRun] = {
            run.run_id: _as_queued(run) for run in state.runs.values() if run.started_at is None
        }
        #: Children that have started and are to be cancelled, by their parents.
        self._ending: dict[str, list[str]] = {}
        for run in state.runs.values():
            if run.started_at is not None and run.cancelled is not None:
                self._ends(run)
        #: What is heard while something is being heard.
        self._pending: deque[tuple[Stimulus, Heard]] = deque()
        self._hearing = False
        native.protect(Admission.hear)

    def now(self) -> float:
        """Read the wall clock."""
        return self._timers.now()

    def hear(self, stimulus: Stimulus, *, unheard: bool = False) -> Heard:
        """Take in what has happened. Not a checkpoint.

        Args:
            stimulus: What has happened.
            unheard: Does nobody look at what it leads to? Then what callables raise is logged.

        Returns:
            What is known of it.
        """
        heard = Heard(self._native.event(), unheard=unheard)
        self._pending.append((stimulus, heard))
        if self._hearing:
            return heard  # within the append of who is heard now
        self._hearing = True
        try:
            with self._book.together():
                while self._pending:
                    self._take(*self._pending.popleft())
        finally:
            self._hearing = False
        return heard

    async def commit(self, stimulus: Stimulus) -> Sequence[Effect]:
        """Take it in, and wait until it is on disk. A checkpoint.

        Raises:
            JournalError: It is not.
        """
        heard = self.hear(stimulus)
        await heard.done.wait()
        if heard.error is not None:
            raise heard.error
        return heard.effects

    def _take(self, stimulus: Stimulus, heard: Heard) -> None:
        written, todo = advance(self.state, stimulus)
        heard.effects = todo
        records = kept(written)
        first = self._book.app_n + 1
        if records:
            self._book.app_n += len(records)
            entries = self._book.app.entries([*enumerate(records, first)])
            self._book.append(entries, partial(self._is_kept, heard))
        later: list[Effect] = []
        for effect in todo:
            match effect:
                case effects.QueueRun(run_id):
                    self._queued[run_id] = effect
                    self._streams.queue(effect)
                case effects.CancelRun(run_id, reason, started=False):
                    self._streams.cancel_queued(self._queued.pop(run_id), reason)
                    later.append(effect)
                case _:
                    if isinstance(effect, effects.StartRun):
                        self._queued.pop(effect.run_id, None)
                    later.append(effect)
        for place, record in enumerate(records, first):
            match record:
                case EventReceived():
                    self._runs.received(record, place)
                case RunLeft(run_id=run_id):
                    self._ending.pop(run_id, None)
                case _:
                    pass
        heard.effects = later
        if not records:
            self._perform_all(heard)

    def _is_kept(self, heard: Heard, error: JournalError | None) -> None:
        if error is not None:
            heard.error = error
            heard.done.set()
            self._runs.failed(error)
            return
        try:
            self._perform_all(heard)
        except BaseException as trouble:  # noqa: BLE001, ASYNC103 - called by the event loop
            self._runs.failed(trouble)  # noqa: ASYNC104

    def _perform_all(self, heard: Heard) -> None:
        for effect in heard.effects:
            self._perform(effect)
            if heard.unheard and isinstance(effect, effects.Report):
                self._runs.trouble(effect)
        heard.done.set()
        self._runs.news()

    def _perform(self, effect: Effect) -> None:
        match effect:
            case effects.StartRun():
                self._runs.start(effect)
            case effects.CancelRun(run_id, reason, started=True):
                if (run := self.state.runs.get(run_id)) is not None:
                    self._ends(run)
                self._runs.cancel(run_id, reason)
            case effects.CancelRun(run_id, reason):
                self._runs.never_started(run_id, reason)
            case effects.GiveSlot(call):
                if (slot := self._slots.get(call)) is not None:
                    slot.set()
            case effects.Wake(at):
                self._wake(at)
            case _:
                pass  # for whoever has told of the stimulus

    def _wake(self, at: float | None) -> None:
        if self._alarm is not None:
            self._alarm.clear()
        self._alarm = None if at is None else self._timers.set(at, self._ring)

    def _ring(self) -> None:
        try:
            self.hear(stimuli.TimePassed(self.now()))
        except BaseException as error:  # noqa: BLE001, ASYNC103 - called by whoever serves the alarms
            self._runs.failed(error)  # noqa: ASYNC104

    # ------------------------------------------------------------ handlers

    def slot(self, run_id: str, key: Key) -> AbstractAsyncContextManager[None] | None:
        """Have a slot for a handler. Entered at a checkpoint, if it waits. `None`: nothing limits it."""
        run = self.state.runs.get(run_id)
        return None if run is None or not run.keys.handlers else self._slot(run, key)

    @asynccontextmanager
    async def _slot(self, run: Run, key: Key) -> AsyncGenerator[None]:
        call = (run.run_id, key)
        self._slots[call] = slot = self._native.event()
        if not self._asking:
            # Twice: the first call may come in this very pass of the loop, between two tasks.
            self._call_soon(partial(self._call_soon, self._ask))
        self._asking[call] = run.rank, len(self._asking)
        try:
            await slot.wait()
            yield
        finally:
            del self._slots[call]
            if self._asking.pop(call, None) is None:
                self.hear(stimuli.HandlerLeft(self.now(), call))

    def _ask(self) -> None:
        """Ask for the slots of all who came in this pass of the loop, those of the oldest run first.

        The scheduler runs the tasks of one moment in any order.
        """
        asking, self._asking = self._asking, {}
        try:
            for call in sorted(asking, key=asking.__getitem__):
                self.hear(stimuli.HandlerAsked(self.now(), call[0], call))
        except BaseException as error:  # noqa: BLE001, ASYNC103 - called by the event loop
            self._runs.failed(error)  # noqa: ASYNC104

    # ------------------------------------------------------------ what is said of it

    def unfinished_roots(self) -> list[Run]:
        """List the runs that have started, and whose parents do not look after them."""
        among = self.state.runs
        runs = [
            run
            for run in among.values()
            if run.started_at is not None and (run.parent is None or run.parent not in among)
        ]
        return sorted(runs, key=lambda run: (run.started_at, run.order))

    def has_started(self, run_id: str) -> bool:
        """Say whether a run has started: is it for somebody to host?"""
        run = self.state.runs.get(run_id)
        return run is not None and run.started_at is not None

    def ending_children(self, run_id: str) -> list[str]:
        """List the children that have started and are to be cancelled: their calls are not made again."""
        return [child for child in self._ending.get(run_id, ()) if child in self.state.runs]

    def _ends(self, run: Run) -> None:
        if run.parent is not None:
            self._ending.setdefault(run.parent, []).append(run.run_id)

    def is_idle(self, except_for: Callable[[str], bool]) -> bool:
        """Say whether nothing is queued, running or collected, apart from these runs."""
        state = self.state
        if any(own.bursts or own.batches for own in state.functions.values()):
            return False
        return all(except_for(run_id) for run_id in state.runs)


def _as_queued(run: Run) -> effects.QueueRun:
    return effects.QueueRun(run.run_id, run.fn_id, run.events, run.keys.priority, run.parent)
