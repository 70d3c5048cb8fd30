"""News of a run: what happened to one of its steps, in one of seven words."""

from __future__ import annotations

from collections import Counter
from typing import Final, Literal, TypeAlias

import attrs

from .printable import printable

Word: TypeAlias = Literal[
    "started", "reused", "succeeded", "failed", "retrying", "skipped", "cancelled"
]

#: How many characters the longest of them has.
_WIDEST: Final = len("succeeded")
#: What a step may have come to, in the order of a summary.
ENDS: Final = ("succeeded", "reused", "failed", "skipped", "cancelled")


@attrs.frozen
class News:
    """What happened to a step.

    Attributes:
        word: What it is.
        step: The step.
        index: Which item of it, from 0; `None`: the step as a whole.
        seconds: How long it took, if it has ended.
        attempt: Which attempt is to follow, from 1, if one is.
        attempts: How many there may be, if that is known.
        delay: In so many seconds.
        message: Why it failed.
        reason: Why it was skipped.
    """

    word: Word
    step: str
    index: int | None = None
    seconds: float | None = None
    attempt: int | None = None
    attempts: int | None = None
    delay: float | None = None
    message: str | None = None
    reason: str | None = None

    @property
    def name(self) -> str:
        """The step's name, with the item's number: `fetch_users[3]`."""
        name = printable(self.step)
        return name if self.index is None else f"{name}[{self.index}]"

    @property
    def details(self) -> str:
        """What there is to say beside the word and the name."""
        said: list[str] = []
        if self.word == "retrying":
            of = "" if self.attempts is None else f" of {self.attempts}"
            delay = "" if self.delay is None else f" in {self.delay:.1f} s"
            said.append(f"attempt {self.attempt}{of}{delay}")
        elif self.seconds is not None:
            said.append(took(self.seconds))
        said += [printable(text) for text in (self.message, self.reason) if text]
        return "  ".join(said)

    @property
    def line(self) -> str:
        """All of it in one line."""
        return f"{self.word:<{_WIDEST}}  {self.name}  {self.details}".rstrip()


def took(seconds: float) -> str:
    """Say how long something took: `0.51 s`."""
    return f"{seconds:.2f} s"


def counted(ends: Counter[str]) -> str:
    """Say how many steps came to what: `2 succeeded, 1 failed`."""
    return ", ".join(f"{ends[word]} {word}" for word in ENDS if ends[word]) or "no steps"


def several(number: int, noun: str) -> str:
    """Say how many: `1 step`, `4 steps`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
