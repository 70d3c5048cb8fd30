"""Rows 32 to 42 and 44: `collect_events`."""

import anyio
import anyio.lowlevel
import pytest

from plait import Context, Event, StartEvent, StopEvent, Workflow, step
from plait.errors import WorkflowStalledError
from tests.parity.clocks import in_virtual_time
from tests.parity.letters import A2, A, B, C


class Collector(Workflow):
    """Sends some events to one step, which notes what it was given; ends after the last."""

    class Last(Event):
        pass

    def __init__(self, *events, expected):
        super().__init__(disable_validation=True)
        self.given = events
        self.expected = expected
        self.answers = []

    @property
    def batches(self):
        return [answer for answer in self.answers if answer is not None]

    @step
    async def s(self, ctx: Context, ev: StartEvent) -> A | B | C | None:
        for event in self.given:
            ctx.send_event(event)
        ctx.send_event(Collector.Last())

    @step(num_workers=1)
    async def collect(self, ctx: Context, ev: A | B | C | Last) -> StopEvent | None:
        if isinstance(ev, Collector.Last):
            return StopEvent()
        self.answers.append(ctx.collect_events(ev, self.expected))
        return None


@pytest.mark.anyio
async def test_row_032_a_batch_has_the_order_of_expected():
    flow = Collector(A(n=0), B(n=0), C(n=0), expected=[C, A, B])
    await flow.run()
    assert flow.answers == [None, None, [C(n=0), A(n=0), B(n=0)]]


@pytest.mark.anyio
async def test_row_033_within_a_type_order_of_arrival():
    flow = Collector(A(n=0), A(n=1), B(n=0), expected=[A, B, A])
    await flow.run()
    assert flow.batches == [[A(n=0), B(n=0), A(n=1)]]


@pytest.mark.anyio
async def test_row_034_batches_repeat_and_the_rest_is_kept():
    flow = Collector(*(A(n=n) for n in range(7)), expected=[A] * 3)
    run = flow.run()
    await run
    assert [[a.n for a in batch] for batch in flow.batches] == [[0, 1, 2], [3, 4, 5]]
    assert run.undelivered == (A(n=6),)


@pytest.mark.anyio
async def test_row_035_surplus_of_any_type_is_kept_in_order():
    flow = Collector(*(kind(n=n) for kind in (A, B) for n in range(3)), expected=[A, B])
    run = flow.run()
    await run
    assert flow.batches == [[A(n=n), B(n=n)] for n in range(3)]
    assert run.undelivered == ()


@pytest.mark.anyio
async def test_row_036_unexpected_types_give_none():
    flow = Collector(A(), C(), B(), expected=[A, B])
    run = flow.run()
    await run
    assert flow.answers == [None, None, [A(), B()]]
    assert run.undelivered == ()


@pytest.mark.anyio
async def test_row_037_nothing_expected():
    flow = Collector(A(), expected=[])
    await flow.run()
    assert flow.answers == [[]]


