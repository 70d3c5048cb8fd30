"""What bodies live in: a world of calls that take time and fail as the seed says, and that takes notes."""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from random import Random
from typing import Any, TypeVar

import attrs
import trio

from plait import Context, Event, Workflow
from plait._engine.attempt import current_attempt
from plait._engine.run import Run
from plait._engine.trace import Trace
from plait.errors import StreamFullError, WorkflowRuntimeError
from plait.events import ChildEvent

from .diary import Diary, Loan, Page, Sent
from .injected import Injected, clean_up, has_cancelled, strike
from .scenario import CUTS, IN_CLEAN_UP, Scenario

T = TypeVar("T", bound=Event)
Body = Callable[..., Coroutine[Any, Any, Any]]

#: What a body finds is what its run was started with, whatever other bodies have made of it.
mark: ContextVar[str] = ContextVar("mark", default="nobody's")


class Program(Workflow[Any]):
    """A workflow of this world."""

    world: World
    #: Tells apart the classes that were made.
    label: str


@attrs.define(eq=False)
class Life:
    """One run, as whoever started it holds it."""

    run: Run[Any]
    #: There is none of a run that has begun before one could ask for it.
    trace: Trace | None
    flow: Program
    #: The value of `mark` in which it was started.
    mark: str
    parent: Page | None
    started: trio.Event = attrs.field(factory=trio.Event)
    #: An observer that raises: how often it was called after that.
    called_again: int = 0
    #: What whoever asks after the end is given: a result or an exception; and the whole stream.
    outcome: object = None
    shown: list[Event] = attrs.field(factory=list)


def lives(fn: Body) -> Body:
    """Make a step's function live in the world of its workflow."""

    @functools.wraps(fn)
    async def body(self: Any, *args: Any, **kwargs: Any) -> object:
        return await self.world.live(fn, self, args, kwargs)

    return body


