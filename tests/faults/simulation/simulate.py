"""One seed, twice: everything that happens comes from it, and it is looked at."""

from __future__ import annotations

import gc
import itertools
import logging
import re
import signal
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

import attrs
import pytest
import trio
from trio.testing import MockClock

from plait._kernel import records
from tests.engine.harness import recorded

from .outside import main
from .promises import broken
from .scenario import Scenario, draw
from .stillness import unreasonable
from .watch import Watch, watching
from .world import World

#: The Unix time at which each simulation begins.
EPOCH = 1_700_000_000.0


#: Seconds, on a machine with nothing else to do a hundred times as many as a seed takes.
TOO_LONG = 60.0


@attrs.frozen
class Report:
    """What came of a seed."""

    scenario: Scenario
    wrong: tuple[str, ...]
    #: Workflows, owners, faults that have struck, ends.
    seen: Counter[str]
    #: Every record with its time, and the diary.
    text: str
    #: What one reads first.
    story: str

    @property
    def line(self) -> str:
        """A failure in one line, which replays it."""
        first = " ".join(self.wrong[0].split())
        more = f" (and {len(self.wrong) - 1} more)" if len(self.wrong) > 1 else ""
        seed = self.scenario.seed
        return f"python -m tests.faults.simulation --seed {seed} -v  # {first[:300]}{more}"


@contextmanager
def one_world(seed: int) -> Iterator[None]:
    """Have scheduler, time and names come from the seed.

    Two private names of Trio: `test_the_schedule_comes_from_the_seed` says when they have changed.
    """
    names = itertools.count(1)
    collects = gc.isenabled()
    gc.disable()  # it runs when it likes, and a reader of a stream that it finds has left
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trio._core._run, "_ALLOW_DETERMINISTIC_SCHEDULING", True)
        patch.setattr(trio._core._run, "_r", Random(f"schedule {seed}"))
        patch.setattr(time, "time", lambda: EPOCH)
        patch.setattr(uuid, "uuid4", lambda: uuid.UUID(int=next(names)))
        patch.setattr(logging.getLogger("plait"), "disabled", True)
        try:
            yield
        finally:
            if collects:
                gc.enable()


@contextmanager
def an_end() -> Iterator[None]:
    """Raise in what goes round and round, or waits for what no clock brings."""

    rang = False

    def give_up(*_: object) -> None:
        nonlocal rang
        rang = True
        raise TimeoutError

    if not hasattr(signal, "SIGALRM"):
        yield
        return
    before = signal.signal(signal.SIGALRM, give_up)
    left = signal.setitimer(signal.ITIMER_REAL, TOO_LONG)
    try:
        yield
    except BaseException as error:
        if rang:  # in the middle of the event loop, which makes an error of its own of it
            raise TimeoutError(f"no end after {TOO_LONG} s") from error
        raise
    finally:
        signal.setitimer(signal.ITIMER_REAL, *left)
        signal.signal(signal.SIGALRM, before)


def _live(scenario: Scenario, *, strict: bool) -> tuple[World, Watch, list[str]]:
    world = World(scenario)
    watch = Watch(strict, world.began, world.wrote)
    wrong: list[str] = []
    clock = MockClock(autojump_threshold=0)
    if strict:
        _look_before_each_jump(clock, world, watch)
    with pytest.MonkeyPatch.context() as patch, one_world(scenario.seed), watching(watch):
        with recorded(patch) as made:
            try:
                with an_end():
                    trio.run(main, world, clock=clock)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # noqa: BLE001 - it is reported
                wrong.append(f"{type(error).__name__} in the simulation: {error!r}")
        try:
            made.check()
        except AssertionError as error:
            wrong.append(f"promise 1: {error}")
    return world, watch, wrong


def _look_before_each_jump(clock: MockClock, world: World, watch: Watch) -> None:
    jump = clock.jump

    def look_and_jump(seconds: float) -> None:
        for fault in unreasonable(world, watch):
            if fault not in world.diary.violations:
                world.diary.violations.append(fault)
        jump(seconds)

    vars(clock)["jump"] = look_and_jump


def simulate(scenario: Scenario | int) -> Report:
    """Live through a seed twice, and say which promises were broken."""
    scenario = draw(scenario) if isinstance(scenario, int) else scenario
    world, watch, wrong = _live(scenario, strict=True)
    wrong += broken(world, watch)
    again = _live(scenario, strict=False)
    text, other = _text(world, watch), _text(again[0], again[1])
    if text != other:
        pairs = zip(text.splitlines(), other.splitlines(), strict=False)
        here = next((f"{one!r} and {two!r}" for one, two in pairs if one != two), "one is longer")
        wrong.append(f"promise 4: the same seed has two traces: {here}")
    return Report(scenario, tuple(wrong), _seen(world, watch), text, world.diary.text())


def _text(world: World, watch: Watch) -> str:
    lines = [
        f"{watched.state.run_id} {record!r}"
        for watched in watch.runs.values()
        for record in watched.records
    ]
    # A `Cancelled` knows by which task it was asked for, and shows where that is in memory.
    return re.sub(r" at 0x[0-9a-f]+", "", "\n".join([*lines, world.diary.text()]))


def _seen(world: World, watch: Watch) -> Counter[str]:
    scenario = world.scenario
    seen = Counter({f"flow: {scenario.flow}": 1, f"owner: {scenario.owner}": 1})
    seen[f"fault: a human {scenario.human}"] += any(w.state.awaited for w in watch.runs.values())
    for what, times in world.struck.items():
        seen[f"fault: {what}"] += times
    for watched in watch.runs.values():
        match watched.state.outcome:
            case records.Cancelled(by_owner=True):
                seen["end: cancelled by its owner"] += 1
            case records.Cancelled():
                seen["end: cancelled by a user"] += 1
            case outcome:
                seen[f"end: {type(outcome).__name__}"] += 1
        for record in watched.records:
            seen[f"record: {type(record).__name__}"] += 1
    return seen
