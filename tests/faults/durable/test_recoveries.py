"""Durable functions that die again and again, under one schedule after the other, and are recovered.

`python -m tests.faults.durable --seeds 100000` goes on where this ends.
"""

import pytest

from .judge import faults
from .lives import Trial
from .patterns import PATTERNS
from .trial import wrong

#: How often each pattern is repeated, on each backend.
COUNT = 200
CASES = [(name, backend) for name, one in PATTERNS.items() for backend in one.backends]


@pytest.mark.parametrize(("name", "backend"), CASES, ids=lambda word: word)
def test_recoveries(name, backend):
    lines = [line for seed in range(COUNT) if (line := wrong(Trial(name, seed, backend)))]
    assert not lines, "\n".join([f"{len(lines)} of {COUNT}", *lines[:5]])


@pytest.mark.parametrize(("name", "backend"), CASES, ids=lambda word: word)
def test_the_trials_have_hit_something(name, backend):
    """Processes die, handlers run again, and memos are handed out."""
    stories = [Trial(name, seed, backend).live() for seed in range(10)]
    assert sum(len(story.lives) for story in stories) > 2.5 * len(stories)
    for story in stories:
        assert faults(story) == []
    again = [begun for s in stories for begun in s.witness.begun if begun.life > 0]
    assert again
    first = Trial(name, 0, backend, ()).live()
    (steps,) = {len(items) for items in [*first.witness.seen.values()][:1]}
    recovered = [items for s in stories for (life, _), items in s.witness.seen.items() if life > 0]
    assert sum(map(len, recovered)) > 5 * steps
