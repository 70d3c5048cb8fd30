"""A disk that fails under SQLite: the same promises as in `test_sqlite_faults`, at each call to it."""

import apsw
import attrs
import pytest

from plait._journal.world import World
from plait.errors import JournalFullError, JournalIOError
from tests.journal.apsw_ground import Disk, planted
from tests.journal.test_sqlite_faults import broken, life, run


@attrs.define(eq=False)
class Ground:
    disk: Disk

    @property
    def open(self):
        return self.disk.open

    @property
    def world(self):
        return World(connect=self.disk.connect, sleep=lambda seconds: None)


ERRORS = {
    "error": {
        "write": lambda: planted(apsw.IOError, apsw.SQLITE_IOERR_WRITE),
        "sync": lambda: planted(apsw.IOError, apsw.SQLITE_IOERR_FSYNC),
        "truncate": lambda: planted(apsw.IOError, apsw.SQLITE_IOERR_TRUNCATE),
        "read": lambda: planted(apsw.IOError, apsw.SQLITE_IOERR_READ),
    },
    "full": {"write": lambda: planted(apsw.FullError, apsw.SQLITE_FULL)},
}
EXPECTED = {"error": JournalIOError, "full": JournalFullError}


@pytest.fixture
def calls(tmp_path):
    ground = Ground(Disk())
    story = run("trio", life, tmp_path / "shop.db", ground)
    assert (story.error, story.read, story.pruned) == (None, 5, 1)
    return tuple(ground.disk.calls)


@pytest.mark.parametrize("on", [False, True], ids=["once", "from there on"])
@pytest.mark.parametrize("kind", ERRORS)
def test_a_disk_that_fails_at_any_call(kind, on, calls, tmp_path):
    errors = ERRORS[kind]
    ended = 0
    for number in range(1, len(calls) + 1):
        if calls[number - 1] not in errors or (on and number % 3):
            continue

        def fails(n, what, number=number):
            hit = n == number or (on and n > number)
            return errors[what]() if hit and what in errors else None

        ground = Ground(Disk(fails))
        story = run(("trio", "asyncio")[number % 2], life, tmp_path / "shop.db", ground)
        found = [*broken(story.answers), *([story.error] if story.error else [])]
        ended += bool(found)
        for error in found:
            assert type(error) is EXPECTED[kind], (number, calls[number - 1])
    assert ended > 10
