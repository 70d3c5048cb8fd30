"""What is wrong with a flow file: each problem with its place, all of them at once."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final, Literal, TypeAlias

import attrs

from plait._errors import PlaitError
from plait._naming import publish

Path: TypeAlias = tuple[str | int, ...]
"""Where a value is in the document: `("flow", 0, "input", "url")`."""

Severity: TypeAlias = Literal["error", "warning"]

#: The headings of the two kinds of problems that programs compare as text.
AGGREGATES: Final = {
    "dependency": "Flow configuration has invalid dependencies:",
    "output-type": "Flow configuration has invalid output types (expected 'raw' or 'jmespath'):",
}


#: A key that needs no quotes in a path.
_SIMPLE: Final = re.compile(r"[^\W\d][\w-]{0,59}")

#: How long a word may be that something is meant by: to compare long ones takes long.
_LONGEST_WORD: Final = 60
#: How many words one is compared with: a file may have thousands of names, and as many misspelt.
_MOST_WORDS: Final = 200


def spell(path: Path) -> str:
    """Write a path as text, on one line: `flow[0].input.url`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _SIMPLE.fullmatch(part):
            text += f".{part}" if text else part
        else:
            text += f"[{part[:60]!r}]"
    return text


@attrs.frozen
class Place:
    """Where something stands: in a file, or in a mapping that a program has made.

    Attributes:
        file: The name of the file as it was given; `""` for a mapping.
        line: From 1; 0 if the whole file is meant.
        column: From 1.
        path: Where it is in the document.
    """

    file: str = ""
    line: int = 0
    column: int = 0
    path: Path = ()

    def __str__(self) -> str:
        if not self.file:
            return spell(self.path)
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@attrs.frozen
class Problem:
    """One thing that is wrong, and where.

    Attributes:
        code: What kind of problem it is, in one word.
        message: What is wrong, and what to write instead.
        place: Where.
        severity: A `"warning"` keeps nothing from running.
    """

    code: str
    message: str
    place: Place
    severity: Severity = "error"

    def __str__(self) -> str:
        place, word = str(self.place), "warning: " if self.severity == "warning" else ""
        return f"{place}: {word}{self.message}" if place else f"{word}{self.message}"


class Problems:
    """Collects what is found in one pass."""

    def __init__(self) -> None:
        #: Each once, and found again at once.
        self._found: dict[Problem, None] = {}

    @property
    def count(self) -> int:
        """How many were noted, warnings too."""
        return len(self._found)

    def add(self, code: str, message: str, place: Place) -> None:
        """Note an error."""
        self._note(Problem(code, message, place))

    def warn(self, code: str, message: str, place: Place) -> None:
        """Note a warning."""
        self._note(Problem(code, message, place, "warning"))

    def _note(self, problem: Problem) -> None:
        self._found[problem] = None

    @property
    def errors(self) -> tuple[Problem, ...]:
        """What keeps the flow from running, in the order of the files."""
        return _in_order(one for one in self._found if one.severity == "error")

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What does not, in the order of the files."""
        return _in_order(one for one in self._found if one.severity == "warning")

    def raise_if_any(self) -> None:
        """Refuse the flow if there is an error.

        Raises:
            FlowConfigError: With all of them.
        """
        if self.errors:
            raise FlowConfigError(self.errors)


def _in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Sort by line within each file, the files as they came up; what has no line keeps its order."""
    found = list(problems)
    files = {one.place.file: None for one in found}
    rank = {name: number for number, name in enumerate(files)}
    return tuple(sorted(found, key=lambda p: (rank[p.place.file], p.place.line, p.place.column)))


class FlowConfigError(PlaitError, ValueError):
    """A flow file cannot be run as it is written.

    Attributes:
        problems: Everything that is wrong, in the order of the files.

    Example:
        ```python
        try:
            flow = plait.flows.load(["flow.yaml"])
        except plait.flows.FlowConfigError as error:
            for problem in error.problems:
                print(problem)
        ```
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(_text(problems))
        self.problems: tuple[Problem, ...] = tuple(problems)

    def __reduce__(self) -> tuple[type[FlowConfigError], tuple[tuple[Problem, ...]]]:
        return type(self), (self.problems,)


def _text(problems: Sequence[Problem]) -> str:
    codes = {one.code for one in problems}
    if len(codes) == 1 and (heading := AGGREGATES.get(*codes)):
        return "\n".join([heading, *(f"  - {one.message}" for one in problems)])
    return "\n".join(str(one) for one in problems)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Add what may have been meant: `; did you mean 'retry'?`, or nothing."""
    if len(word) > _LONGEST_WORD:
        return ""
    likely = (one for one in known if len(one) <= _LONGEST_WORD)
    near = difflib.get_close_matches(word, [*islice(likely, _MOST_WORDS)], n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""


publish("plait.flows", Place, Problem, FlowConfigError)
