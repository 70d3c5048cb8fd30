"""The programs of durable steps on Trio, on Trio with a clock that jumps, and on asyncio."""

import itertools

import anyio
import pytest
import trio

from plait.durable import App, Event, MemoryJournal
from tests.conformance.seeds import is_virtual, pause
from tests.conformance.seeds_durable import Users, steps_in_a_loop, two_steps

pytestmark = pytest.mark.anyio


async def result_of(app, fn, data):
    """Send the event that the function is for; what its run returns."""
    async with app.serve() as worker:
        await app.send(Event(name="my-event", data=data))
        await worker.drain()
    (run,) = await app.runs(fn=fn, status="completed")
    return await app.resume(run.run_id)


@pytest.mark.parametrize("order", [*itertools.permutations((1, 3))], ids=str)
async def test_two_steps_in_parallel_give_a_tuple(order):
    users = Users(dict(zip(("update 7", "email 7"), order, strict=True)))
    app = App("shop")
    began = trio.current_time() if is_virtual() else 0
    assert await result_of(app, two_steps(app, users), {"user_id": 7}) == (True, "email to 7")
    assert users.ran == {"update 7": 1, "email 7": 1}
    assert users.done == sorted(users.delays, key=users.delays.get)
    if is_virtual():
        assert trio.current_time() - began == pytest.approx(3)


@pytest.mark.parametrize("order", [*itertools.permutations((1, 3, 5))], ids=str)
async def test_a_tuple_of_steps_that_is_built_in_a_loop(order):
    names = [f"update {n}" for n in (4, 5, 6)]
    users = Users(dict(zip(names, order, strict=True)))
    app = App("shop")
    result = await result_of(app, steps_in_a_loop(app, users), {"user_ids": [4, 5, 6]})
    assert result == (True, False, True)
    assert users.ran == dict.fromkeys(names, 1)
    assert users.done == sorted(names, key=users.delays.get)


@pytest.mark.parametrize("seed", [two_steps, steps_in_a_loop])
async def test_one_function_has_any_number_of_runs_at_once(seed):
    users = Users()
    app = App("shop")
    fn = seed(app, users)
    results = []

    async def one(n):
        data = {"user_id": n, "user_ids": [n, n + 100]}
        results.append((n, await app.invoke(fn, data)))

    async with anyio.create_task_group() as tasks:
        for n in range(5):
            tasks.start_soon(one, n)
    assert len(results) == 5
    for n, result in results:
        assert result in ((True, f"email to {n}"), (n % 2 == 0, n % 2 == 0))
    assert set(users.ran.values()) == {1}


@pytest.mark.parametrize("seed", [two_steps, steps_in_a_loop])
async def test_what_was_done_is_not_done_again_by_the_next_process(seed):
    """The first process ends when one of the steps is recorded; the next one runs the other again."""
    journal, data = MemoryJournal(), {"user_id": 7, "user_ids": [7, 8]}
    app, first = App("shop", journal=journal), Users({"email 7": 200, "update 8": 200})
    fn = seed(app, first)

    async def invoke():
        await app.invoke(fn, data, run_id="r1")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(invoke)
        await pause(1)
        while "step.completed" not in [record.kind for record in await app.history("r1")]:
            await pause(1)
        tasks.cancel_scope.cancel()

    app, second = App("shop", journal=journal), Users()
    result = await app.invoke(seed(app, second), data, run_id="r1")
    assert result in ((True, "email to 7"), (False, True))
    assert first.done == ["update 7"]
    assert first.ran.keys() - second.ran.keys() == {"update 7"}
    assert second.done == [name for name in first.ran if name != "update 7"]
