"""Such a run, cancelled at every step of the scheduler: all is heard of, and nothing is left."""

import pytest
import trio

from plait._engine import native
from plait._engine.lane import Work
from plait._errors import WorkflowCancelledByUser
from plait._kernel import records
from plait._kernel.life import Phase
from plait.testing import task_tree
from tests.engine.graph.running import DONE, flow, kinds, nothing, run, step
from tests.engine.graph.test_graph_journaled import acknowledging, shell_on
from tests.engine.harness import Cutter, collect_garbage, one_schedule, recorded, run_fixed
from tests.kernel.strategies import Patience
from tests.parity.clocks import in_virtual_time
from tests.strands.events.journal.lives import Kept


class World:
    """A flow with one of each kind of step, and who is inside of a body."""

    def __init__(self):
        self.inside = []
        self.flow = flow(
            step("now"),
            step("chain", "now"),
            step("a", "chain", retry=Patience(2, 0.5)),
            step("A", "chain", workers=2, group="g"),
            step("b", on={"a": "continue", "A": "continue"}, group="g"),
            step("late", "b"),
            bodies={
                "now": nothing,
                "a": self.trying,
                "A": self.item,
                "b": self.careful,
                "late": Work(self.careful, 0.5),
            },
            items={"A": 4},
            groups={"g": 2},
            workers=3,
        )

    async def careful(self, attempt):
        self.inside.append(attempt.delivery.number)
        here = native.current()
        try:
            for _ in range(3):
                await here.checkpoint()
            await here.sleep_until(here.clock()() + 1)
        finally:
            with here.cancel_scope(shield=True):
                await here.sleep_until(here.clock()() + 1)
            self.inside.remove(attempt.delivery.number)
        return DONE

    async def trying(self, attempt):
        await native.current().checkpoint()
        if attempt.delivery.attempt == 1:
            raise ValueError("not yet")
        return DONE

    async def item(self, attempt):
        if attempt.delivery.event == 1:
            await native.current().checkpoint()
            raise ValueError("bad")
        return await self.careful(attempt)

    def check(self, shell):
        """All is heard of, and nothing is left."""
        told = self.flow.records
        assert self.inside == []
        assert shell.conclusion is not None
        assert shell.state.phase in {Phase.OVER, Phase.NEW}
        assert not shell._bodies
        if shell.state.phase is Phase.OVER and told:
            shell.state.check()
            assert not shell.state.running
            assert isinstance(told[-1], records.Closed)
            decided = next(n for n, r in enumerate(told) if isinstance(r, records.Decided))
            assert "Started" not in kinds(told[decided:])
        assert shell._limiter.borrowed_tokens == 0


def scope(shell, around):
    around.cancel()


def asked(shell, around):
    shell.cancel()


def plain(world):
    return world.flow.shell()


def kept(world):
    return shell_on(acknowledging(Kept)(), world.flow)


@pytest.mark.parametrize("way", [scope, asked])
@pytest.mark.parametrize("make", [plain, kept])
def test_cancelled_at_every_step_of_the_scheduler(way, make, monkeypatch):
    async def main(at):
        world = World()
        shell = make(world)
        before = task_tree()
        with trio.CancelScope() as around, Cutter({at: lambda: way(shell, around)}) as cutter:
            end = await run(shell)
            if at and cutter.steps > at:
                assert end.error is not None
        world.check(shell)
        assert task_tree() == before
        return cutter.steps

    with one_schedule(monkeypatch), recorded(monkeypatch) as made:
        steps = run_fixed(main, 0)
        assert steps >= 20
        for at in range(1, steps + 1):
            run_fixed(main, at)
        made.check()
    collect_garbage()


@in_virtual_time
@pytest.mark.parametrize("at", [0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0])
@pytest.mark.parametrize("make", [plain, kept])
async def test_cancelled_at_any_time_on_both_backends(at, make):
    here, world = native.current(), World()
    shell = make(world)
    with here.cancel_scope(deadline=here.clock()() + at) as around:
        await run(shell)
    world.check(shell)
    if around.cancel_called and not isinstance(shell.state.outcome, records.Finished):
        assert shell.state.outcome in {records.Cancelled(by_owner=True), None}


@in_virtual_time
@pytest.mark.parametrize("at", [0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0])
async def test_asked_to_end_at_any_time_on_both_backends(at):
    here, world = native.current(), World()
    shell = world.flow.shell()
    async with here.open_nursery() as nursery:

        async def ask():
            await here.sleep_until(here.clock()() + at)
            shell.cancel()

        nursery.start_soon(ask)
        end = await run(shell)
    world.check(shell)
    if isinstance(shell.state.outcome, records.Cancelled):
        assert isinstance(end.error, WorkflowCancelledByUser | BaseExceptionGroup)


@in_virtual_time
@pytest.mark.parametrize("seconds", [0.25, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0])
async def test_out_of_time_at_any_time_on_both_backends(seconds):
    world = World()
    world.flow.timeout = seconds
    shell = world.flow.shell()
    await run(shell)
    world.check(shell)
    assert isinstance(shell.state.outcome, records.TimedOut)
