"""What a step sends and returns: on disk before anybody sees it, and once, however often it runs."""

import anyio
import pytest

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
from plait.errors import WorkflowCancelledByUser, WorkflowRuntimeError
from plait.retry import ConstantDelayRetryPolicy
from tests.parity.clocks import in_virtual_time
from tests.parity.letters import A, B, C
from tests.strands.events.journal.lives import (
    Held,
    Kept,
    Moment,
    everywhere,
    live_until,
    outcome_of,
    stream_of,
)
from tests.strands.events.journal.lives import home as home


class Sender(Workflow):
    """Sends what it is told to send, and then stops at a gate; the receivers log what they get."""

    def __init__(self, *sends, gate=None, first=None, **options):
        super().__init__(**options)
        self.sends, self.gate, self.first = sends, gate, first
        self.sent, self.log = Moment(), []

    @step
    async def start(self, ctx: Context, ev: StartEvent) -> A | B | C:
        self.log.append("start")
        if self.first is not None:
            self.first()
        for event in self.sends:
            ctx.send_event(event)
            self.log.append("sent")
        self.sent.set()
        if self.gate is not None:
            await self.gate.wait()
        return C()

    @step(num_workers=1)
    async def receive(self, ev: A | B | C) -> StopEvent | None:
        if isinstance(ev, C):
            return StopEvent(result=[event for event in self.log if isinstance(event, A | B)])
        self.log.append(ev)


@in_virtual_time
async def test_a_receiver_runs_while_the_sender_goes_on_once_it_is_on_disk():
    """The sender does not wait for the disk, the receiver does, and it does not wait for the sender."""
    journal = Held()
    sender = Sender(A(n=1), gate=anyio.Event(), first=journal.hold, journal=journal)
    async with sender.run() as run:
        await sender.sent.wait()
        await anyio.wait_all_tasks_blocked()
        assert sender.log == ["start", "sent"]
        journal.release()
        await anyio.wait_all_tasks_blocked()
        assert sender.log == ["start", "sent", A(n=1)]
        sender.gate.set()
        assert await run.result() == [A(n=1)]


@in_virtual_time
async def test_nobody_sees_what_is_not_on_disk():
    """Neither the next step, nor a reader of the stream, nor an observer, nor a trace, nor an awaiter."""

    class W(Workflow):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> A:
            await gate.wait()
            ctx.write_event_to_stream(B(n=1))
            return A(n=1)

        @step
        async def end(self, ev: A) -> StopEvent:
            seen.append("end")
            return StopEvent(result=1)

    journal, gate, seen = Held(), anyio.Event(), []
    run = W(journal=journal, serializer=JsonSerializer(allowed_types=[B])).run()
    trace = run.trace()
    run.observe(lambda record: seen.append(type(record).__name__))
    async with run, anyio.create_task_group() as tasks:

        async def read():
            async for event in run.stream_events():
                seen.append(event)

        tasks.start_soon(read)
        await anyio.wait_all_tasks_blocked()
        assert seen == ["RunStarted", "Emitted", "Started"]
        journal.hold()
        gate.set()
        await anyio.wait_all_tasks_blocked()
        assert seen == ["RunStarted", "Emitted", "Started"]
        assert len(trace.records) == 3
        assert not run.is_done()
        journal.release()
        assert await run.result() == 1
    assert B(n=1) in seen
    assert seen.index("Completed") < seen.index("end")


@in_virtual_time
async def test_the_end_is_told_when_it_is_on_disk():
    """Whoever awaits the run waits for the last append as well."""

    class W(Workflow):
        @step
        async def only(self, ev: StartEvent) -> StopEvent:
            await gate.wait()
            return StopEvent(result=1)

    journal, gate, told = Held(), anyio.Event(), []
    async with W(journal=journal).run(run_id="r") as run, anyio.create_task_group() as tasks:

        async def listen():
            told.append(await run.result())

        tasks.start_soon(listen)
        await anyio.wait_all_tasks_blocked()
        journal.hold()
        gate.set()
        await anyio.wait_all_tasks_blocked()
        assert told == []
        journal.release()
    assert told == [1]
    assert journal.tags("r")[-1] == "run.closed"


