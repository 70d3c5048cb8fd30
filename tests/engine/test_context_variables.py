"""Each delivery begins in a copy of the context variables of the run's start, and keeps its changes."""

from contextvars import ContextVar, copy_context

import anyio
import anyio.lowlevel
import pytest

from plait import Context, Event, StartEvent, StopEvent, Workflow, step

pytestmark = pytest.mark.anyio

VAR: ContextVar[object] = ContextVar("VAR")
LOCAL: ContextVar[object] = ContextVar("LOCAL")


class Item(Event):
    n: int


class Other(Event):
    n: int


class Flow(Workflow):
    """Three deliveries of one step with one worker; `body` is what is tested."""

    num_items = 3

    def __init__(self, body):
        super().__init__()
        self.body = body
        self.seen = []

    @step
    async def start(self, ctx: Context, ev: StartEvent) -> Item | None:
        for n in range(self.num_items):
            ctx.send_event(Item(n=n))

    @step(num_workers=1)
    async def work(self, ctx: Context, ev: Item) -> StopEvent | None:
        self.seen.append(VAR.get("unset"))
        await self.body(ev.n)
        return StopEvent() if ev.n + 1 == self.num_items else None


class InThreads(Flow):
    @step(num_workers=1)
    def work(self, ctx: Context, ev: Item) -> StopEvent | None:
        self.seen.append(VAR.get("unset"))
        self.body(ev.n)
        return StopEvent() if ev.n + 1 == self.num_items else None


async def test_a_body_that_sets_a_variable_and_leaves_it():
    async def body(n):
        VAR.set(n)
        assert VAR.get() == n

    flow = Flow(body)
    token = VAR.set("caller's")
    await flow.run()
    assert flow.seen == ["caller's"] * 3
    assert VAR.get() == "caller's"
    VAR.reset(token)


async def test_a_body_that_is_suspended_after_it_set_a_variable():
    async def body(n):
        VAR.set(n)
        await anyio.lowlevel.checkpoint()
        assert VAR.get() == n

    flow = Flow(body)
    await flow.run()
    assert flow.seen == ["unset"] * 3


async def test_a_step_goes_on_when_its_only_worker_has_retired():
    """No task is left in its nursery then, and it must take the next one all the same."""

    class Loop(Workflow):
        @step(num_workers=1)
        async def turn(self, ev: StartEvent | Item) -> Item | StopEvent:
            turns.append(VAR.get("unset"))
            VAR.set(object())
            return StopEvent() if len(turns) == 5 else Item(n=len(turns))

        @step(num_workers=1)
        async def back(self, ev: Other) -> Item:
            return Item(n=ev.n)

    class There(Loop):
        @step(num_workers=1)
        async def turn(self, ev: StartEvent | Item) -> Other | StopEvent:
            turned = await super().turn(ev)
            return Other(n=turned.n) if isinstance(turned, Item) else turned

        @step(num_workers=1)
        async def back(self, ev: Other) -> Item:
            await anyio.lowlevel.checkpoint()  # the retired worker ends meanwhile
            return Item(n=ev.n)

    turns = []
    await There().run()
    assert turns == ["unset"] * 5


async def test_a_body_that_sets_a_new_variable():
    async def body(n):
        assert LOCAL.get(None) is None
        LOCAL.set(n)

    await Flow(body).run()
    assert LOCAL.get(None) is None


async def test_a_body_that_fails_with_a_variable_set():
    async def body(n):
        VAR.set(n)
        raise ValueError(n)

    flow = Flow(body)
    with pytest.raises(ValueError):
        await flow.run()
    assert VAR.get("unset") == "unset"


async def test_a_value_that_is_equal_and_not_the_same_is_a_change():
    """A worker that compares values by `==` takes this body for one that changed nothing."""
    mine = []
    token = VAR.set(mine)
    seen = []

    async def body(n):
        seen.append(VAR.get())
        VAR.set([])

    await Flow(body).run()
    assert all(value is mine for value in seen)
    VAR.reset(token)


async def test_a_value_that_cannot_be_compared_does_no_harm():
    class Array:
        """Like the arrays of numerical libraries, whose comparison has no truth value."""

        def __eq__(self, other):
            raise ValueError("the truth value of an array is ambiguous")

        __hash__ = object.__hash__

    token = VAR.set(Array())

    async def body(n):
        VAR.set(Array())

    flow = Flow(body)
    await flow.run()
    assert all(value is token.var.get() for value in flow.seen)
    VAR.reset(token)


async def test_the_variables_are_those_of_the_start_not_of_the_call_of_run():
    async def body(n):
        pass

    flow = Flow(body)
    VAR.set("at run()")
    run = flow.run()
    token = VAR.set("at the start")
    async with run:
        VAR.set("later")
        await run
    assert flow.seen == ["at the start"] * 3
    VAR.reset(token)


async def test_a_sender_does_not_hand_its_variables_on():
    seen = []

    class Sender(Workflow):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> Item | None:
            VAR.set("sender's")
            ctx.send_event(Item(n=0))
            await anyio.lowlevel.checkpoint()
            ctx.send_event(Item(n=1))

        @step
        async def work(self, ctx: Context, ev: Item) -> StopEvent | None:
            seen.append(VAR.get("unset"))
            return ctx.collect_events(ev, [Item] * 2) and StopEvent()

    async with Sender().run() as run:
        await run
    assert seen == ["unset"] * 2


async def test_a_sender_from_outside_does_not_hand_its_variables_on():
    seen = []

    class Receiver(Workflow):
        @step
        async def start(self, ev: StartEvent) -> StopEvent | None:
            await go.wait()
            return None

        @step
        async def work(self, ev: Item) -> StopEvent:
            seen.append(VAR.get("unset"))
            return StopEvent()

    go = anyio.Event()
    async with Receiver(disable_validation=True).run() as run:
        await anyio.lowlevel.checkpoint()
        VAR.set("outside")
        run.send_event(Item(n=0))
        await run
    assert seen == ["unset"]


async def test_plain_steps_in_threads_have_copies_too():
    def body(n):
        VAR.set(n)

    flow = InThreads(body)
    token = VAR.set("caller's")
    await flow.run()
    assert flow.seen == ["caller's"] * 3
    VAR.reset(token)


async def test_a_child_sees_what_its_parents_body_has_set():
    seen = []

    class Child(Workflow):
        @step
        async def s(self, ev: StartEvent) -> StopEvent:
            seen.append(VAR.get("unset"))
            return StopEvent()

    async def body(n):
        VAR.set(n)
        await Child().run()

    await Flow(body).run()
    assert seen == [0, 1, 2]


async def test_a_run_leaves_no_variable_of_its_own_behind():
    before = dict(copy_context())

    async def body(n):
        pass

    await Flow(body).run()
    async with Flow(body).run() as run:
        await run
    assert dict(copy_context()) == before
