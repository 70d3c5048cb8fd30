"""The store over several lives: what steps have written, whatever the class of the state."""

import dataclasses
import datetime
import decimal
import enum
import pathlib
import threading
import uuid

import anyio
import attrs
import pydantic
import pytest

from plait import Context, JsonSerializer, StartEvent, StopEvent, Workflow, step
from plait._strands._events.state.dict_state import DictState
from plait.errors import ContextSerdeError
from tests.parity.clocks import in_virtual_time
from tests.parity.letters import A
from tests.strands.events.journal.lives import Kept, Moment, everywhere, live_until
from tests.strands.events.journal.lives import home as home


class Color(enum.Enum):
    RED = 1


@attrs.define
class Point:
    x: int
    y: float = 0.5


@attrs.define
class ByAttrs:
    count: int = 0
    names: list[str] = attrs.field(factory=list)
    point: Point | None = None


@dataclasses.dataclass
class ByDataclass:
    count: int = 0
    names: list[str] = dataclasses.field(default_factory=list)
    point: Point | None = None


class ByPydantic(pydantic.BaseModel):
    count: int = 0
    names: list[str] = []
    point: tuple[int, int] | None = None


def flow_with(state, write, read):
    """A workflow with this state class; its first step writes, the second reads in its second life."""

    class W(Workflow):
        gate = None

        def __init__(self, journal):
            super().__init__(
                journal=journal, serializer=JsonSerializer(allowed_types=[Point, Color])
            )
            self.reached = Moment()

        @step
        async def first(self, ctx: Context[state], ev: StartEvent) -> A:
            await write(ctx.store)
            return A()

        @step
        async def second(self, ctx: Context[state], ev: A) -> StopEvent:
            self.reached.set()
            if self.gate is not None:
                await self.gate.wait()
            return StopEvent(result=await read(ctx.store))

    return W


async def two_lives(home, flow_class):
    flow = flow_class(home.journal())
    flow.gate = anyio.Event()
    await live_until(flow.reached, flow.run(run_id="r"))
    run = flow_class(home.journal()).resume("r")
    return await run, run


@everywhere
async def test_a_store_without_a_class(home):
    """Everything that JSON with tags can write comes back as it was."""
    values = {
        "text": "ä\u2028",
        "number": 2**70,
        "float": -0.25,
        "none": None,
        "tuple": (1, [2, {"three": (4,)}]),
        "set": {1, 2},
        "bytes": b"\x00\xff",
        "when": datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.UTC),
        "money": decimal.Decimal("0.10"),
        "id": uuid.UUID(int=7),
        "path": pathlib.PurePosixPath("/tmp/x"),
        "color": Color.RED,
        "point": Point(x=1),
        "event": A(n=3),
        "keys": {1: "a", (2, 3): "b"},
        "a.b": 1,
    }

    async def write(store):
        for key, value in values.items():
            if key != "a.b":
                await store.set(key, value)
        async with store.edit_state() as state:
            state["a.b"] = values["a.b"]

    async def read(store):
        return dict(await store.get_state())

    result, run = await two_lives(home, flow_with(DictState, write, read))
    assert result == values
    assert {key: type(value) for key, value in result.items()} == {
        key: type(value) for key, value in values.items()
    }
    assert await run.ctx.store.get("tuple") == values["tuple"]


@everywhere
@pytest.mark.parametrize(
    "state", [ByAttrs, ByDataclass, ByPydantic], ids=lambda state: state.__name__
)
async def test_a_state_with_a_class(home, state):
    """The state is of its class again, with what was written and the defaults of the rest."""
    point = (1, 2) if state is ByPydantic else Point(x=1)

    async def write(store):
        await store.set("count", 3)
        async with store.edit_state() as edited:
            edited.names = [*edited.names, "a", "b"]
            edited.point = point

    async def read(store):
        whole = await store.get_state()
        return type(whole).__name__, whole.count, whole.names, whole.point

    result, run = await two_lives(home, flow_with(state, write, read))
    assert result == (state.__name__, 3, ["a", "b"], point)
    assert type(await run.ctx.store.get_state()) is state


@everywhere
async def test_what_was_set_before_the_run_is_kept(home):
    """A context that was filled by hand: the next process need not fill it again."""

    async def write(store):
        await store.set("later", 2)

    async def read(store):
        return await store.get("before"), await store.get("later")

    flow_class = flow_with(DictState, write, read)
    flow = flow_class(home.journal())
    flow.gate = anyio.Event()
    ctx = Context(flow)
    await ctx.store.set("before", 1)
    await live_until(flow.reached, flow.run(ctx, run_id="r"))
    assert await flow_class(home.journal()).resume("r") == (1, 2)


