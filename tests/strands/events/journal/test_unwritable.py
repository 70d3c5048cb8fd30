"""What cannot be written fails where it was made, with a clear text, and the run stays readable."""

from typing import Any

import anyio
import pytest

from plait import Context, Event, HumanResponseEvent, StartEvent, StopEvent, Workflow, step
from plait.errors import ContextSerdeError
from tests.parity.letters import A
from tests.strands.events.journal.lives import Moment, everywhere, live_until, outcome_of, stream_of
from tests.strands.events.journal.lives import home as home


class Holds(Event):
    what: Any


class Told(HumanResponseEvent):
    what: Any


BAD = lambda: None  # noqa: E731 - what nobody can write


class Flow(Workflow):
    """Does something with what cannot be written, and catches the error if it is told to."""

    def __init__(self, journal, act):
        super().__init__(journal=journal)
        self.act = act

    @step
    async def only(self, ctx: Context, ev: StartEvent) -> Holds | Told | A | StopEvent:
        return await self.act(ctx)

    @step
    async def take(self, ev: Holds | A | Told) -> StopEvent:
        return StopEvent(result=ev)


async def returned(ctx):
    return Holds(what=BAD)


async def returned_as_result(ctx):
    return StopEvent(result={"deep": [BAD]})


async def sent(ctx):
    ctx.send_event(Holds(what=BAD))


async def sent_on_success(ctx):
    ctx.send_event(Holds(what=BAD), on_success=True)
    return A()


async def streamed(ctx):
    ctx.write_event_to_stream(Holds(what=BAD))


async def emitted(ctx):
    await ctx.emit(Holds(what=BAD))


async def required(ctx):
    await ctx.wait_for_event(Told, requirements={"what": BAD})


ACTS = [returned, returned_as_result, sent, sent_on_success, streamed, emitted, required]


@everywhere
@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.__name__)
async def test_it_fails_its_step_and_the_journal_stays_readable(home, act):
    """The failure names the class; the run has failed, and says the same when it is asked again."""
    before = await outcome_of(Flow(home.journal(), act).run(run_id="r"))
    assert type(before) is ContextSerdeError
    assert "A value of type function cannot be stored" in str(before) or "function" in str(before)
    assert any("in step 'only'" in note for note in before.__notes__)
    assert await home.statuses() == {"r": "failed"}
    after = await outcome_of(Flow(home.journal(), act).resume("r"))
    assert type(after) is ContextSerdeError
    assert str(after) == str(before)


@everywhere
@pytest.mark.parametrize("act", [sent, streamed, emitted, required], ids=lambda act: act.__name__)
async def test_who_catches_the_error_goes_on(home, act):
    """The call is refused, nothing of it has happened, and the run is as good as before."""

    async def careful(ctx):
        with pytest.raises(ContextSerdeError):
            await act(ctx)
        ctx.write_event_to_stream(A(n=1))
        return A(n=2)

    run = Flow(home.journal(), careful).run(run_id="r")
    assert await run == A(n=2)
    again = Flow(home.journal(), careful).resume("r")
    assert await again == A(n=2)
    assert await stream_of(again) == await stream_of(run) == [A(n=1), StopEvent(result=A(n=2))]


@everywhere
async def test_a_key_of_a_collection(home):
    async def act(ctx):
        with pytest.raises(ContextSerdeError):
            ctx.collect_events(ctx_event(ctx), [StartEvent], key=lambda ev: BAD)
        return A(n=2)

    def ctx_event(ctx):
        return ctx._attempt.delivery.event

    assert await Flow(home.journal(), act).run(run_id="r") == A(n=2)
    assert await Flow(home.journal(), act).resume("r") == A(n=2)


@everywhere
async def test_from_outside(home):
    """The sender gets the error, and the run knows nothing of it."""

    async def act(ctx):
        return StopEvent(result=(await ctx.wait_for_event(Told)).what)

    async with Flow(home.journal(), act).run(run_id="r") as run:
        await run.wait_idle()
        with pytest.raises(ContextSerdeError, match="function"):
            run.send_event(Told(what=BAD))
        run.send_event(Told(what=1))
        assert await run.result() == 1
    assert await Flow(home.journal(), act).resume("r") == 1


@everywhere
async def test_the_start_event(home):
    """A run whose start event cannot be written is not begun."""

    async def act(ctx):
        raise AssertionError

    error = await outcome_of(Flow(home.journal(), act).run(run_id="r", what=BAD))
    assert type(error) is ContextSerdeError
    assert await home.statuses() == {}


@everywhere
@pytest.mark.parametrize("call", ["wait", "collect"])
async def test_a_class_that_nobody_knows(home, call):
    """A wait or a collection of a class from elsewhere is possible, or refused like any other value."""

    class Local(HumanResponseEvent):
        pass

    async def act(ctx):
        if call == "wait":
            with anyio.move_on_after(0):
                await ctx.wait_for_event(Local)
        else:
            ctx.collect_events(ctx._attempt.delivery.event, [Local])
        return A(n=1)

    before = await outcome_of(Flow(home.journal(), act).run(run_id="r"))
    assert before == A(n=1) or type(before) is ContextSerdeError
    after = await outcome_of(Flow(home.journal(), act).resume("r"))
    assert (type(after), str(after)) == (type(before), str(before))


@everywhere
async def test_others_are_not_disturbed(home):
    """A failed send of one body leaves the sends of the others alone, in this life and the next."""

    class W(Workflow):
        gate = None

        def __init__(self, journal):
            super().__init__(journal=journal)
            self.reached = Moment()

        @step
        async def start(self, ctx: Context, ev: StartEvent) -> A | Holds | None:
            for n in range(3):
                with pytest.raises(ContextSerdeError):
                    ctx.send_event(Holds(what=BAD))
                ctx.send_event(A(n=n))
                ctx.send_event(Holds(what=n))
            self.reached.set()
            if self.gate is not None:
                await self.gate.wait()

        @step
        async def end(self, ctx: Context, ev: A | Holds) -> StopEvent | None:
            got = ctx.collect_events(ev, {A: 3, Holds: 3})
            return None if got is None else StopEvent(result=len(got))

    flow = W(home.journal())
    flow.gate = anyio.Event()
    await live_until(flow.reached, flow.run(run_id="r"))
    assert await W(home.journal()).resume("r") == 6
