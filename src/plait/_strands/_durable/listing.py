"""Which runs there are, and what has happened in one of them: read from a journal that is open.

Rule 1: what is listed of the streams decides which runs are read, and no more of them are than asked
    for. Of those that are, the records have the last word.
Rule 2: a run that may come of events that wait has no stream. It is queued all the same, and is listed
    among the others.
Rule 3: a run that cannot be read is listed, with what is wrong as its error.
"""

from __future__ import annotations

from datetime import tzinfo
from typing import Final

from plait._abc import StreamInfo
from plait._errors import UnknownRunError, UnreadableEntryError, fault_of
from plait._kernel.admission.explain import expected, waits_for
from plait._kernel.admission.state import AppState

from .book import Book
from .history import Record, history
from .inspect import RunInfo, expected_info, run_info

#: Streams that are listed at a time where most of them may be of other functions.
AT_ONCE: Final = 500


async def list_runs(
    book: Book,
    state: AppState,
    *,
    now: float,
    fn_id: str | None = None,
    status: str | None = None,
    after: str = "",
    limit: int = 100,
    tz: tzinfo | None = None,
) -> list[RunInfo]:
    """List runs of an app by their ids. A checkpoint, as the journal's reading is.

    Args:
        book: The app's.
        state: Of the app, which knows what waits in its queue, and for what.
        now: The wall clock, in Unix seconds.
        fn_id: Only those of this function: its id, that of the app before it.
        status: Only those that stand so.
        after: Only those whose ids come after this one: the last of the page before.
        limit: How many at most.
        tz: The time zone of times in texts; by default that of the machine.

    Raises:
        JournalError: The journal cannot be read.
    """
    runs: dict[str, RunInfo] = {}
    cursor, more = after, True
    while more and len(runs) < limit:
        wanted = limit - len(runs)
        found = await _streams(book, fn_id, status, cursor, wanted)
        for info in found:
            run = await _read(book, state, info, now, tz)
            if status is None or run.status == status:  # it may have moved on meanwhile
                runs[run.run_id] = run
            cursor = info.stream
        more = len(found) == wanted
    if status in {None, "queued"}:
        for one in expected(state):
            if one.run_id > after and fn_id in {None, one.fn_id}:
                runs.setdefault(one.run_id, expected_info(one, now=now, tz=tz))
    listed = sorted(runs)[:limit]
    return [runs[run_id] for run_id in listed]  # noqa: ASYNC910 - it has read: limit is at least 1


async def _streams(
    book: Book, fn_id: str | None, status: str | None, after: str, limit: int
) -> list[StreamInfo]:
    wanted = () if status is None else (status,)
    size = limit + 1 if fn_id is None else max(limit + 1, AT_ONCE)  # one may be the app's own
    found: list[StreamInfo] = []
    while True:
        page = await book.journal.streams(
            app_id=book.app_id, status=wanted, after=after, limit=size
        )
        found += [
            info
            for info in page
            if info.stream != book.stream and (fn_id is None or info.target == fn_id)
        ]
        if len(page) < size or len(found) >= limit:
            return found[:limit]
        after = page[-1].stream


async def _read(
    book: Book, state: AppState, info: StreamInfo, now: float, tz: tzinfo | None
) -> RunInfo:
    try:
        run = await book.read_run(info.stream)
    except UnreadableEntryError as error:
        fault = fault_of(error)
        return run_info(info, None, now=now, fault=fault, tz=tz)  # noqa: ASYNC910 - it has read
    queue = waits_for(state, info.stream)
    return run_info(info, run, now=now, queue=queue, tz=tz)


async def read_history(book: Book, run_id: str) -> list[Record]:
    """Read all that has happened in a run, notes too. A checkpoint, as the journal's reading is.

    Args:
        book: The app's.
        run_id: The run.

    Raises:
        UnknownRunError: The app has no run of this id.
        JournalError: The journal cannot be read.
    """
    info = await book.info(run_id)
    if info is None or run_id == book.stream:
        raise UnknownRunError(f"App {book.app_id!r} has no run {run_id!r}.")
    return history(await book.entries(run_id))
