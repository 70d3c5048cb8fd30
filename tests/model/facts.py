"""The facts of a run: what its bodies and the outside did, in the order in which they did it.

Promise: the same inputs and the same order of facts give the same result. So the facts are all that
the reference is told, and it says of each whether it may be, and what it must have been.

Most facts are written by the bodies themselves. Four kinds the bodies cannot see, and the run's
observer writes them: that a child has begun or is over, that a retry is due, that a wait is given
up, that a run ends by itself. They say when something rang, never what it means.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from tests.model.program import Program


@attrs.frozen
class Fact:
    """Somebody did something. `body` is 0 for the outside and for what rang."""

    at: float
    run: str
    body: int
    what: str
    data: Any = None

    def __str__(self) -> str:
        who = f"body {self.body}" if self.body else "-"
        data = "" if self.data is None else _show(self.data)
        return f"{self.at:9.4f}  {self.run:<10} {who:<8} {self.what:<12} {data}"


def _show(data: Any) -> str:
    if isinstance(data, tuple | list):
        return "(" + ", ".join(map(_show, data)) + ")"
    return str(data)


@attrs.define
class Log:
    """The facts of a run and of the runs inside it."""

    facts: list[Fact] = attrs.field(factory=list)
    bodies: int = 0
    #: What was made of the programs, each once.
    made: dict[int, Any] = attrs.field(factory=dict)

    def next_body(self) -> int:
        """Number an execution."""
        self.bodies += 1
        return self.bodies

    def of(self, program: Program, make: Callable[[Program], Any]) -> Any:
        """Make something of a program, the first time."""
        if id(program) not in self.made:
            self.made[id(program)] = make(program)
        return self.made[id(program)]


@attrs.frozen
class Account:
    """What came of a run: its end, what it streamed, what was left."""

    #: `("result", label)` or `("raised", class or label, ...)`.
    end: tuple[str, ...]
    stream: tuple[str, ...]
    undelivered: tuple[str, ...]
