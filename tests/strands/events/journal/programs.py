"""Workflows that use one thing each that must survive, with a witness outside of their journal.

`witness` holds a line for each body that begins, `(step, idempotency_key)`, and one when it ends:
what is in it was done, whatever the journal says.
"""

from typing import Annotated

import anyio
import attrs

from plait import (
    All,
    Collect,
    Context,
    Event,
    HumanResponseEvent,
    InputRequiredEvent,
    JsonSerializer,
    StartEvent,
    StopEvent,
    Take,
    Workflow,
    catch_error,
    step,
)
from plait.events import StepFailedEvent
from plait.retry import ConstantDelayRetryPolicy
from tests.parity.letters import A, B, C


class Asked(InputRequiredEvent):
    n: int


class Told(HumanResponseEvent):
    n: int


class Note(Event):
    text: str


@attrs.define
class Witness:
    """What bodies did, in the order of time; `begun` and `ended` by idempotency key."""

    begun: list = attrs.field(factory=list)
    ended: list = attrs.field(factory=list)

    def enter(self, ctx):
        self.begun.append(ctx.idempotency_key)

    def leave(self, ctx):
        self.ended.append(ctx.idempotency_key)

    def clear(self):
        self.begun.clear()
        self.ended.clear()


witness = Witness()


class Program(Workflow):
    """Knows the events that only go to the stream."""

    def __init__(self, **options):
        super().__init__(serializer=JsonSerializer(allowed_types=[Note, Asked, Told, C]), **options)


class Collecting(Program):
    """Sends, a bounded step, a counter in the store, and a batch."""

    @step
    async def start(self, ctx: Context, ev: StartEvent) -> A | None:
        witness.enter(ctx)
        await ctx.store.set("seen", [])
        for n in range(4):
            ctx.send_event(A(n=n))
        witness.leave(ctx)

    @step(num_workers=2)
    async def work(self, ctx: Context, ev: A) -> B:
        witness.enter(ctx)
        await anyio.sleep(1 + ev.n)
        async with ctx.store.edit_state() as state:
            state.seen = sorted({*state.seen, ev.n})
        ctx.write_event_to_stream(Note(text=f"done {ev.n}"))
        witness.leave(ctx)
        return B(n=ev.n)

    @step
    async def end(self, ctx: Context, ev: B) -> StopEvent | None:
        witness.enter(ctx)
        got = ctx.collect_events(ev, [B] * 4)
        witness.leave(ctx)
        if got is None:
            return None
        return StopEvent(result=(sorted(b.n for b in got), await ctx.store.get("seen")))


class Batches(Program):
    """Two batches with a surplus, by key, and a batch that is offered to a second attempt."""

    @step
    async def start(self, ev: StartEvent) -> list[A]:
        return [A(n=n) for n in range(6)]

    @step(num_workers=1, retry_policy=ConstantDelayRetryPolicy(maximum_attempts=3, delay=1))
    async def pair(self, ctx: Context, ev: A) -> B | None:
        witness.enter(ctx)
        got = ctx.collect_events(ev, [A] * 2, key=lambda a: a.n % 2)
        again = ctx.collect_events(ev, [A] * 2, key=lambda a: a.n % 2)
        assert again == got
        await anyio.sleep(0.5)
        if got is not None and ctx.retry_info().retry_number == 0:
            raise ValueError("once")
        witness.leave(ctx)
        return None if got is None else B(n=sum(a.n for a in got))

    @step
    async def end(self, evs: list[B]) -> StopEvent:
        return StopEvent(result=sorted(b.n for b in evs))


class Joining(Program):
    """Nested streams, input order, a `Take` that cancels the rest, and a join of two types."""

    @step
    async def start(self, ev: StartEvent) -> list[A]:
        return [A(n=3), A(n=2), A(n=1)]

    @step
    async def work(self, ctx: Context, ev: A) -> list[B]:
        witness.enter(ctx)
        await anyio.sleep(ev.n)
        witness.leave(ctx)
        return [B(n=10 * ev.n + k) for k in range(3)]

    @step
    async def inner(self, ctx: Context, ev: B) -> C:
        witness.enter(ctx)
        await anyio.sleep(1 + ev.n % 10)
        witness.leave(ctx)
        return C(n=ev.n)

    @step
    async def some(self, evs: Annotated[list[C], Collect(Take(2, cancel_rest=True))]) -> Note:
        return Note(text=",".join(str(c.n) for c in evs))

    @step
    async def end(self, evs: Annotated[list[Note], Collect(All(), order="input")]) -> StopEvent:
        return StopEvent(result=[note.text for note in evs])


class Slots(Program):
    """A join of several parameters, which keeps what is left over."""

    @step
    async def start(self, ctx: Context, ev: StartEvent) -> A | B | None:
        for n in range(2):
            ctx.send_event(A(n=n))
            await anyio.sleep(1)
        for n in range(2):
            ctx.send_event(B(n=n))
            await anyio.sleep(1)

    @step
    async def pair(self, a: A, b: B) -> C:
        return C(n=10 * a.n + b.n)

    @step
    async def end(self, ctx: Context, ev: C) -> StopEvent | None:
        got = ctx.collect_events(ev, {C: 2})
        return None if got is None else StopEvent(result=[c.n for c in got])


