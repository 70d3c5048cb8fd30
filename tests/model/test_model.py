"""Programs by chance, on the real engine and in the reference: what the one does the other predicts.

`python -m tests.model --seeds 100000` plays more of them, and `--seed N -v` one of them again.
"""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, note
from hypothesis import strategies as st

import plait.testing
from tests.model.alone import Alone, confluent, deliveries
from tests.model.draw import LENGTH, draw, of_seed
from tests.model.play import check, one_schedule, play
from tests.model.show import show

BLOCK = 100


@pytest.mark.parametrize("first", range(0, 2000, BLOCK))
def test_programs_on_trio(first):
    for seed in range(first, first + BLOCK):
        with one_schedule(seed):
            check(play(draw(of_seed(seed))), seed)


@pytest.mark.parametrize("first", range(2000, 2300, BLOCK))
def test_programs_on_asyncio(first):
    for seed in range(first, first + BLOCK):
        check(play(draw(of_seed(seed)), backend="asyncio"), seed)


@given(plait.testing.schedules(), st.binary(min_size=LENGTH, max_size=LENGTH))
def test_drawn_programs(schedule, chance):
    """Hypothesis draws program and schedule, and shrinks both."""
    program = draw(chance)
    note(show(program))
    check(play(program))


@pytest.mark.parametrize("first", range(5000, 5300, BLOCK))
def test_programs_that_come_to_the_same_in_any_order(first):
    """Here the reference is told nothing of what has happened, and goes by an order of its own."""
    played = 0
    for seed in range(first, first + BLOCK):
        program = confluent(draw(of_seed(seed)))
        with one_schedule(seed):
            example = play(program)
        check(example, seed)
        if example.unclear is None and not has_failed(example.facts):
            alone = Alone(program)
            alone.drive()
            top = alone.runs["top"]
            assert deliveries(example.facts) == alone.deliveries, f"seed {seed}"
            assert Counter(example.seen.stream) == Counter(top.stream), f"seed {seed}"
            assert Counter(example.seen.undelivered) == Counter(top.undelivered), f"seed {seed}"
            assert example.seen.end == top.end(), f"seed {seed}"
            played += 1
    assert played > BLOCK / 2


def has_failed(facts):
    """Has a run failed before it was through? Then it went by who was first."""
    return any(fact.what == "decided" and fact.data[0] == "Crashed" for fact in facts)
