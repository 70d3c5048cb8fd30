"""Workflows of random steps that do random things: whatever they do, some laws hold.

A run ends once it is asked to. The kernel's state is sound after every stimulus, and is the sum of its
records. Every body that begins ends once. What comes out is what the steps raised or what plait says
about workflows, never a fault of its own. Nothing is left: no task, no token.
"""

import math
import random
from collections import Counter
from contextlib import suppress
from typing import Annotated

import anyio
import pytest
import trio

from plait import (
    All,
    Collect,
    Context,
    Event,
    HumanResponseEvent,
    InputRequiredEvent,
    StartEvent,
    StopEvent,
    Take,
    Timeout,
    Workflow,
    catch_error,
    step,
)
from plait._engine import shell as engine_shell
from plait._kernel.apply import apply
from plait._kernel.records import (
    Completed,
    Failed,
    Interrupted,
    Recovered,
    Resumed,
    Retrying,
    Started,
)
from plait._kernel.state import RunState
from plait.errors import (
    PlaitInternalError,
    WorkflowCancelledByUser,
    WorkflowRuntimeError,
    WorkflowTimeoutError,
)
from plait.events import StepFailedEvent, StepState, StepStateChanged
from plait.retry import retry_policy, stop_after_attempt, wait_fixed
from tests.engine.harness import one_schedule
from tests.parity.clocks import JumpingLoop, live_tasks

#: Virtual seconds in which every run has ended: the outside cancels it long before.
LONG = 10_000


class A(Event):
    ttl: int = 0


class B(Event):
    ttl: int = 0


class C(Event):
    ttl: int = 0


class Shown(Event, observable=True):
    ttl: int = 0


class Answer(HumanResponseEvent):
    ttl: int = 0
    n: int = 0


class Boom(Exception):  # noqa: N818 - it is one
    pass


KINDS = (A, B, C)
ANY = A | B | C | Shown | Answer | StopEvent
POLICY = retry_policy(wait=wait_fixed(1), stop=stop_after_attempt(2))


class Life:
    """What the bodies of one workflow do. `dice` decides."""

    def __init__(self, dice, names, *, nested):
        self.dice = dice
        self.names = names
        self.nested = nested

    async def live(self, ctx, ttl):
        acts = [self.sleep, self.send, self.wait, self.show, self.fail, self.cancel, self.edit]
        acts += [self.answer, self.wait_twice, self.clean_up, self.hold, self.stop]
        if not self.nested:
            acts.append(self.nest)
        for act in self.dice.choices(acts, k=self.dice.randint(0, 3)):
            try:
                await act(ctx, ttl)
            except WorkflowRuntimeError:
                pass  # nobody takes it, or the run has ended
            except TimeoutError:
                pass  # a wait

    async def sleep(self, ctx, ttl):
        await anyio.sleep(self.dice.choice([0, 0.5, 1, 2]))

    async def send(self, ctx, ttl):
        if ttl > 0:
            target = self.dice.choice([None, None, *self.names])
            ctx.send_event(self.dice.choice(KINDS)(ttl=ttl - 1), target)

    async def hold(self, ctx, ttl):
        if ttl > 0:
            ctx.send_event(A(ttl=ttl - 1), on_success=True)

    async def wait(self, ctx, ttl):
        with anyio.move_on_after(self.dice.choice([0, 1, math.inf])):
            await ctx.wait_for_event(
                self.dice.choice([Answer, Answer, A]),
                self.dice.choice([None, InputRequiredEvent()]),
                requirements=self.dice.choice([None, {"n": 1}]),
                timeout=self.dice.choice([1, 3]),
                broadcast=self.dice.random() < 0.3,
            )

    async def wait_twice(self, ctx, ttl):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.patient, ctx)
            tasks.start_soon(self.patient, ctx)
            tasks.start_soon(self.sleep, ctx, ttl)

    async def patient(self, ctx):
        with suppress(TimeoutError):
            await ctx.wait_for_event(self.dice.choice([Answer, A, B]), timeout=2)

    async def show(self, ctx, ttl):
        with anyio.move_on_after(2):
            await ctx.emit(A())
        ctx.write_event_to_stream(B())

    async def fail(self, ctx, ttl):
        if self.dice.random() < 0.5:
            raise Boom

    async def cancel(self, ctx, ttl):
        ctx.cancel_step(self.dice.choice(self.names))

    async def edit(self, ctx, ttl):
        async with ctx.store.edit_state() as state:
            state["edits"] = state.get("edits", 0) + 1
            await self.sleep(ctx, ttl)

    async def answer(self, ctx, ttl):
        ctx.send_event(Answer(n=self.dice.randint(0, 1)))

    async def clean_up(self, ctx, ttl):
        if self.dice.random() < 0.6:
            return
        try:
            await anyio.sleep(1)
        finally:
            with anyio.CancelScope(shield=True):
                await self.sleep(ctx, ttl)
                if self.dice.random() < 0.3:
                    await self.patient(ctx)
                if self.dice.random() < 0.2:
                    raise Boom

    async def stop(self, ctx, ttl):
        if self.dice.random() < 0.1:
            ctx.send_event(StopEvent())

    async def nest(self, ctx, ttl):
        if self.dice.random() < 0.5:
            child = make(self.dice, None, nested=True)
            with anyio.move_on_after(20):
                await ctx.run_child(child, forward_events=self.dice.random() < 0.6)

    def output(self, ttl):
        chance = self.dice.random()
        if chance < 0.25 or ttl <= 0:
            return StopEvent() if chance < 0.05 else None
        if chance < 0.6:
            return self.dice.choice([*KINDS, *KINDS, Shown, Answer])(ttl=ttl - 1)
        kinds = [*KINDS, *KINDS, *KINDS, Shown, Answer, StopEvent]
        drawn = self.dice.choices(kinds, k=self.dice.randint(0, 4))
        return [kind() if kind is StopEvent else kind(ttl=ttl - 1) for kind in drawn]