class Retrying(Program):
    """Attempts with a delay, a handler, sends that are held back, and a failure in a fan-out."""

    @step
    async def start(self, ev: StartEvent) -> list[A]:
        return [A(n=n) for n in range(3)]

    @step(retry_policy=ConstantDelayRetryPolicy(maximum_attempts=3, delay=2))
    async def work(self, ctx: Context, ev: A) -> B | Note | C:
        witness.enter(ctx)
        ctx.send_event(Note(text=f"{ev.n}/{ctx.retry_info().retry_number}"))
        ctx.send_event(C(n=ev.n), on_success=True)
        await anyio.sleep(1)
        info = ctx.retry_info()
        if ev.n == 2 or info.retry_number < ev.n:
            raise ValueError(f"{ev.n}/{info.retry_number}")
        witness.leave(ctx)
        return B(n=ev.n)

    @step(skip_graph_checks=["dead_end"])
    async def note(self, ctx: Context, ev: Note | C) -> None:
        what = ev.text if isinstance(ev, Note) else f"C{ev.n}"
        async with ctx.store.edit_state() as state:
            state.noted = sorted({*state.get("noted", []), what})

    @catch_error
    async def handle(self, ctx: Context, ev: StepFailedEvent) -> B:
        assert isinstance(ev.exception, ValueError)
        return B(n=100 + ev.attempts)

    @step
    async def end(self, ctx: Context, evs: list[B]) -> StopEvent:
        await anyio.sleep(1)
        return StopEvent(result=(sorted(b.n for b in evs), await ctx.store.get("noted")))


class Waiting(Program):
    """Waits between steps, with requirements, one for all, and one that times out."""

    @step
    async def start(self, ctx: Context, ev: StartEvent) -> A | None:
        for n in range(3):
            ctx.send_event(A(n=n))
        await anyio.sleep(3)
        ctx.send_event(Told(n=1))
        await anyio.sleep(1)
        ctx.send_event(Told(n=0))
        await anyio.sleep(1)
        ctx.send_event(Told(n=2))
        await anyio.sleep(1)
        ctx.send_event(C(n=7))

    @step(num_workers=1)
    async def ask(self, ctx: Context, ev: A) -> B:
        witness.enter(ctx)
        told = await ctx.wait_for_event(Told, Asked(n=ev.n), requirements={"n": ev.n})
        everybody = await ctx.wait_for_event(C, broadcast=True)
        try:
            await ctx.wait_for_event(Told, requirements={"n": 99}, timeout=2)
        except TimeoutError:
            witness.leave(ctx)
            return B(n=10 * everybody.n + told.n)
        raise AssertionError

    @step
    async def end(self, ctx: Context, ev: B) -> StopEvent | None:
        got = ctx.collect_events(ev, [B] * 3)
        return None if got is None else StopEvent(result=sorted(b.n for b in got))


class Child(Program):
    """What a parent runs."""

    @step
    async def start(self, ctx: Context, ev: StartEvent) -> A:
        witness.enter(ctx)
        await anyio.sleep(1)
        witness.leave(ctx)
        return A(n=ev.n)

    @step
    async def end(self, ctx: Context, ev: A) -> StopEvent:
        witness.enter(ctx)
        await anyio.sleep(1)
        ctx.write_event_to_stream(Note(text=f"child {ev.n}"))
        witness.leave(ctx)
        return StopEvent(result=ev.n * 2)


class Parent(Program):
    """Two children, one after the other, in each of two deliveries."""

    @step
    async def start(self, ev: StartEvent) -> list[A]:
        return [A(n=1), A(n=2)]

    @step
    async def work(self, ctx: Context, ev: A) -> B:
        witness.enter(ctx)
        first = await ctx.run_child(Child(), n=ev.n)
        second = await Child().run(n=10 * ev.n)
        witness.leave(ctx)
        return B(n=first + second)

    @step
    async def end(self, evs: list[B]) -> StopEvent:
        return StopEvent(result=sorted(b.n for b in evs))


class Draining(Program):
    """Bodies that finish after the stop event."""

    def __init__(self, **options):
        super().__init__(on_stop="drain", **options)

    @step
    async def start(self, ev: StartEvent) -> list[A]:
        return [A(n=n) for n in range(4)]

    @step(num_workers=3)
    async def work(self, ctx: Context, ev: A) -> StopEvent:
        witness.enter(ctx)
        await anyio.sleep(1 + ev.n)
        ctx.write_event_to_stream(Note(text=f"wrote {ev.n}"))
        witness.leave(ctx)
        return StopEvent(result=ev.n)


#: Each program, and what it comes to.
PROGRAMS = {
    Collecting: ([0, 1, 2, 3], [0, 1, 2, 3]),
    Batches: [2, 4],
    Joining: ["30,31", "20,21", "10,11"],
    Slots: [0, 11],
    Retrying: ([0, 1, 103], ["0/0", "1/0", "1/1", "2/0", "2/1", "2/2", "C0", "C1"]),
    Waiting: [70, 71, 72],
    Parent: [22, 44],
    Draining: 0,
}
