"""`Schedule`: the order in which Trio runs its tasks, as a list of decisions.

Trio's loop goes in turns. In each it runs every task that is ready, and in which order is nobody's
promise. A schedule is one decision for each turn with more than one task: 0 is the plain order,
first started, first run, and any other number is a shuffle of its own. All decisions are made
before the test begins, so the loop never asks for one.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, MutableSequence
from contextlib import contextmanager
from random import Random
from typing import Any, Final

import trio
import trio._core._run as scheduler

from plait._engine.attempt import Attempt, current_attempt


class Schedule(Random):
    """Takes the place of Trio's random numbers, of which the scheduler wants a shuffle.

    `later` is the seed of the decisions that follow the last one, and 0 the plain order; `tell` is
    called with a line for each turn that is out of order.
    """

    def __init__(self, decisions: bytes, later: int, tell: Callable[[str], None]) -> None:
        super().__init__(0)
        self._decisions = decisions
        self._later = Random(later) if later else None  # noqa: S311 - an order is no secret
        self._tell = tell
        #: How many turns with more than one task there have been.
        self.turns = 0

    def __repr__(self) -> str:
        turns = [str(turn) for turn, decision in enumerate(self._decisions, 1) if decision]
        if self._later:
            turns.append(f"all after {len(self._decisions)}")
        if not turns:
            return "<schedule: plain order>"
        return f"<schedule: {', '.join(turns)} out of order>"

    def shuffle(self, x: MutableSequence[Any]) -> None:
        """Order a turn's tasks, which Trio gives in the order of their start and takes from the end."""
        if len(x) > 1:
            _sort_workers(x)
            if (decision := self._decide()) is not None:
                plain = [*x]
                decision.shuffle(x)
                if plain != x:
                    were, are = (", ".join(map(name_of, tasks)) for tasks in (plain, x))
                    self._tell(f"{are} (plain order: {were})")
            self.turns += 1
        x.reverse()

    def _decide(self) -> Random | None:
        if self.turns >= len(self._decisions):
            return self._later
        decision = self._decisions[self.turns]
        # With the turn in it, the same byte is another order in another turn.
        return Random(self.turns << 8 | decision) if decision else None  # noqa: S311 - as above


def _sort_workers(tasks: MutableSequence[trio.lowlevel.Task]) -> None:
    """Let the workers of one step change places, so that the oldest delivery comes first.

    Which of them has taken which delivery makes no difference to a run. So it shall make none here.
    """
    places: dict[trio.Nursery | None, list[int]] = {}
    for place, task in enumerate(tasks):
        if task.name == "worker" and _attempt(task) is not None:
            places.setdefault(task.parent_nursery, []).append(place)
    for own in places.values():
        for place, task in zip(own, sorted((tasks[at] for at in own), key=_number), strict=True):
            tasks[place] = task


def _attempt(task: trio.lowlevel.Task) -> Attempt | None:
    """Find the body within which a task runs."""
    attempt = task.context.get(current_attempt)
    return attempt if attempt is not None and attempt.worker.attempt is attempt else None


def _number(worker: trio.lowlevel.Task) -> int:
    attempt = _attempt(worker)
    assert attempt is not None
    return attempt.delivery.number


def name_of(task: trio.lowlevel.Task) -> str:
    """Name a task as the trace of its run does, if it is a step's."""
    attempt, is_worker = _attempt(task), task.name == "worker"
    if attempt is not None:
        delivery = f"{attempt.delivery.step}#{attempt.delivery.number}"
        return delivery if is_worker else f"{task.name} in {delivery}"
    if is_worker and task.parent_nursery is not None:
        return f"worker of {task.parent_nursery.parent_task.name}"
    return task.name


#: The schedules that have begun and not ended, the latest last. It is the one in force.
_begun: Final[list[Schedule]] = []
_trios_own: Final[dict[str, object]] = {}


def begin(schedule: Schedule) -> None:
    """Put a schedule in force, for every loop of the process."""
    if not _begun:
        names = ("_r", "_ALLOW_DETERMINISTIC_SCHEDULING")
        _trios_own.update((name, getattr(scheduler, name)) for name in names)
    _begun.append(schedule)
    _enforce()


def end(schedule: Schedule) -> None:
    """Forget a schedule: not always the latest, since Hypothesis cleans up in its own order."""
    _begun.remove(schedule)
    _enforce()


@contextmanager
def in_force(schedule: Schedule) -> Generator[None]:
    """Put a schedule in force for a block."""
    begin(schedule)
    try:
        yield
    finally:
        end(schedule)


def _enforce() -> None:
    """Put two private names of Trio right. tests/testing/test_schedules.py says if they change."""
    ours = {"_r": _begun[-1], "_ALLOW_DETERMINISTIC_SCHEDULING": True} if _begun else _trios_own
    for name, value in ours.items():
        setattr(scheduler, name, value)
