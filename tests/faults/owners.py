"""The four ways to run, each as a user writes it: who owns the runs, and what is done meanwhile."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from typing import Any, TypeAlias

import anyio
import trio

import plait
from plait import Run
from plait.errors import WorkflowCancelledByUser
from tests.faults.scenarios.scenario import Scenario

#: What a user does with started runs: by default, look after them and await them.
Use: TypeAlias = Callable[[list[Run[Any]]], Awaitable[Any]]
Owner: TypeAlias = Callable[[Scenario, Use], Awaitable[Any]]


async def caller(scenario: Scenario, use: Use) -> list[object]:
    """Await the run, in this very task."""
    assert not scenario.attended
    return [await run for run in scenario.start()]


async def block(scenario: Scenario, use: Use) -> list[object]:
    """Use the runs in blocks of theirs."""
    async with AsyncExitStack() as stack:
        runs = [await stack.enter_async_context(run) for run in scenario.start()]
        return await use(runs)


async def nursery(scenario: Scenario, use: Use) -> list[object]:
    """Start the runs in a nursery, and use them there."""
    open_nursery = trio.open_nursery if trio.lowlevel.in_trio_task() else anyio.create_task_group
    async with open_nursery() as tasks:
        return await use([run.start_soon(tasks) for run in scenario.start()])
    raise AssertionError


async def each_in_a_task(scenario: Scenario, use: Use) -> list[object]:
    """Await each run in a task and a scope of its own."""
    results: dict[int, object] = {}

    async def await_it(number: int, run: Run[Any]) -> None:
        with scenario.scopes[number], suppress(WorkflowCancelledByUser):
            results[number] = await run

    async with anyio.create_task_group() as tasks:
        for number, run in enumerate(scenario.start()):
            tasks.start_soon(await_it, number, run)
    return [*results.values()]


async def runtime(scenario: Scenario, use: Use) -> list[object]:
    """Make the runs in an open runtime, and use them there."""
    async with plait.open_runtime() as scenario.runtime:
        return await use(scenario.start())