@everywhere
async def test_each_send_is_a_record_of_its_own(home):
    sender = Sender(A(n=1), B(n=2), journal=home.journal())
    assert await sender.run(run_id="r") == [A(n=1), B(n=2)]
    assert (await home.tags("r")).count("event.emitted") == 3  # with the start event


@everywhere
async def test_what_was_sent_is_not_sent_again(home):
    """The interrupted body sends from its top; only what is new arrives."""
    first = Sender(A(n=1), A(n=1), B(n=2), gate=anyio.Event(), journal=home.journal())
    await live_until(first.sent, first.run(run_id="r"))
    second = Sender(A(n=1), A(n=1), B(n=2), A(n=3), journal=home.journal())
    assert await second.resume("r") is not None
    assert "start" in second.log
    received = [event for event in [*first.log, *second.log] if isinstance(event, A | B)]
    assert received == [A(n=1), A(n=1), B(n=2), A(n=3)]


@everywhere
async def test_a_different_send_is_a_new_one(home):
    """The second event differs from the second on record: it is queued, and so is what follows it."""
    first = Sender(A(n=1), A(n=2), gate=anyio.Event(), journal=home.journal())
    await live_until(first.sent, first.run(run_id="r"))
    second = Sender(A(n=1), B(n=2), A(n=2), journal=home.journal())
    await second.resume("r")
    received = [event for event in [*first.log, *second.log] if isinstance(event, A | B)]
    assert received == [A(n=1), A(n=2), B(n=2), A(n=2)]


@everywhere
async def test_sends_of_three_lives(home):
    """Each life goes a little further, and nothing arrives twice."""
    events = [A(n=n) for n in range(6)]
    logs = []
    for last in (2, 4):
        sender = Sender(*events[:last], gate=anyio.Event(), journal=home.journal())
        await live_until(sender.sent, sender.run(run_id="r"))
        logs += sender.log
    sender = Sender(*events, journal=home.journal())
    await sender.run(run_id="r")
    assert [event for event in [*logs, *sender.log] if isinstance(event, A)] == events


@everywhere
async def test_a_retry_sends_anew(home):
    """Sends are remembered of one attempt: the next one sends its own."""

    class W(Workflow):
        @step(retry_policy=ConstantDelayRetryPolicy(maximum_attempts=2, delay=0))
        async def start(self, ctx: Context, ev: StartEvent) -> A | C:
            ctx.send_event(A(n=ctx.retry_info().retry_number))
            ctx.send_event(A(n=7))
            sent.set()
            if gate is not None:
                await gate.wait()
            if ctx.retry_info().retry_number == 0:
                raise ValueError
            return C()

        @step(num_workers=1)
        async def receive(self, ev: A | C) -> StopEvent | None:
            if isinstance(ev, C):
                return StopEvent()
            log.append(ev.n)

    log, sent, gate = [], Moment(), anyio.Event()
    await live_until(sent, W(journal=home.journal()).run(run_id="r"))
    gate = None
    await W(journal=home.journal()).resume("r")
    assert log == [0, 7, 1, 7]


class HoldsBack(Workflow):
    @step
    async def start(self, ctx: Context, ev: StartEvent) -> A | B:
        ctx.send_event(A(n=1), on_success=True)
        ctx.send_event(A(n=2), on_success=True)
        return B()

    @step
    async def receive(self, ctx: Context, ev: A | B) -> StopEvent | None:
        got = ctx.collect_events(ev, [A, A, B])
        return None if got is None else StopEvent(result=[a.n for a in got[:2]])


