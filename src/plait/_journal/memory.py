"""`MemoryJournal`: a journal as long as the process lives.

Rule 1: entries are kept when they are appended, and `done` is called one pass of the loop later, as
if a disk had been asked. Who relies on an answer before it comes is found out here as well.
Rule 2: nothing waits and there is no thread, so that a virtual clock sees all there is to see.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import Final, TypeAlias, final

import attrs

from plait._abc import ENDED, Backend, Entry, Opening, Status, StreamInfo
from plait._errors import JournalError, JournalLockedError, StreamConflictError
from plait._naming import publish

#: Of these a step has one.
OUTCOMES: Final = frozenset({"step.completed", "step.failed"})

Done: TypeAlias = Callable[[JournalError | None], object]


@attrs.define
class _Stream:
    opening: Opening
    status: Status
    entries: list[Entry] = attrs.field(factory=list[Entry])
    #: The keys of the steps that have ended.
    outcomes: set[str] = attrs.field(factory=set[str])


@final
class MemoryJournal:
    """A journal in dicts, for tests and for runs that need not survive the process.

    It keeps the same rules as the one on disk. It can be closed and opened again, in another event
    loop too, and has its streams still. Nothing in it waits: its methods are no checkpoints.

    Example:
        ```python
        journal = MemoryJournal()


        def test_journal():
            plait.testing.check_journal(MemoryJournal)
        ```
    """

    def __init__(self) -> None:
        self._streams: dict[str, _Stream] = {}
        self._backend: Backend | None = None
        self._write = False
        #: What is to be told, in the order of the calls, and whether the loop has been asked for it.
        self._answers: deque[tuple[Done, StreamConflictError | None]] = deque()
        self._asked = False

    def __repr__(self) -> str:
        state = "closed" if self._backend is None else "open"
        return f"<MemoryJournal, {state}, {len(self._streams)} streams>"

    async def open(self, backend: Backend, *, write: bool = True) -> None:  # noqa: ASYNC910 - rule 2
        """Make it ready for this event loop.

        Args:
            backend: Of this event loop.
            write: Whether it takes entries.

        Raises:
            JournalLockedError: It is open.
        """
        if self._backend is not None:
            raise JournalLockedError(f"{self!r} is in use. Close it first: await journal.aclose()")
        self._backend, self._write, self._asked = backend, write, False

    async def aclose(self) -> None:  # noqa: ASYNC910 - rule 2
        """Call each `done` that has not been called, then stop. Twice is fine."""
        self._asked = True  # what is appended meanwhile is told here as well
        while self._answers:
            self._tell()
        self._backend = None

    def append(self, entries: Sequence[Entry], done: Done) -> None:
        """Keep these entries, all or none, and call `done` one pass of the loop later.

        Args:
            entries: Of any streams, each stream's in its order.
            done: Called with `None`, or with the `StreamConflictError` that refused them.

        Raises:
            JournalError: It is closed, or open only to be read.
        """
        backend = self._opened()
        if not self._write:
            raise JournalError(f"{self!r} has been opened to be read only.")
        conflict = self._conflict(entries)
        if conflict is None:
            for entry in entries:
                self._keep(entry)
        self._answers.append((done, conflict))
        self._ask(backend)

    def append_patiently(self, entries: Sequence[Entry], done: Done) -> None:
        """As `append`, of what nobody waits for: here that is the same. Not a checkpoint."""
        self.append(entries, done)

    def flush(self) -> None:
        """Do nothing: it collects nothing."""

    async def read(self, stream: str, *, after: int = 0, limit: int = 1000) -> Sequence[Entry]:
        """Read entries of a stream with `n > after`, in order; their status and opening are `None`.

        Args:
            stream: Its name. One that is not there has no entries.
            after: The place of the last entry that is known already.
            limit: How many at most.

        Raises:
            JournalError: It is closed.
        """
        self._opened()
        kept = self._streams.get(stream)
        return [] if kept is None else kept.entries[after : after + limit]  # noqa: ASYNC910 - rule 2

    async def streams(
        self,
        *,
        app_id: str | None = None,
        status: Sequence[str] = (),
        after: str = "",
        limit: int = 100,
    ) -> Sequence[StreamInfo]:
        """List streams by name.

        Args:
            app_id: Only those of this app; `""` for event workflows and flows.
            status: Only those that stand so; empty for all.
            after: Only those whose names come after this one.
            limit: How many at most.

        Raises:
            JournalError: It is closed.
        """
        self._opened()
        names = sorted(
            name
            for name, kept in self._streams.items()
            if name > after
            and (app_id is None or kept.opening.app_id == app_id)
            and (not status or kept.status in status)
        )
        return [_info(name, self._streams[name]) for name in names[:limit]]  # noqa: ASYNC910 - rule 2

    async def prune(self, *, ended_before: float, only: Collection[str] | None = None) -> int:
        """Drop whole streams that ended before this Unix time, and say how many.

        A stream stays while one that it came from (its parent, that one's parent, and so on) has not
        ended: that one may ask for its result.

        Args:
            ended_before: In Unix seconds; a stream ended when its last entry was written.
            only: No other streams than these; by default any.

        Raises:
            JournalError: It is closed, or open only to be read.
        """
        self._opened()
        if not self._write:
            raise JournalError(f"{self!r} has been opened to be read only.")
        among = self._streams if only is None else frozenset(only)
        over = [
            name
            for name, kept in self._streams.items()
            if name in among
            and kept.status in ENDED
            and kept.entries[-1].at < ended_before
            and not self._is_wanted(name)
        ]
        for name in over:
            del self._streams[name]
        return len(over)  # noqa: ASYNC910 - rule 2

    def _is_wanted(self, name: str) -> bool:
        """Whether a stream that it came from goes on."""
        seen = set[str]()
        while name not in seen and (kept := self._streams.get(name)) is not None:
            if kept.status not in ENDED:
                return True
            seen.add(name)
            name = kept.opening.parent or name
        return False

    def _opened(self) -> Backend:
        if self._backend is None:
            raise JournalError(f"{self!r} is not open. First: await journal.open(backend)")
        return self._backend

    def _conflict(self, entries: Sequence[Entry]) -> StreamConflictError | None:
        """Look at all of them before the first is kept."""
        last: dict[str, int] = {}
        outcomes = set[tuple[str, str]]()
        for entry in entries:
            name, key = entry.stream, entry.key
            kept = self._streams.get(name)
            due = 1 + last.get(name, len(kept.entries) if kept else 0)
            if entry.n != due:
                return StreamConflictError(f"stream {name!r}: entry {entry.n} came, {due} is due")
            if due == 1 and (entry.opening is None or entry.status is None):
                return StreamConflictError(f"stream {name!r}: entry 1 has no opening or no status")
            last[name] = due
            if key is not None and entry.kind in OUTCOMES:
                if (name, key) in outcomes or (kept and key in kept.outcomes):
                    return StreamConflictError(f"stream {name!r}: step {key!r} ends twice")
                outcomes.add((name, key))
        return None

    def _keep(self, entry: Entry) -> None:
        kept = self._streams.get(entry.stream)
        if kept is None:
            assert entry.opening is not None
            assert entry.status is not None
            kept = self._streams[entry.stream] = _Stream(entry.opening, entry.status)
        elif entry.status is not None:
            kept.status = entry.status
        if entry.status is not None or entry.opening is not None:
            entry = attrs.evolve(entry, status=None, opening=None)
        kept.entries.append(entry)
        if entry.key is not None and entry.kind in OUTCOMES:
            kept.outcomes.add(entry.key)

    def _ask(self, backend: Backend) -> None:
        if not self._asked:
            self._asked = True
            backend.run_sync_soon(self._answer)

    def _answer(self) -> None:
        self._asked = False
        self._tell()

    def _tell(self) -> None:
        """Tell what there is to be told now. What a `done` appends waits for the next pass."""
        try:
            for _ in range(len(self._answers)):
                done, conflict = self._answers.popleft()
                done(conflict)
        finally:
            if self._answers and self._backend is not None:  # one raised, or appended
                self._ask(self._backend)


def _info(name: str, kept: _Stream) -> StreamInfo:
    opening = kept.opening
    return StreamInfo(
        stream=name,
        app_id=opening.app_id,
        target=opening.target,
        parent=opening.parent,
        status=kept.status,
        source=opening.source,
        created=kept.entries[0].at,
        updated=kept.entries[-1].at,
        last_n=len(kept.entries),
    )


publish("plait.durable", MemoryJournal)
