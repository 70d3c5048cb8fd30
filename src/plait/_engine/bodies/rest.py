"""Is a body at rest: is each of its tasks blocked, or inside a handler?

Judged per body. A judgement over the whole loop, like Trio's `wait_all_tasks_blocked`, never comes
while a neighbour is busy. Two ways to judge, each O(1) per step of a task:

- Trio says when a task is scheduled and when a step of it is over. The difference is counted; when
  it is 0, the body is at rest in that very moment.
- asyncio says neither. But a task that is blocked shows the future for which it waits. So tasks that
  may be runnable are looked at once in each pass of the loop, and no more once they are seen blocked,
  until that future is done. One pass without a runnable task proves nothing: the last step of a task
  is followed by callbacks of the loop, and only these wake who waits for the task. `QUIET_PASSES`
  says how many such callbacks in a row may lie between two steps of a body.

A thread that runs user code in the name of a task counts as runnable.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from .paths import Place

#: Passes of asyncio's loop without a runnable task of the body. With n of them, n - 1 callbacks in a
#: row are allowed for. Task groups and `gather` have one between the end of a child and their own
#: wake-up; `wait_for`, `shield` and another `gather` around a `gather` add one each. Measured: with 2
#: passes an outcome overtook the wake-up of `wait_for(gather(...))` in 2 of 100 recoveries, with 3
#: that of one level more in 1 of 100, with 4 none.
QUIET_PASSES: Final = 4


class Rest(ABC):
    """Whether one body is at rest, and a call to somebody as soon as it is."""

    def __init__(self, on_rest: Callable[[], None], fail: Callable[[BaseException], None]) -> None:
        self._on_rest = on_rest
        self._fail = fail
        #: Does somebody wait for rest?
        self.wanted: bool = False
        #: Counts how often rest was reached: tells one want from the next.
        self.times: int = 0
        #: The tasks of the body that count, or will when they leave their handlers.
        self.places: set[Place] = set()

    def want(self) -> None:
        """Have `on_rest` called once, when the body is at rest: at once if it is. Not a checkpoint."""
        self.wanted = True
        self._seek()

    def want_after_a_step(self) -> None:
        """Do so at the next rest that is not in the midst of what runs now. Not a checkpoint.

        For who is asked in the midst of a cancellation: the task that is cancelled is not runnable yet,
        and others of the same scope have not heard of it.
        """
        self.wanted = True
        self._seek_after_a_step()

    def stop(self) -> None:
        """Call nobody any more: the body is over."""
        self.wanted = False
        self._on_rest = _nothing
        self.places.clear()

    def spinning(self) -> list[Place]:
        """List the places whose tasks are runnable now, by their paths."""
        return sorted(filter(self.is_runnable, self.places), key=lambda place: repr(place.path))

    def handler(self, place: Place) -> AbstractContextManager[None]:
        """Do not count the task that runs now: it is inside a handler."""
        return _Aside(self, place)

    @contextmanager
    def user_code_in_thread(self, place: Place) -> Generator[None]:
        """Count a thread that runs the user's code for a task, though the task is blocked.

        Entered and left on the event loop's thread, around the wait for the thread.
        """
        self._thread(place, 1)
        try:
            yield
        finally:
            self._thread(place, -1)

    @contextmanager
    def thread_waits(self, place: Place) -> Generator[None]:
        """Do not count that thread while a call of its own has it wait. On the loop's thread."""
        self._thread(place, -1)
        try:
            yield
        finally:
            self._thread(place, 1)

    def _settle(self) -> None:
        self.wanted = False
        self.times += 1
        try:
            self._on_rest()
        except BaseException as error:  # noqa: BLE001, ASYNC103 - the hooks of a loop may not raise
            self._fail(error)

    @abstractmethod
    def joined(self, place: Place) -> None:
        """Hear that a task has a place now, and is about to begin."""

    @abstractmethod
    def is_runnable(self, place: Place) -> bool:
        """Say whether a task can go on now, or has a thread that does."""

    @abstractmethod
    def stir(self, place: Place) -> None:
        """Hear that a blocked task has just been woken."""

    @abstractmethod
    def go_aside(self, place: Place) -> None:
        """Enter `handler`."""

    @abstractmethod
    def come_back(self, place: Place) -> None:
        """Leave it."""

    @abstractmethod
    def _seek(self) -> None: ...
    @abstractmethod
    def _seek_after_a_step(self) -> None: ...
    @abstractmethod
    def _thread(self, place: Place, more: int) -> None: ...


class _Aside:
    """A generator would cost three times as much, and there is one for each attempt of a handler."""

    __slots__ = ("_place", "_rest")

    def __init__(self, rest: Rest, place: Place) -> None:
        self._rest = rest
        self._place = place

    def __enter__(self) -> None:
        self._rest.go_aside(self._place)

    def __exit__(self, *_: object) -> None:
        self._rest.come_back(self._place)


