"""Where workers wait: first come, first served, and who is cancelled is not called."""

import anyio
import pytest

from plait._engine import native

pytestmark = pytest.mark.anyio


async def seated(seats, called, name):
    """Sit down until called."""
    await seats.take()
    called.append(name)


async def test_who_has_waited_longest_is_called_and_whoever_is_cancelled_is_not():
    seats, called = native.current().seats(), []
    async with anyio.create_task_group() as group:
        for name in "ab":
            group.start_soon(seated, seats, called, name)
            await anyio.wait_all_tasks_blocked()
        with anyio.move_on_after(0):
            await seats.take()
        group.start_soon(seated, seats, called, "c")
        await anyio.wait_all_tasks_blocked()
        assert called == []
        for name in "abc":
            assert seats.call()
            await anyio.wait_all_tasks_blocked()
            assert called[-1] == name
        assert not seats.call()


async def test_nobody_is_called_who_has_just_been_cancelled():
    seats, called = native.current().seats(), []
    async with anyio.create_task_group() as group:
        group.start_soon(seated, seats, called, "a")
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await anyio.lowlevel.checkpoint()
        assert not seats.call()
    assert called == []
