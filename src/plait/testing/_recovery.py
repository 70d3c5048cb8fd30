"""`check_recovery`: a durable function dies at each append, is recovered, and must be none the wiser."""

from __future__ import annotations

import math
import re
from collections.abc import Awaitable, Callable, Iterator
from itertools import chain
from random import Random
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import attrs

from plait._show import show
from plait._strands._durable.event import Event
from plait._strands._durable.function import Function
from plait._strands._durable.history import history, story

from ._loop import refuse_a_loop
from ._recovery_judge import (
    RULES,
    End,
    Violation,
    end_of,
    of_check,
    of_ends,
    of_one,
    of_two,
)
from ._recovery_life import RUN, Append, Case, Life, live
from ._virtual import Library

if TYPE_CHECKING:
    from plait._strands._durable.app import App

D = TypeVar("D")
T = TypeVar("T")

LIBRARIES: Final = ("trio", "asyncio")
#: Lines of a story that a failure shows.
MOST_LINES: Final = 40
#: Of a case that is written down: how many appends were on disk, and the seed of its order.
WORDS: Final = re.compile(r"(all|\d{1,7}) (\d{1,10})")


def check_recovery(
    fn: Function[D, T],
    event: D | Event[D] | None = None,
    *,
    backend: Library = "trio",
    schedules: int = 5,
    crashes: int = 100,
    drive: Callable[[App], Awaitable[object]] | None = None,
    reset: Callable[[], object] | None = None,
    check_result: Callable[[T], object] | None = None,
    timeout: float = 31_536_000.0,
    seed: int = 0,
    replay: str | None = None,
) -> T:
    """Recover a durable function from every prefix of its journal, and compare.

    The function runs to its end on a journal in memory, in virtual time. Then, for each of the appends
    that it has made, it is begun anew, and its process dies just when that append is due; another
    process recovers the run from what is on disk, and brings it to its end. At last the run is
    recovered once more from all that was recorded but its end. The whole of it happens under several
    schedules, that is orders in which Trio might run tasks. Each time

    - the function must make the same calls again, each task in the same order and with the same
      arguments, and their outcomes must come in the same order, to the same winners;
    - no step that has ended may run again, and one that was interrupted has the same idempotency key;
    - the result, or the error, must be the same: that of the first run, or one that `check_result`
      accepts; and for the same records it must be the same in any case;
    - the run must end within `timeout`, and never be held.

    So it finds functions that do not keep to what recovery asks of them: I/O, time or chance between
    the calls that is not from `ctx`, tasks that are spawned in another order, and an order that comes
    from something else than calls. What `random` gives is another thing in each process, but the
    same things when this is called again. Runs that the function invokes are compared as well.

    Handlers run as they are: let them be fakes, that give the same value for the same arguments. What
    they have changed outside stays for the next case, unless `reset` takes it back. A process dies as
    far as Python can do that to itself: its tasks are cancelled, so a `finally` runs. On asyncio there
    is one order. Within one Python the order of a set of texts is the same each time: that a function
    spawns over one is seen only with things whose hash is another one each time.

    Args:
        fn: A function that an app has made. The app's journal is not touched.
        event: The event, or what it carries, as `App.invoke` takes it.
        backend: `"trio"` or `"asyncio"`: the library that the function is written for.
        schedules: How many orders for each crash, the plain one included. On asyncio there is one.
        crashes: At how many appends the process dies, spread evenly if the run makes more. 0: none.
        drive: An async function that is given the app in each process, to do what belongs to the run
            from outside, as to send what it waits for. Cancelled when the run has ended.
        reset: Called before each case, to make fakes as new.
        check_result: Called with each result. Raises, or returns `False`, if it is wrong.
        timeout: In virtual seconds, by default a year: how long each process may take.
        seed: Another one explores other schedules.
        replay: Runs one case only: the text that a failure has shown.

    Returns:
        What the function returned when nothing went wrong.

    Raises:
        AssertionError: With what was broken, where the process died, in which order, and what was on
            disk. Its cause is the exception that came out, if one did.
        Exception: What the function raised, if it fails alike each time.
        TypeError: `fn` is no function of an app.
        ContextSerdeError: What `event` carries cannot be recorded.
        ValueError: An argument is out of range, or `replay` no such text.
        RuntimeError: An event loop is running here.

    Example:
        ```python
        def test_ship():
            assert check_recovery(ship, {"city": "Rome"}) == "shipped"
        ```
    """
    __tracebackhide__ = True
    _check_arguments(fn, backend, schedules, crashes, timeout)
    only = None if replay is None else _read(replay)
    refuse_a_loop("check_recovery()")
    case = Case(fn, event, backend, timeout, drive)
    check = _Check(case, reset, check_result)
    failure = check.search(schedules, crashes, Random(seed), only)  # noqa: S311 - an order is no secret
    if failure is not None:
        raise AssertionError(failure.text) from failure.cause
    end = check.expected
    assert end is not None
    if end.raised is not None:
        raise end.raised
    return cast("T", end.value)


def _check_arguments(
    fn: object, backend: object, schedules: int, crashes: int, timeout: float
) -> None:
    given: Any = fn
    if not isinstance(fn, Function) or given._roster is None:
        raise TypeError(
            f"check_recovery() takes a function of an app, not {show(given, 80)}: "
            "what @app.create_function(...) has made"
        )
    if backend not in LIBRARIES:
        raise ValueError(f"backend must be 'trio' or 'asyncio', not {backend!r}")
    if schedules < 1:
        raise ValueError(f"schedules must be at least 1, not {schedules!r}")
    if crashes < 0:
        raise ValueError(f"crashes must be at least 0, not {crashes!r}")
    if not 0 < timeout < math.inf:
        raise ValueError(f"timeout must be a positive number of seconds, not {timeout!r}")


