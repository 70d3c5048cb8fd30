"""Rows 51, 52 and 109: several event parameters join."""

import anyio.lowlevel
import pytest

from plait import Context, Event, StartEvent, StopEvent, Workflow, step
from plait.errors import WorkflowStalledError, WorkflowValidationError
from tests.parity.letters import A, B, C


class Pairs(Workflow):
    """Sends what it is given, and pairs what it can."""

    def __init__(self, *events, ends=2):
        super().__init__()
        self.given = events
        self.ends = ends
        self.pairs = []

    @step
    async def s(self, ctx: Context, ev: StartEvent) -> A | B | None:
        for event in self.given:
            ctx.send_event(event)

    @step(num_workers=1)
    async def pair(self, b: B, ctx: Context, a: A) -> StopEvent | None:
        self.pairs.append((a.n, b.n))
        return StopEvent() if len(self.pairs) == self.ends else None


@pytest.mark.anyio
async def test_row_051_several_event_parameters_join():
    flow = Pairs(A(n=1), A(n=2), B(n=3), B(n=4))
    run = flow.run()
    await run
    assert flow.pairs == [(1, 3), (2, 4)]
    assert run.undelivered == ()


@pytest.mark.anyio
async def test_row_051_a_join_keeps_the_surplus():
    flow = Pairs(A(n=1), A(n=2), A(n=3), B(n=4), B(n=5))
    run = flow.run()
    await run
    assert flow.pairs == [(1, 4), (2, 5)]
    assert run.undelivered == (A(n=3),)


@pytest.mark.anyio
async def test_row_051_a_join_that_lacks_a_slot_is_explained():
    run = Pairs(A(n=1), A(n=2)).run()
    with pytest.raises(WorkflowStalledError) as caught:
        await run
    (waiting,) = caught.value.waiting
    assert (waiting.step, waiting.kind) == ("pair", "join")
    assert (waiting.have, waiting.need) == ({"B": 0, "A": 2}, {"B": 1, "A": 1})
    assert "  step 'pair': join has B 0/1, A 2/1\n" in str(caught.value)
    assert run.undelivered == (A(n=1), A(n=2))


@pytest.mark.anyio
async def test_row_051_three_slots_from_three_steps():
    class D(Event):
        n: int

    class Flow(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> D | None:
            ctx.send_event(D(n=1))
            ctx.send_event(D(n=2))

        @step
        async def a(self, ev: D) -> A:
            await anyio.lowlevel.checkpoint()
            return A(n=ev.n)

        @step(num_workers=1)
        async def b(self, ev: D) -> B:
            return B(n=10 * ev.n)

        @step(num_workers=1)
        async def c(self, ev: D) -> C:
            return C(n=100 * ev.n)

        @step(num_workers=1)
        async def end(self, ctx: Context, one: A, two: B, three: C) -> StopEvent | None:
            joined.append((one.n, two.n, three.n))
            return StopEvent() if len(joined) == 2 else None

    joined = []
    await Flow().run()
    assert [j[1:] for j in joined] == [(10, 100), (20, 200)]
    assert {j[0] for j in joined} == {1, 2}


@pytest.mark.anyio
async def test_row_051_a_join_in_each_stream():
    class Half(Event):
        n: int

    class Other(Event):
        n: int

    class Flow(Workflow):
        @step
        async def s(self, ev: StartEvent) -> list[A]:
            return [A(n=n) for n in range(3)]

        @step
        async def one(self, ev: A) -> Half:
            return Half(n=ev.n)

        @step
        async def two(self, ev: A) -> Other:
            return Other(n=ev.n)

        @step
        async def pair(self, half: Half, other: Other) -> B:
            return B(n=half.n + other.n)

        @step
        async def end(self, evs: list[B]) -> StopEvent:
            return StopEvent(result=sum(b.n for b in evs))

    assert await Flow().run() == 6


def faults(make):
    with pytest.raises(WorkflowValidationError) as caught:
        make()
    return [fault.text for fault in caught.value.faults]


def test_row_052_a_slot_has_one_type():
    def make():
        class W(Workflow):
            @step
            async def s(self, a: A | B, c: C) -> StopEvent:
                return StopEvent()

    (text,) = faults(make)
    assert text == (
        "Collect-mode steps (more than one event parameter) require each event parameter to "
        "declare a single event type, but parameter 'a' declares 2."
    )


def test_row_052_slots_are_produced_at_one_level():
    class W(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> list[A] | B:
            return [A()]

        @step
        async def j(self, a: A, b: B) -> StopEvent:
            return StopEvent()

    (text,) = faults(W().validate)
    assert text == (
        "Step 'j' joins event parameters that are never produced at a common stream level: "
        "'a' (A) is produced at the stream of step 's'; 'b' (B) is produced at the top level."
    )


def test_row_052_slots_of_two_streams():
    class W(Workflow):
        @step
        async def s(self, ev: StartEvent) -> C:
            return C()

        @step
        async def one(self, ev: C) -> list[A]:
            return [A()]

        @step
        async def two(self, ev: C) -> list[B]:
            return [B()]

        @step
        async def j(self, a: A, b: B) -> StopEvent:
            return StopEvent()

    (text,) = faults(W().validate)
    assert text == (
        "Step 'j' joins event parameters that are never produced at a common stream level: "
        "'a' (A) is produced at the stream of step 'one'; "
        "'b' (B) is produced at the stream of step 'two'."
    )


def test_row_052_joins_that_are_fine():
    assert Pairs().validate() is False
