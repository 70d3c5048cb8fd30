"""Waits for humans over several lives: what was asked, what was answered, and how long it took."""

import anyio
import pytest

from plait import (
    Context,
    Event,
    HumanResponseEvent,
    InputRequiredEvent,
    JsonSerializer,
    StartEvent,
    StopEvent,
    Workflow,
    step,
)
from tests.parity.clocks import in_virtual_time
from tests.strands.events.journal.lives import (
    Kept,
    Moment,
    everywhere,
    live_for,
    outcome_of,
    stream_of,
    until_idle,
)
from tests.strands.events.journal.lives import home as home
from tests.strands.events.journal.lives import wall_clock as wall_clock


class Asked(InputRequiredEvent):
    n: int


class Told(HumanResponseEvent):
    n: int
    user: str = "eve"


class Base(Workflow):
    def __init__(self, journal, **options):
        classes = JsonSerializer(allowed_types=[Asked, Told])
        super().__init__(journal=journal, serializer=classes, **options)
        self.log = []


class Interview(Base):
    """Three questions, one after the other."""

    @step
    async def ask(self, ctx: Context, ev: StartEvent) -> StopEvent:
        self.log.append("begin")
        answers = []
        for n in range(3):
            told = await ctx.wait_for_event(Told, Asked(n=n), timeout=None)
            answers.append(told.n)
            self.log.append(told.n)
        return StopEvent(result=answers)


async def answer_one(run, n):
    """Own a run, answer its open question, and leave it when it is idle again; its stream."""
    with anyio.CancelScope() as scope:
        async with run:
            await run.wait_idle()
            run.send_event(Told(n=n))
            await run.wait_idle()
            scope.cancel()
            await anyio.lowlevel.checkpoint()
    return [event for event in await stream_of(run) if isinstance(event, Asked)]


@everywhere
async def test_one_answer_in_each_life(home):
    """An answer that was given is returned at once, and its question is not asked again."""
    streams = []
    for n in range(2):
        flow = Interview(home.journal())
        streams.append(await answer_one(flow.run(run_id="r"), n))
        assert flow.log == ["begin", *range(n + 1)]
    flow = Interview(home.journal())
    async with flow.resume("r") as run:
        await run.wait_idle()
        assert run.state == "idle"
        (waiting,) = run.waiting()
        assert (waiting.step, waiting.kind) == ("ask", "wait")
        run.send_event(Told(n=2))
        assert await run.result() == [0, 1, 2]
    assert flow.log == ["begin", 0, 1, 2]
    assert [event for event in await stream_of(run) if isinstance(event, Asked)] == [
        Asked(n=0),
        Asked(n=1),
        Asked(n=2),
    ]


@everywhere
async def test_an_open_question_is_on_the_stream_of_the_next_life_once(home):
    """Whoever answers every question that is streamed answers each once."""
    first = await until_idle(Interview(home.journal()).run(run_id="r"))
    assert first[:1] == [Asked(n=0)]
    async with Interview(home.journal()).resume("r") as run:
        asked = []
        async for event in run.stream_events():
            if isinstance(event, Asked):
                asked.append(event.n)
                run.send_event(Told(n=10 + event.n))
    assert asked == [0, 1, 2]
    assert await run == [10, 11, 12]
    assert run.undelivered == ()


@everywhere
async def test_waiting_is_no_reason_to_run_twice_in_one_life(home):
    """Each life begins the body once, however many waits it has."""
    for _ in range(3):
        flow = Interview(home.journal())
        await until_idle(flow.run(run_id="r"))
        assert flow.log == ["begin"]


@everywhere
async def test_requirements_hold_in_the_next_life(home):
    class W(Base):
        @step
        async def ask(self, ctx: Context, ev: StartEvent) -> StopEvent:
            told = await ctx.wait_for_event(Told, requirements={"user": "bob"}, timeout=None)
            return StopEvent(result=told.n)

    await until_idle(W(home.journal()).run(run_id="r"))
    async with W(home.journal()).resume("r") as run:
        run.send_event(Told(n=1, user="al"))
        run.send_event(Told(n=2, user="bob"))
        assert await run.result() == 2
    assert run.undelivered == (Told(n=1, user="al"),)


@everywhere
async def test_an_early_answer_waits_in_the_mailbox(home):
    """An answer that nobody has waited for yet is there in the next life."""

    class W(Base):
        gate = None

        @step
        async def ask(self, ctx: Context, ev: StartEvent) -> StopEvent:
            if self.gate is not None:
                await self.gate.wait()
            return StopEvent(result=(await ctx.wait_for_event(Told)).n)

    first = W(home.journal())
    first.gate = anyio.Event()
    with anyio.CancelScope() as scope:
        async with first.run(run_id="r") as run:
            run.send_event(Told(n=4))
            scope.cancel()
            await anyio.lowlevel.checkpoint()
    with anyio.fail_after(5):
        assert await W(home.journal()).resume("r") == 4


