"""The port of journals, as somebody writes one. Checked, never run."""

from collections.abc import Callable, Collection, Sequence
from typing import assert_type

from plait.abc import Backend, Entry, Journal, Opening, StreamInfo
from plait.durable import MemoryJournal, SqliteJournal
from plait.errors import JournalError, JournalTooNewError

# The two that come with plait are journals.

journals: list[Journal] = [MemoryJournal(), SqliteJournal("shop.db")]


class Mine:
    """It inherits from nothing."""

    async def open(self, backend: Backend, *, write: bool = True) -> None:
        backend.run_sync_soon(print, "one", 2)
        assert_type(await backend.to_thread(divmod, 7, 2), tuple[int, int])
        await backend.to_thread(len, 7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    async def aclose(self) -> None: ...

    def append(
        self, entries: Sequence[Entry], done: Callable[[JournalError | None], object]
    ) -> None:
        done(None)
        done(JournalError("full"))
        done("full")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    def flush(self) -> None: ...

    async def read(self, stream: str, *, after: int = 0, limit: int = 1000) -> Sequence[Entry]:
        return ()

    async def streams(
        self,
        *,
        app_id: str | None = None,
        status: Sequence[str] = (),
        after: str = "",
        limit: int = 100,
    ) -> list[StreamInfo]:
        return []

    async def prune(self, *, ended_before: float, only: Collection[str] | None = None) -> int:
        return 0


class Short:
    """It cannot be pruned."""

    async def open(self, backend: Backend, *, write: bool = True) -> None: ...
    async def aclose(self) -> None: ...


mine: Journal = Mine()
short: Journal = Short()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]

# What goes in and what comes out is frozen.

opening = Opening("shop", "Flow", parent=None, source="5f")
entry = Entry("r1", 1, "run.started", 1, 0.0, None, b"{}", "running", opening)
assert_type(entry.body, bytes)
assert_type(entry.opening, Opening | None)
entry.n = 2  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
Entry("r1", 1, "run.started", 1, 0.0, None, b"{}", "over")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def reads(journal: Journal) -> None:
    for one in await journal.read("r1", after=3, limit=10):
        assert_type(one, Entry)
    for info in await journal.streams(app_id="", status=["held"], after="a", limit=1):
        assert_type(info, StreamInfo)
        assert_type(info.updated, float)
    assert_type(await journal.prune(ended_before=0), int)
    assert_type(await SqliteJournal("shop.db").verify(), list[str])
    await journal.read("r1", 3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def too_new(error: JournalTooNewError) -> None:
    assert_type((error.found, error.known), tuple[int, int])