def body_of(life, name, **parameters):
    """Make a step's function, with these inputs."""

    async def body(self, ctx, **inputs):
        event = next(iter(inputs.values()))
        first = event if not isinstance(event, list) else next(iter(event), A())
        ttl = 2 if isinstance(first, StepFailedEvent) else getattr(first, "ttl", 4)
        if not isinstance(event, StepFailedEvent) and isinstance(event, Event):
            ctx.collect_events(event, life.dice.choice([[A, B], [A, A], {A: 2, C: 1}]))
        await life.live(ctx, ttl)
        return life.output(ttl)

    names = ", ".join(parameters)
    pairs = ", ".join(f"{parameter}={parameter}" for parameter in parameters)
    made = {"body": body}
    exec(f"async def {name}(self, ctx, {names}): return await body(self, ctx, {pairs})", made)
    function = made[name]
    function.__qualname__ = f"Random.{name}"
    function.__module__ = __name__
    function.__annotations__ = {"ctx": Context, **parameters, "return": list[ANY] | ANY | None}
    return function


def make(dice, limiter, *, nested=False):
    """Throw the dice for a workflow."""
    names = [f"s{n}" for n in range(dice.randint(1, 3))]
    life = Life(dice, names, nested=nested)
    bodies = {"start": body_of(life, "start", ev=StartEvent)}
    for name in names:
        takes = dice.choice([A, B, C, A | B, B | C, C | Answer])
        bodies[name] = body_of(life, name, ev=takes)
    bodies["rest"] = body_of(life, "rest", ev=A | B | C)
    if dice.random() < 0.5:
        bodies["join"] = body_of(life, "join", a=A, b=B)
    for n in range(dice.randint(0, 2)):
        takes = dice.choice([A, B, A | B, C | StepFailedEvent])
        many = dice.choice([All(), Take(1), Take(2), Take(1, cancel_rest=True)])
        how = Collect(many, order=dice.choice(["arrival", "input"]))
        bodies[f"all{n}"] = body_of(life, f"all{n}", evs=Annotated[list[takes], how])
    steps = {
        name: step(
            num_workers=dice.choice([1, 2, 4]),
            timeout=dice.choice([None, None, 1.2]),
            retry_policy=dice.choice([None, POLICY]),
            limiter=dice.choice([None, limiter]),
        )(body)
        for name, body in bodies.items()
    }
    if dice.random() < 0.5:
        handle = catch_error(max_recoveries=dice.choice([1, 2]))
        steps["handle"] = handle(body_of(life, "handle", ev=StepFailedEvent))
    cls = type("Random", (Workflow,), {"__module__": __name__, **steps})
    return cls(
        timeout=dice.choice([None, None, 7, Timeout(5, while_idle=False)]),
        disable_validation=True,
        on_stop=dice.choice(["cancel", "drain"]),
        stream_buffer=dice.choice([math.inf, 1, 3]),
    )