@everywhere
async def test_named_waits_find_their_own_answers(home):
    """With names, two tasks of a body may ask in another order than before."""

    class W(Base):
        order = ("left", "right")

        def __init__(self, journal):
            super().__init__(journal)
            self.answered = Moment()

        @step
        async def ask(self, ctx: Context, ev: StartEvent) -> StopEvent:
            answers = {}

            async def one(name, n):
                told = await ctx.wait_for_event(Told, Asked(n=n), name, {"n": n}, timeout=None)
                answers[name] = told.n
                self.answered.set()

            async with anyio.create_task_group() as tasks:
                for name in self.order:
                    tasks.start_soon(one, name, {"left": 1, "right": 2}[name])
            return StopEvent(result=answers)

    flow = W(home.journal())
    with anyio.CancelScope() as scope:
        async with flow.run(run_id="r") as run:
            await run.wait_idle()
            run.send_event(Told(n=2))
            await flow.answered.wait()
            scope.cancel()
            await anyio.lowlevel.checkpoint()
    flow = W(home.journal())
    flow.order = ("right", "left")
    async with flow.resume("r") as run:
        await flow.answered.wait()
        run.send_event(Told(n=1))
        assert await run.result() == {"left": 1, "right": 2}
    assert run.undelivered == ()


@everywhere
async def test_a_wait_for_all_in_the_next_life(home):
    class W(Base):
        @step
        async def start(self, ev: StartEvent) -> list[Ask]:
            return [Ask(n=n) for n in range(3)]

        @step(num_workers=1)
        async def ask(self, ctx: Context, ev: Ask) -> Got:
            told = await ctx.wait_for_event(Told, broadcast=True, timeout=None)
            return Got(n=told.n)

        @step
        async def end(self, evs: list[Got]) -> StopEvent:
            return StopEvent(result=[got.n for got in evs])

    await until_idle(W(home.journal()).run(run_id="r"))
    async with W(home.journal()).resume("r") as run:
        await run.wait_idle()
        assert len(run.waiting()) >= 3
        run.send_event(Told(n=5))
        assert await run.result() == [5, 5, 5]


class Ask(Event):
    n: int


class Got(Event):
    n: int


@in_virtual_time
async def test_a_wait_that_timed_out_has_timed_out_for_good(wall_clock):
    """The next life is told so at once, and does not wait again."""

    class W(Base):
        @step
        async def ask(self, ctx: Context, ev: StartEvent) -> StopEvent:
            try:
                await ctx.wait_for_event(Told, timeout=5)
            except TimeoutError as error:
                self.log.append((str(error), anyio.current_time()))
            await anyio.sleep(10)
            return StopEvent(result="done")

    journal = Kept()
    first = W(journal)
    await live_for(7, first.run(run_id="r"))
    assert first.log == [("Timed out waiting for Told", 5)]
    second = W(journal)
    assert await second.resume("r") == "done"
    assert second.log == [("Timed out waiting for Told", 7)]
    assert anyio.current_time() == 17


@in_virtual_time
async def test_the_clock_of_a_wait_does_not_start_again(wall_clock):
    """Four lives of two seconds, and one second more while no process was there, make nine."""

    class W(Base):
        @step
        async def ask(self, ctx: Context, ev: StartEvent) -> StopEvent:
            await ctx.wait_for_event(Told, timeout=10)
            raise AssertionError

    journal = Kept()
    for _ in range(4):
        await live_for(2, W(journal).run(run_id="r"))
    wall_clock.ahead += 1
    error = await outcome_of(W(journal).resume("r"))
    assert isinstance(error, TimeoutError)
    assert anyio.current_time() == pytest.approx(9)


@everywhere
async def test_question_and_answer_in_two_steps(home):
    """What was returned is on the stream of the next life, and its answer ends the run."""

    class W(Base):
        @step
        async def ask(self, ev: StartEvent) -> Asked:
            self.log.append("ask")
            return Asked(n=1)

        @step
        async def take(self, ev: Told) -> StopEvent:
            return StopEvent(result=ev.n)

    await until_idle(W(home.journal()).run(run_id="r"))
    flow = W(home.journal())
    async with flow.resume("r") as run:
        await run.wait_idle()
        run.send_event(Told(n=3))
        assert await run.result() == 3
    assert flow.log == []
    assert await stream_of(run) == [Asked(n=1), StopEvent(result=3)]


@everywhere
async def test_the_ordinary_program_needs_no_serializer(home):
    """Question and answer that no annotation mentions are kept as well."""

    class W(Workflow):
        @step
        async def ask(self, ctx: Context, ev: StartEvent) -> StopEvent:
            told = await ctx.wait_for_event(Told, Asked(n=1), requirements={"user": "eve"})
            return StopEvent(result=told.n)

    await until_idle(W(journal=home.journal()).run(run_id="r"))
    async with W(journal=home.journal()).resume("r") as run:
        run.send_event(Told(n=3))
        assert await run.result() == 3
    assert await W(journal=home.journal()).resume("r") == 3
