"""Bodies by chance, which die anywhere and are recovered: see the laws in `world`."""

from __future__ import annotations

import copy
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernel.calls.world import Fate, World, a_body

SEEDS = st.integers(0, 2**32 - 1)


def live_until_done(world: World, crash: int = 30, suspend: int = 0) -> None:
    """Crash often, then less often, until the run is over."""
    while not world.live(Fate(crash, suspend, patience=200_000)):
        crash = crash * 4 // 5
        suspend = suspend * 4 // 5


@pytest.mark.parametrize("first", range(0, 1500, 300))
def test_the_laws_hold_through_crashes_and_suspensions(first: int) -> None:
    for seed in range(first, first + 300):
        try:
            one_run(seed)
        except BaseException as trouble:
            trouble.add_note(f"repeat it: one_run({seed})")
            raise


def one_run(seed: int) -> None:
    chance = Random(seed)
    world = World(a_body(chance), chance)
    live_until_done(world, suspend=15)
    result = world.result
    live_until_done(world)  # another process is told the same
    assert world.result == result


@given(SEEDS)
def test_every_prefix_of_a_journal_leads_on(seed: int) -> None:
    chance = Random(seed)
    first = World(a_body(chance, 2), chance)
    assert first.live(Fate())
    for pieces in range(len(first.log) + 1):
        world = copy.deepcopy(first)
        world.result = first.result if pieces == len(first.log) else None
        world.chance = Random(seed + pieces)
        world.crash_to(pieces)
        world.runs = {}
        one_attempt = sum(r[0] == "began" for _, r in first.kept() if isinstance(r, tuple)) == 1
        world.expected = []
        if one_attempt:
            world.expected = [n for n, appended in first.order if appended <= pieces]
        world.losers = set()
        live_until_done(world, crash=0)
        live_until_done(world, crash=0)  # and again, from the whole journal: the same