# ---------------------------------------------------------------- the outside


async def read(run, states, pause):
    async for event in run.stream_events(expose_internal=True):
        if isinstance(event, StepStateChanged) and event.step_state is not StepState.PREPARING:
            states[event.step_state, event.name] += 1
        await anyio.sleep(pause)


async def walk(run):
    while await run.run_step() is not None:
        pass


async def outside(run, dice, states):
    """Look on, answer a few times, and put an end to it."""
    async with anyio.create_task_group() as tasks:
        for _ in range(dice.randint(0, 2)):
            tasks.start_soon(read, run, states if not states else Counter(), dice.choice([0, 0.7]))
        if run._shell.stepwise:
            tasks.start_soon(walk, run)
        for _ in range(6):
            await anyio.sleep(dice.choice([0.5, 1, 2]))
            if run.is_done():
                return
            with suppress(WorkflowRuntimeError):
                run.send_event(dice.choice([Answer(n=1), Answer(), A(ttl=1)]))
            assert run.explain()
            assert isinstance(run.undelivered, tuple)
        run.cancel()


async def one(seed):
    dice = random.Random(seed)
    limiter = anyio.CapacityLimiter(2)
    before = live_tasks()
    run = make(dice, limiter).run()
    trace = run.trace()
    error = None
    states = Counter()
    if dice.random() < 0.3:
        run.stepwise()
    try:
        with anyio.move_on_after(dice.choice([0, 2, math.inf, math.inf])):
            async with run:
                await outside(run, dice, states)
    except Exception as raised:  # noqa: BLE001 - it is looked at
        error = raised
    assert run.is_done()
    assert live_tasks() == before
    for leaf in leaves(error):
        assert is_fair(leaf), repr(leaf)
    assert limiter.borrowed_tokens == 0
    assert limiter.statistics().tasks_waiting == 0
    assert isinstance([event async for event in run.stream_events()][-1], StopEvent)
    assert str(trace)
    began, ended = Counter(), Counter()
    for record in trace.records:
        if isinstance(record, Started):
            began[record.delivery] += 1
        elif isinstance(record, Completed | Failed | Interrupted | Retrying | Recovered):
            ended[record.delivery] += 1
    assert began == ended, "a body that ended twice, or never"
    replayed = RunState(run._shell.state.plan, run.run_id)
    for record in trace.records:
        apply(replayed, record)
    assert replayed == run._shell.state, "the state is not the sum of its records"
    return sum(isinstance(record, Resumed) for record in trace.records)


def leaves(error):
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from leaves(part)
    elif error is not None:
        yield error


def is_fair(error):
    """Say whether the workflow is told of its own doing."""
    fair = (Boom, WorkflowRuntimeError, WorkflowTimeoutError, WorkflowCancelledByUser)
    return isinstance(error, fair) and not isinstance(error, PlaitInternalError)


async def several(seeds):
    waits = 0
    for seed in seeds:
        with anyio.fail_after(LONG):
            waits += await one(seed)
    assert waits, "nobody has waited: the dice are loaded"


@pytest.fixture
def sound(monkeypatch):
    """Have the state checked after every stimulus."""
    advance = engine_shell.advance

    def checked(state, stimulus):
        said = advance(state, stimulus)
        state.check()
        return said

    monkeypatch.setattr(engine_shell, "advance", checked)
    monkeypatch.setattr(engine_shell.Shell, "_advance", staticmethod(checked))


@pytest.mark.usefixtures("sound")
@pytest.mark.parametrize("first", range(0, 200, 20))
def test_on_trio(first, monkeypatch):
    with one_schedule(monkeypatch):
        trio._core._run._r.seed(first)
        clock = trio.testing.MockClock(autojump_threshold=0)
        trio.run(several, range(first, first + 20), clock=clock)


@pytest.mark.usefixtures("sound")
@pytest.mark.parametrize("first", range(0, 200, 20))
def test_on_asyncio(first):
    options = {"loop_factory": JumpingLoop}
    anyio.run(several, range(first, first + 20), backend="asyncio", backend_options=options)