class World:
    """One simulation."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.dice = Random(f"world {scenario.seed}")
        self.diary = Diary()
        self.lives: dict[str, Life] = {}
        self.limiter = trio.CapacityLimiter(self.dice.choice((1, 2, 3)))
        #: Steps that share the limiter, and how many bodies a step may have.
        self.making = ""
        self.limited: set[tuple[str, str]] = set()
        self.timeouts: dict[tuple[str, str], float] = {}
        self.workers: dict[tuple[str, str], int] = {}
        self.over = False
        #: What came out of whoever owned the runs.
        self.out: BaseException | None = None
        self.struck: Counter[str] = Counter()
        #: The runs that the owner has started itself, its scope, and what it is asked to do.
        self.tops: list[Life] = []
        self.scope = trio.CancelScope()
        self.siblings = trio.CancelScope()
        self.asked = {cut: trio.Event() for cut in CUTS}
        self.nurseries: tuple[trio.Nursery, trio.Nursery]
        self.ended = trio.Event()
        #: When the block that owns the runs was left by an exception.
        self.failed_at = math.inf
        self.hanging: list[Page] = []
        self._serial = 0
        self._opened = 0

    def ports(self) -> Mapping[str, Any]:
        """What a workflow is given beside its options, out of this world.

        Nothing yet. A journal whose appends fail as the seed says belongs here.
        """
        return {}

    def next(self) -> int:
        """A number that no other event has."""
        self._serial += 1
        return self._serial

    def adopt(self, run: Run[Any], flow: Program) -> Life:
        """Look at a run that has not been started."""
        page = self.page() if current_attempt.get() else None
        begun = run.state != "created"  # in an open runtime
        watched = self.scenario.observed and not begun
        life = Life(run, run.trace() if watched else None, flow, mark.get(), page)
        if watched and (at := self.scenario.observer) >= 0:
            run.observe(self._observer(life, at))
        if begun:
            life.started.set()
        self.lives[run.run_id] = life
        return life

    def began(self, run: str) -> None:
        """Hear that a run has begun."""
        if run in self.lives:
            self.lives[run].started.set()

    def _observer(self, life: Life, at: int) -> Callable[[object], None]:
        calls = 0

        def observe(record: object) -> None:
            nonlocal calls
            calls += 1
            if calls == at + 1:
                self.struck["an observer raises"] += 1
                raise Injected("observer")
            if calls > at + 1:
                life.called_again += 1

        return observe

    # ------------------------------------------------------------ a body

    def page(self) -> Page:
        """The page of the body that calls."""
        attempt = current_attempt.get()
        assert attempt is not None
        page = self.diary.page_of(attempt)
        assert page is not None, "a body that has ended goes on"
        return page

    async def live(
        self, fn: Body, flow: object, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> object:
        """Run a body, and let happen to it what shall happen."""
        attempt = current_attempt.get()
        assert attempt is not None
        diary = self.diary
        page, nth = diary.begin(attempt)
        page.fault = next(
            (f for f in self.scenario.faults if (f.step, f.nth) == (page.step, nth)), None
        )
        self._look(page)
        if self.dice.random() < 0.2:
            mark.set(f"{page}'s")
        try:
            page.returned = await fn(flow, *args, **kwargs)
        except BaseException as error:
            if not has_cancelled(error):
                page.raised = error
                diary.raised.append(error)
                raise
            page.cancelled, page.cancelled_at = True, trio.current_time() - page.waited
            page.returned = await clean_up(self, page, error)
        finally:
            diary.end(attempt, page)
        return page.returned

    def _look(self, page: Page) -> None:
        """Look at what must be so when a body begins."""
        life, diary = self.lives.get(page.run), self.diary
        if self.over:
            diary.wrong(f"promise 1: {page} begins after the end")
        if life is not None and mark.get() != life.mark:
            diary.wrong(f"{page} sees a context variable of another: {mark.get()!r}")
        busy = [other for other in diary.active() if other.run == page.run]
        if len([other for other in busy if other.step == page.step]) > self._most(page):
            diary.wrong(f"{page} begins, and its step has more bodies than workers")
        if self.is_limited(page):
            held = [other for other in diary.active() if self.is_limited(other)]
            if len(held) > self.limiter.total_tokens:
                diary.wrong(f"{page} begins without a token of the limiter")
        limit = self.scenario.num_concurrent_runs
        if limit is not None and life is not None and life.parent is None:
            runs = {
                other.run
                for other in diary.bodies_of()
                if (its := self.lives.get(other.run)) is not None and its.flow is life.flow
            }
            if len(runs) > limit:
                diary.wrong(f"{page} begins, and {len(runs)} runs of its workflow are live")

    def _most(self, page: Page) -> int:
        life = self.lives.get(page.run)
        return 99 if life is None else self.workers.get((life.flow.label, page.step), 4)

    def is_limited(self, page: Page) -> bool:
        """Does it need a token of the shared limiter?"""
        life = self.lives.get(page.run)
        return life is not None and (life.flow.label, page.step) in self.limited

    def decided(self, run: str) -> bool:
        """Has a run been decided, so that nobody may send any more?"""
        life = self.lives.get(run)
        return life is not None and life.run._shell.winding_up

    # ------------------------------------------------------------ what goes wrong

    def injected(self, what: str) -> Injected:
        """Make an error that must come out."""
        error = Injected(f"{what} {self.next()}")
        self.diary.raised.append(error)
        return error

    async def call(self) -> None:
        """Call the outside: it takes its time, and it is here that most goes wrong."""
        page = self.page()
        page.calls += 1
        fault = page.fault
        if fault is not None and page.calls == fault.call + 1:
            self.diary.note(f"{page} {fault.what}")
            self.struck[fault.what] += 1
            if fault.what in IN_CLEAN_UP:  # so that it is cancelled meanwhile, if ever
                await trio.sleep(10 * 3600.0)
            else:
                await strike(self, page, fault)
        if self.dice.random() < 0.8:
            await trio.sleep(self.dice.choice((0.0, 0.0, 0.5, 1.0, 1.0, 2.0, 10.0, 600.0)))

    # ------------------------------------------------------------ what bodies do

    def send(
        self, ctx: Context[Any], event: Event, step: str | None = None, *, on_success: bool = False
    ) -> None:
        """Send an event from a body."""
        page, late = self.page(), self.decided(ctx.run_id)
        try:
            ctx.send_event(event, step, on_success=on_success)
        except WorkflowRuntimeError as refused:
            self.diary.refused.append(refused)
            self.diary.note(f"{page} is refused {event!r}")
            raise
        self.diary.sent.append(Sent(page.run, event, trio.current_time(), page, late, on_success))
        self.diary.note(f"{page} sends {event!r}")

    def tell(self, ctx: Context[Any], event: Event) -> None:
        """Write to the stream, if there is room."""
        page = self.page()
        try:
            ctx.write_event_to_stream(event)
        except StreamFullError:
            self.diary.note(f"{page}: the stream is full")
            self.struck["a full stream"] += 1
            life = self.lives.get(page.run)
            # The room may be promised to somebody who has waited for it.
            promised = any(other.emitting for other in self.diary.bodies_of(run=page.run))
            room = life is not None and self.backlog(life) < self.scenario.stream_buffer
            if room and not promised:
                self.diary.wrong(f"{page} is told that the stream is full, and there is room")

    async def emit(self, ctx: Context[Any], event: Event) -> None:
        """Write to the stream, however long that takes."""
        page, began = self.page(), trio.current_time()
        page.emitting = True
        try:
            await ctx.emit(event)
        finally:
            page.emitting = False
        if trio.current_time() > began:
            self.struck["back-pressure"] += 1

    def cancel_step(self, ctx: Context[Any], step: str, *, odd: bool = False) -> None:
        """Have bodies of a step cancelled, or those that another world would not have begun."""
        bodies = self.diary.bodies_of(run=ctx.run_id, step=step)
        found = [page for page in bodies if not odd or _is_odd(page.inputs[0])]
        for page in found:
            page.unwanted = True
        ctx.cancel_step(step, _is_odd if odd else None)
        self.struck["bodies are unwanted"] += len(found)

    async def ask(self, ctx: Context[Any], kind: type[T], **how: Any) -> T:
        """Wait for an event."""
        page, began = self.page(), trio.current_time()
        if not page.waiting:
            page.since = began
        page.waiting += 1
        page.several = page.several or page.waiting > 1
        page.until = began + (how.get("timeout") or math.inf)
        try:
            answer = await ctx.wait_for_event(kind, **how)
        finally:
            page.waiting -= 1
            if not page.waiting:
                page.waited += trio.current_time() - page.since
            if self.decided(page.run):
                page.waiting += 100  # it goes on without a slot
        if not isinstance(answer, kind):
            self.diary.wrong(f"{page} waits for {kind.__name__}, and gets {answer!r}")
        self.diary.answers.append((page.run, answer))
        self.diary.note(f"{page} is answered {answer!r}")
        return answer

    def backlog(self, life: Life) -> int:
        """How far the writers are ahead of the slowest reader; if there is none, of the fastest."""
        run = life.run.run_id
        readings = [r for r in self.diary.readings if r.run == run and r.opened]
        taken = [len(r.events) for r in readings if not (r.left or r.ended)]
        if not taken:
            taken = [max((len(r.events) for r in readings), default=0)]
        return len(life.run._shell.feed.events) - min(taken)

    def wrote(self, run: str, event: object) -> None:
        """Look at what must be so when an event is written to a stream."""
        life = self.lives.get(run)
        if life is None or isinstance(event, ChildEvent) or self.over:
            return
        events = life.run._shell.feed.events
        behind = events[len(events) - self.backlog(life) :]
        # Questions and what is routed do not mind the bound.
        minding = [each for each in behind if type(each) is type(event)]
        # Nor does a writer that has been let in mind a reader that comes in this moment.
        coming = [r for r in self.diary.readings if r.opened_at == trio.current_time() > 0]
        if len(minding) >= self.scenario.stream_buffer and not coming:
            self.diary.wrong(f"{run}: {event!r} is written, and the stream has no room")

    # ------------------------------------------------------------ what bodies are lent

    @asynccontextmanager
    async def loan(self, name: str, scope: str, ctx: Context[Any]) -> AsyncIterator[Loan]:
        """Open a resource, and close it in the end."""
        run = ctx.run_id
        number = 0 if scope == "run" else int(ctx.idempotency_key.rpartition(":")[2])
        what = self._lent()
        await trio.sleep(self.dice.choice((0.0, 0.0, 1.0)))
        if what == "cannot be opened":
            raise self.injected(what)
        loan = Loan(name, scope, run, number, trio.current_time())
        self.diary.loans.append(loan)
        self.diary.note(f"{name} of {run} is opened")
        try:
            yield loan
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(3600.0 if what == "is slow to close" else 0.0)
            loan.closed = trio.current_time()
            loan.times_closed += 1
            bodies = self.diary.bodies_of(run=run)
            loan.in_use = len([b for b in bodies if number in {0, b.number}])
            self.diary.note(f"{name} of {run} is closed")
            if what == "fails when it is closed":
                raise self.injected(what)

    def _lent(self) -> str:
        nth, self._opened = self._opened, self._opened + 1
        what = next((lent.what for lent in self.scenario.lent if lent.nth == nth), "")
        if what:
            self.struck[what] += 1
        return what


def _is_odd(event: Event) -> bool:
    return getattr(event, "n", 0) % 2 == 1
