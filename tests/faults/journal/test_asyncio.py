"""Crash points on asyncio, of the programs that need no hours."""

import pytest

from .trial import Trial, each_point
from .ways import check

BRIEF = [
    "Gather",
    "FanIn",
    "Racing",
    "Pairing",
    "Telling",
    "Draining",
    "Tidying",
    "Asking",
    "Nesting",
]


@pytest.mark.parametrize("case", BRIEF)
def test_a_death_at_each_append(case):
    hows = ("before", "answered", "leave")
    check(Trial(case, trial.plots, asyncio=True) for trial in each_point(case, hows))


@pytest.mark.parametrize("case", BRIEF)
def test_an_error_at_each_append(case):
    check(Trial(case, trial.plots, asyncio=True) for trial in each_point(case, ("full",)))