@attrs.frozen
class _Failure:
    text: str
    cause: Exception | None


@attrs.frozen
class _Crash:
    """Where a process dies, and in which order things happen: it can be written down."""

    #: How many appends are on disk then; `None`: it does not die.
    room: int | None
    #: The seed of all schedules; 0 is the plain order.
    order: int

    def __str__(self) -> str:
        return f"{'all' if self.room is None else self.room} {self.order}"

    def orders(self) -> tuple[int, int, int]:
        """Give each life an order of its own."""
        if not self.order:
            return 0, 0, 0
        random = Random(self.order)  # noqa: S311 - an order is no secret
        return random.getrandbits(32), random.getrandbits(32), random.getrandbits(32)


def _read(text: str) -> _Crash:
    found = WORDS.fullmatch(text)
    if found is None:
        raise ValueError(f"replay must be a text that a failure has shown, not {text!r}")
    return _Crash(None if found[1] == "all" else int(found[1]), int(found[2]))


NO_CRASH: Final = _Crash(None, 0)


class _Check:
    def __init__(
        self,
        case: Case,
        reset: Callable[[], object] | None,
        check_result: Callable[[Any], object] | None,
    ) -> None:
        self._case = case
        self._reset = reset
        self._check_result = check_result
        #: What it comes to when nothing goes wrong.
        self.expected: End | None = None
        self._appends = 0

    def search(
        self, schedules: int, crashes: int, random: Random, only: _Crash | None
    ) -> _Failure | None:
        cases = self._crashes(schedules, crashes, random) if only is None else [only]
        for crash in chain([NO_CRASH], cases):
            violation = self._try(crash)
            if violation is not None:
                return violation
        return None

    def _crashes(self, schedules: int, most: int, random: Random) -> Iterator[_Crash]:
        orders = schedules if self._case.library == "trio" else 1
        count = self._appends
        rooms = range(count) if count <= most else [at * count // most for at in range(most)]
        for at in range(orders):
            for room in (None, *rooms) if at else rooms:
                yield _Crash(room, random.randint(1, 2**32 - 1) if at else 0)

    def _try(self, crash: _Crash) -> _Failure | None:
        if self._reset is not None:
            self._reset()
        case = self._case
        first, second, third = crash.orders()
        life = live(case, order=first, room=crash.room)
        self._refuse_nonsense(life)
        for found in of_one(life, case.timeout):
            return self._report(crash, found, life, "In the first process.")
        if life.died:
            before, kept = life, len(life.appends)
            life = live(case, before.appends, order=second, begin=before.ended_at)
            where = f"The process died when {kept} of its appends were on disk."
            for found in chain(of_one(life, case.timeout), of_two(before, life)):
                return self._report(crash, found, before, where)
        end = end_of(life)
        complete = life.before_the_end
        again = live(case, complete, order=third, begin=life.ended_at)
        judged = chain(
            of_one(again, case.timeout), of_two(life, again), self._of_records(end, again)
        )
        for found in judged:
            where = "All was on disk but the end, and the run was recovered from that."
            return self._report(crash, found, life, where, shown=complete)
        for found in self._of_end(end):
            where = "" if crash.room is None else "That is what the recovery came to."
            return self._report(crash, found, life, where)
        if self.expected is None:
            self.expected, self._appends = end, len(life.appends)
        return None

    def _of_records(self, end: End, again: Life) -> Iterator[Violation]:
        yield from of_ends(
            "the same records lead to another result",
            end,
            end_of(again),
            where="before:",
            hint=RULES,
        )

    def _of_end(self, end: End) -> Iterator[Violation]:
        if self._check_result is not None and end.status == "completed":
            yield from of_check(self._check_result, end)
        elif self.expected is not None:
            yield from of_ends(
                "the result is not always the same",
                self.expected,
                end,
                where="in the first run:",
                hint="If that is right as well, as when several may win: check_result=...\n"
                "If it comes of what handlers have changed outside: reset=...",
            )

    def _refuse_nonsense(self, life: Life) -> None:
        """Raise what `invoke` raises when it cannot even be called so."""
        if not life.appends and not life.died and life.error is not None:
            raise life.error

    def _report(
        self,
        crash: _Crash,
        violation: Violation,
        life: Life,
        where: str,
        *,
        shown: list[Append] | None = None,
    ) -> _Failure:
        lines = [
            f"check_recovery() on {self._case.library}: {violation.title}",
            *_indented(violation.text.splitlines()),
        ]
        lines += ["", where] if where else []
        if crash.order:
            lines += ["", f"Trio's tasks ran in the order that comes of the seed {crash.order}."]
        appends = life.appends if shown is None else shown
        records = history(e for append in appends for e in append if e.stream == RUN)
        lines += ["", "What was on disk:", *_cut(story(RUN, records).splitlines())]
        lines += ["", f"To run only this: replay={str(crash)!r}"]
        return _Failure("\n".join(lines), violation.cause)


def _indented(lines: list[str]) -> list[str]:
    return [f"  {line}" for line in lines]


def _cut(lines: list[str]) -> list[str]:
    if (left := len(lines) - MOST_LINES) <= 0:
        return lines
    half = MOST_LINES // 2
    return [*lines[:half], f"    ... {left} lines more ...", *lines[-half:]]
