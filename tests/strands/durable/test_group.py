"""`ctx.group`: what its modes give, and what it refuses."""

import functools
import typing

import pytest

from plait._engine import native
from plait._engine.bodies.body import Raised, Returned
from plait._kernel.calls.records import CallCancelled, CallCompleted
from plait._steps.branches import Failed, LoopVariableWarning, Ok, Winner
from plait._strands._durable.event import Event
from plait.errors import StepError
from tests.parity.clocks import in_virtual_time
from tests.strands.durable.holding import Hosted, World, as_read, function, handled, lives


async def host(handler, *besides, records=(), **options):
    return await Hosted(World(), records, **options).host(function(handler), *besides)


def of(life, kind):
    return [record for _, record in life.records if isinstance(record, kind)]


async def nap(seconds, value=None, error=None):
    backend = native.current()
    await backend.sleep_until(backend.clock()() + seconds)
    if error is not None:
        raise error
    return value


async def update_user(user_id: int) -> bool:
    return user_id > 0


async def send_email(user_id: int) -> str:
    return f"to {user_id}"


# ------------------------------------------------------------------ the two programs of the seed


@in_virtual_time
async def test_two_lambdas():
    async def fn(ctx):
        user_id = ctx.event.data["user_id"]
        (updated_user, sent_email) = await ctx.group.parallel(
            (
                lambda: ctx.step.run("update-user", update_user, user_id),
                lambda: ctx.step.run("send-email", send_email, user_id),
            )
        )
        return updated_user, sent_email

    life = await lives(lambda world: fn)
    assert life.result == (True, "to 7")


@in_virtual_time
async def test_a_tuple_built_in_a_loop():
    async def fn(ctx):
        parallel_steps = tuple[typing.Callable[[], typing.Awaitable[bool]]]()
        for user_id in ctx.event.data["user_ids"]:
            parallel_steps += tuple(  # noqa: C409 - as its author wrote it
                [
                    functools.partial(
                        ctx.step.run,
                        f"get-user-{user_id}",
                        functools.partial(update_user, user_id),
                    )
                ]
            )
        return await ctx.group.parallel(parallel_steps)

    event = Event(name="many-users", data={"user_ids": [1, 0, 2]})
    life = await lives(lambda world: fn, event=event)
    assert life.result == (True, False, True)


# ------------------------------------------------------------------ modes


@in_virtual_time
async def test_results_in_the_order_of_the_branches():
    def program(world):
        async def fn(ctx):
            def branch(name, seconds):
                return lambda: ctx.step.run(name, handled(world, nap), seconds, name)

            return await ctx.group.parallel((branch("a", 3), branch("b", 1), branch("c", 2)))

        return fn

    assert (await lives(program)).result == ("a", "b", "c")


@in_virtual_time
async def test_settled_gives_how_each_has_ended():
    async def fn(ctx):
        good, bad = await ctx.group.parallel(
            (
                lambda: ctx.step.run("good", nap, 2, 5),
                lambda: ctx.step.run("bad", nap, 1, None, OSError("no disk")),
            ),
            mode="settled",
        )
        assert isinstance(bad, Failed)
        return good, type(bad.error), bad.error.message

    assert (await lives(lambda world: fn)).result == (Ok(5), StepError, "no disk")


@in_virtual_time
async def test_race_gives_the_first_and_cancels_the_others():
    def program(world):
        async def fn(ctx):
            async def loser():
                try:
                    await ctx.step.run("slow", handled(world, nap), 9)
                finally:
                    world.log.append("cleaned up")

            won = await ctx.group.parallel(
                (loser, lambda: ctx.step.run("quick", handled(world, nap), 1, "x")), mode="race"
            )
            world.log.append("won")
            return won

        return fn

    life = await lives(program)
    assert life.result == Winner(1, "x")
    assert life.world.log == ["cleaned up", "won"]
    assert len(of(life, CallCancelled)) == 1


@in_virtual_time
async def test_race_raises_what_comes_first():
    async def fn(ctx):
        bad = functools.partial(ctx.step.run, "bad", nap, 1, None, OSError("no"))
        await ctx.group.parallel((lambda: ctx.step.run("a", nap, 9), bad), mode="race")

    life = await host(fn)
    assert isinstance(life.ending, Raised)
    assert life.ending.error.message == "no"


