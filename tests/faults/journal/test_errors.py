"""The journal fails while a run is going: the run is suspended, whoever awaits it is told, nothing is lost."""

from itertools import takewhile

import pytest

from plait.errors import JournalFullError

from .disk import FULL, Plot
from .judge import lines
from .lives import RUN
from .programs.every import CASES
from .trial import Trial, appends, each_point
from .ways import check


@pytest.mark.parametrize("case", CASES)
def test_an_error_at_each_append(case):
    """What was not performed is performed by the next process, and the result is right."""
    check(each_point(case, ("full",)))


@pytest.mark.parametrize("case", CASES)
def test_an_error_at_each_append_of_a_slow_disk(case):
    check(each_point(case, ("full",), slow=True))


@pytest.mark.parametrize("case", CASES)
def test_whoever_awaits_it_is_given_the_error(case):
    """Alone, unless a step failed for good as well, which could not be kept."""
    for at in range(1, appends(case) + 1):
        trial = Trial(case, (Plot(at, "full"),))
        failed = trial.live().lives[0].failed
        if case == "Failing" and isinstance(failed, ExceptionGroup):
            failed, other = failed.exceptions
            assert type(other).__name__ == "Unlucky", trial.line
        assert type(failed) is JournalFullError, f"{trial.line}: {failed!r}"
        assert str(failed) == FULL, trial.line


def test_no_reader_is_told_what_the_journal_has_refused():
    """A body that runs again would write it again, and nobody could tell; another might not."""
    for at in range(1, appends("Telling") + 1):
        trial = Trial("Telling", (Plot(at, "full"),))
        story = trial.live()
        first = takewhile(
            lambda line: line.kind != "run.reopened", lines(story.disk.streams.get(RUN, ()))
        )
        written = sum(line.kind == "event.written" for line in first)
        told = [event for event in story.lives[0].streamed if event.startswith("Left")]
        assert len(told) <= written, trial.line
