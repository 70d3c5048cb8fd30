"""Leaving a run that is kept: every `finally` runs, nothing of that is recorded, and nothing has failed."""

import signal

import anyio
import pytest
import trio

from plait import Context, StartEvent, StopEvent, Workflow, step
from plait.retry import ConstantDelayRetryPolicy
from tests.parity.letters import A, B
from tests.strands.events.journal.lives import Kept, Moment, everywhere, live_until
from tests.strands.events.journal.lives import home as home


class Tidy(Workflow):
    """Its bodies clean up, and talk to the run while they do."""

    def __init__(self, journal, talk=None, *, at_once=False):
        super().__init__(journal=journal)
        self.log, self.talk, self.at_once = [], talk, at_once
        self.all = Moment()

    @step
    async def start(self, ev: StartEvent) -> list[A]:
        return [A(n=n) for n in range(3)]

    @step(retry_policy=ConstantDelayRetryPolicy(maximum_attempts=2, delay=0))
    async def work(self, ctx: Context, ev: A) -> B:
        self.log.append(ev.n)
        if self.talk is None:
            return B(n=ev.n)
        if len(self.log) == 3:
            self.all.set()
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=not self.at_once):
                if not self.at_once:
                    await anyio.lowlevel.checkpoint()
                self.log.append(f"clean {ev.n}")
                await self.talk(ctx)
        raise AssertionError

    @step
    async def take(self, ctx: Context, evs: list[B]) -> StopEvent:
        return StopEvent(result=([b.n for b in evs], await ctx.store.get("late", None)))


async def send(ctx):
    ctx.send_event(A(n=99))


async def write(ctx):
    ctx.write_event_to_stream(A(n=99))


async def store(ctx):
    await ctx.store.set("late", 99)


async def fail(ctx):
    raise ValueError("in the clean-up")


async def nothing(ctx):
    pass


@everywhere
@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("talk", [nothing, send, write, store], ids=lambda talk: talk.__name__)
async def test_what_a_clean_up_does_is_not_recorded(home, talk, at_once):
    """The run is where it was when its owner left, whichever body was woken first.

    In a shield without a checkpoint, nobody can tell on Trio that the owner has left.
    """
    flow = Tidy(home.journal(), talk, at_once=at_once)
    await live_until(flow.all, flow.run(run_id="r"))
    assert sorted(flow.log[3:]) == ["clean 0", "clean 1", "clean 2"]
    assert (await home.tags("r"))[-3:] == ["delivery.started"] * 3
    assert await Tidy(home.journal()).resume("r") == ([0, 1, 2], None)


@everywhere
async def test_what_a_clean_up_raises_is_raised_and_the_run_goes_on_later(home):
    """A failure in the clean-up is not lost, and is none of the run's: it was only left."""
    flow = Tidy(home.journal(), fail)
    run = flow.run(run_id="r")
    raised = []
    with anyio.CancelScope() as scope:
        try:
            async with run:
                await flow.all.wait()
                scope.cancel()
                await anyio.lowlevel.checkpoint()
        except BaseExceptionGroup as group:
            raised.append(group)
    assert len(raised) == 1
    assert raised[0].subgroup(ValueError) is not None
    assert await home.statuses() == {"r": "running"}
    assert await Tidy(home.journal()).resume("r") == ([0, 1, 2], None)


@everywhere
async def test_ctrl_c_in_a_body_suspends(home):
    """`KeyboardInterrupt` ends this life of the run and not the run."""

    class W(Workflow):
        broken = True

        @step(retry_policy=ConstantDelayRetryPolicy(maximum_attempts=5, delay=0))
        async def only(self, ev: StartEvent) -> StopEvent:
            if self.broken:
                raise KeyboardInterrupt
            return StopEvent(result=1)

    with pytest.raises(KeyboardInterrupt):
        await W(journal=home.journal()).run(run_id="r")
    assert await home.statuses() == {"r": "running"}
    flow = W(journal=home.journal())
    flow.broken = False
    assert await flow.resume("r") == 1


@pytest.mark.parametrize("path", [None, "runs.db"])
def test_ctrl_c_while_nothing_of_the_users_runs(tmp_path, path):
    """A real signal, with Trio's own handling of it: the run can be gone on with."""

    class W(Workflow):
        broken = True

        @step
        async def only(self, ev: StartEvent) -> StopEvent:
            if self.broken:
                signal.raise_signal(signal.SIGINT)
                await anyio.sleep_forever()
            return StopEvent(result=1)

    journal = Kept() if path is None else tmp_path / path

    async def main():
        await W(journal=journal).run(run_id="r")

    with pytest.raises(KeyboardInterrupt):
        trio.run(main)
    flow = W(journal=journal)
    flow.broken = False

    async def again():
        return await flow.resume("r")

    assert trio.run(again) == 1
