"""How tests run trials."""

from collections.abc import Iterable

from .trial import Trial


def check(trials: Iterable[Trial]) -> None:
    """Live them all, and fail with the lines that repeat what went wrong."""
    wrong = [line for trial in trials if (line := trial.wrong())]
    assert not wrong, "\n".join([f"{len(wrong)} trials", *wrong[:5]])
