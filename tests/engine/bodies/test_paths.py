"""A task's path is its place in the program, whatever the scheduler does."""

import asyncio
import contextvars
import functools
import random

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest
import trio

import plait.testing
from plait._engine import native
from plait._engine.bodies import paths, spawning
from plait._engine.bodies.body import Raised, Returned
from plait.errors import UntrackedTaskError
from tests.engine.bodies.toy import live, make, turns

SCHEDULES = 200


def collect(toy, seen, name):
    seen[name] = toy.body.place().path


async def nested(toy, seen):
    open_nursery = native.current().open_nursery

    async def leaf(name):
        await turns(random.randint(0, 3))
        collect(toy, seen, name)

    async def branch(name, elsewhere):
        await turns(random.randint(0, 3))
        collect(toy, seen, name)
        async with open_nursery() as own:
            for k in range(2):
                own.start_soon(leaf, f"{name}.{k}")
                elsewhere.start_soon(leaf, f"{name}.elsewhere.{k}")

    async def starts(name, *, task_status):
        collect(toy, seen, name)
        await turns(random.randint(0, 3))
        task_status.started()
        await leaf(f"{name} after")

    async with open_nursery() as outer, open_nursery() as inner:
        for k in range(3):
            inner.start_soon(branch, f"b{k}", outer)
        await outer.start(starts, "started")
        outer.start_soon(leaf, "last")
    collect(toy, seen, "first")


NESTED = {
    "first": (),
    "started": (3,),
    "started after": (3,),
    "last": (4,),
    **{f"b{k}": (k,) for k in range(3)},
    **{f"b{k}.{i}": (k, 2 * i) for k in range(3) for i in range(2)},
    **{f"b{k}.elsewhere.{i}": (k, 2 * i + 1) for k in range(3) for i in range(2)},
}


async def paths_of(function, *besides):
    seen = {}
    toy = await live(lambda toy: function(toy, seen), random.Random(0), *besides)
    assert toy.ending == Returned(None)
    return seen


def under_explored_schedules(function):
    """Run it under many orders of Trio's tasks."""
    count = 0

    @plait.testing.explore_schedules(examples=SCHEDULES)
    async def explored():
        nonlocal count
        count += 1
        await function()

    explored()
    assert count >= SCHEDULES / 2


def test_of_nested_nurseries_on_trio():
    async def check():
        assert await paths_of(nested) == NESTED

    under_explored_schedules(check)


def test_of_nested_nurseries_on_asyncio():
    async def main():
        for _ in range(SCHEDULES):
            assert await paths_of(nested) == NESTED

    asyncio.run(main())


def test_of_asyncios_own_ways_to_spawn():
    async def function(toy, seen):
        async def leaf(name):
            await turns(random.randint(0, 3))
            collect(toy, seen, name)

        async def branch(name, group):
            await turns(random.randint(0, 3))
            collect(toy, seen, name)
            await asyncio.gather(leaf(f"{name}.0"), leaf(f"{name}.1"))
            group.create_task(leaf(f"{name}.group"))

        async with asyncio.TaskGroup() as group:
            for k in range(3):
                group.create_task(branch(f"b{k}", group))
        await asyncio.wait_for(leaf("waited for"), 5)
        async with anyio.create_task_group() as nursery:
            nursery.start_soon(leaf, "anyio")
        asyncio.get_running_loop().call_soon(asyncio.create_task, turns(0))  # not the task's own
        await turns(2)
        await asyncio.create_task(leaf("bare"))

    async def main():
        for _ in range(SCHEDULES):
            assert await paths_of(function) == {
                **{f"b{k}": (k,) for k in range(3)},
                **{f"b{k}.{i}": (k, i) for k in range(3) for i in range(2)},
                **{f"b{k}.group": (k, 2) for k in range(3)},
                "waited for": (3,),
                "anyio": (4,),
                "bare": (5,),
            }

    asyncio.run(main())


@pytest.mark.anyio
async def test_groups_do_not_shift_plain_tasks(anyio_backend):
    seen = {}

    async def function(toy):
        here = toy.body.place()

        async def leaf(name):
            collect(toy, seen, name)
            await turns(1)

        async def starts(*, task_status):
            collect(toy, seen, "started")
            task_status.started()

        def named(name):
            async def fn():
                await leaf(name)

            return fn

        async with native.current().open_nursery() as nursery:
            nursery.start_soon(leaf, "plain 0")
            group = here.next_group()
            for k in range(2):
                part = here.child(("g", group, k))
                toy.body.spawn(nursery.start_soon, part, named(f"branch {k}"))
            nursery.start_soon(leaf, "plain 1")
            part = here.child(("m", "get", here.next_map("get"), 7))
            toy.body.spawn(nursery.start_soon, part, named("item"))
            part = here.child(("o", here.next_open(), 0))
            await toy.body.spawn_and_wait(nursery.start, part, starts)
            nursery.start_soon(leaf, "plain 2")
        assert (here.next_group(), here.next_map("get"), here.next_map("put")) == (1, 1, 0)
        assert here.next_open() == 1

    toy = await live(function, random.Random(0))
    assert toy.ending == Returned(None)
    assert seen == {
        **{f"plain {k}": (k,) for k in range(3)},
        **{f"branch {k}": (("g", 0, k),) for k in range(2)},
        "item": (("m", "get", 0, 7),),
        "started": (("o", 0, 0),),
    }