@in_virtual_time
async def test_held_back_sends_are_one_append_with_the_completion():
    """A process that dies in between has sent all of it or nothing."""
    journal = Kept()
    assert await HoldsBack(journal=journal).run(run_id="r") == [1, 2]
    (append,) = [
        [entry.kind for entry in entries]
        for entries in journal.appends
        if any(
            entry.kind == "delivery.completed" and b'"delivery":1,' in entry.body
            for entry in entries
        )
    ]
    assert append[-3:] == ["event.emitted", "event.emitted", "delivery.completed"]


@in_virtual_time
async def test_held_back_sends_after_each_append():
    """Wherever the process is killed, each arrives once."""
    journal = Kept()
    await HoldsBack(journal=journal).run(run_id="r")
    for number in range(1, len(journal.appends) + 1):
        left = journal.killed_after(number)
        run = HoldsBack(journal=left).resume("r")
        assert await run == [1, 2]
        assert left.tags("r").count("event.emitted") == 3
        assert run.undelivered == ()


@everywhere
async def test_what_was_sent_from_outside_is_kept(home):
    """An event that a run has taken arrives, though the process is gone before anybody looked at it."""

    class W(Workflow):
        @step(num_workers=1)
        async def s(self, ev: StartEvent | Answer) -> Question | StopEvent:
            if isinstance(ev, StartEvent):
                asked.set()
                await (gate.wait() if gate else anyio.lowlevel.checkpoint())
                return Question()
            answers.append(ev.n)
            return StopEvent(result=ev.n)

    answers, asked, gate = [], Moment(), anyio.Event()
    with anyio.CancelScope() as scope:
        async with W(journal=home.journal()).run(run_id="r") as run:
            await asked.wait()
            run.send_event(Answer(n=7))
            scope.cancel()
            await anyio.lowlevel.checkpoint()
    assert answers == []
    gate = None
    assert await W(journal=home.journal()).resume("r") == 7
    assert answers == [7]


class Question(InputRequiredEvent):
    pass


class Answer(HumanResponseEvent):
    n: int


