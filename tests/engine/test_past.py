"""What a journal has of a run is found by its name, whatever that is and whoever stands beside it."""

import pytest

from plait._engine.past import listed
from plait._journal.memory import MemoryJournal
from plait._journal.sqlite import SqliteJournal
from tests.journal.backends import desk, entry

NAMES = [
    "a",
    "a/",
    "a0",
    "a0~",
    "a1",
    "a1\U0010ffff",
    "b",
    "a\x01",
    "ü",
    "\ud7ff",
    "\ue000",
    "\ue001",
]


@pytest.mark.parametrize("kind", ["memory", "file"])
async def test_one_stream_is_found_beside_others(tmp_path, kind):
    journal = MemoryJournal() if kind == "memory" else SqliteJournal(tmp_path / "runs.db")
    async with desk(journal) as it:
        for there, name in enumerate(NAMES):
            assert await listed(journal, name) is None
            await it.keep(entry(name, 1))
            for one in NAMES[: there + 1]:
                assert (await listed(journal, one)).stream == one
        for nobody in ("", "c", "a2", "\x00", "a\x00"):
            assert await listed(journal, nobody) is None