@pytest.mark.anyio
async def test_a_place_whose_spawn_fails_is_nobodys(anyio_backend):
    async def function(toy):
        def fails(_):
            raise KeyError

        with pytest.raises(KeyError):
            toy.body.spawn(fails, toy.body.place().child(("g", 0, 0)), turns)
        seen = {}
        async with native.current().open_nursery() as nursery:
            nursery.start_soon(look, toy, seen)
        return seen

    async def look(toy, seen):
        collect(toy, seen, "next")

    toy = await live(function, random.Random(0))
    assert toy.ending == Returned({"next": (0,)})


@pytest.mark.anyio
async def test_what_a_handler_spawns_has_no_path_and_does_not_count(anyio_backend):
    async def function(toy):
        place = toy.body.place()

        async def child():
            assert toy.body.place().aside
            assert toy.body.place().path == ()
            async with native.current().open_nursery() as nursery:
                nursery.start_soon(grandchild)

        async def grandchild():
            assert toy.body.place().aside

        async def plain():
            assert not toy.body.place().aside
            return toy.body.place().path

        async with native.current().open_nursery() as nursery:
            with toy.body.rest.handler(place):
                nursery.start_soon(child)
                await turns(3)
        seen = []

        async def note():
            seen.append(await plain())

        async with native.current().open_nursery() as nursery:
            nursery.start_soon(note)
        return seen

    toy = await live(function, random.Random(0))
    assert toy.ending == Returned([(0,)])


# ------------------------------------------------------------------- tasks that are not of the body


@pytest.mark.anyio
async def test_a_call_from_a_task_that_is_not_of_the_run(anyio_backend):
    one, other = make(), make(name="r2")
    ready, done = native.current().event(), native.current().event()

    async def first():
        ready.set()
        await done.wait()

    async def second():
        with pytest.raises(UntrackedTaskError, match="'r1' was called from a task of run 'r2'"):
            one.body.place()
        done.set()

    async with native.current().open_nursery() as nursery:
        nursery.start_soon(one.body.run, first)
        await ready.wait()
        with pytest.raises(UntrackedTaskError, match="whose place in run 'r1' is not known"):
            one.body.place()
        await other.body.run(second)
    with pytest.raises(UntrackedTaskError, match="after the function of run 'r1' had ended"):
        one.body.place()


@pytest.mark.anyio
async def test_a_thread_has_no_place_though_it_has_the_context(anyio_backend):
    async def function(toy):
        def in_thread():
            assert paths.here.get().path == ()
            with pytest.raises(UntrackedTaskError, match="whose place in run 'r1' is not known"):
                toy.body.place()

            async def in_another_loop():
                with pytest.raises(UntrackedTaskError):
                    toy.body.place()

            asyncio.run(in_another_loop())
            trio.run(in_another_loop)

        await anyio.to_thread.run_sync(in_thread)

    toy = await live(function, random.Random(0))
    assert toy.ending == Returned(None)


async def test_system_tasks_and_tasks_of_nurseries_elsewhere_have_no_place_on_trio():
    seen = []

    async def look(toy):
        with pytest.raises(UntrackedTaskError):
            toy.body.place()
        seen.append("no place")

    async with trio.open_nursery() as elsewhere:

        async def function(toy):
            trio.lowlevel.spawn_system_task(look, toy)
            elsewhere.start_soon(look, toy)
            own = {}
            async with trio.open_nursery() as nursery:

                async def leaf():
                    collect(toy, own, "leaf")

                nursery.start_soon(leaf)
            await turns(3)
            return own

        toy = await live(function, random.Random(0))
    assert toy.ending == Returned({"leaf": (0,)})
    assert seen == ["no place"] * 2


def test_a_callback_of_asyncio_has_no_place():
    async def function(toy):
        seen = asyncio.get_running_loop().create_future()

        def callback():
            with pytest.raises(UntrackedTaskError):
                toy.body.place()
            seen.set_result("no place")

        asyncio.get_running_loop().call_soon(callback)
        return await seen

    async def main():
        toy = await live(function, random.Random(0))
        assert toy.ending == Returned("no place")

    asyncio.run(main())


def test_a_context_that_is_given_is_copied_on_asyncio():
    async def function(toy):
        context = contextvars.copy_context()

        async def look():
            return toy.body.place().path

        loop = asyncio.get_running_loop()
        found = [await loop.create_task(look(), context=context) for _ in range(2)]
        assert context[paths.here].path == ()
        return found

    async def main():
        toy = await live(function, random.Random(0))
        assert toy.ending == Returned([(0,), (1,)])

    asyncio.run(main())


# ------------------------------------------------------------------------------ the hooks themselves


