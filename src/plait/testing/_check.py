"""`check_workflow`: what plait promises, and what the user wants, on a workflow of the user's own."""

from __future__ import annotations

import math
import re
from collections.abc import Awaitable, Callable, Iterator
from random import Random
from typing import Final, Generic, TypeVar, cast

import attrs

from plait._strands._events.run import Run

from ._clock import run as run_on_mock_clock
from ._loop import refuse_a_loop
from ._order import Schedule, in_force
from ._trial import UNKNOWN, Case, Trial, Violation

R = TypeVar("R")

#: Lines of a story that a failure shows, and runs that are spent on making it simpler.
MOST_LINES: Final = 60
MOST_TRIES: Final = 200
#: Of a case that is written down: a turn and its decision, the seed of later ones, where it was cut.
WORD: Final = re.compile(
    r"plain|(?:(?P<turn>[1-9]\d{0,5})(?P<more>\+?)|cancel):(?P<number>[1-9]\d{0,9})"
)


def check_workflow(
    make: Callable[[], Run[R]],
    *,
    examples: int = 100,
    cancellations: int = 100,
    drive: Callable[[Run[R]], Awaitable[object]] | None = None,
    check_result: Callable[[R], object] | None = None,
    check_after: Callable[[], object] | None = None,
    allow_unfinished: bool = False,
    timeout: float = 86_400.0,
    seed: int = 0,
    replay: str | None = None,
) -> R:
    """Run a workflow under many schedules, cancel it everywhere, and check what comes of it.

    Each run has a virtual clock and a Trio of its own. First the workflow runs in the plain order;
    then under `examples` schedules, that is orders in which Trio might run its tasks; then, in the
    plain order again, it is cancelled at one step of the scheduler after the other, and run once
    more after each. Every run must

    - end within `timeout`, and not fail;
    - give the same result as in the plain order, or one that `check_result` accepts;
    - leave nothing unfinished when it stops: no event that reached no body or no whole batch, and no
      body that the stop event has cancelled (unless `allow_unfinished`);
    - run a body once per event, and once more for each retry; give each `collect_events` and each
      fan-in whole batches, in the order asked for; lose no event;
    - leave no task and no token of a shared limiter behind, cancelled or not;
    - end each clean-up: none waits for ever, and none is cut short, that is cancelled in an `await`
      of a `finally` or `except` that has more to do and no shield.

    A schedule that breaks one of these is made simpler, until as few turns as possible are out of
    order. The same call explores the same schedules each time. Hypothesis is not needed.

    What `make` finds outside is the same for all runs: fakes and workflow objects that keep
    something should be made inside of it, unless it is just their state that is to be checked. Only
    Trio is explored, and plain `def` steps go their own ways in their threads: see `schedules`.

    Args:
        make: Makes a run, not started, and another one each time.
        examples: How many schedules, the plain order included.
        cancellations: At how many steps of the scheduler, spread evenly if the run has more. 0: none.
        drive: An async function that is given each started run, to do what belongs to it from
            outside, as to answer its questions. Cancelled when the run has ended.
        check_result: Called with each result. Raises, or returns `False`, if it is wrong.
        check_after: Called after each run, cancelled ones too. Raises, or returns `False`, if
            something is wrong with what the workflow has left outside of it.
        allow_unfinished: Whether a stop event may come while events wait and bodies run.
        timeout: In virtual seconds: how long a run may take, and how long its clean-up.
        seed: Another one explores other schedules.
        replay: Runs one case only: the text that a failure has shown.

    Returns:
        The result in the plain order.

    Raises:
        AssertionError: With what was broken, under which schedule or cancelled where, and the story
            of that run. Its cause is the exception that came out, if one did.
        TypeError: `make` makes no new run, or an argument is of the wrong kind.
        ValueError: An argument is out of range, or `replay` no such text.
        RuntimeError: An event loop is running here.

    Example:
        ```python
        def test_cheapest():
            assert check_workflow(lambda: Cheapest(fetch).run(shops=["a", "b"])) == "b"
        ```
    """
    __tracebackhide__ = True
    _check_arguments(make, examples, cancellations, timeout)
    refuse_a_loop("check_workflow()")
    case = Case(make, drive, check_result, check_after, allow_unfinished, timeout)
    check = _Check(case, Random(seed))  # noqa: S311 - an order is no secret
    failure = check.replay(replay) if replay is not None else check.search(examples, cancellations)
    if failure is not None:
        raise AssertionError(failure.text) from failure.cause
    return cast("R", case.expected)


def _check_arguments(make: object, examples: int, cancellations: int, timeout: float) -> None:
    if not callable(make) or isinstance(make, Run):  # a run is called by those who start it so
        raise TypeError(
            f"check_workflow() takes a function that makes a run, not {make!r}.\n"
            "  right:  check_workflow(lambda: Flow().run())"
        )
    if examples < 1:
        raise ValueError(f"examples must be at least 1, not {examples!r}")
    if cancellations < 0:
        raise ValueError(f"cancellations must be at least 0, not {cancellations!r}")
    if not 0 < timeout < math.inf:
        raise ValueError(f"timeout must be a positive number of seconds, not {timeout!r}")


@attrs.frozen
class _Failure:
    text: str
    cause: Exception | None


