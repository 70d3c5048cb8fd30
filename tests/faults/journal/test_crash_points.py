"""The process dies at each append of each program, and what was acknowledged is not lost.

A failure prints the line that repeats it. See `disk` for what can go wrong, `judge` for what must hold.
"""

import itertools

import pytest

from .disk import DEATHS, Plot
from .judge import lines
from .lives import RUN
from .programs.every import CASES
from .trial import Trial, each_point, some_series
from .ways import check


@pytest.mark.parametrize("case", CASES)
def test_nothing_goes_wrong_when_nothing_does(case):
    check([Trial(case), Trial(case, slow=True)])


@pytest.mark.parametrize("case", CASES)
def test_a_death_at_each_append(case):
    """Before it is committed, after that, and as soon as that has been said."""
    check(each_point(case, DEATHS))


@pytest.mark.parametrize("case", CASES)
def test_a_polite_end_at_each_append(case):
    """The scope that owns the run is left, and the journal is not."""
    check(each_point(case, ("leave",)))


@pytest.mark.parametrize("case", CASES)
def test_a_death_at_each_append_of_a_slow_disk(case):
    """The process goes on while its appends are on their way: much more than one is lost."""
    check(each_point(case, ("before",), slow=True))


@pytest.mark.parametrize("case", CASES)
def test_several_deaths_in_a_row(case):
    check([*some_series(case, 10), *some_series(case, 10, slow=True)])


def test_a_polite_end_calls_nobody_away_from_a_wait():
    """To leave a run is not what a scope of the body's own does: the wait stays open."""
    for at, seed in itertools.product(range(4, 12), range(4)):
        trial = Trial("Asking", (Plot(at, "leave"),), seed)
        for line in lines(trial.live().disk.streams[RUN]):
            assert line.kind != "wait.ended", trial.line