@everywhere
async def test_sending_into_a_run_that_is_being_read(home):
    """Before it has been read the run cannot take an event; in a block it has been."""

    class W(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
            waits.set()
            return StopEvent(result=(await ctx.wait_for_event(Answer)).n)

    waits = Moment()
    options = {"journal": home.journal(), "serializer": JsonSerializer(allowed_types=[Answer])}
    await live_until(waits, W(**options).run(run_id="r"))
    async with anyio.create_task_group() as tasks:
        run = W(**options).resume("r").start_soon(tasks)
        with pytest.raises(WorkflowRuntimeError, match="is still being read from its journal"):
            run.send_event(Answer(n=1))
        tasks.cancel_scope.cancel()
    async with W(**options).resume("r") as run:
        run.send_event(Answer(n=2))
        assert await run.result() == 2


@everywhere
async def test_the_stream_of_a_resumed_run_begins_with_the_first_event(home):
    """Readers get what was streamed in earlier lives, in order, and then the rest."""

    class W(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> A:
            ctx.write_event_to_stream(B(n=1))
            await ctx.emit(B(n=2))
            return A()

        @step
        async def t(self, ctx: Context, ev: A) -> StopEvent:
            reached.set()
            if gate is not None:
                await gate.wait()
            ctx.write_event_to_stream(B(n=3))
            return StopEvent(result=1)

    reached, gate = Moment(), anyio.Event()
    options = {"journal": home.journal(), "serializer": JsonSerializer(allowed_types=[B])}
    await live_until(reached, W(**options).run(run_id="r"))
    gate = None
    whole = [B(n=1), B(n=2), B(n=3), StopEvent(result=1)]
    async with W(**options).resume("r") as run:
        assert await stream_of(run) == whole
    assert await stream_of(run) == whole
    async with W(**options).resume("r") as run:
        assert await stream_of(run) == whole


@everywhere
async def test_a_bound_of_the_stream_is_no_bound_of_its_history(home):
    """`stream_buffer` bounds what steps write, not what was written before."""

    class W(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> A:
            for n in range(5):
                await ctx.emit(B(n=n))
            return A()

        @step
        async def t(self, ctx: Context, ev: A) -> StopEvent:
            reached.set()
            if gate is not None:
                await gate.wait()
            await ctx.emit(B(n=5))
            return StopEvent(result=1)

    reached, gate = Moment(), anyio.Event()
    options = {"journal": home.journal(), "serializer": JsonSerializer(allowed_types=[B])}
    await live_until(reached, W(**options).run(run_id="r"))
    gate = None
    async with W(**options, stream_buffer=2).resume("r") as run:
        with anyio.fail_after(5):
            assert await stream_of(run) == [*(B(n=n) for n in range(6)), StopEvent(result=1)]


@in_virtual_time
@pytest.mark.parametrize("on_stop", ["cancel", "drain"])
async def test_an_event_on_its_way_to_the_disk_when_the_run_is_decided(on_stop):
    """It has been accepted and nobody has begun with it: it is reported as undelivered."""

    class W(Workflow):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> A | StopEvent:
            begun.set()
            await gate.wait()
            ctx.send_event(A(n=1))
            ctx.send_event(A(n=2))
            return StopEvent(result="end")

        @step
        async def take(self, ev: A) -> StopEvent:
            log.append(ev)
            return StopEvent(result="taken")

    journal, gate, log, begun = Held(), anyio.Event(), [], Moment()
    async with W(journal=journal, on_stop=on_stop).run(run_id="r") as run:
        await begun.wait()
        journal.hold()
        gate.set()
        await anyio.wait_all_tasks_blocked()
        journal.release()
        assert await run.result() == "end"
    assert log == []
    assert run.undelivered == (A(n=1), A(n=2))
    again = W(journal=journal, on_stop=on_stop).resume("r")
    assert await again == "end"
    assert again.undelivered == run.undelivered


class SlowlyRead(Kept):
    """A journal whose second page comes when the test wants it."""

    def __init__(self, appends):
        super().__init__(appends)
        self.gate = anyio.Event()

    async def read(self, stream, *, after=0, limit=1000):
        if after:
            await self.gate.wait()
        return await super().read(stream, after=after, limit=limit)


async def half_read(call, *, answer=True):
    """Call something on a run that has been read by half; the run's outcome."""

    class W(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
            waits.set()
            return StopEvent(result=(await ctx.wait_for_event(Answer)).n)

    waits = Moment()
    serializer = JsonSerializer(allowed_types=[Answer])
    journal = Kept()
    await live_until(waits, W(journal=journal, serializer=serializer).run(run_id="r"))
    journal = SlowlyRead(journal.appends)
    outcomes = []
    async with anyio.create_task_group() as tasks:
        run = W(journal=journal, serializer=serializer).resume("r")

        async def own():
            outcomes.append(await outcome_of(run))

        tasks.start_soon(own)
        await anyio.wait_all_tasks_blocked()
        call(run)
        journal.gate.set()
        await anyio.wait_all_tasks_blocked()
        if answer:
            run.send_event(Answer(n=2))
    return outcomes[0]


@in_virtual_time
async def test_nothing_is_sent_into_a_run_while_it_is_being_read():
    """The sender is told so, and the run goes on as if nothing had been."""

    def send(run):
        with pytest.raises(WorkflowRuntimeError, match="is still being read from its journal"):
            run.send_event(Answer(n=1))

    assert await half_read(send) == 2


@in_virtual_time
async def test_a_cancellation_of_a_run_that_is_being_read_is_remembered():
    assert isinstance(
        await half_read(lambda run: run.cancel(), answer=False), WorkflowCancelledByUser
    )


@in_virtual_time
async def test_what_may_be_asked_of_a_run_that_is_being_read():
    """Looking is harmless at any time."""

    def look(run):
        assert run.state in {"running", "idle", "created"}
        assert isinstance(run.explain(), str)
        assert isinstance(run.waiting(), tuple)
        assert isinstance(run.running_steps(), list)
        assert run.get_stop_event() is None
        run.stream_events()

    assert await half_read(look) == 2
