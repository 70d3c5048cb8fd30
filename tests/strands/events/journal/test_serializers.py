"""Somebody's own serializers, and runs inside runs: who wrote a run's values reads them again.

A parent, a child in flight, and a child in flight inside that one; each has values of the store and of an
event's fields that its serializer writes. What had returned does not run again, whoever has written it down.
"""

import json

import anyio
import attrs
import pytest

from plait import (
    Context,
    Event,
    JsonSerializer,
    StartEvent,
    StopEvent,
    Workflow,
    WorkflowCheckpointer,
    step,
)
from plait.errors import ContextSerdeError
from plait.events import PickleSerializer
from tests.parity.clocks import in_virtual_time
from tests.strands.events.journal.lives import Kept, live_for
from tests.strands.events.journal.lives import wall_clock as wall_clock


@attrs.define
class Money:
    cents: int


@attrs.define
class Coin:
    """No annotation mentions it."""

    cents: int


class Backwards:
    """A serializer of a user's own; what another one of it has written it cannot read."""

    def __init__(self, key="key"):
        self.key = key
        self.inner = JsonSerializer([Money])

    def serialize(self, value):
        return self.key + self.inner.serialize(value)[::-1]

    def deserialize(self, text):
        assert text.startswith(self.key), "somebody else has written this"
        return self.inner.deserialize(text.removeprefix(self.key)[::-1])


class Loud(JsonSerializer):
    """A subclass that makes something of what plait writes."""

    def serialize(self, value):
        return "!" + super().serialize(value)

    def deserialize(self, text):
        assert text[0] == "!", "this was not loud"
        return super().deserialize(text[1:])


SERIALIZERS = {
    "none": None,
    "json": JsonSerializer([Money]),
    "pickle": PickleSerializer(),
    "own": Backwards(),
    "subclass": Loud([Money]),
}
TEXTS = ["pickle", "own", "subclass"]

each = pytest.mark.parametrize("name", SERIALIZERS)


class Paid(Event):
    sum: Money


class Level(Workflow):
    """Makes a run of the level below, and takes a second for each of its two steps."""

    def __init__(self, log, below=None, extra=None, **options):
        super().__init__(timeout=100, **options)
        self.log = log
        self.below = below
        self.extra = extra

    @step
    async def first(self, ctx: Context, ev: StartEvent) -> Paid:
        await anyio.sleep(1)
        self.log.append(f"{self.workflow_name} 1")
        await ctx.store.set("n", ev.n)
        await ctx.store.set("paid", [Money(ev.n)])
        await ctx.store.set("extra", self.extra)
        return Paid(sum=Money(ev.n))

    @step
    async def second(self, ctx: Context, ev: Paid) -> StopEvent:
        await anyio.sleep(1)
        under = 0 if self.below is None else await self.below.run(n=ev.sum.cents + 1)
        self.log.append(f"{self.workflow_name} 2")
        (paid,) = await ctx.store.get("paid")
        assert await ctx.store.get("extra") == self.extra
        assert paid == ev.sum
        return StopEvent(result=[paid.cents, under])


NAMES = ["top", "middle", "bottom"]
RESULT = [1, [2, [3, 0]]]
#: Seconds after which a run has been in the child of its child for a step.
DEEP = 5.5


def levels(log, serializers=(None,) * 3, **options):
    """The workflow objects of one process; that at the top."""
    flow = None
    for name, serializer in reversed([*zip(NAMES, serializers, strict=True)]):
        of_top = options if name == "top" else {}
        flow = Level(log, flow, workflow_name=name, serializer=serializer, **of_top)
    return flow


BEFORE = ["top 1", "middle 1", "bottom 1"]
AFTER = ["bottom 2", "middle 2", "top 2"]


async def cut(run, serializer):
    """Let a run come to where all three are under way, and write it down there."""
    async with run:
        await anyio.sleep(DEEP)
        saved = json.loads(json.dumps(run.ctx.to_dict(serializer)))
        run.cancel()
    return saved


@each
@in_virtual_time
async def test_a_snapshot_by_one_for_all(name):
    serializer = SERIALIZERS[name]
    log = []
    saved = await cut(levels(log).run(n=1), serializer)
    flow = levels(log)
    assert await flow.run(ctx=Context.from_dict(flow, saved, serializer)) == RESULT
    assert log == BEFORE + AFTER