def hooks():
    """Say what is installed in the running loop."""
    if trio.lowlevel.in_trio_task():
        # Trio has no public way to ask. It is `test_the_hooks_are_seen` that says if it changes.
        return [*trio._core._run.GLOBAL_RUN_CONTEXT.runner.instruments.data["_all"]]
    factory = asyncio.get_running_loop().get_task_factory()
    return [] if factory is None else [factory]


@pytest.mark.anyio
@pytest.mark.parametrize("how", ["returns", "raises", "is suspended", "is cancelled", "breaks"])
async def test_the_hooks_go_with_the_last_body(anyio_backend, how):
    backend = native.current()
    assert hooks() == []
    toy, other = make(), make(name="r2")

    async def first():
        assert len(hooks()) == 1, "one, for any number of bodies"
        if how == "raises":
            raise KeyError
        if how == "is suspended":
            toy.body.suspend()
        if how == "is cancelled":
            toy.body.end("enough")
        if how == "breaks":
            toy.body.fail(OSError("hook"))
        await backend.checkpoint()

    stay = backend.event()
    async with backend.open_nursery() as nursery:
        nursery.start_soon(other.body.run, stay.wait)
        await turns(2)
        if how == "breaks":
            with pytest.raises(OSError, match="hook"):
                await toy.body.run(first)
        else:
            await toy.body.run(first)
        assert len(hooks()) == 1, "the other body is alive"
        stay.set()
    assert hooks() == []
    assert spawning._watches == {}


@pytest.mark.anyio
async def test_the_hooks_go_when_the_caller_is_cancelled(anyio_backend):
    toy = make()
    with native.current().cancel_scope() as scope:

        async def first():
            scope.cancel()
            await turns(1)

        await toy.body.run(first)
    assert hooks() == []
    scope = native.current().cancel_scope()
    scope.cancel()
    with scope:
        await make().body.run(first)
    assert hooks() == []


@pytest.mark.anyio
async def test_a_hook_that_raises_fails_the_body_and_stays_installed(anyio_backend):
    toy, other = make(), make(name="r2")

    def broken(_):
        raise KeyError("joined")

    async def function():
        toy.body.rest.joined = broken
        async with native.current().open_nursery() as nursery:
            nursery.start_soon(turns, 100)

    async def asks():
        async with native.current().open_nursery() as nursery:
            nursery.start_soon(turns, 1)
            assert len(hooks()) == 1
            await turns(5)

    async with native.current().open_nursery() as nursery:

        async def beside():
            assert await other.body.run(asks) == Returned(None)

        nursery.start_soon(beside)
        with pytest.raises(KeyError, match="joined"):
            await toy.body.run(function)
    assert hooks() == []


def test_the_factory_is_put_around_the_loops_own():
    made = []

    def own(loop, coro):  # of the older kind, which takes no context
        task = asyncio.Task(coro, loop=loop)
        made.append(task)
        return task

    async def function(toy):
        seen = {}

        async def leaf():
            collect(toy, seen, "leaf")

        await asyncio.create_task(leaf())
        assert len(made) == 2, "the first task and this one"
        return seen

    async def main():
        loop = asyncio.get_running_loop()
        loop.set_task_factory(own)
        toy = make()
        assert await toy.body.run(lambda: function(toy)) == Returned({"leaf": (0,)})
        assert loop.get_task_factory() is own

    asyncio.run(main())


def test_a_factory_that_was_put_around_ours_stays():
    async def main():
        loop = asyncio.get_running_loop()
        toy = make()

        async def function():
            ours = loop.get_task_factory()
            loop.set_task_factory(functools.partial(ours))
            await turns(1)

        await toy.body.run(function)
        assert loop.get_task_factory() is not None

        async def without_place():
            return paths.find(asyncio.current_task())

        assert await asyncio.create_task(without_place()) is None

    asyncio.run(main())


def test_groups_know_their_tasks_on_a_loop_that_takes_no_factory():
    class Stubborn(asyncio.SelectorEventLoop):
        def set_task_factory(self, factory):
            raise NotImplementedError

    async def main():
        toy = make()
        seen = {}

        async def branch():
            collect(toy, seen, "branch")

        async def plain():
            with pytest.raises(UntrackedTaskError):
                toy.body.place()

        async def function():
            collect(toy, seen, "first")
            async with anyio.create_task_group() as nursery:
                nursery.start_soon(plain)
                part = toy.body.place().child(("o", 0, 0))
                toy.body.spawn(nursery.start_soon, part, branch)

        assert await toy.body.run(function) == Returned(None)
        assert seen == {"first": (), "branch": (("o", 0, 0),)}

    with asyncio.Runner(loop_factory=Stubborn) as runner:
        runner.run(main())


@pytest.mark.anyio
async def test_what_the_function_raises_is_its_ending(anyio_backend):
    toy = make()

    async def fails():
        raise KeyError("a")

    ending = await toy.body.run(fails)
    assert isinstance(ending, Raised)
    assert repr(ending.error) == "KeyError('a')"
    assert toy.body.ending is ending
    assert toy.body.rest.places == set()
