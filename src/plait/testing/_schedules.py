"""`schedules`: the order in which Trio runs its tasks, drawn by Hypothesis.

Trio's loop goes in turns. In each it runs every task that is ready, and in which order is nobody's
promise. A schedule is one decision for each turn with more than one task: 0 is the plain order,
first started, first run, and any other number is a shuffle of its own. All decisions are drawn
before the test begins. So the loop never draws, where Hypothesis may want to give up the example,
and a test whose turns are not the same each time is still allowed.
"""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence
from random import Random
from typing import TYPE_CHECKING, Any, Final

import trio
import trio._core._run as scheduler

from plait._engine.attempt import Attempt, current_attempt
from plait._errors import MissingExtra

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn, SearchStrategy

#: How many decisions are drawn one by one, so that each shrinks by itself: at least, and at most.
#: What Hypothesis can leave out it need not try. Later decisions come from a seed.
FEWEST: Final = 32
MOST: Final = 128


class Schedule(Random):
    """Takes the place of Trio's random numbers, of which the scheduler wants a shuffle."""

    def __init__(self, decisions: bytes, later: int) -> None:
        super().__init__(0)
        self._decisions = decisions
        self._later = Random(later) if later else None  # noqa: S311 - an order is no secret
        self._turn = 0

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
                _tell(plain, x)
            self._turn += 1
        x.reverse()

    def _decide(self) -> Random | None:
        if self._turn >= len(self._decisions):
            return self._later
        decision = self._decisions[self._turn]
        # With the turn in it, the same byte is another order in another turn.
        return Random(self._turn << 8 | decision) if decision else None  # noqa: S311 - as above


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


def _tell(plain: Sequence[trio.lowlevel.Task], order: Sequence[trio.lowlevel.Task]) -> None:
    """Have Hypothesis print a turn out of order, if the example is the one that it will show."""
    from hypothesis import currently_in_test_context, note  # noqa: PLC0415 - see `schedules`

    if plain == order or not currently_in_test_context():  # as in another thread than the test's
        return
    were, are = (", ".join(map(_name, tasks)) for tasks in (plain, order))
    note(f"schedule: {are} (plain order: {were})")


def _name(task: trio.lowlevel.Task) -> str:
    """Name a task as the trace of its run does, if it is a step's."""
    attempt, is_worker = _attempt(task), task.name == "worker"
    if attempt is not None:
        delivery = f"{attempt.delivery.step}#{attempt.delivery.number}"
        return delivery if is_worker else f"{task.name} in {delivery}"
    if is_worker and task.parent_nursery is not None:
        return f"worker of {task.parent_nursery.parent_task.name}"
    return task.name


#: The schedules of the examples that are running, the latest last. It is the one in force.
_drawn: list[Schedule] = []
_trios_own: dict[str, object] = {}


def _begin(schedule: Schedule) -> None:
    if not _drawn:
        names = ("_r", "_ALLOW_DETERMINISTIC_SCHEDULING")
        _trios_own.update((name, getattr(scheduler, name)) for name in names)
    _drawn.append(schedule)
    _enforce()


def _end(schedule: Schedule) -> None:
    """Forget a schedule: not always the latest, since Hypothesis cleans up in its own order."""
    _drawn.remove(schedule)
    _enforce()


def _enforce() -> None:
    """Put two private names of Trio right. tests/testing/test_schedules.py says if they change."""
    ours = {"_r": _drawn[-1], "_ALLOW_DETERMINISTIC_SCHEDULING": True} if _drawn else _trios_own
    for name, value in ours.items():
        setattr(scheduler, name, value)


def schedules() -> SearchStrategy[object]:
    """Have Hypothesis explore the order in which Trio runs its tasks.

    Under `@given(schedules())` each example has a schedule of its own, from when it is drawn to the
    end of the example. The value needs no use. A failure shrinks towards the plain order, in which
    the task that was started first runs first, and Hypothesis prints the turns that are still out
    of order. It replays like any other example: from the database, by `@reproduce_failure`, or with
    `derandomize=True`. Combine it with other strategies, and use it on sync tests around
    `plait.testing.run` as well as on async tests under Trio.

    Only Trio's scheduler is explored: not asyncio's, and not threads, which are as fast as they
    are. A test with plain `def` steps may therefore fail once and pass in the replay; so may one
    that waits for real time or for the network. Examples must run one after the other, not in
    several threads at once.

    Returns:
        A strategy. Needs Hypothesis: `pip install 'plait[testing]'`.

    Raises:
        MissingExtra: Hypothesis is not installed.

    Example:
        ```python
        @given(plait.testing.schedules(), st.integers(1, 9))
        def test_each_item_is_counted_once(_, count):
            async def main():
                assert await Flow().run(count=count) == count

            plait.testing.run(main)
        ```
    """
    try:
        from hypothesis import strategies as st  # noqa: PLC0415 - tests without it do not load it
        from hypothesis.control import cleanup  # noqa: PLC0415 - as above
    except ModuleNotFoundError as missing:
        raise MissingExtra(
            "schedules() needs hypothesis. Type: pip install 'plait[testing]'"
        ) from missing

    @st.composite
    def draw_schedule(draw: DrawFn) -> object:
        later = draw(st.integers(0, 2**32 - 1))
        # One string: of a list of them Hypothesis likes to make all alike.
        schedule = Schedule(draw(st.binary(min_size=FEWEST, max_size=MOST)), later)
        _begin(schedule)
        cleanup(lambda: _end(schedule))
        return schedule

    return draw_schedule()