@each
@in_virtual_time
async def test_a_snapshot_that_each_level_writes_as_it_does(name):
    """Nobody is given a serializer, so each has its own; those of the levels are different."""
    names = [*SERIALIZERS]
    at = names.index(name)
    serializers = [SERIALIZERS[names[(at + n) % len(names)]] for n in range(3)]
    log = []
    saved = await cut(levels(log, serializers).run(n=1), None)
    flow = levels(log, serializers)
    assert await flow.run(ctx=Context.from_dict(flow, saved)) == RESULT
    assert log == BEFORE + AFTER


@each
@in_virtual_time
async def test_written_down_again_before_the_children_are_made(name):
    """Nobody here has read them yet: they are written as they came."""
    serializer = SERIALIZERS[name]
    log = []
    saved = await cut(levels(log).run(n=1), serializer)
    for wait in (None, 0.5):
        flow = levels(log)
        ctx = Context.from_dict(flow, saved, serializer)
        if wait is not None:
            async with flow.run(ctx=ctx) as run:
                await anyio.sleep(wait)
                run.cancel()
        saved = json.loads(json.dumps(ctx.to_dict(serializer)))
    flow = levels(log)
    assert await flow.run(ctx=Context.from_dict(flow, saved, serializer)) == RESULT
    assert log == BEFORE + AFTER


@each
@in_virtual_time
async def test_a_run_that_was_cancelled_goes_on_with_its_context(name):
    """Whatever its own levels write by, and whatever it was read by."""
    serializer = SERIALIZERS[name]
    log = []
    flow = levels(log, [serializer, *[None] * 2])
    run = flow.run(n=1)
    await cut(run, serializer)
    for wait in (0.2, 1.5):
        async with flow.run(ctx=run.ctx) as run:
            await anyio.sleep(wait)
            run.cancel()
    assert await flow.run(ctx=run.ctx) == RESULT
    assert log == BEFORE + AFTER

    log.clear()
    flow = levels(log, [None, Backwards("mine"), None])
    saved = await cut(flow.run(n=1), serializer)
    async with flow.run(ctx=Context.from_dict(flow, saved, serializer)) as run:
        await anyio.sleep(1.2)  # it has made its children again, by now
        run.cancel()
    assert await flow.run(ctx=run.ctx) == RESULT
    assert log == BEFORE + AFTER


@each
@pytest.mark.parametrize("below", SERIALIZERS)
@in_virtual_time
async def test_on_a_journal_each_level_writes_as_it_does(name, below):
    serializers = [SERIALIZERS[one] for one in (name, below, name)]
    journal, log = Kept(), []
    await live_for(DEEP, levels(log, serializers, journal=journal).run(run_id="r", n=1))
    assert log == BEFORE
    assert await levels(log, serializers, journal=journal).resume("r") == RESULT
    assert log == BEFORE + AFTER
    assert await levels(log, serializers, journal=journal).resume("r") == RESULT


class Other(Event):
    pass


class Two(Workflow):
    """Two bodies at once: one has a run inside it, what the other one returns makes a checkpoint."""

    def __init__(self, log, below=None, **options):
        super().__init__(workflow_name="two", **options)
        self.log = log
        self.below = below or levels(log).below

    @step
    async def start(self, ctx: Context, ev: StartEvent) -> Paid | None:
        for cents in (2, 0):
            ctx.send_event(Paid(sum=Money(cents)))

    @step(num_workers=2)
    async def work(self, ev: Paid) -> StopEvent | Other:
        if not ev.sum.cents:
            await anyio.sleep(2.8)
            return Other()
        await anyio.sleep(0.5)
        return StopEvent(result=await self.below.run(n=ev.sum.cents))

    @step
    async def end(self, ev: Other) -> StopEvent | None:
        self.log.append("other")


@each
@pytest.mark.parametrize("loads", [False, True])
@in_virtual_time
async def test_checkpoints_of_a_checkpointer_with_a_serializer(name, loads, wall_clock):
    """The run that begins from one goes on with the runs inside, whoever has written them."""
    serializer = SERIALIZERS[name]
    journal, log = Kept(), []
    checkpointer = WorkflowCheckpointer(Two(log, journal=journal), serializer)
    assert await checkpointer.run(run_id="r") == RESULT[1]
    if loads:
        checkpointer = WorkflowCheckpointer(Two(log, journal=journal), serializer)
        await checkpointer.load()
    first, _ = checkpointer.checkpoints["r"]
    assert first.ctx_state["children"]
    for workflow in (checkpointer.workflow, Two(log)):
        log.clear()
        checkpointer.workflow = workflow
        assert await checkpointer.run_from(first) == RESULT[1]
        assert log == ["other", "bottom 1", "bottom 2", "middle 2"]


