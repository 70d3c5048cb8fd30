"""Values of users that misbehave: a `repr` that raises, a mapping that is changed, an odd exception."""

import anyio
import anyio.lowlevel
import pytest
import trio

import plait.testing
from plait import Context, Event, StartEvent, StopEvent, Workflow, step
from plait._engine import shell
from plait.errors import PlaitInternalError
from plait.events import StepStateChanged, WorkflowFailedEvent


class Mute:
    """Cannot be shown."""

    def __repr__(self):
        raise RuntimeError("repr")


class Answer(Event):
    """Says what it answers."""

    n: int


class Fails(Workflow):
    """Fails on whatever it is given."""

    @step
    async def fail(self, ev: StartEvent) -> StopEvent:
        raise self.error


@pytest.mark.anyio
async def test_a_value_that_cannot_be_shown_does_not_hide_the_failure():
    flow = Fails()
    flow.error = ValueError("mine")
    run = flow.run(mute=Mute())
    with pytest.raises(ValueError, match="mine") as caught:
        await run
    assert caught.value.__notes__[1] == (
        "input event: <StartEvent, whose repr() raised RuntimeError>"
    )
    assert run.is_done()
    last = [event async for event in run.stream_events()][-1]
    assert isinstance(last, WorkflowFailedEvent)


@pytest.mark.anyio
async def test_an_exception_that_takes_no_notes_is_raised_all_the_same():
    class StubbornError(Exception):
        __notes__ = 3

        def add_note(self, note):
            raise TypeError(note)

    flow = Fails()
    flow.error = StubbornError("mine")
    with pytest.raises(StubbornError):
        await flow.run()


@pytest.mark.anyio
async def test_a_bug_of_plait_at_the_end_of_a_run_is_raised_and_the_run_is_over(monkeypatch):
    def conclude(*args, **kwargs):
        raise KeyError("bug")

    monkeypatch.setattr(shell.Shell, "_ending", staticmethod(conclude))
    flow = Fails()
    flow.error = ValueError("mine")
    run = flow.run()
    with pytest.raises(PlaitInternalError, match="could not be concluded") as caught:
        await run
    assert isinstance(caught.value.__cause__, KeyError)
    assert run.state == "failed"
    assert [type(event) async for event in run.stream_events()] == [WorkflowFailedEvent]


def test_requirements_are_those_of_the_call(autojump_clock):
    class Asks(Workflow):
        @step
        async def ask(self, ctx: Context, ev: StartEvent) -> StopEvent:
            wanted, got = {}, []

            async def wait():
                got.append((await ctx.wait_for_event(Answer, requirements=wanted)).n)

            async with trio.open_nursery() as nursery:
                for n in range(3):
                    wanted["n"] = n  # the same mapping, changed for the next wait
                    nursery.start_soon(wait)
                    await trio.testing.wait_all_tasks_blocked()
                for n in (2, 0, 1):
                    self.current.send_event(Answer(n=n))
                    await trio.testing.wait_all_tasks_blocked()
            return StopEvent(result=got)

    async def main():
        flow = Asks()
        flow.current = flow.run()
        assert await flow.current == [2, 0, 1]

    plait.testing.run(main)


@pytest.mark.parametrize(("wanted", "other"), [([2], [1]), (3, [1]), ([2], 3)])
def test_values_that_cannot_be_looked_up_are_compared(wanted, other):
    class Asks(Workflow):
        @step
        async def ask(self, ctx: Context, ev: StartEvent) -> StopEvent:
            answer = await ctx.wait_for_event(Event, requirements={"value": wanted}, timeout=9)
            return StopEvent(result=answer.value)

    async def main():
        async with Asks().run() as run:
            await run.wait_idle()
            run.send_event(Event(value=other))
            await run.wait_idle()
            run.send_event(Event(value=wanted))
            assert await run.result() == wanted
        assert run.undelivered == (Event(value=other),)

    plait.testing.run(main)


@pytest.mark.anyio
async def test_a_reader_of_internal_events_lets_others_run():
    class Many(Workflow):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> Answer | None:
            for n in range(300):
                ctx.send_event(Answer(n=n))

        @step
        async def work(self, ctx: Context, ev: Answer) -> StopEvent | None:
            return StopEvent() if ctx.collect_events(ev, {Answer: 300}) else None

    async with Many().run() as run:
        stream = run.stream_events(expose_internal=True)
        await run.result()
        ticks, told = [], 0
        async with anyio.create_task_group() as tasks:

            @tasks.start_soon
            async def neighbour():
                while True:
                    ticks.append(told)
                    await anyio.lowlevel.checkpoint()

            async for event in stream:
                told += isinstance(event, StepStateChanged)
            tasks.cancel_scope.cancel()
    assert told > 500
    assert len(ticks) >= told // 64
