"""What a body writes to the stream: it is there once, however often the body runs."""

import json

import anyio
import hypothesis
import pytest
from hypothesis import strategies as st

from plait import (
    Context,
    HumanResponseEvent,
    InputRequiredEvent,
    JsonSerializer,
    StartEvent,
    StopEvent,
    Workflow,
    step,
)
from plait.retry import ConstantDelayRetryPolicy
from tests.parity.clocks import in_virtual_time
from tests.parity.letters import A, B
from tests.strands.events.journal.lives import (
    Kept,
    Moment,
    everywhere,
    live_until,
    stream_of,
)
from tests.strands.events.journal.lives import home as home


class Question(InputRequiredEvent):
    pass


class Answer(HumanResponseEvent):
    n: int


OPTIONS = {"serializer": JsonSerializer(allowed_types=[A, B, Answer, Question])}


class Writer(Workflow):
    """Writes what it is told to write, and then stops at a gate."""

    def __init__(self, *writes, how="write", stays=False, **options):
        super().__init__(**options, **OPTIONS)
        self.writes, self.how, self.stays, self.done = writes, how, stays, Moment()

    @step
    async def only(self, ctx: Context, ev: StartEvent) -> StopEvent:
        for event in self.writes:
            if self.how == "emit":
                await ctx.emit(event)
            else:
                ctx.write_event_to_stream(event)
        self.done.set()
        if self.stays:
            await anyio.sleep_forever()
        return StopEvent(result=1)


async def stream_after(journal, *lives, how="write", **options):
    """Let each life but the last be interrupted; what is on the stream in the end."""
    for writes in lives[:-1]:
        writer = Writer(*writes, how=how, stays=True, journal=journal())
        await live_until(writer.done, writer.run(run_id="r"))
    run = Writer(*lives[-1], how=how, journal=journal(), **options).run(run_id="r")
    assert await run == 1
    *events, last = await stream_of(run)
    assert last == StopEvent(result=1)
    return events


@everywhere
@pytest.mark.parametrize("how", ["write", "emit"])
async def test_what_was_written_is_not_written_again(home, how):
    """The interrupted body writes from its top; only what is new is shown."""
    events = [A(n=1), A(n=1), B(n=2), A(n=3)]
    assert await stream_after(home.journal, events[:3], events, how=how) == events


@everywhere
async def test_writes_of_four_lives(home):
    """Each goes a little further, one not so far; nothing is shown twice."""
    events = [A(n=n) for n in range(6)]
    lives = (events[:2], events[:4], events[:1], events)
    assert await stream_after(home.journal, *lives) == events


@everywhere
async def test_a_different_write_is_a_new_one(home):
    """From then on it is the one on record."""
    lives = ([A(n=1), A(n=2)], [A(n=1), B(n=2), A(n=2)], [A(n=1), B(n=2), A(n=2)])
    assert await stream_after(home.journal, *lives) == [A(n=1), A(n=2), B(n=2), A(n=2)]


@in_virtual_time
@hypothesis.given(
    lives=st.lists(st.lists(st.sampled_from([A(n=0), A(n=1), B(n=0)]), max_size=4), max_size=4)
)
async def test_whatever_is_written_in_whatever_lives(lives):
    """The n-th write is shown unless it equals the n-th on record, which it then becomes."""
    journal = Kept()
    shown, known = [], []
    for writes in lives:
        for n, event in enumerate(writes):
            if known[n : n + 1] != [event]:
                known[n : n + 1] = [event]
                shown.append(event)
    lives = [*lives, known]
    assert await stream_after(lambda: journal, *lives) == shown


@everywhere
async def test_a_retry_writes_anew(home):
    """Writes are remembered of one attempt: the next one writes its own."""

    class W(Workflow):
        @step(retry_policy=ConstantDelayRetryPolicy(maximum_attempts=2, delay=0))
        async def only(self, ctx: Context, ev: StartEvent) -> StopEvent:
            ctx.write_event_to_stream(A(n=7))
            if ctx.retry_info().retry_number == 0:
                raise ValueError
            written.set()
            if stays:
                await anyio.sleep_forever()
            return StopEvent()

    written, stays = Moment(), True
    await live_until(written, W(journal=home.journal(), **OPTIONS).run(run_id="r"))
    stays = False
    run = W(journal=home.journal(), **OPTIONS).resume("r")
    await run
    assert (await stream_of(run))[:-1] == [A(n=7), A(n=7)]


