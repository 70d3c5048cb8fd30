"""Rows 13 to 19: who gets an event, and in which order."""

import re
from operator import itemgetter

import anyio
import pytest

from plait import Context, StartEvent, StopEvent, Workflow, step
from plait.errors import WorkflowRuntimeError
from tests.parity.letters import A2, A, B


@pytest.mark.anyio
async def test_row_013_an_event_reaches_every_step_that_accepts_it():
    received = []

    class Flow(Workflow):
        @step
        async def s(self, ev: StartEvent) -> A:
            return A(n=1)

        @step
        async def t(self, ev: A) -> B:
            received.append(("t", ev))
            return B(n=1)

        @step
        async def u(self, ev: A) -> B:
            received.append(("u", ev))
            return B(n=2)

        @step
        async def end(self, ctx: Context, ev: B) -> StopEvent | None:
            return ctx.collect_events(ev, [B, B]) and StopEvent()

    await Flow().run()
    assert sorted(name for name, _ in received) == ["t", "u"]
    assert received[0][1] is received[1][1]  # all receivers share the one frozen object


class Targeted(Workflow):
    def __init__(self, target):
        super().__init__()
        self.target = target
        self.ran = []

    @step
    async def s(self, ctx: Context, ev: StartEvent) -> A | B | None:
        ctx.send_event(A(), step=self.target)

    @step
    async def t(self, ev: A) -> StopEvent:
        self.ran.append("t")
        return StopEvent()

    @step
    async def u(self, ev: A) -> StopEvent:
        self.ran.append("u")
        return StopEvent()

    @step
    async def v(self, ev: B) -> StopEvent:
        self.ran.append("v")
        return StopEvent()


@pytest.mark.anyio
async def test_row_014_a_targeted_event_reaches_one_step():
    flow = Targeted("u")
    await flow.run()
    assert flow.ran == ["u"]


@pytest.mark.anyio
async def test_row_014_a_bad_target_raises():
    with pytest.raises(WorkflowRuntimeError, match="Step x does not exist"):
        await Targeted("x").run()
    flow = Targeted("v")
    text = f"Step v does not accept event of type {A}"
    with pytest.raises(WorkflowRuntimeError, match=re.escape(text)):
        await flow.run()
    assert flow.ran == []


@pytest.mark.anyio
async def test_row_014_a_bad_target_from_outside_raises_in_the_sender():
    go = anyio.Event()

    class Flow(Targeted):
        @step
        async def s(self, ev: StartEvent) -> A | B | None:
            await go.wait()
            return A()

    async with Flow(None).run() as run:
        with pytest.raises(WorkflowRuntimeError, match="Step x does not exist"):
            run.send_event(A(), step="x")
        with pytest.raises(WorkflowRuntimeError, match="Step v does not accept event of type"):
            run.send_event(A(), "v")
        go.set()
        await run


@pytest.mark.anyio
async def test_row_015_union_inputs_and_none_returns():
    received = []

    class Flow(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> A | B | None:
            ctx.send_event(A(n=1))
            ctx.send_event(B(n=2))
            return A(n=3) if ctx is None else None

        @step(num_workers=1)
        async def t(self, ev: A | B) -> StopEvent | None:
            received.append(ev)
            if isinstance(ev, B):
                return StopEvent()
            return None

    await Flow().run()
    assert received == [A(n=1), B(n=2)]


@pytest.mark.anyio
async def test_row_016_exact_types_by_default_and_subclasses_on_request():
    received, both = [], anyio.Event()

    def receive(name, event):
        received.append((name, event))
        if len(received) == 2:
            both.set()

    class Exact(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> A2 | A | None:
            ctx.send_event(A(n=1))
            return A2(n=2)

        @step
        async def t(self, ev: A) -> None:
            receive("t", ev)

        @step
        async def u(self, ev: A2) -> StopEvent:
            receive("u", ev)
            await both.wait()
            return StopEvent()

    await Exact(skip_graph_checks=["dead_end"]).run()
    assert sorted(received, key=itemgetter(0)) == [("t", A(n=1)), ("u", A2(n=2))]

    received, both = [], anyio.Event()

    class Wide(Exact):
        @step(accept_event_subclasses=True, num_workers=1)
        async def t(self, ev: A) -> None:
            receive("t", ev)

        @step
        async def u(self, ev: A2) -> StopEvent:
            await both.wait()
            return StopEvent()

    await Wide(skip_graph_checks=["dead_end"]).run()
    assert received == [("t", A(n=1)), ("t", A2(n=2))]


@pytest.mark.anyio
async def test_row_016_a_subclass_without_a_receiver_names_the_option():
    class Flow(Workflow):
        @step
        async def s(self, ev: StartEvent) -> A:
            return A2()

        @step
        async def t(self, ev: A) -> StopEvent:
            return StopEvent()

    with pytest.raises(WorkflowRuntimeError) as caught:
        await Flow().run()
    text = str(caught.value)
    assert "Step 's' returned A2, but no step of workflow 'Flow' accepts it." in text
    assert "Step 't' accepts its base A: use @step(accept_event_subclasses=True)." in text


@pytest.mark.anyio
async def test_row_017_an_event_without_receiver_is_an_error_at_once():
    class Flow(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> A | StopEvent:
            ctx.send_event(A())
            return B()

        @step
        async def t(self, ev: A) -> StopEvent:
            await anyio.sleep_forever()
            return StopEvent()

    with pytest.raises(
        WorkflowRuntimeError,
        match=r"Step 's' returned B, but no step of workflow 'Flow' accepts it\.",
    ):
        await Flow().run()


@pytest.mark.anyio
async def test_row_017_a_sent_event_without_receiver_raises_in_the_sender():
    class Flow(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
            with pytest.raises(WorkflowRuntimeError) as caught:
                ctx.send_event(B())
            return StopEvent(result=str(caught.value))

    async with Flow().run() as run:
        with pytest.raises(
            WorkflowRuntimeError, match=r"^B was sent, but no step of workflow 'Flow' accepts it\."
        ):
            run.send_event(B())
        text = await run
    assert text.startswith("Step 's' sent B, but no step of workflow 'Flow' accepts it.")


@pytest.mark.anyio
@pytest.mark.parametrize("plain", [False, True])
async def test_row_018_the_order_of_emission_is_kept(plain):
    received = []

    class Flow(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> A:
            ctx.send_event(A(n=1))
            ctx.send_event(A(n=2))
            return A(n=3)

        @step(num_workers=1)
        async def t(self, ctx: Context, ev: A) -> StopEvent | None:
            received.append(ev.n)
            return StopEvent() if ev.n == 3 else None

    class Threads(Flow):
        @step
        def s(self, ctx: Context, ev: StartEvent) -> A:
            ctx.send_event(A(n=1))
            ctx.send_event(A(n=2))
            return A(n=3)

    await (Threads if plain else Flow)().run()
    assert received == [1, 2, 3]


@pytest.mark.anyio
async def test_row_019_a_sent_event_is_live_before_the_sender_ends():
    log = []
    two_ran = anyio.Event()

    class Flow(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> A | B:
            ctx.send_event(A())
            await two_ran.wait()
            log.append("s end")
            return B()

        @step
        async def two(self, ev: A) -> None:
            log.append("two ran")
            two_ran.set()

        @step
        async def end(self, ev: B) -> StopEvent:
            return StopEvent()

    await Flow(skip_graph_checks=["dead_end"]).run()
    assert log == ["two ran", "s end"]