@in_virtual_time
async def test_any_passes_over_failures():
    async def fn(ctx):
        def bad(text):
            return lambda: ctx.step.run("bad", nap, 1, None, OSError(text))

        won = await ctx.group.parallel(
            (bad("one"), lambda: ctx.step.run("good", nap, 2, 5)), mode="any"
        )
        try:
            await ctx.group.parallel((bad("one"), bad("two")), mode="any")
        except ExceptionGroup as group:
            return won, [error.message for error in group.exceptions]

    assert (await lives(lambda world: fn)).result == (Winner(1, 5), ["one", "two"])


@in_virtual_time
async def test_one_failure_is_itself_and_several_are_a_group():
    async def fn(ctx):
        def bad(text):
            return lambda: ctx.step.run("bad", nap, 1, None, OSError(text))

        with pytest.raises(StepError, match="one"):
            await ctx.group.parallel((bad("one"), lambda: ctx.step.run("slow", nap, 9)))
        with pytest.raises(ExceptionGroup) as caught:
            await ctx.group.parallel((bad("one"), bad("two")), on_error="wait")
        return [error.message for error in caught.value.exceptions]

    assert (await host(fn)).result == ["one", "two"]


@in_virtual_time
async def test_no_branches():
    async def fn(ctx):
        none = await ctx.group.parallel(())
        return none, await ctx.group.parallel((), mode="settled"), await ctx.group.map("a", nap, ())

    assert (await host(fn)).result == ((), (), ())


@in_virtual_time
async def test_branches_hold_any_code():
    async def fn(ctx):
        async def inner():
            return await ctx.group.parallel(
                (lambda: ctx.step.run("a", nap, 1, 1), lambda: ctx.step.run("a", nap, 2, 2))
            )

        async def chain():
            return [await ctx.step.run("a", nap, 1, k) for k in range(3)]

        return await ctx.group.parallel((inner, chain, lambda: ctx.step.sleep("a", 1)))

    assert (await lives(lambda world: fn)).result == ((1, 2), [0, 1, 2], None)


@in_virtual_time
async def test_tasks_are_named_by_their_branches():
    async def fn(ctx):
        async def look():
            return await ctx.step.run("a", nap, 1)

        await ctx.group.parallel((look, functools.partial(ctx.step.run, "b", nap, 1)))
        await ctx.group.map("m", update_user, [1])

    life = await host(fn)
    wheres = {r.key.step_id: r.where[-1].rpartition(".")[2] for r in of(life, CallCompleted)}
    assert wheres == {"a": "look", "b": "run", "m": "update_user"}


# ------------------------------------------------------------------ map


@in_virtual_time
async def test_map_names_calls_by_the_position():
    def program(world):
        async def fn(ctx):
            return await ctx.group.map(
                "nap", handled(world, lambda s: nap(s, s)), [3, 1, 2], limit=2
            )

        return fn

    life = await lives(program)
    assert life.result == (3, 1, 2)
    assert {record.key.path for record in of(life, CallCompleted)} == {
        (("m", "nap", 0, k),) for k in range(3)
    }


@in_virtual_time
@pytest.mark.parametrize("kind", ["number", "limiter"])
async def test_map_keeps_to_its_limit(kind):
    running = []
    most = []

    async def work(k):
        running.append(k)
        most.append(len(running))
        await nap(1)
        running.remove(k)

    async def fn(ctx):
        limit = 2 if kind == "number" else native.current().limiter(2)
        await ctx.group.map("work", work, iter(range(5)), limit=limit)

    await host(fn)
    assert max(most) == 2


@in_virtual_time
async def test_map_has_the_options_of_run():
    attempts = []

    async def flaky(k):
        attempts.append(k)
        if len(attempts) == 1:
            raise OSError
        return (k,)

    async def fn(ctx):
        return await ctx.group.map("a", flaky, {1: "x"}, retry=1, output_type=tuple[int])

    life = await host(fn)
    assert life.result == ((1,),)
    assert attempts == [1, 1]


@in_virtual_time
async def test_map_lets_all_end_if_told():
    async def fn(ctx):
        async def fails(k):
            await nap(k, None, OSError(str(k)))

        with pytest.raises(ExceptionGroup) as caught:
            await ctx.group.map("a", fails, [2, 1], on_error="wait")
        return [error.message for error in caught.value.exceptions]

    assert (await host(fn)).result == ["2", "1"]


# ------------------------------------------------------------------ open, and plain nurseries


@in_virtual_time
async def test_open():
    def program(world):
        async def fn(ctx):
            found = {}

            async def one(k):
                found[k] = await ctx.step.run("a", handled(world, nap), 3 - k, k)

            async with ctx.group.open() as tasks:
                for k in range(3):
                    tasks.start_soon(one, k)
            return found

        return fn

    life = await lives(program)
    assert life.result == {0: 0, 1: 1, 2: 2}
    assert {r.key.path for r in of(life, CallCompleted)} == {(("o", 0, k),) for k in range(3)}


