"""`MemoryJournal`: what is its own, beside the laws that it keeps."""

import subprocess
import sys

import pytest
import trio
import trio.testing

from plait.abc import Entry, Opening
from plait.durable import MemoryJournal
from plait.errors import JournalError, JournalLockedError, PlaitInternalError, StreamConflictError
from tests.journal.backends import desk, entry, here


async def test_done_comes_one_pass_of_the_loop_later():
    async with desk(MemoryJournal()) as open_desk:
        open_desk.put(entry("a", 1))
        open_desk.put(entry("a", 2))
        assert open_desk.answers == []
        await trio.testing.wait_all_tasks_blocked()
        assert open_desk.errors == [None, None]


async def test_no_virtual_time_passes(autojump_clock):
    """Nothing of it waits in a thread, for which a clock that jumps would not wait."""
    journal = MemoryJournal()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep, 3600)
        async with desk(journal) as open_desk:
            await open_desk.keep(entry("a", 1, status="failed"))
            assert len(await open_desk.all_of("a")) == 1
            assert len(await journal.streams()) == 1
            assert await journal.prune(ended_before=100) == 1
        assert trio.current_time() == 0
        nursery.cancel_scope.cancel()


async def test_a_done_that_raises_does_not_stop_the_others():
    journal, told = MemoryJournal(), []
    backend = Later()
    await journal.open(backend)
    journal.append([entry("a", 1)], lambda error: 1 / 0)
    journal.append([entry("a", 2)], told.append)
    with pytest.raises(ZeroDivisionError):
        backend.pass_by()
    assert told == []
    backend.pass_by()
    assert told == [None]
    assert backend.asked == []
    await journal.aclose()


async def test_the_loop_is_asked_once_for_a_burst():
    journal, told = MemoryJournal(), []
    backend = Later()
    await journal.open(backend)
    for n in range(1, 100):
        journal.append([entry("a", n)], told.append)
    assert len(backend.asked) == 1
    backend.pass_by()
    assert told == [None] * 99
    await journal.aclose()


class Later:
    """A backend whose loop goes on when it is told to."""

    def __init__(self):
        self.asked = []

    def run_sync_soon(self, fn, /, *args):
        self.asked.append((fn, args))

    def pass_by(self):
        asked, self.asked = self.asked, []
        for fn, args in asked:
            fn(*args)


async def test_what_nobody_was_told_is_told_when_it_is_closed():
    """The loop will not come again."""
    journal, told = MemoryJournal(), []
    backend = Later()
    await journal.open(backend)

    def more(error):
        told.append("first")
        journal.append([entry("a", 2)], lambda error: told.append("second"))

    journal.append([entry("a", 1)], more)
    await journal.aclose()
    assert told == ["first", "second"]
    backend.pass_by()
    assert told == ["first", "second"]


async def test_one_opening_at_a_time():
    journal = MemoryJournal()
    await journal.open(here())
    with pytest.raises(JournalLockedError, match=r"is in use. Close it first"):
        await journal.open(here())
    assert repr(journal) == "<MemoryJournal, open, 0 streams>"
    await journal.aclose()
    assert repr(journal) == "<MemoryJournal, closed, 0 streams>"


async def test_closed_it_says_how_to_open_it():
    journal = MemoryJournal()
    calls = [
        lambda: journal.read("a"),
        journal.streams,
        lambda: journal.prune(ended_before=0),
    ]
    for call in calls:
        with pytest.raises(JournalError, match=r"First: await journal\.open\(backend\)"):
            await call()
    with pytest.raises(JournalError, match="is not open"):
        journal.append([entry("a", 1)], print)


async def test_open_to_be_read_it_is_not_changed():
    journal = MemoryJournal()
    await journal.open(here(), write=False)
    with pytest.raises(JournalError, match="opened to be read only"):
        journal.append([entry("a", 1)], print)
    with pytest.raises(JournalError, match="opened to be read only"):
        await journal.prune(ended_before=0)
    assert await journal.streams() == []
    await journal.aclose()


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (entry("a", 2), "stream 'a': entry 2 came, 1 is due"),
        (Entry("a", 1, "x", 1, 0.0, None, b"", "running", None), "entry 1 has no opening"),
        (Entry("a", 1, "x", 1, 0.0, None, b"", None, Opening("", "F")), "has no opening or no st"),
    ],
)
async def test_a_conflict_is_a_bug_of_plaits(bad, said):
    async with desk(MemoryJournal()) as open_desk:
        with pytest.raises(StreamConflictError, match=said) as caught:
            await open_desk.keep(bad)
        assert isinstance(caught.value, PlaitInternalError)
        assert "This is a bug in plait" in str(caught.value)


async def test_what_is_read_is_the_readers():
    async with desk(MemoryJournal()) as open_desk:
        await open_desk.keep(entry("a", 1), entry("a", 2))
        (await open_desk.journal.read("a")).clear()
        (await open_desk.journal.streams()).clear()
        first, _ = await open_desk.all_of("a")
        assert (first.status, first.opening) == (None, None)


async def test_parents_in_a_circle():
    """Nobody writes such a thing. If it is there, nobody hangs."""
    journal = MemoryJournal()
    async with desk(journal) as open_desk:
        for name, parent in (("a", "b"), ("b", "a")):
            opening = Opening("", "Flow", parent)
            await open_desk.keep(entry(name, 1, status="failed", opening=opening))
        assert await journal.prune(ended_before=100) == 2


def test_importing_plait_loads_no_database():
    program = "import plait, sys; print('sqlite3' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
