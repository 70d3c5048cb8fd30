"""A program of the model tests: a workflow as plain data, and what its bodies do.

Nothing here knows plait. `compile` makes a real workflow of a program, `reference` interprets it, and
both ask a `Script` what a body does: which acts, in which order, and which events it makes.

Every event is known by its label, which comes from whatever the body has seen: its inputs, batches,
answers, results of children. So a body that saw something else makes other events, and the
difference travels to the end of the run. What bounds a run is the mass: an event gives less than it
has to those that come of it, divided by the number of their receivers.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Sequence
from typing import Final, Literal, TypeAlias

import attrs

# ---------------------------------------------------------------- events

#: The classes of events, each with its base. `A2` is a kind of `A`.
BASES: Final[dict[str, str | None]] = {
    "Go": None,
    "A": None,
    "A2": "A",
    "B": None,
    "C": None,
    "D": None,
    "Shown": None,
    "Answer": None,
    "Question": None,
    "Failed": None,
    "Stop": None,
}
#: Go to the stream when they are sent or returned, and need nobody who accepts them.
OBSERVABLE: Final = ("Shown", "Question")


def is_a(kind: str, wanted: str) -> bool:
    """Say whether a class is another one or a subclass of it."""
    return kind == wanted or BASES[kind] == wanted


@attrs.frozen
class Ev:
    """An event, as the model knows it."""

    kind: str
    label: str
    mass: int = 0

    @property
    def key(self) -> int:
        """What a collection with a key, and a wait with requirements, go by."""
        return zlib.crc32(self.label.encode()) % 2

    def __str__(self) -> str:
        return f"{self.kind}:{self.label}"


def failure(step: str, inputs: Sequence[Ev], error: str, attempts: int, elapsed: float) -> Ev:
    """The event that stands for a failure: it shows all that the real one says."""
    given = "+".join(str(ev) for ev in inputs)
    label = f"{step}({given}) {error} after {attempts} in {elapsed}"
    return Ev("Failed", label, sum(ev.mass for ev in inputs))


# ---------------------------------------------------------------- what bodies do


@attrs.frozen
class Send:
    """Send an event, to all who take it or to one step, now or when the attempt has succeeded."""

    kind: str
    target: str | None = None
    held: bool = False


@attrs.frozen
class Collect:
    """Give an input to a collection. What it answers is part of what the body has seen."""

    wants: tuple[str, ...]
    buffer: str = "default"
    keyed: bool = False
    as_mapping: bool = False


@attrs.frozen
class Wait:
    """Wait for an event of a class."""

    kind: str
    timeout: float | None = None
    key: int | None = None
    broadcast: bool = False
    asks: bool = False


@attrs.frozen
class Write:
    """Write an event to the stream."""


@attrs.frozen
class Fail:
    """Raise, in the first attempts."""

    attempts: int = 99
    odd: bool = False


@attrs.frozen
class Nest:
    """Run a child to its end."""

    child: int
    forward: bool = False
    careful: bool = False


@attrs.frozen
class CancelStep:
    """Cancel what runs of a step."""

    step: str


Act: TypeAlias = Send | Collect | Wait | Write | Fail | Nest | CancelStep


@attrs.frozen
class Give:
    """What a body returns: nothing, one event, several as a list, or the end of the run."""

    how: Literal["none", "one", "list", "stop"] = "none"
    kinds: tuple[str, ...] = ()
    #: Only if the last collection was complete.
    whole: bool = False
    #: Of all these classes, none this time.
    empty: bool = False


@attrs.frozen
class Timed:
    """An act, and how long the body sleeps before it. `None`: it does not; 0: it lets others run."""

    act: Act | Give
    after: float | None = None


# ---------------------------------------------------------------- steps and workflows


@attrs.frozen
class Retry:
    """So many attempts in all, this long after one another; each pause longer by `more`."""

    attempts: int
    delay: float = 0.0
    more: float = 0.0
    #: Retry only odd failures.
    only_odd: bool = False

    def after(self, failures: int, *, odd: bool) -> float | None:
        """Say how long it is to the next attempt; `None`: there is none."""
        if failures >= self.attempts or (self.only_odd and not odd):
            return None
        return self.delay + self.more * (failures - 1)


@attrs.frozen
class Step:
    """A step."""

    name: str
    takes: tuple[str, ...]
    acts: tuple[Timed, ...] = ()
    give: Timed = Timed(Give())
    #: One event of a union, one of each class, or the list that a stream brings together.
    shape: Literal["one", "join", "list"] = "one"
    workers: int = 4
    subclasses: bool = False
    take: int | None = None
    cancel_rest: bool = False
    by_input: bool = False
    retry: Retry | None = None
    #: Seconds for an attempt.
    limit: float | None = None
    #: It is a handler: of these steps, or of all that have no other (an empty tuple).
    handles: tuple[str, ...] | None = None
    recoveries: int = 1
    #: How long it cleans up when it is cancelled, and whether it fails in this.
    cleanup: float | None = None
    breaks: bool = False
    #: Some of its deliveries sleep longer than others.
    uneven: bool = False

    @property
    def returned(self) -> tuple[str, ...]:
        """The classes that it may return by themselves."""
        give = self.give.act
        assert isinstance(give, Give)
        return give.kinds if give.how == "one" else ()

    @property
    def listed(self) -> tuple[str, ...]:
        """The classes that it may return in a list."""
        give = self.give.act
        assert isinstance(give, Give)
        return give.kinds if give.how == "list" else ()

    def accepts(self, kind: str) -> bool:
        """Say whether events of a class go to this step."""
        if kind in self.takes:
            return True
        return self.subclasses and kind != "Stop" and any(is_a(kind, one) for one in self.takes)


@attrs.frozen
class Inward:
    """What the outside does, and how long it waits before: sends an event, or cancels the run."""

    after: float
    kind: str | None
    target: str | None = None


@attrs.frozen
class Program:
    """A workflow."""

    steps: tuple[Step, ...]
    mass: int = 0
    drains: bool = False
    timeout: float | None = None
    while_idle: bool = True
    children: tuple[Program, ...] = ()
    outside: tuple[Inward, ...] = ()

    def takers(self, kind: str) -> list[Step]:
        """The steps that accept a class of events."""
        return [step for step in self.steps if step.accepts(kind)]


#: How long the outside waits for a run that it has nothing more to tell, before it cancels it.
LONG: Final = 10_000.0


def start(program: Program) -> Ev:
    """The event that begins a run."""
    return Ev("Go", "go", program.mass)


def arrival(program: Program, number: int) -> tuple[Ev, str | None] | None:
    """What the outside sends, and to whom; `None`: it cancels the run."""
    inward = program.outside[number]
    if inward.kind is None:
        return None
    return Ev(inward.kind, f"outside.{number}", program.mass // 4), inward.target


# ---------------------------------------------------------------- scripts


class Script:
    """One execution of one body: what it does next depends only on what it has seen."""

    def __init__(self, program: Program, step: Step, inputs: Sequence[Ev], attempt: int) -> None:
        self.program = program
        self.step = step
        self.attempt = attempt
        self.inputs = inputs
        self.mass = sum(ev.mass for ev in inputs)
        self.seen = [step.name, str(attempt), *sorted(map(str, inputs))]
        self.whole = True
        self.made = 0

    def acts(self) -> Iterator[tuple[float, Sequence[float], Act | Give]]:
        """The acts that this attempt does, each with the sleeps before it, and their sum."""
        sleeps: list[float] = []
        factor = 1 + 2 * sum(ev.key for ev in self.inputs) if self.step.uneven else 1
        for timed in (*self.step.acts, self.step.give):
            if timed.after is not None:
                sleeps.append(timed.after * factor)
            if self._does(timed.act):
                yield math.fsum(sleeps), sleeps, timed.act
                sleeps = []

    def _does(self, act: Act | Give) -> bool:
        match act:
            case Send():
                return self.mass > 0
            case Nest():
                return self.mass > 1
            case Fail():
                return self.attempt <= act.attempts
            case Collect():
                return bool(self.inputs)
        return True

    def saw(self, *what: object) -> None:
        """Note something that the body has seen."""
        self.seen += map(str, what)

    def event(self, kind: str) -> Ev:
        """Make the next event of this body."""
        self.made += 1
        seen = "|".join(sorted(self.seen))
        label = f"{self.step.name}.{self.made}-{zlib.crc32(seen.encode()):08x}"
        parts = max(1, self._emissions) * max(1, len(self.program.takers(kind)))
        return Ev(kind, label, max(0, (self.mass - 1) // parts))

    @property
    def _emissions(self) -> int:
        give = self.step.give.act
        assert isinstance(give, Give)
        sends = sum(isinstance(timed.act, Send | Nest) for timed in self.step.acts)
        return sends + len(give.kinds)

    def gift(self, give: Give) -> Ev | list[Ev] | None:
        """Make what the body returns."""
        if give.how == "stop":
            return self.event("Stop") if self.whole else None
        if not self.mass or not self.whole:
            return None
        if give.how == "list":
            return [] if give.empty else [self.event(kind) for kind in give.kinds]
        if give.how == "one":
            # One of them, by what the body has seen.
            kinds = sorted(give.kinds)
            seen = "|".join(sorted(self.seen))
            return self.event(kinds[zlib.crc32(seen.encode()) % len(kinds)])
        return None
