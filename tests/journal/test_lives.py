"""Whole runs as entries: what is listed of a stream is what its records say, at every place."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from plait._abc import Opening
from plait._journal.memory import MemoryJournal
from plait._journal.scribes import FunctionScribe
from plait._journal.sqlite import SqliteJournal
from plait._kernel.functions.apply import fold
from plait._kernel.functions.explain import status
from plait._kernel.functions.state import FunctionState
from tests.conformance.golden import lives
from tests.conformance.golden.bodies import WithFailures
from tests.journal.backends import TrioBackend, desk
from tests.kernel.functions.test_recovery import SEEDS, scripts
from tests.kernel.functions.world import Script, World

SCRIBE = FunctionScribe("r1", Opening("shop", "f", source="s"), WithFailures())


def lived(script: Script, seed: int, cancel: int) -> list[Any]:
    """The appends of a run that died, was held and was taken up again."""
    world = World(script, Random(seed))
    world.live_until_done(cancel=cancel)
    return [SCRIBE.entries(piece) for piece, _ in world.log]


@given(scripts(), SEEDS, st.sampled_from((0, 40)))
def test_where_a_run_stands_is_the_sum_of_its_records_at_every_place(
    script: Script, seed: int, cancel: int
) -> None:
    entries = [entry for piece in lived(script, seed, cancel) for entry in piece]
    state, stands = FunctionState(), None
    for entry in entries:
        for n, record in SCRIBE.records([entry], after=entry.n - 1):
            fold(state, record, n)
        stands = entry.status or stands
        assert status(state) == stands, f"after {entry.kind}, entry {entry.n}"


@given(scripts(), SEEDS, st.sampled_from((0, 40)))
def test_a_run_is_listed_as_its_records_say(script: Script, seed: int, cancel: int) -> None:
    async def main() -> None:
        journal = MemoryJournal()
        backend: Any = TrioBackend()
        await journal.open(backend)
        errors: list[object] = []
        state = FunctionState()
        for piece in lived(script, seed, cancel):
            journal.append(piece, errors.append)
            for n, record in SCRIBE.records(piece, after=piece[0].n - 1, notes=True):
                fold(state, record, n)
            (info,) = await journal.streams(app_id="shop")
            assert (info.status, info.last_n) == (status(state), piece[-1].n)
        await journal.aclose()
        assert {*errors} == {None}

    trio.run(main)


@pytest.mark.parametrize("name", lives.STORIES)
def test_a_file_is_sound_at_every_place_of_a_run(name: str, tmp_path: Path) -> None:
    """What is listed of it is rebuilt of its records, and compared."""

    async def main() -> None:
        journal: Any = SqliteJournal(tmp_path / "lives.db")
        async with desk(journal) as open_desk:
            for piece in lives.appends_of(name):
                await open_desk.keep(*piece)
                assert await journal.verify() == []

    trio.run(main)


@given(scripts(), SEEDS, st.sampled_from((0, 40)))
def test_a_run_that_is_read_and_written_again_has_the_same_bytes(
    script: Script, seed: int, cancel: int
) -> None:
    entries = [entry for piece in lived(script, seed, cancel) for entry in piece]
    assert SCRIBE.entries([*SCRIBE.records(entries, notes=True)]) == entries
