"""`SqliteJournal` keeps the laws of journals, with either way to sync."""

import itertools

import pytest

from plait._journal.sqlite import SqliteJournal
from plait.testing import check_journal
from plait.testing._journal_laws import DRAWN, LAWS


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
@pytest.mark.parametrize("law", [*LAWS, DRAWN])
def test_it_keeps_the_law(law, backend, tmp_path):
    number = itertools.count()

    def factory():
        n = next(number)
        return SqliteJournal(tmp_path / f"{n}.db", sync="fast" if n % 2 else "full")

    check_journal(factory, backend=backend, only=law)