class CountedRest(Rest):
    """For a loop that says when a task is scheduled and when its step is over: Trio."""

    def __init__(
        self,
        on_rest: Callable[[], None],
        fail: Callable[[BaseException], None],
        soon: Callable[[Callable[[], object]], object],
    ) -> None:
        super().__init__(on_rest, fail)
        self._soon = soon
        #: Invariant: the sum of `runnable` and `threads` over the places that are not aside.
        self._runnable = 0

    def joined(self, place: Place) -> None:
        """Hear that a task has a place now. `scheduled` follows."""
        if not place.aside:
            self.places.add(place)

    def scheduled(self, place: Place) -> None:
        """Hear that a task will run: it was spawned, or woken, or only lets others run."""
        place.runnable += 1
        self._runnable += 1

    def stepped(self, place: Place) -> None:
        """Hear that a step of a task is over. For its last one that comes after its end."""
        place.runnable -= 1
        self._runnable -= 1  # as `_less` does: this is called after each step
        if self._runnable == 0 and self.wanted:
            self._settle()

    def adopted(self, place: Place) -> None:
        """Hear of a task in the midst of a step that nobody has seen being scheduled."""
        self.joined(place)
        self.scheduled(place)

    def left(self, place: Place) -> None:
        """Hear that a task has ended."""
        self.places.discard(place)

    def is_runnable(self, place: Place) -> bool:
        """Say whether a task can go on now, or has a thread that does."""
        return not place.aside and place.runnable + place.threads > 0

    def stir(self, place: Place) -> None:
        """Do nothing: `scheduled` was called."""

    def _less(self, fewer: int) -> None:
        self._runnable -= fewer
        if self._runnable == 0 and self.wanted:
            self._settle()

    def _seek(self) -> None:
        if self._runnable == 0:
            self._settle()

    def _seek_after_a_step(self) -> None:
        # `stepped` looks, if it is a task of the body that cancels. Else, who is asked may stay.
        if self._runnable == 0:
            self._soon(self._look)

    def _look(self) -> None:
        if self._runnable == 0 and self.wanted:
            self._settle()

    def go_aside(self, place: Place) -> None:
        """Enter `handler`."""
        place.aside = True
        # It runs, so its step is not over: `stepped` will not be called for a task that is aside.
        self.stepped(place)

    def come_back(self, place: Place) -> None:
        """Leave it."""
        place.aside = False
        self.scheduled(place)

    def _thread(self, place: Place, more: int) -> None:
        place.threads += more
        self._less(-more)


class Loop(Protocol):
    """What is needed of asyncio's loop."""

    def call_soon(self, callback: Callable[[], object], /) -> object:
        """Call this in the next pass."""
        ...


class PolledRest(Rest):
    """For asyncio, where a task only shows what it waits for."""

    def __init__(
        self,
        on_rest: Callable[[], None],
        fail: Callable[[BaseException], None],
        loop: Loop,
    ) -> None:
        super().__init__(on_rest, fail)
        self._loop = loop
        #: The places whose tasks may be runnable. The others are blocked, ended or aside.
        self._restless: set[Place] = set()
        self._threads = 0
        #: How many passes there have been in which no task was runnable.
        self._quiet = 0
        self._polls = False

    def joined(self, place: Place) -> None:
        """Hear that a task has a place now, and is about to begin."""
        if not place.aside:
            self.places.add(place)
            self.stir(place)

    def stir(self, place: Place) -> None:
        """Hear that a task was woken, or may have been."""
        if not place.aside:
            self._restless.add(place)
            self._quiet = 0

    def is_runnable(self, place: Place) -> bool:
        """Say whether a task can go on now, or has a thread that does."""
        if place.aside:
            return False
        return place.threads > 0 or self._can_go_on(place)

    def _seek(self) -> None:
        self._quiet = 0
        if not self._polls and not self._threads:
            self._polls = True
            self._loop.call_soon(self._poll)

    def _seek_after_a_step(self) -> None:
        self._seek()  # a task hears of its cancellation itself, in a step

    def _poll(self) -> None:
        self._polls = False
        try:
            self._look()
        except BaseException as error:  # noqa: BLE001, ASYNC103 - nobody would hear of it
            self._fail(error)
            return  # noqa: ASYNC104 - no task: a callback of the loop
        if not self.wanted or self._threads:
            return  # `_thread` begins anew
        if self._quiet < QUIET_PASSES:
            self._polls = True
            self._loop.call_soon(self._poll)
        else:
            self._settle()

    def _look(self) -> None:
        self._quiet += 1
        if not self._restless:
            return
        self._quiet = 0  # also if they are blocked by now: since the last look they have run
        # Into a new set: to go through one costs what it costs to go through all that it ever held.
        seen, self._restless = self._restless, set()
        for place in seen:
            task: Any = place.task
            if self._can_go_on(place):
                self._restless.add(place)
            elif task.done():
                self.places.discard(place)
            else:
                task._fut_waiter.add_done_callback(partial(self._wake, place))

    def _wake(self, place: Place, _: object) -> None:
        self.stir(place)

    def _can_go_on(self, place: Place) -> bool:
        task: Any = place.task
        if task.done():
            return False
        waits_for = getattr(task, "_fut_waiter", None)  # AnyIO relies on it as well
        return waits_for is None or waits_for.done()

    def go_aside(self, place: Place) -> None:
        """Enter `handler`."""
        place.aside = True
        self._restless.discard(place)

    def come_back(self, place: Place) -> None:
        """Leave it."""
        place.aside = False
        self.stir(place)

    def _thread(self, place: Place, more: int) -> None:
        place.threads += more
        self._threads += more
        self._quiet = 0
        if self.wanted and not self._threads:
            self._seek()


def _nothing() -> None:
    """Nobody waits for the rest of a body that is over."""
