"""One run through all its lives: it is begun, it dies, it is taken up again, until it has ended."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from random import Random
from typing import Any

import anyio
import attrs
import pytest
import trio
from trio.testing import MockClock

from plait.errors import JournalError, WorkflowRuntimeError

from .disk import Disk, Plot, Process
from .programs.company import Answer, Question
from .programs.program import Case
from .witness import Note, Witness

#: The Unix time of the clock's 0.
EPOCH = 1_700_000_000.0
RUN = "r"
#: Virtual seconds after which a life that has not come to its end never will.
TOO_LONG = 1000.0
#: The same in real seconds, on a machine however busy.
PATIENCE = 30.0


@attrs.define
class Life:
    """What one process has seen of the run."""

    number: int
    plot: Plot
    #: When it began; how many entries there were of each stream.
    began: float
    kept: dict[str, int]
    #: Did it see the run's end? Then: the result, or what was raised.
    ended: bool = False
    came_to: Any = None
    #: The journal's error, as it came out.
    failed: Exception | None = None
    #: What came out that must not.
    raised: BaseException | None = None
    #: How many notes there were when a stream's run was told that the journal cannot go on.
    told: dict[str, int] = attrs.field(factory=dict)
    streamed: list[str] = attrs.field(factory=list)
    appends: int = 0
    ended_at: float = 0


@attrs.define
class Story:
    """All lives of a run, and what is left of them."""

    case: Case
    disk: Disk = attrs.field(factory=Disk)
    notes: list[Note] = attrs.field(factory=list)
    lives: list[Life] = attrs.field(factory=list)
    #: Has the run's own journal slow answers?
    slow: bool = False


@contextmanager
def one_world(seed: int) -> Iterator[None]:
    """Have the schedule come from the seed, and Unix time from the clock."""
    real = time.time

    def now() -> float:
        return EPOCH + trio.current_time() if trio.lowlevel.in_trio_run() else real()

    collects = gc.isenabled()
    gc.disable()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trio._core._run, "_ALLOW_DETERMINISTIC_SCHEDULING", True)
        patch.setattr(trio._core._run, "_r", Random(f"schedule {seed}"))
        patch.setattr(time, "time", now)
        try:
            yield
        finally:
            if collects:
                gc.enable()


def on_trio(
    case: Case, plots: Sequence[Plot] = (), *, seed: int = 0, slow: bool = False, pause: float = 0
) -> Story:
    """Live a run's lives on a clock that jumps."""
    story = Story(case, slow=slow)
    random = Random(f"disk {seed}") if slow else None
    with one_world(seed):
        trio.run(_live_all, story, plots, random, pause, 1.0, clock=MockClock(autojump_threshold=0))
    return story


def on_asyncio(case: Case, plots: Sequence[Plot] = (), unit: float = 0.002) -> Story:
    """Live them in real time, where a unit of it is short."""
    story = Story(case)
    anyio.run(_live_all, story, plots, None, 0, unit)
    return story


async def _live_all(
    story: Story, plots: Sequence[Plot], slow: Random | None, pause: float, unit: float
) -> None:
    witness = Witness(story.disk.count, story.notes.append)
    for plot in (*plots, Plot()):
        life = await _live(story, witness, plot, slow, unit)
        if life.ended or life.raised is not None:
            break
        await anyio.sleep(pause * unit)
    await _live(story, witness, Plot(), slow, unit)  # it has ended: it does nothing any more


async def _live(
    story: Story, witness: Witness, plot: Plot, slow: Random | None, unit: float
) -> Life:
    """One process. Its death is that of its journal, its witness and its tasks."""
    case, disk = story.case, story.disk
    kept = {stream: len(entries) for stream, entries in disk.streams.items()}
    life = Life(len(story.lives), plot, anyio.current_time(), kept)
    story.lives.append(life)
    witness.life, witness.alive = life.number, True
    scope = anyio.CancelScope()

    def die() -> None:
        witness.alive = False
        scope.cancel()

    def tell(stream: str) -> None:
        life.told.setdefault(stream, len(story.notes))

    journal = Process(disk, plot, die=die, leave=scope.cancel, tell=tell, slow=slow)
    flow = case.flow(witness, journal, unit)
    # A process does not know whether there is something to go on with: both ways must do.
    knows = disk.count(RUN) > 0 and life.number % 2 == 1
    run = flow.resume(RUN) if knows else flow.run(run_id=RUN, **case.fields)
    async with anyio.create_task_group() as disks:
        disks.start_soon(journal.spin)
        with anyio.move_on_after(max(TOO_LONG * unit, PATIENCE)) as patience, scope:
            try:
                async with run, anyio.create_task_group() as others:
                    others.start_soon(_read, run, life, witness)
                    if case.asks:
                        others.start_soon(_answer, run, disk, unit)
                    await _look(run, life, witness)
            except Exception as error:  # noqa: BLE001 - looked at
                if not _is_expected(error, story, life, witness):
                    life.raised = error
        disks.cancel_scope.cancel()
        if patience.cancel_called and not life.ended and not scope.cancel_called:
            life.raised = TimeoutError("it came to no end")
    assert not journal.is_open, "the journal was left open"
    life.appends, life.ended_at = journal.appends, anyio.current_time()
    return life


async def _look(run: Any, life: Life, witness: Witness) -> None:
    """See what it comes to."""
    try:
        came_to = await run.result()
    except Exception as error:  # noqa: BLE001 - the result may be one
        came_to = error
    if not witness.alive:
        return
    if _is_of_the_journal(came_to):
        life.failed = came_to
    else:
        life.ended, life.came_to = True, came_to


def _is_expected(error: Exception, story: Story, life: Life, witness: Witness) -> bool:
    if not witness.alive or _is(error, life.came_to) or _is(error, life.failed):
        return True
    # A failure that is on record goes out instead of the cancellation.
    left = life.plot.how == "leave" and not life.ended
    return left and story.disk.status(RUN) == "failed" and story.case.right(error)


def _is(error: BaseException, known: object) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(_is(part, known) for part in error.exceptions)
    return error is known


def _is_of_the_journal(error: object) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return any(_is_of_the_journal(part) for part in error.exceptions)
    return isinstance(error, JournalError)


async def _read(run: Any, life: Life, witness: Witness) -> None:
    async for event in run.stream_events():
        if witness.alive:
            life.streamed.append(repr(event))


async def _answer(run: Any, disk: Disk, unit: float) -> None:
    """Be a human, who thinks, and answers what is not answered on record."""
    async for event in run.stream_events():
        if isinstance(event, Question) and not _answered(disk, event.about):
            await anyio.sleep(1.3 * unit)
            with suppress(WorkflowRuntimeError):  # it ends: another time
                run.send_event(Answer(about=event.about, text=f"yes to {event.about}"))


def _answered(disk: Disk, about: int) -> bool:
    for entry in disk.streams.get(RUN, ()):
        if entry.kind == "event.emitted" and f'"text":"yes to {about}"'.encode() in entry.body:
            return json.loads(entry.body)["cause"] == 0
    return False
