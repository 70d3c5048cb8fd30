"""Runs by chance, which die anywhere and are recovered: see the laws in `world`."""

from __future__ import annotations

import copy
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from tests.kernel.functions.world import Do, Fate, Oops, Script, World

SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def scripts(draw: st.DrawFn) -> Script:
    """Ids are distinct, so that a key names its part; what fails in each attempt is drawn for each."""
    parts: list[Do | Oops] = []
    for place in range(draw(st.integers(0, 4))):
        kind = draw(st.sampled_from(("run", "run", "run", "sleep", "wait", "oops")))
        if kind == "oops":
            parts.append(Oops(draw(st.integers(0, 3)), draw(st.booleans())))
        elif kind == "run":
            fails = draw(st.sampled_from((0, 0, 0, 1, 3)))
            flags = [draw(st.booleans()) for _ in range(3)]
            parts.append(Do("run", f"s{place}", fails, *flags))
        else:
            parts.append(Do(kind, f"s{place}"))
    return Script(tuple(parts), draw(st.booleans()), draw(st.booleans()))


@given(scripts(), SEEDS, st.sampled_from((0, 5, 40)))
def test_the_laws_hold_through_crashes_suspensions_and_cancellations(
    script: Script, seed: int, cancel: int
) -> None:
    world = World(script, Random(seed))
    world.live_until_done(cancel=cancel)
    (end,) = world.log[-1][0]
    before = world.kept()
    world.live_until_done()  # another process is told the same
    assert world.told_end[-1].end is end[1]
    assert world.kept() == before


@given(scripts(), SEEDS, st.sampled_from((0, 5, 40)))
def test_every_prefix_of_a_journal_leads_on(script: Script, seed: int, cancel: int) -> None:
    first = World(script, Random(seed))
    assert first.live(Fate(cancel=cancel))
    for pieces in range(len(first.log) + 1):
        world = copy.deepcopy(first)
        if world.cancelled_at is not None and world.cancelled_at > pieces:
            world.cancelled_at = None
        world.chance = Random(seed + pieces)
        world.crash_to(pieces)
        world.told_end = []
        world.live_until_done(crash=0, suspend=0)
        assert world.live(Fate())  # and again, from the whole journal: the same