@pytest.mark.anyio
async def test_row_038_buffer_ids_are_separate():
    class Flow(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> A | None:
            for n in range(4):
                ctx.send_event(A(n=n))

        @step(num_workers=1)
        async def t(self, ctx: Context, ev: A) -> StopEvent | None:
            if ev.n == 0:
                assert ctx.collect_events(ev, [A, A], "one") is None
                return None
            batch = ctx.collect_events(ev, [A, A], buffer_id="other")
            others.append(batch)
            one = ctx.collect_events(ev, [A, A], "one") if ev.n == 3 else None
            return one and StopEvent(result=one)

    others = []
    assert await Flow().run() == [A(n=0), A(n=3)]
    assert others == [None, [A(n=1), A(n=2)], None]


@pytest.mark.anyio
async def test_row_038_steps_are_separate():
    batches = {}

    class Flow(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> A | None:
            ctx.send_event(A(n=0))
            ctx.send_event(A(n=1))

        @step
        async def t(self, ctx: Context, ev: A) -> B | None:
            batches["t"] = ctx.collect_events(ev, [A, A])
            return batches["t"] and B()

        @step
        async def u(self, ctx: Context, ev: A) -> B | None:
            batches["u"] = ctx.collect_events(ev, [A, A])
            return batches["u"] and B()

        @step
        async def end(self, ctx: Context, ev: B) -> StopEvent | None:
            return ctx.collect_events(ev, [B, B]) and StopEvent()

    await Flow().run()
    assert batches == {"t": [A(n=0), A(n=1)], "u": [A(n=0), A(n=1)]}


@pytest.mark.anyio
async def test_row_038_two_concurrent_runs_do_not_mix():
    class Flow(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> A | None:
            for _ in range(3):
                ctx.send_event(A(n=ev.n))
                await anyio.lowlevel.checkpoint()

        @step
        async def t(self, ctx: Context, ev: A) -> StopEvent | None:
            await anyio.lowlevel.checkpoint()
            batch = ctx.collect_events(ev, [A] * 3)
            return batch and StopEvent(result=[a.n for a in batch])

    flow = Flow()
    async with flow.run(n=1) as one, flow.run(n=2) as two:
        assert (await one, await two) == ([1, 1, 1], [2, 2, 2])


@pytest.mark.anyio
async def test_row_039_different_multisets_in_one_step_are_separate():
    twos, threes = [], []

    class Flow(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> A | None:
            for n in range(6):
                ctx.send_event(A(n=n))

        @step(num_workers=1)
        async def t(self, ctx: Context, ev: A) -> StopEvent | None:
            twos.append(ctx.collect_events(ev, [A] * 2))
            threes.append(ctx.collect_events(ev, [A] * 3))
            return StopEvent() if ev.n == 5 else None

    run = Flow().run()
    await run
    assert [[a.n for a in batch] for batch in twos if batch] == [[0, 1], [2, 3], [4, 5]]
    assert [[a.n for a in batch] for batch in threes if batch] == [[0, 1, 2], [3, 4, 5]]
    assert run.undelivered == ()


@pytest.mark.anyio
async def test_row_040_a_body_runs_once_per_event():
    bodies = []

    class Flow(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> A | None:
            for n in range(20):
                ctx.send_event(A(n=n))

        @step(num_workers=8)
        async def t(self, ctx: Context, ev: A) -> StopEvent | None:
            bodies.append(ev.n)
            await anyio.lowlevel.checkpoint()
            batch = ctx.collect_events(ev, [A] * 20)
            return batch and StopEvent(result={a.n for a in batch})

    assert await Flow().run() == {*range(20)}
    assert bodies == [*range(20)]


@pytest.mark.anyio
async def test_row_040_each_send_is_one_delivery():
    bodies, deliveries = [], []

    class Flow(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> A | None:
            for n in range(20):
                ctx.send_event(A(n=n))

        @step(num_workers=8)
        async def t(self, ctx: Context, ev: A) -> B | None:
            bodies.append(ev.n)
            ctx.send_event(B(n=ev.n))
            await anyio.lowlevel.checkpoint()
            ctx.collect_events(ev, [A] * 20)

        @step(num_workers=1)
        async def u(self, ctx: Context, ev: B) -> StopEvent | None:
            deliveries.append(ev.n)
            return ctx.collect_events(ev, [B] * 20) and StopEvent()

    await Flow().run()
    assert sorted(bodies) == sorted(deliveries) == [*range(20)]


@pytest.mark.anyio
async def test_row_041_collect_honours_subclass_routing():
    class Wide(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> A | None:
            ctx.send_event(A2(n=1))
            ctx.send_event(A(n=2))

        @step(num_workers=1, accept_event_subclasses=True)
        async def t(self, ctx: Context, ev: A) -> StopEvent | None:
            batch = ctx.collect_events(ev, [A, A])
            return batch and StopEvent(result=batch)

    assert await Wide().run() == [A2(n=1), A(n=2)]


@pytest.mark.anyio
async def test_row_042_key_separates_correlated_batches():
    class Flow(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> A | B | None:
            for event in (A(n=1), A(n=2), B(n=2), B(n=1)):
                ctx.send_event(event)

        @step(num_workers=1)
        async def t(self, ctx: Context, ev: A | B) -> StopEvent | None:
            batch = ctx.collect_events(ev, [A, B], key=lambda event: event.n)
            batches.append(batch)
            return StopEvent() if batches.count(None) == 2 and len(batches) == 4 else None

    batches = []
    await Flow().run()
    assert batches == [None, None, [A(n=2), B(n=2)], [A(n=1), B(n=1)]]


@in_virtual_time
async def test_row_044_an_incomplete_collect_is_explained():
    class Flow(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> B | None:
            ctx.send_event(B(n=1))
            ctx.send_event(B(n=2))

        @step
        async def t(self, ctx: Context, ev: B) -> StopEvent | None:
            return ctx.collect_events(ev, [B] * 3) and StopEvent()

    run = Flow().run()
    with pytest.raises(WorkflowStalledError) as caught:
        await run
    assert anyio.current_time() == 0
    assert str(caught.value) == (
        "Workflow 'Flow' is stalled: nothing is queued, running or due, "
        "and no step returned StopEvent.\n"
        "  step 't': collect_events(buffer 'default') has B 2/3\n"
        "  last returned None: step 's', step 't'"
    )
    (waiting,) = caught.value.waiting
    assert (waiting.step, waiting.kind, waiting.buffer_id) == ("t", "collect", "default")
    assert (waiting.have, waiting.need) == ({"B": 2}, {"B": 3})
    assert run.undelivered == (B(n=1), B(n=2))