@each
@pytest.mark.parametrize("loads", [False, True])
@pytest.mark.parametrize("until", [0.3, 1.3])
@in_virtual_time
async def test_checkpoints_on_a_journal_in_two_lives(name, loads, until, wall_clock):
    """The second life is given no serializer; in the first the runs inside may not have been made again."""
    serializer = SERIALIZERS[name]
    journal, log = Kept(), []
    checkpointer = WorkflowCheckpointer(Two(log, journal=journal), serializer)
    assert await checkpointer.run(run_id="r") == RESULT[1]
    if loads:
        checkpointer = WorkflowCheckpointer(Two(log, journal=journal), serializer)
        await checkpointer.load()
    first, _ = checkpointer.checkpoints["r"]
    log.clear()
    await live_for(until, checkpointer.run_from(first, run_id="again"))
    assert await Two(log, journal=journal).resume("again") == RESULT[1]
    assert log == ["other", "bottom 1", "bottom 2", "middle 2"]


@each
@pytest.mark.parametrize("other", SERIALIZERS)
@in_virtual_time
async def test_written_by_one_and_then_by_another(name, other):
    """Of the runs inside nobody has made any yet, and what they are of is not known."""
    one, two = SERIALIZERS[name], SERIALIZERS[other]
    log = []
    saved = await cut(levels(log).run(n=1), one)
    flow = levels(log)
    saved = json.loads(json.dumps(Context.from_dict(flow, saved, one).to_dict(two)))
    assert await flow.run(ctx=Context.from_dict(flow, saved, two)) == RESULT
    assert log == BEFORE + AFTER


@in_virtual_time
async def test_what_only_another_workflow_can_read_is_not_written_down_as_something_else():
    """After a cancellation only what was written then is left of the runs inside."""
    log = []
    serializers = [None, Backwards("mine"), None]
    run = levels(log, serializers).run(n=1)
    saved = await cut(run, None)
    with pytest.raises(ContextSerdeError, match=r"by the serializer of its own workflow"):
        run.ctx.to_dict(PickleSerializer())
    assert json.loads(json.dumps(run.ctx.to_dict()))["children"] == saved["children"]
    flow = levels(log, serializers)
    assert await flow.run(ctx=Context.from_dict(flow, run.ctx.to_dict())) == RESULT
    assert log == BEFORE + AFTER


@in_virtual_time
async def test_what_cannot_be_read_or_written_is_said(monkeypatch):
    log = []
    saved = await cut(levels(log).run(n=1), Backwards())
    ctx = Context.from_dict(levels(log), saved, Backwards())
    monkeypatch.setattr(Backwards, "deserialize", lambda self, text: 1 / 0)
    with pytest.raises(ContextSerdeError, match=r"inside this one: .* raised ZeroDivisionError"):
        ctx.to_dict(PickleSerializer())
    monkeypatch.setattr(Backwards, "deserialize", lambda self, text: print)
    with pytest.raises(ContextSerdeError, match="builtin_function_or_method cannot be stored"):
        ctx.to_dict()


@pytest.mark.parametrize("until", [0.3, 1.3])
@in_virtual_time
async def test_classes_that_only_a_run_inside_knows(until):
    """In the first life as in any other: what is kept of it is for its own workflow."""

    def two():
        knows = JsonSerializer([Coin])
        below = None
        for name in ("bottom", "middle"):
            below = Level(log, below, Coin(1), workflow_name=name, serializer=knows)
        return Two(log, below, journal=journal)

    journal, log = Kept(), []
    checkpointer = WorkflowCheckpointer(two(), PickleSerializer())
    assert await checkpointer.run(run_id="r") == RESULT[1]
    first, _ = checkpointer.checkpoints["r"]
    log.clear()
    await live_for(until, checkpointer.run_from(first, run_id="again"))
    assert await two().resume("again") == RESULT[1]
    assert log == ["other", "bottom 1", "bottom 2", "middle 2"]
    assert await checkpointer.run_from(first) == RESULT[1]
