"""In which order cancelled calls leave: the same in every life of a run, wherever a process dies."""

from contextlib import suppress

import attrs
import pytest

from plait._strands._durable.triggers import TriggerEvent
from plait.errors import RunSuspended
from tests.parity.clocks import in_virtual_time
from tests.strands.durable.crashing import World, app_of, declare, nap
from tests.strands.events.journal.lives import Kept, entries_of

#: A disk takes its time: for so many passes of the loop nobody knows what is on it.
PASSES = 20


@attrs.define
class Seen(World):
    """What is outside of all journals: also what had happened there when an append was on disk."""

    #: How many had left just before the n-th append was on disk: if the process dies then, so many
    #: have left for whoever looked on, and the journal does not have that append.
    at: list = attrs.field(factory=list)
    seen: list = attrs.field(factory=list)


class Watched(Kept):
    """Looks at the world just before it says that an append is on disk."""

    def __init__(self, world, appends=()):
        super().__init__(appends)
        self.world = world

    def append(self, entries, done):
        def told(error):
            if entries:
                self.world.at.append(len(self.world.log))
            done(error)

        super().append(entries, lambda error: self._later(PASSES, told, error))

    def _later(self, passes, told, error):
        if passes:
            self._opened().run_sync_soon(self._later, passes - 1, told, error)
        else:
            told(error)


async def lives_alike(make):
    """Live once; then die before each append is on disk, and be recovered: who left first leaves first."""
    world = Seen()
    journal = Watched(world)
    result = await make(app_of(journal), world)
    order = [*world.log]
    assert len(world.at) == len(journal.appends)
    cuts = 0
    for cut, seen in enumerate(world.at):
        again = Seen()
        assert await make(app_of(journal.killed_after(cut)), again) == result
        assert sorted(again.log, key=repr) == sorted(order, key=repr)
        assert again.log[:seen] == order[:seen], (
            f"{again.log}: died at append {cut}, when {seen} had left"
        )
        cuts += 0 < seen < len(order)
    # With all of it on disk, and the run still going on.
    again = Seen()
    assert await make(app_of(journal.killed_after(len(journal.appends) - 1)), again) == result
    assert again.log == order
    return order, cuts


def racing(lingers, *, undone=False):
    """A race of one that wins at once with losers that clean up so long, and then leave."""

    def make(app, world):
        async def loser(ctx, k, seconds):
            async def slow():
                try:
                    await nap(1000)
                finally:
                    with ctx_shield():
                        await nap(seconds)

            try:
                if seconds is None:
                    await ctx.step.sleep("nap", 1000)
                else:
                    await ctx.step.run("slow", slow)
            finally:
                world.log.append(k)

        async def race(ctx):
            quick = world.step("quick", "won", seconds=1)
            branches = [lambda: ctx.step.run("quick", quick)]
            branches += [
                lambda k=k, seconds=seconds: loser(ctx, k, seconds)
                for k, seconds in enumerate(lingers)
            ]
            return (await ctx.group.parallel(tuple(branches), mode="race")).value

        return app.invoke(declare(app, race), run_id="r1")

    return make


def ctx_shield():
    from plait._engine import native

    return native.current().cancel_scope(shield=True)


@in_virtual_time
async def test_losers_that_clean_up_for_a_while_leave_in_the_same_order():
    order, cuts = await lives_alike(racing((5, 3, 1, 4, 2)))
    assert order == [2, 4, 1, 3, 0]
    assert cuts >= 3  # each had an append of its own, for which all but the last must wait


@pytest.mark.parametrize("lingers", [(None,) * 6, (0,) * 6, (None, 0, 2, None, 1, 0)])
@in_virtual_time
async def test_losers_that_are_cancelled_at_once_leave_in_the_same_order(lingers):
    order, _ = await lives_alike(racing(lingers))
    assert sorted(order) == [0, 1, 2, 3, 4, 5]


def with_a_child(app, world):
    """A race that a child loses, which then cleans up for a while, beside steps that go on meanwhile."""

    async def child(ctx):
        try:
            await ctx.step.sleep("nap", 1000)
        finally:
            with ctx_shield():
                await nap(4.5)
            world.seen.append("child is over")

    inner = declare(app, child, fn_id="child", trigger=TriggerEvent("other"), retries=0)

    async def fn(ctx):
        async def loser():
            try:
                await ctx.step.invoke("call", function=inner)
            finally:
                world.log.append("left")
                with ctx_shield(), suppress(RunSuspended):
                    await ctx.step.run("after", world.step("after"))
                    world.log.append("after")

        async def race():
            quick = world.step("quick", "won", seconds=1.2)
            branches = (lambda: ctx.step.run("quick", quick), loser)
            return (await ctx.group.parallel(branches, mode="race")).value

        async def others():
            for k in range(8):
                await ctx.step.run(f"other {k}", world.step(f"other {k}", seconds=1))
                world.log.append(k)

        return await ctx.group.parallel((race, others))

    return app.invoke(declare(app, fn), run_id="r1")


@in_virtual_time
async def test_who_has_invoked_leaves_in_the_same_order_however_long_the_child_cleans_up():
    order, cuts = await lives_alike(with_a_child)
    assert order == [0, 1, 2, 3, 4, "left", "after", 5, 6, 7]
    assert cuts > 10


@in_virtual_time
async def test_a_child_is_over_before_its_call_leaves_also_after_a_crash():
    world = Seen()
    journal = Watched(world)
    await with_a_child(app_of(journal), world)
    assert world.seen == ["child is over"]
    again = {}
    for cut in range(len(journal.appends)):
        left = journal.killed_after(cut)
        world = Seen()
        await with_a_child(app_of(left), world)
        runs = await app_of(left).runs()
        statuses = {run.fn_id: (run.status, run.waiting_for) for run in runs}
        assert statuses.get("shop-child", ("cancelled", None))[0] == "cancelled"
        again[cut] = [*world.seen]
        kinds = [entry.kind for entry in entries_of(left, "r1")]
        assert kinds.count("run.completed") == 1
    assert ["child is over"] in again.values()


@in_virtual_time
async def test_a_child_that_lost_says_that_its_parent_cancelled_it():
    journal = Kept()
    app, world = app_of(journal), Seen()
    await with_a_child(app, world)
    (name,) = [run.run_id for run in await app.runs() if run.fn_id == "shop-child"]
    (last,) = [record for record in await app.history(name) if record.kind == "run.cancelled"]
    assert "its parent cancelled it" in repr(last)
