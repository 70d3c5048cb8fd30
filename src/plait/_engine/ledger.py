"""What stands between a run and its journal: nothing happens before it is on disk.

Rule 1: *append, then perform.* The records of one stimulus are one append. They change the run's
    state at once, since the next stimulus is decided on it; but the state is memory, and goes with
    the process. What anybody else can see, an effect or the call of an observer, waits until the
    journal has them.
Rule 2: in order. What comes after an append that is not on disk waits as well, whatever it is.
Rule 3: a record that only says what recovery would find out again is not waited for, and not worth
    a commit of its own: it goes with the next one that is (`plait._kernel.keeping` has the table).
    Whatever builds on it comes later, and so cannot be on disk without it.
Rule 4: after a `JournalError`, nothing of the append that failed is performed, nor of any later one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from plait._abc import Entry, Journal
from plait._errors import JournalError, PlaitInternalError, UnreadableEntryError
from plait._ids import DeliveryId
from plait._kernel.keeping import Keep
from plait._kernel.records import AnyRecord
from plait._kernel.state import RunState

if TYPE_CHECKING:
    from .native import Backend, Happening


#: Entries that are worth a commit, though none of them is by itself.
MANY: Final = 64
#: Entries, what to do when they are on disk, and the first delivery that they do not have.
Appended: TypeAlias = tuple[Sequence[Entry], Callable[[], object], DeliveryId]


class Scribe(Protocol):
    """Writes a run's records as entries and reads them back: the strand's, which knows the values."""

    def prepare(self, value: object, /) -> None:
        """See that a value can be written, before anything is decided about it.

        Raises:
            ContextSerdeError: It cannot.
        """
        ...

    def entries(self, records: Sequence[AnyRecord], state: RunState, /) -> Sequence[Entry]:
        """Write records that follow those written or read last."""
        ...

    def records(self, entries: Iterable[Entry], /) -> Iterator[AnyRecord]:
        """Read the entries that follow those read last.

        Raises:
            PlaitError: One cannot be read, or is missing.
        """
        ...

    def begin(self, epoch: float, /) -> None:
        """Write from here on with the clock whose 0 is this Unix time."""
        ...

    def held(self, last: Entry, why: UnreadableEntryError, /) -> Entry | None:
        """Write, after the last entry of a run that cannot be read, that it is held.

        `None` if that is what the last entry says.
        """
        ...


class Waiter:
    """Somebody who waits until so many appends are on disk."""

    def __init__(self, needs: int, called: Happening) -> None:
        self.needs = needs
        self.called = called


class Ledger:
    """The appends of one run."""

    def __init__(
        self,
        scribe: Scribe,
        state: RunState,
        fail: Callable[[], object],
        keeping: Mapping[Any, Keep],
    ) -> None:
        self._scribe = scribe
        #: How each record is kept, by its class.
        self._keeping = keeping
        self._state = state
        self._fail = fail
        self._journal: Journal | None = None
        #: Does it take more? Not of a run that is suspended: what follows is clean-up.
        self.open: bool = True
        #: Why the run cannot go on.
        self.error: Exception | None = None
        #: Appended before the journal was open.
        self._early: list[Appended] = []
        #: How many appends there were, and how many of them are on disk.
        self._appended = 0
        self._kept = 0
        #: What has nothing to keep, and waits for so many appends.
        self._afterwards: deque[tuple[int, Callable[[], object]]] = deque()
        #: Appends that are to be one.
        self._held: list[Callable[[], object]] | None = None
        self._holds = 0
        self._before = 0
        #: Entries that go with the next append.
        self._lazy: list[Entry] = []
        #: The first delivery that is not on disk.
        self._beyond: DeliveryId = state.next_delivery
        self._waiters: deque[Waiter] = deque()
        #: Who has been woken, and has not gone on yet.
        self._next: Waiter | None = None

    def attach(self, journal: Journal) -> None:
        """Give it the journal, open, and everything that was appended so far to that."""
        self._journal = journal
        early, self._early = self._early, []
        for entries, then, beyond in early:
            journal.append(entries, partial(self._done, then, beyond))

    @property
    def idle(self) -> bool:
        """Is everything on disk?"""
        return self._kept == self._appended

    def append(self, records: Sequence[AnyRecord], then: Callable[[], object]) -> None:
        """Keep these records, and call `then` as soon as what they say may be seen."""
        if not records:
            self._after(then)
            return
        try:
            entries = self._scribe.entries(records, self._state)
        except Exception as error:  # noqa: BLE001 - the state has what the journal will never have
            self._break(error)
            return
        self._lazy += entries
        if self._held is not None:
            self._held.append(then)
        elif any(self._matters(record) for record in records):
            self._hand_over(then)
        else:
            self._after(then)
            if len(self._lazy) >= MANY:
                self._hand_over(_nothing)

    def _matters(self, record: AnyRecord) -> bool:
        return self._keeping[type(record)] is Keep.ACKNOWLEDGED

    def _after(self, then: Callable[[], object]) -> None:
        if self.idle:
            then()
        else:
            self._afterwards.append((self._appended, then))

    def hold(self) -> None:
        """Collect what is appended until as many calls of `release`: it is one append."""
        self._holds += 1
        if self._held is None:
            self._held, self._before = [], len(self._lazy)

    def release(self) -> None:
        """Append what was collected; of a run that has been suspended meanwhile, nothing."""
        self._holds -= 1
        if self._holds:
            return
        held, self._held = self._held, None
        if held and self.open:
            self._hand_over(lambda: [then() for then in held])
        elif held:
            del self._lazy[self._before :]

    @contextmanager
    def together_with(self, other: Ledger) -> Generator[None]:
        """Let what two runs append meanwhile be one append, if they share a journal, and mine come first."""
        self.hold()
        other.hold()
        try:
            yield
        finally:
            if not self._joins(other):
                self.release()
                other.release()

    def _joins(self, other: Ledger) -> bool:
        journal = self._journal
        shared = journal is other._journal
        both = self.open and other.open and self._held and other._held
        if journal is None or not (shared and both and self._holds == other._holds == 1):
            return False
        mine, its = self._taken(), other._taken()

        def done(error: JournalError | None) -> None:
            for ledger, (_, then, beyond) in ((self, mine), (other, its)):
                ledger._done(then, beyond, error)

        journal.append([*mine[0], *its[0]], done)
        return True

    def _taken(self) -> Appended:
        """What was collected; from here on it is as good as appended."""
        held, self._held, self._holds = self._held or [], None, 0
        entries, self._lazy = self._lazy, []
        self._appended += 1
        return entries, lambda: [then() for then in held], self._state.next_delivery

    def _hand_over(self, then: Callable[[], object]) -> None:
        self._appended += 1
        entries, self._lazy = self._lazy, []
        beyond = self._state.next_delivery
        if self._journal is None:
            self._early.append((entries, then, beyond))
        else:
            self._journal.append(entries, partial(self._done, then, beyond))

    def has(self, number: DeliveryId) -> bool:
        """Is this delivery on disk?"""
        return number < self._beyond

    def _done(
        self, then: Callable[[], object], beyond: DeliveryId, error: JournalError | None
    ) -> None:
        self._kept += 1
        self._beyond = beyond
        if self.error is None and error is not None:
            self._break(error)
        self._perform(then)
        while self._afterwards and self._afterwards[0][0] <= self._kept:
            self._perform(self._afterwards.popleft()[1])
        self._call_next()

    def _perform(self, then: Callable[[], object]) -> None:
        if self.error is None:
            try:
                then()
            except Exception as bug:  # noqa: BLE001 - called by the loop: nobody else would hear of it
                self._break(PlaitInternalError(f"an effect could not be performed: {bug!r}"), bug)

    def fail(self, error: Exception) -> None:
        """Hear that nothing more is to be kept, though the journal has refused nothing of this run."""
        if self.error is None:
            self._break(error)
            self._call_next()

    def _break(self, error: Exception, cause: BaseException | None = None) -> None:
        if cause is not None:
            error.__cause__ = cause
        self.error = error
        self.open = False
        self._fail()

    async def finish(self, native: Backend) -> None:
        """Wait until everything is on disk, what is not worth a commit too."""
        if self._lazy and self.error is None:
            self._hand_over(_nothing)
        await self.settled(native)

    async def settled(self, native: Backend) -> bool:  # noqa: ASYNC910 - on disk, there is nothing to wait for
        """Wait until everything appended so far is on disk; false if that failed.

        Those who wait go on one after the other, in the order in which they have come.
        """
        if not self.idle or self._waiters or self._next is not None:
            mine = Waiter(self._appended, native.event())
            self._waiters.append(mine)
            self._call_next()
            try:
                await mine.called.wait()
            finally:
                if self._next is mine:
                    self._next = None
                else:  # cancelled
                    self._waiters.remove(mine)
                self._call_next()
        return self.error is None  # noqa: ASYNC910 - as above

    def _call_next(self) -> None:
        """Wake one: the scheduler wakes those of one round in any order."""
        if self._next is None and self._waiters:
            first = self._waiters[0]
            if first.needs <= self._kept or self.error is not None:
                self._next = self._waiters.popleft()
                first.called.set()


def _nothing() -> None:
    pass
