"""The programs by chance come upon all that they are for, and few of them upon what is left open."""

from __future__ import annotations

import plait.testing
from tests.model import features
from tests.model.compile import perform
from tests.model.draw import draw, of_seed
from tests.model.play import check, one_schedule, play
from tests.model.reference import Unclear
from tests.model.replay import Replay

SEEDS = 400
#: Too rare to be in each of so few: they are found in the 2000 of `test_model`.
RARE = {
    "answer_to_a_child",
    "batch_again",
    "collected_late",
    "doomed_raises",
    "doomed_returns",
    "drained_event",
    "handler_fails",
    "recovered_twice",
    "refused_late",
    "sent_stop",
    "stopped_and_failed",
    "too_late",
}


def read(seed):
    """Play a seed, and count what it comes upon; false if it is left open."""
    program = draw(of_seed(seed))
    with one_schedule(seed):
        facts, _ = plait.testing.run(perform, program)
    try:
        Replay(program, features.Noting).read(facts)
    except Unclear:
        return False
    return True


def test_every_feature_is_reached():
    features.FOUND.clear()
    left_open = sum(not read(seed) for seed in range(SEEDS))
    assert len(features.FOUND) > 80
    missed = {name for name, count in features.FOUND.items() if not count}
    assert not missed - RARE, "nobody comes upon these"
    assert left_open < SEEDS / 20


def test_a_seed_is_one_program():
    assert draw(of_seed(3)) == draw(of_seed(3)) != draw(of_seed(4))


def test_no_chance_at_all_is_a_program():
    """That is what Hypothesis shrinks to."""
    program = draw(b"")
    assert len(program.steps) == 3
    assert not program.outside
    assert not any(step.acts for step in program.steps)
    check(play(program))