@everywhere
async def test_sends_and_writes_are_counted_apart(home):
    """To send an event is not to write it."""

    class W(Workflow):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> A | B:
            ctx.send_event(A(n=1))
            ctx.write_event_to_stream(A(n=1))
            if stays:
                written.set()
                await anyio.sleep_forever()
            ctx.write_event_to_stream(A(n=1))
            ctx.send_event(A(n=1))
            return B()

        @step
        async def take(self, ev: A | B) -> StopEvent | None:
            got.append(ev)
            return StopEvent() if isinstance(ev, B) else None

    written, stays, got = Moment(), True, []
    await live_until(written, W(journal=home.journal(), **OPTIONS).run(run_id="r"))
    stays = False
    run = W(journal=home.journal(), **OPTIONS).resume("r")
    await run
    assert (await stream_of(run))[:-1] == [A(n=1), A(n=1)]
    assert got.count(A(n=1)) == 2


# ---------------------------------------------------------------- the bound


@everywhere
@pytest.mark.parametrize("how", ["write", "emit"])
async def test_what_is_on_the_stream_takes_no_room(home, how):
    """Nobody reads and the buffer is full: a body that repeats itself neither waits nor is refused."""
    events = [A(n=n) for n in range(4)]
    with anyio.fail_after(5):
        assert await stream_after(home.journal, events, events, how=how, stream_buffer=2) == events


@in_virtual_time
async def test_what_is_new_waits_for_room_as_ever():
    """The bound holds for the first write that is not on record."""
    events, journal, took = [A(n=n) for n in range(4)], Kept(), []
    writer = Writer(*events[:3], stays=True, journal=journal)
    await live_until(writer.done, writer.run(run_id="r"))
    writer = Writer(*events, how="emit", journal=journal, stream_buffer=2)
    async with writer.resume("r") as run:
        with anyio.move_on_after(9):
            await run.result()
        assert not run.is_done()
        async for event in run.stream_events():
            took.append(event)
        assert await run.result() == 1
    assert took == [*events, StopEvent(result=1)]


@in_virtual_time
async def test_room_that_turns_out_not_to_be_needed_goes_to_the_next():
    """A write waits for room as a new one; by the time there is some, another task has made it a known one."""

    class W(Workflow):
        @step
        async def only(self, ctx: Context, ev: StartEvent) -> StopEvent:
            if stays:
                ctx.write_event_to_stream(A(n=0))
                ctx.write_event_to_stream(A(n=1))
                written.set()
                await anyio.sleep_forever()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ctx.emit, A(n=1))  # differs from the first on record: it waits
                await anyio.sleep(0.5)
                tasks.start_soon(ctx.emit, B(n=1))
                await anyio.sleep(0.5)
                await ctx.emit(A(n=0))  # and now it is what was written next
            return StopEvent(result=1)

    journal, written, stays = Kept(), Moment(), True
    await live_until(written, W(journal=journal, **OPTIONS).run(run_id="r"))
    stays, took = False, []
    async with W(journal=journal, stream_buffer=2, **OPTIONS).resume("r") as run:
        await anyio.sleep(2)
        stream = run.stream_events()
        took.append(await anext(stream))  # room for one
        await anyio.sleep(1)
        assert run.is_done()
    assert took + [event async for event in stream] == [
        A(n=0),
        A(n=1),
        B(n=1),
        StopEvent(result=1),
    ]


# ---------------------------------------------------------------- runs inside a run


class Asks(Workflow):
    """A child that says something before and after its question, and while that is open."""

    @step
    async def start(self, ctx: Context, ev: StartEvent) -> list[A]:
        ctx.write_event_to_stream(B(n=1))
        return [A(n=1), A(n=2)]

    @step
    async def work(self, ctx: Context, ev: A) -> B:
        if ev.n == 1:
            answer = await ctx.wait_for_event(Answer, waiter_event=Question())
            ctx.write_event_to_stream(B(n=10 + answer.n))
        else:
            await anyio.sleep(1)
            ctx.write_event_to_stream(B(n=2))
            await anyio.sleep(1)
        return B()

    @step
    async def end(self, evs: list[B]) -> StopEvent:
        return StopEvent(result="child")