@attrs.frozen
class _Order:
    """A schedule that can be written down: the decision of each turn, and the seed of later ones."""

    decisions: bytes = b""
    later: int = 0

    def without(self, begin: int, end: int) -> _Order:
        return _Order(
            self.decisions[:begin] + bytes(end - begin) + self.decisions[end:], self.later
        )

    def __str__(self) -> str:
        told = [f"{turn}:{made}" for turn, made in enumerate(self.decisions, 1) if made]
        if self.later:
            told.append(f"{len(self.decisions)}+:{self.later}")
        return " ".join(told) or "plain"


PLAIN: Final = _Order()


class _Check(Generic[R]):
    def __init__(self, case: Case[R], random: Random) -> None:
        self._case = case
        self._random = random
        #: Of the run in the plain order: turns with more than one task, and steps.
        self._turns = 0
        self._steps = 0

    def search(self, examples: int, cancellations: int) -> _Failure | None:
        if (failure := self._begin()) is not None:
            return failure
        for _ in range(examples - 1):
            order = self._drawn()
            violation = self._try(order)
            if violation is not None:
                return self._report(*self._simplest(order, violation))
        for cut in self._cuts(cancellations):
            violation = self._try(PLAIN, cut)
            if violation is not None:
                return self._report(PLAIN, violation, cut)
        return None

    def replay(self, text: str) -> _Failure | None:
        order, cut = _read(text)
        if (failure := self._begin()) is not None:
            return failure
        violation = self._try(order, cut)
        return None if violation is None else self._report(order, violation, cut)

    def _begin(self) -> _Failure | None:
        """Run in the plain order: everything else is compared with it."""
        violation = self._try(PLAIN)
        return None if violation is None else self._report(PLAIN, violation)

    def _try(self, order: _Order, cut: int | None = None) -> Violation | None:
        trial = Trial(self._case, cut)
        turns: list[str] = []
        schedule = Schedule(order.decisions, order.later, turns.append)
        try:
            with in_force(schedule):
                result = run_on_mock_clock(trial.main)
        except Violation as violation:
            violation.turns = turns
            return violation
        if self._case.expected is UNKNOWN:
            self._case.expected = result
            self._turns, self._steps = max(1, schedule.turns), trial.steps
        return None

    def _drawn(self) -> _Order:
        """One turn out of order, or some, or all: most faults need one, and some need many."""
        share = self._random.choice((0.0, 0.25, 1.0))
        out = [self._random.random() < share for _ in range(self._turns)]
        out[self._random.randrange(self._turns)] = True
        decisions = bytes(self._random.randint(1, 255) if turn else 0 for turn in out)
        return _Order(decisions, self._random.getrandbits(32) if share else 0)

    def _simplest(self, order: _Order, violation: Violation) -> tuple[_Order, Violation]:
        """Put turns back into the plain order, as long as the same promise is broken."""
        plain = self._try(PLAIN)
        if plain is not None and plain.title == violation.title:
            violation.text += (
                "\nNow it fails in the plain order as well: what lies outside of make() has changed, "
                "so this is not made simpler."
            )
            return order, violation
        order, violation = self._simpler(_Order(order.decisions), order, violation)
        tries, size = MOST_TRIES, len(order.decisions)
        while size:
            for begin in range(0, len(order.decisions), size):
                if tries and any(order.decisions[begin : begin + size]):
                    tries -= 1
                    simpler = order.without(begin, begin + size)
                    order, violation = self._simpler(simpler, order, violation)
            size //= 2
        return order, violation

    def _simpler(
        self, simpler: _Order, order: _Order, violation: Violation
    ) -> tuple[_Order, Violation]:
        again = self._try(simpler) if simpler != order else None
        if again is not None and again.title == violation.title:
            return simpler, again
        return order, violation

    def _cuts(self, most: int) -> Iterator[int]:
        if self._steps <= most:
            yield from range(1, self._steps + 1)
        else:
            yield from (1 + at * self._steps // most for at in range(most))

    def _report(self, order: _Order, violation: Violation, cut: int | None = None) -> _Failure:
        lines = [f"check_workflow(): {violation.title}", *_indented(violation.text)]
        if violation.turns:
            lines += ["", "Out of order:", *_indented("\n".join(violation.turns[:MOST_LINES]))]
        if cut is not None:
            lines += ["", f"Cancelled at step {cut} of {self._steps} of the scheduler."]
        story = str(violation.story).splitlines()
        if (left := len(story) - MOST_LINES) > 0:
            half = MOST_LINES // 2
            story = [*story[:half], f"    ... {left} lines more ...", *story[-half:]]
        words = [] if order == PLAIN and cut is not None else [str(order)]
        words += [] if cut is None else [f"cancel:{cut}"]
        lines += ["", "What happened:", *story, "", f"To run only this: replay={' '.join(words)!r}"]
        return _Failure("\n".join(lines), violation.cause)


def _indented(text: str) -> list[str]:
    return [f"  {line}" for line in text.splitlines()]


def _read(text: str) -> tuple[_Order, int | None]:
    """Read what `_report` writes."""
    words = [WORD.fullmatch(word) for word in text.split()]
    decisions, later = bytearray(), 0
    cut: int | None = None
    for word in words or [None]:
        if word is None:
            raise ValueError(f"replay must be a text that a failure has shown, not {text!r}")
        turn, more, number = word["turn"], word["more"], int(word["number"] or 0)
        if turn is None:
            cut = number or cut
        elif more:
            decisions.extend(bytes(int(turn) - len(decisions)))
            later = number
        else:
            decisions.extend(bytes(int(turn) - len(decisions)))
            decisions[-1] = min(number, 255)
    return _Order(bytes(decisions), later), cut
