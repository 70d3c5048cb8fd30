"""One durable run, without a strand: a list for a journal, and a log of what handlers did.

`lives` plays a function from its beginning, then again from what each crash would have left behind,
and compares.
"""

import math
from collections import Counter
from contextlib import asynccontextmanager
from functools import partial

import attrs

from plait._engine import native
from plait._engine.bodies.body import Raised, Returned
from plait._engine.bodies.calls import Calls
from plait._engine.bodies.current import current_step
from plait._engine.bodies.groups import Groups
from plait._engine.bodies.timers import Timers
from plait._kernel.calls import marks, stimuli
from plait._kernel.calls.advance import advance
from plait._kernel.calls.apply import apply, fold
from plait._kernel.calls.keys import key_text
from plait._kernel.calls.records import CallCancelled, CallCompleted, CallFailed
from plait._kernel.calls.state import BodyState
from plait.errors import NestedStepError, NonRetriableError, NonRetriableStepError, StepError


def error_of(failed):
    """Make the error that a call raises: the strand does it better."""
    error = failed.error
    kind = StepError
    for special, of in [(NonRetriableError, NonRetriableStepError), (NestedStepError,) * 2]:
        if isinstance(error, special):
            kind = of
    key = failed.key
    made = kind(key.step_id, key_text(key), failed.attempts, type(error).__name__, str(error), "")
    made.__cause__ = error
    return made


@attrs.define
class Disk:
    """Keeps the records that are appended, and says so a few turns later, all together."""

    records: list = attrs.field(factory=list)
    #: How many records there were after each append.
    cuts: list = attrs.field(factory=list)
    pending: list = attrs.field(factory=list)
    news: object = None
    #: Called with the records of each append, when they are on their way.
    hook: object = None
    broken: Exception | None = None

    def append(self, records, done):
        assert [n for n, _ in records] == [*range(len(self.records) + 1, records[-1][0] + 1)]
        if self.broken is None:
            self.records += records
            self.cuts.append(len(self.records))
        self.pending.append((done, self.broken))
        if self.hook is not None:
            self.hook(records)
        if self.news is not None:
            self.news.set()

    async def write(self):
        while True:
            self.news = native.current().event()
            if not self.pending:
                await self.news.wait()
            for _ in range(3):
                await native.current().checkpoint()
            taken, self.pending = self.pending, []
            for done, error in taken:
                done(error)


@attrs.define
class World:
    """What is outside of all journals: who ran, in whichever life."""

    ran: Counter = attrs.field(factory=Counter)
    keys: dict = attrs.field(factory=dict)
    log: list = attrs.field(factory=list)


class Life:
    """One start of a body, and what its function calls."""

    def __init__(self, world=None, records=(), *, attempt=0, retry=None, **options):
        self.world = world or World()
        self.backend = native.current()
        clock = self.backend.clock()
        self.timers = Timers(lambda: 1e9 + clock(), recheck=math.inf)
        self.disk = Disk([*records])
        self.state = BodyState(seed=7)
        apply(self.state, marks.Began(0.0, 0))
        for n, record in records:
            fold(self.state, record, n)
        self.state.check()
        self.attempt = attempt
        self.retry = retry
        self.spins = []
        self.admitted = []
        self.warned = []
        self.started = []
        self.ending = None
        self.options = options
        self.calls = Calls(
            "r1",
            self.state,
            door=self,
            perform=self.unexpected,
            admit=self.admit,
            timers=self.timers,
            error_of=error_of,
            report=self.spins.append,
            warn=self.warned.append,
        )
        self.groups = Groups(self.calls)
        self.body = self.calls.body

    @property
    def may_move(self):
        return self.state.may_move

    def take_in(self, stimulus):
        """Decide, and keep."""
        kept, todo = advance(self.state, stimulus)
        if kept:
            self.disk.append(kept, partial(self.is_kept, kept[-1][0]))
        return [record for _, record in kept], todo

    def is_kept(self, n, error):
        if error is not None:
            self.body.fail(error)
        else:
            self.calls.hear_in_hook(stimuli.Acknowledged(self.timers.now(), n))

    def unexpected(self, effect):
        raise AssertionError(effect)

    @asynccontextmanager
    async def admit(self, key):
        self.admitted.append(key)
        yield
        self.admitted.remove(key)

    async def live(self, function, *besides):
        """Run the function to its end."""
        async with self.backend.open_nursery() as nursery:
            nursery.start_soon(self.timers.serve)
            nursery.start_soon(self.disk.write)
            for beside in besides:
                nursery.start_soon(beside, self)
            self.take_in(stimuli.Began(self.timers.now(), self.attempt, **self.options))
            try:
                self.ending = await self.calls.start(lambda: function(self))
            except Exception as error:  # noqa: BLE001 - out of the nursery as it is
                self.ending = error
            nursery.cancel_scope.cancel()
        self.state.check()
        return self

    @property
    def result(self):
        """What the function returned, or the text of what it raised."""
        match self.ending:
            case Returned(value):
                return value
            case Raised(error):
                return repr(error)
            case _:
                raise AssertionError(self.ending)

    async def nap(self, seconds):
        await self.backend.sleep_until(self.backend.clock()() + seconds)

    def run(self, step_id, handler=None, *, name="handler", **options):
        """Call `run` with a handler that takes no time, or this one."""
        options.setdefault("retry", self.retry)
        handler = partial(self._handle, handler or partial(self.gives, step_id))
        return self.calls.run(step_id, handler, name=name, **options)

    async def gives(self, value):
        return value

    def takes(self, seconds, value=None, error=None):
        """Make a handler that takes so long, and ends like this."""

        async def handler():
            await self.nap(seconds)
            if error is not None:
                raise error
            return value

        return handler

    async def _handle(self, handler):
        step = current_step.get()
        self.world.ran[step.call] += 1
        self.started.append(step.call)
        self.world.keys.setdefault(step.call, set()).add(step.idempotency_key)
        return await handler()

    @property
    def records(self):
        return self.disk.records


def ended(records):
    """The keys of the calls that have ended by these records, and of those that were cancelled."""
    done = {r.key for _, r in records if isinstance(r, CallCompleted | CallFailed)}
    return done, {r.key for _, r in records if isinstance(r, CallCancelled)}


async def lives(function, *besides, same=True, **options):
    """Live once, then crash after each append and recover. The first life.

    `same`: whoever recovers from whatever was left comes to the same result.
    """
    first = await Life(**options).live(function, *besides)
    assert first.spins == []
    for cut in [0, *first.disk.cuts]:
        left = first.records[:cut]
        world = World()
        again = await Life(world, left, **options).live(function, *besides)
        done, cancelled = ended(left)
        assert not done & {*again.started}, f"ran again after {cut}"
        assert not cancelled & {*again.started}, f"a cancelled loser ran again after {cut}"
        assert not same or again.result == first.result, f"another result after {cut}"
        whole = await Life(World(), again.records, **options).live(function, *besides)
        assert whole.result == again.result
        assert whole.started == []
        assert whole.records == again.records, "a replay of what has ended writes nothing"
        assert all(len(keys) == 1 for keys in world.keys.values())
    return first