class Around(Workflow):
    """Shows what its children show, and says something itself."""

    @step
    async def only(self, ctx: Context, ev: StartEvent) -> StopEvent:
        ctx.write_event_to_stream(A(n=1))
        async with anyio.create_task_group() as tasks:
            for child in range(2):
                tasks.start_soon(self.child, ctx, child)
                await anyio.sleep(0.5)
                ctx.write_event_to_stream(A(n=2 + child))
        return StopEvent(result=1)

    async def child(self, ctx, number):
        assert await ctx.run_child(Asks(**OPTIONS), forward_events=True) == "child"


async def answered(run):
    """Give a human's answer as soon as the clock says so; the texts of what was shown."""
    async with run:
        while not run.is_done():
            await anyio.sleep(5)
            if not run.is_done():
                run.send_event(Answer(n=1))
        assert await run.result() == 1
    return sorted(map(repr, await stream_of(run)))


@in_virtual_time
async def test_what_a_child_shows_is_shown_once_wherever_the_process_is_killed():
    """The child shows its history again; what of it the parent has on record is not shown again."""
    journal = Kept()
    whole = await answered(Around(journal=journal, **OPTIONS).run(run_id="r"))
    assert sum("event=Question" in text for text in whole) == 2
    for number in range(1, len(journal.appends) + 1, 3):
        left = journal.killed_after(number)
        run = Around(journal=left, **OPTIONS).resume("r")
        assert await answered(run) == whole, number
        again = Around(journal=left, **OPTIONS).resume("r")
        await again
        assert sorted(map(repr, await stream_of(again))) == whole, number


# ---------------------------------------------------------------- snapshots


@in_virtual_time
async def test_a_snapshot_knows_how_much_was_written():
    """A body that runs again from a snapshot shows what comes after that."""
    first = Writer(*(A(n=n) for n in range(3)), stays=True)
    async with anyio.create_task_group() as tasks:
        run = first.run().start_soon(tasks)
        await first.done.wait()
        saved = json.loads(json.dumps(run.ctx.to_dict()))
        tasks.cancel_scope.cancel()
    for _ in range(2):
        second = Writer(*(A(n=n) for n in range(5)))
        run = second.run(ctx=Context.from_dict(second, saved))
        async with run:
            assert saved["is_running"]
        assert (await stream_of(run))[:-1] == [A(n=3), A(n=4)]
        later = Writer(*(A(n=n) for n in range(4)), stays=True)
        async with anyio.create_task_group() as tasks:
            run = later.run(ctx=Context.from_dict(later, saved)).start_soon(tasks)
            await later.done.wait()
            again = Context.from_dict(second, json.loads(json.dumps(run.ctx.to_dict())))
            tasks.cancel_scope.cancel()
        run = second.run(ctx=again)
        await run
        assert (await stream_of(run))[:-1] == [A(n=4)]


@in_virtual_time
async def test_a_snapshot_of_children_that_show_their_events():
    """What they have shown is not shown again, and all that is new is."""
    async with Around(**OPTIONS).run() as run:
        with anyio.move_on_after(2):
            await run.result()
        saved = json.loads(json.dumps(run.ctx.to_dict()))
        run.cancel()
    before = [repr(event) for event in (await stream_of(run))[:-1]]
    shown = await answered(Around(**OPTIONS).run(ctx=Context.from_dict(Around(**OPTIONS), saved)))
    whole = await answered(Around(**OPTIONS).run())
    assert any("ChildEvent" in text for text in before)
    assert once([*before, *shown]) == once(whole)


def once(texts):
    """But for the names of runs; for what ends the stream of a run that is left; and for questions, which
    are asked anew."""
    kept = (text.partition("run_id")[0] for text in texts if "Question" not in text)
    return sorted(text for text in kept if "WorkflowCancelledEvent" not in text)