@in_virtual_time
async def test_a_plain_nursery():
    def program(world):
        async def fn(ctx):
            found = {}

            async def one(k):
                found[k] = await ctx.step.run("a", handled(world, nap), 3 - k, k)

            async with native.current().open_nursery() as nursery:
                for k in range(3):
                    nursery.start_soon(one, k)
            return found

        return fn

    assert (await lives(program)).result == {0: 0, 1: 1, 2: 2}


# ------------------------------------------------------------------ bad input


REFUSED = [
    (lambda g, s: g.parallel([lambda: 1]), TypeError, r"not a list: write \(\.\.\., \.\.\.\)"),
    (lambda g, s: g.parallel((s.sleep("a", 1),)), TypeError, "called already: write lambda:"),
    (lambda g, s: g.parallel(lambda: 1), TypeError, "not one function"),
    (lambda g, s: g.parallel((print,), mode="first"), ValueError, "takes mode='all' or"),
    (lambda g, s: g.parallel((print,), on_error="go"), ValueError, "takes on_error='cancel' or"),
    (lambda g, s: g.parallel((), mode="race"), ValueError, "nobody can win"),
    (lambda g, s: g.parallel((lambda: 5,)), TypeError, r"Branch 0 of parallel\(\) gave 5, which"),
    (lambda g, s: g.map(1, nap, [1]), TypeError, "step_id must be a str"),
    (lambda g, s: g.map("a", 1, [1]), TypeError, "fn must be a function, not 1"),
    (lambda g, s: g.map("a", nap, {1}), TypeError, r"a set has none\n  write sorted\(items\)"),
    (lambda g, s: g.map("a", nap, frozenset([1])), TypeError, "items must have an order"),
    (lambda g, s: g.map("a", nap, 5), TypeError, "items must be iterable, not 5"),
    (lambda g, s: g.map("a", nap, [1], limit=0), ValueError, "limit must be at least 1, not 0"),
    (
        lambda g, s: g.map("a", nap, [1], limit=True),
        TypeError,
        "limit must be a whole number or a capacity limiter, not True",
    ),
    (lambda g, s: g.map("a", nap, [1], limit="2"), TypeError, "a capacity limiter, not '2'"),
    (lambda g, s: g.map("a", nap, [1], on_error="go"), ValueError, "on_error must be 'cancel' or"),
]


@pytest.mark.parametrize(("call", "kind", "text"), REFUSED)
@in_virtual_time
async def test_bad_input_is_refused_before_anything_is_recorded(call, kind, text):
    async def fn(ctx):
        with pytest.raises(kind, match=text):
            await call(ctx.group, ctx.step)

    life = await host(fn)
    assert isinstance(life.ending, Returned), life.ending
    assert life.records == []


@in_virtual_time
async def test_a_dicts_keys_have_an_order():
    async def fn(ctx):
        return await ctx.group.map("a", update_user, {3: "x", 0: "y"}.keys())

    assert (await host(fn)).result == (True, False)


@in_virtual_time
async def test_the_loop_variable():
    async def fn(ctx):
        branches = tuple([lambda: ctx.step.run("a", update_user, k) for k in (1, 0)])  # noqa: B023
        with pytest.warns(LoopVariableWarning, match=r"ctx\.group\.map") as caught:
            same = await ctx.group.parallel(branches)
        return same, caught[0].filename

    same, where = (await host(fn)).result
    assert same == (False, False)
    assert where == __file__


@in_virtual_time
async def test_a_scope_that_no_call_cancels_holds_the_run_and_one_that_a_call_cancels_does_not():
    def program(by_hand):
        async def fn(ctx):
            with native.current().cancel_scope() as scope:
                async with native.current().open_nursery() as nursery:

                    async def patience():
                        await (nap(5) if by_hand else ctx.step.sleep("patience", 5))
                        scope.cancel()

                    nursery.start_soon(patience)
                    await ctx.step.run("slow", nap, 60)
            return await ctx.step.run("after", nap, 1, "after")

        return fn

    async def again(by_hand):
        life = await host(program(by_hand))
        assert life.result == "after"
        cut = next(n for n, r in life.records if isinstance(r, CallCancelled))
        return (await host(program(by_hand), records=as_read(life.records[:cut]))).ending

    assert (await again(by_hand=False)) == Returned("after")
    assert type(await again(by_hand=True)).__name__ == "DeterminismError"
