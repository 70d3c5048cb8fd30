"""What a seed stands for: everything that is decided before a run begins.

The plan of the faults is a list, so that a failure can be read, and made smaller by leaving some out.
What bodies decide on their way (which of two answers, how long a call takes) comes from the same seed.
"""

from __future__ import annotations

from random import Random
from typing import Final

import attrs

HOUR: Final = 3600.0
DAY: Final = 24 * HOUR

#: The programs, and their steps, in which faults can strike.
STEPS: Final = {
    "agent": ("begin", "think", "tool", "gather", "record"),
    "crawler": ("begin", "fetch", "spread", "skip"),
    "saga": ("order", "charge", "ship", "undo", "reject", "mail", "audit"),
    "parts": ("begin", "work", "polish", "gather"),
    "pairs": ("begin", "left", "right", "merge", "count"),
    "book": ("begin", "write", "bind"),
    "race": ("begin", "bid", "watch"),
    "desk": ("begin", "listen", "archive"),
}
#: What can go wrong at a call of a body.
AT_A_CALL: Final = (
    "raises",
    "raises",
    "raises several",
    "raises what is no Exception",
    "raises a stray Cancelled",
    "is slow",
    "is slow",
    "hangs",
    "sends a stop",
    "sends what nobody takes",
    "cancels a step",
    "cancels its run",
    "fails in a nursery of its own",
    "is called away by a scope of its own",
)
#: What can go wrong in a body that has been cancelled.
IN_CLEAN_UP: Final = (
    "is slow to clean up",
    "swallows its cancellation",
    "fails in its clean-up",
    "sends after the stop",
    "writes after the stop",
    "waits after the stop",
)
#: What can go wrong with what bodies are lent.
OF_RESOURCES: Final = ("cannot be opened", "fails when it is closed", "is slow to close")

OWNERS: Final = ("await", "block", "nursery", "runtime", "stepwise")
#: Who ends a run before its time, and with what.
CUTS: Final = ("run.cancel", "scope", "deadline", "sibling", "body of the block", "cancel_run")
READERS: Final = (
    "reads",
    "leaves",
    "dies",
    "stalls",
    "comes late",
    "comes after the end",
    "looks inside",
)
HUMANS: Final = ("answers", "answers early", "answers late", "answers twice", "never answers")


@attrs.frozen
class Fault:
    """What goes wrong in the `nth` body of a step, at its `call`-th call of the outside."""

    step: str
    nth: int
    call: int
    what: str
    #: Seconds, where it takes time.
    seconds: float


@attrs.frozen
class Lent:
    """What goes wrong with the `nth` resource that is opened."""

    nth: int
    what: str


@attrs.frozen
class Cut:
    """Somebody ends a run: at a time, or just before the `step`-th step of the scheduler."""

    what: str
    at: float
    step: int


@attrs.frozen
class Reader:
    """A consumer of a run's stream."""

    what: str
    #: Seconds from one event to the next, and events until something happens to it.
    pause: float
    after: int


@attrs.frozen
class Scenario:
    """All of it."""

    seed: int
    flow: str
    owner: str
    #: How many runs at once, of one workflow object or of as many.
    runs: int
    one_object: bool
    faults: tuple[Fault, ...]
    lent: tuple[Lent, ...]
    cuts: tuple[Cut, ...]
    readers: tuple[Reader, ...]
    human: str
    #: How long people take.
    delay: float
    #: Does somebody look at the records? The engine has a shorter way if nobody does.
    observed: bool
    #: The record at which an observer raises; -1: never.
    observer: int
    #: The options of its workflows.
    on_stop: str
    stream_buffer: float
    timeout: float | None
    while_idle: bool
    num_concurrent_runs: int | None

    def __str__(self) -> str:
        lines = [
            f"seed {self.seed}: {self.runs} run(s) of {self.flow!r}, started by {self.owner!r}",
            f"  on_stop={self.on_stop!r}, timeout={self.timeout} (while idle: {self.while_idle})",
            f"  stream_buffer={self.stream_buffer}",
            f"  one object: {self.one_object}, num_concurrent_runs={self.num_concurrent_runs}",
            f"  a human {self.human}, after {self.delay} s",
            f"  observed: {self.observed}; an observer raises at {self.observer}",
        ]
        lines += [f"  {each}" for each in (*self.faults, *self.lent, *self.cuts, *self.readers)]
        return "\n".join(lines)


def draw(seed: int) -> Scenario:
    """Draw what a seed stands for."""
    dice = Random(f"scenario {seed}")
    flow = dice.choice([*STEPS, "agent"])  # the one that waits
    owner = dice.choice(OWNERS)
    several = owner in {"nursery", "runtime"}
    runs = dice.choice((1, 2, 3, 4)) if several else 1
    return Scenario(
        seed=seed,
        flow=flow,
        owner=owner,
        runs=runs,
        one_object=dice.random() < 0.6,
        faults=tuple(_fault(dice, flow) for _ in range(_few(dice))),
        lent=tuple(
            Lent(dice.randrange(6), dice.choice(OF_RESOURCES)) for _ in range(_few(dice) // 2)
        ),
        cuts=tuple(_cut(dice) for _ in range(dice.choice((0, 0, 0, 1, 1, 2)))),
        readers=tuple(
            Reader(
                dice.choice(READERS),
                dice.choice((0.0, 0.0, 0.5, 7.0, HOUR)),
                dice.randrange(5),
            )
            for _ in range(dice.choice((0, 1, 1, 2, 3)))
        ),
        human=dice.choice(HUMANS),
        delay=dice.choice((0.0, 1.0, 30.0, HOUR, DAY)),
        observed=dice.random() < 0.6,
        observer=dice.choice((-1, -1, -1, dice.randrange(30))),
        on_stop=dice.choice(("cancel", "cancel", "drain")),
        stream_buffer=dice.choice((float("inf"), float("inf"), 1, 1, 3)),
        timeout=dice.choice((None, None, None, 10.0, HOUR, 2 * DAY)),
        while_idle=dice.random() < 0.6,
        num_concurrent_runs=dice.choice((None, None, 1, 2)) if several else None,
    )


def _few(dice: Random) -> int:
    """How many faults: often none or one, so that each is seen alone, sometimes a lot."""
    return dice.choice((0, 1, 1, 2, 3, 4, 6))


def _fault(dice: Random, flow: str) -> Fault:
    steps = STEPS[flow]
    if flow == "book" and dice.random() < 0.5:
        steps = STEPS[dice.choice(("agent", "saga", "parts"))]
    return Fault(
        step=dice.choice(steps),
        nth=dice.choice((0, 0, 0, 0, 1, 1, 2)),
        call=dice.choice((0, 0, 0, 1)),
        what=dice.choice(AT_A_CALL if dice.random() < 0.6 else IN_CLEAN_UP),
        seconds=dice.choice((1.0, 60.0, HOUR, 5 * HOUR, 2 * DAY)),
    )


def _cut(dice: Random) -> Cut:
    by_step = dice.random() < 0.6
    return Cut(
        what=dice.choice(CUTS),
        at=dice.choice((0.0, 0.5, 1.0, 2.0, 10.0, HOUR, DAY)),
        step=int(2 ** dice.uniform(2, 8.5)) if by_step else 0,
    )
