"""One durable run through all its lives: it is begun, it dies, it is taken up again, until it has ended."""

from __future__ import annotations

import asyncio
import logging
import shlex
import traceback
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from random import Random
from typing import Any, Final

import anyio
import attrs
import pytest
import trio
from trio.testing import MockClock

from plait.durable import App, Context, Event, TriggerEvent
from plait.errors import JournalFullError
from tests.faults.journal.disk import Disk, How, Plot, Process
from tests.faults.journal.lives import one_world
from tests.parity.clocks import JumpingLoop

from .patterns import PATTERNS, Pattern
from .witness import Witness, run_of

#: The run, where somebody names it.
RUN: Final = "r"
#: Virtual seconds after which a life that has not come to its end never will.
TOO_LONG: Final = 10_000.0
HOWS: Final[tuple[How, ...]] = ("before", "unanswered", "answered", "leave", "full")


@attrs.define
class Life:
    """What one process has seen of the run."""

    number: int
    plot: Plot
    ended: bool = False
    #: What the run came to, if it ended: the result, or what was raised.
    came_to: Any = None
    #: What came out that must not.
    raised: BaseException | None = None
    appends: int = 0


@attrs.define
class Story:
    """All lives of a run, and what is left of them."""

    pattern: Pattern
    disk: Disk
    witness: Witness
    lives: list[Life] = attrs.field(factory=list)


@attrs.frozen
class Trial:
    """One repetition. Everything comes from its seed."""

    pattern: str
    seed: int = 0
    backend: str = "trio"
    #: What goes wrong in each life; `None`: drawn from the seed.
    plots: tuple[Plot, ...] | None = None

    @property
    def line(self) -> str:
        """The command that repeats it."""
        words = [
            self.pattern,
            "--seed",
            str(self.seed),
            *(["--asyncio"] * (self.backend != "trio")),
        ]
        return "python -m tests.faults.durable " + shlex.join(words) + " -v"

    @property
    def serves(self) -> bool:
        """Does a worker host the run, or who invokes it?"""
        return self.seed % 2 == 1

    def live(self) -> Story:
        """Live all lives."""
        random = Random(f"{self.pattern} {self.seed}")
        disk = Disk()
        story = Story(PATTERNS[self.pattern], disk, Witness(disk, Random(f"times {self.seed}")))
        plots = self._plots(random) if self.plots is None else self.plots
        slow = Random(f"disk {self.seed}") if random.randrange(4) else None
        with ExitStack() as stack:
            stack.enter_context(quiet())
            if self.backend == "trio":
                stack.enter_context(one_world(self.seed))
                clock = MockClock(autojump_threshold=0)
                trio.run(_live_all, self, story, plots, slow, clock=clock)
            else:
                options = {"loop_factory": JumpingLoop}
                main = partial(_live_all, self, story, plots, slow)
                anyio.run(main, backend="asyncio", backend_options=options)
        return story

    def _plots(self, random: Random) -> tuple[Plot, ...]:
        last = appends(self.pattern, self.backend)
        hows = random.choices(HOWS, (3, 3, 3, 2, 1), k=random.randint(1, 3))
        return tuple(Plot(random.randint(1, last), how) for how in hows)


@cache
def appends(pattern: str, backend: str) -> int:
    """Count the appends of a life in which nothing goes wrong."""
    return Trial(pattern, 0, backend, ()).live().lives[0].appends


@contextmanager
def quiet() -> Iterator[None]:
    """Log nothing: of processes that die there is much to say."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logging.getLogger("plait"), "disabled", True)
        yield


async def _live_all(trial: Trial, story: Story, plots: Sequence[Plot], slow: Random | None) -> None:
    if trial.backend == "asyncio":
        # A `gather` that dies with its process has exceptions that nobody has asked for.
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    for plot in (*plots, Plot()):
        life = await _live(trial, story, plot, slow)
        if life.ended or life.raised is not None:
            break
    if story.lives[-1].ended:
        await _live(trial, story, Plot(), slow)  # it has ended: it does nothing any more


async def _live(trial: Trial, story: Story, plot: Plot, slow: Random | None) -> Life:
    """One process. Its death is that of its journal, its witness and its tasks."""
    disk, witness = story.disk, story.witness
    life = Life(len(story.lives), plot)
    story.lives.append(life)
    witness.life, witness.alive, witness.leaves = life.number, True, False
    scope = anyio.CancelScope()

    def die() -> None:
        witness.alive = False
        scope.cancel()

    def leave() -> None:
        witness.leaves = True
        scope.cancel()

    def tell(_: str) -> None:
        witness.leaves = True

    journal = Process(disk, plot, die=die, leave=leave, tell=tell, slow=slow)
    async with anyio.create_task_group() as disks:
        disks.start_soon(journal.spin)
        with anyio.move_on_after(TOO_LONG) as patience, scope:
            try:
                await _act(trial, story, life, journal)
            except Exception as error:  # noqa: BLE001 - looked at
                if witness.alive and not (
                    plot.how == "full" and isinstance(error, JournalFullError)
                ):
                    life.raised = error
        disks.cancel_scope.cancel()
        if patience.cancel_called and not life.ended and not scope.cancel_called:
            life.raised = TimeoutError("it came to no end")
    assert not journal.is_open, "the journal was left open"
    life.appends = journal.appends
    return life


async def _act(trial: Trial, story: Story, life: Life, journal: Process) -> None:
    """Do what the user does in each process."""
    app = App("app", journal=journal)
    witness = story.witness

    @app.create_function(fn_id=trial.pattern, trigger=TriggerEvent(event="go"))
    async def fn(ctx: Context) -> Any:
        return await story.pattern.body(ctx, witness)

    if trial.serves:
        async with app.serve() as worker:
            await app.send(Event(name="go", id="e"))
            await worker.drain()
        came_to = await app.resume(run_of(story.disk) or "")
    else:
        came_to = await app.invoke(fn, {}, run_id=RUN)
    if witness.alive:
        life.ended, life.came_to = True, came_to


def told(error: BaseException) -> str:
    """Write what came out."""
    return "".join(traceback.format_exception(error))