@everywhere
async def test_what_was_removed_stays_away(home):
    async def write(store):
        await store.set("one", 1)
        await store.set("two", 2)
        async with store.edit_state() as state:
            del state["one"]
        await store.set("deep", {"a": {"b": 1}})
        await store.set("deep.a.b", 2)

    async def read(store):
        return dict(await store.get_state())

    result, _ = await two_lives(home, flow_with(DictState, write, read))
    assert result == {"two": 2, "deep": {"a": {"b": 2}}}


@everywhere
async def test_a_cleared_store_is_empty(home):
    async def write(store):
        await store.set("one", 1)
        await store.clear()

    async def read(store):
        return dict(await store.get_state())

    result, _ = await two_lives(home, flow_with(DictState, write, read))
    assert result == {}


@everywhere
async def test_a_plain_step_writes_as_well(home):
    """`ctx.store.sync` from a worker thread is kept like any other write."""

    class W(Workflow):
        gate = None

        def __init__(self, journal):
            super().__init__(journal=journal)
            self.reached = Moment()

        @step
        def first(self, ctx: Context, ev: StartEvent) -> A:
            ctx.store.sync.set("thread", threading.current_thread() is not threading.main_thread())
            return A()

        @step
        async def second(self, ctx: Context, ev: A) -> StopEvent:
            self.reached.set()
            if self.gate is not None:
                await self.gate.wait()
            return StopEvent(result=await ctx.store.get("thread"))

    result, _ = await two_lives(home, W)
    assert result is True


@everywhere
async def test_what_an_interrupted_body_has_written_is_there(home):
    """The store has what other steps could see, also from a body that will run again."""

    class W(Workflow):
        gate = None

        def __init__(self, journal):
            super().__init__(journal=journal)
            self.reached = Moment()

        @step
        async def only(self, ctx: Context, ev: StartEvent) -> StopEvent:
            lives = await ctx.store.get("lives", 0)
            await ctx.store.set("lives", lives + 1)
            self.reached.set()
            if self.gate is not None:
                await self.gate.wait()
            return StopEvent(result=lives + 1)

    result, _ = await two_lives(home, W)
    assert result == 2


@everywhere
async def test_the_store_of_an_ended_run(home):
    """`resume` of a run that is over restores what the last step had written."""

    async def write(store):
        await store.set("one", 1)

    async def read(store):
        await store.set("two", 2)

    flow_class = flow_with(DictState, write, read)
    await flow_class(home.journal()).run(run_id="r")
    run = flow_class(home.journal()).resume("r")
    await run
    assert dict(await run.ctx.store.get_state()) == {"one": 1, "two": 2}


@everywhere
@pytest.mark.parametrize("how", ["set", "edit", "set_state", "deep"])
async def test_a_value_that_cannot_be_kept(home, how):
    """The write is refused with its key, the store is as it was, and the run can go on."""

    class W(Workflow):
        @step
        async def only(self, ctx: Context, ev: StartEvent) -> StopEvent:
            await ctx.store.set("f", {"inner": 1})
            with pytest.raises(
                ContextSerdeError, match="Failed to serialize state value for key f"
            ) as caught:
                if how == "set":
                    await ctx.store.set("f", print)
                elif how == "deep":
                    await ctx.store.set("f.inner", print)
                elif how == "edit":
                    async with ctx.store.edit_state() as state:
                        state.other = 1
                        state.f = lambda: None
                else:
                    whole = await ctx.store.get_state()
                    whole.f = object()
                    whole.other = 1
                    await ctx.store.set_state(whole)
            errors.append(caught.value)
            return StopEvent(result=dict(await ctx.store.get_state()))

    errors = []
    run = W(journal=home.journal()).run(run_id="r")
    assert await run == {"f": {"inner": 1}}
    again = W(journal=home.journal()).resume("r")
    assert await again == {"f": {"inner": 1}}
    assert dict(await again.ctx.store.get_state()) == {"f": {"inner": 1}}


@everywhere
async def test_a_value_that_cannot_be_kept_from_the_start(home):
    """A context that holds one cannot be run with a journal: the error is the run's, and names the key."""

    async def nothing(store):
        pass

    flow = flow_with(DictState, nothing, nothing)(home.journal())
    ctx = Context(flow)
    await ctx.store.set("f", print)
    with pytest.raises(ContextSerdeError, match="Failed to serialize state value for key f"):
        await flow.run(ctx, run_id="r")
    assert await home.statuses() == {}


@in_virtual_time
async def test_writes_are_not_waited_for():
    """A write to the store is appended in its place, and costs no round trip to the disk."""

    class Never(Kept):
        quiet = False

        def _tell(self):
            if not self.quiet:
                super()._tell()

    class W(Workflow):
        @step
        async def only(self, ctx: Context, ev: StartEvent) -> StopEvent:
            journal.quiet = True
            for n in range(10):
                await ctx.store.set("n", n)
            assert await ctx.store.get("n") == 9
            journal.quiet = False
            return StopEvent(result=1)

    journal = Never()
    assert await W(journal=journal).run(run_id="r") == 1
    assert journal.tags("r").count("store.changed") == 10
