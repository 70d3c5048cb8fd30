"""The programs of the contract's section 1 on Trio, on Trio with a clock that jumps, and on asyncio.

Each test runs where it says: tests/conftest.py asserts it.
"""

import itertools

import anyio
import pytest
import trio

from plait.lowlevel import Started
from tests.conformance.seeds import (
    ConcurrentFlow,
    ParallelFlow,
    ParallelWorkflow,
    SequentialWorkflow,
    StepThreeEvent,
    ThreeKindsFlow,
    is_virtual,
)

pytestmark = pytest.mark.anyio

QUERIES = ("Query 1", "Query 2", "Query 3")
orders = pytest.mark.parametrize("order", [*itertools.permutations((1, 3, 5))], ids=str)


def took():
    return trio.current_time() if is_virtual() else None


@orders
async def test_the_first_query_that_is_ready_is_the_result(order):
    flow = ParallelFlow(dict(zip(QUERIES, order, strict=True)))
    assert await flow.run() == QUERIES[order.index(1)]
    assert flow.printed == [f"Running slow query  {query}" for query in QUERIES]
    assert took() in (None, 1)


@orders
async def test_events_of_one_type_are_collected_in_the_order_of_completion(order):
    flow = ConcurrentFlow(dict(zip(QUERIES, order, strict=True)))
    assert await flow.run() == "Done"
    assert flow.printed[:3] == [f"Running query  {query}" for query in QUERIES]
    ready = sorted(QUERIES, key=flow.delays.get)
    assert flow.printed[3] == [StepThreeEvent(result=query) for query in ready]
    assert took() in (None, 5)


@orders
async def test_events_of_several_types_are_collected_in_the_order_of_expected(order):
    flow = ThreeKindsFlow(dict(zip(QUERIES, order, strict=True)))
    assert await flow.run() == ["Query 3", "Query 1", "Query 2"]
    assert took() in (None, 5)


@orders
async def test_one_worker_processes_in_the_order_of_the_list(order):
    flow = SequentialWorkflow(dict(zip("ABC", order, strict=True)))
    assert await flow.run() == "Processed: A, Processed: B, Processed: C"
    assert flow.printed == [f"Completed processing: {data}" for data in "ABC"]
    assert took() in (None, 1 + 3 + 5)


@orders
async def test_three_workers_finish_in_the_order_of_completion(order):
    flow = ParallelWorkflow(dict(zip("ABC", order, strict=True)))
    ready = sorted("ABC", key=flow.delays.get)
    assert await flow.run() == ", ".join(f"Processed: {data}" for data in ready)
    assert flow.printed == [f"Completed processing: {data}" for data in ready]
    assert took() in (None, 5)


async def test_the_workers_of_the_parallel_workflow_have_ids(request):
    begun = []

    def observer(record):
        if isinstance(record, Started) and record.step == "process_data":
            begun.append(record.worker)

    await ParallelWorkflow().run().observe(observer)
    assert begun == [0, 1, 2]


@pytest.mark.parametrize(
    "seed", [ParallelFlow, ConcurrentFlow, ThreeKindsFlow, SequentialWorkflow, ParallelWorkflow]
)
async def test_one_object_has_any_number_of_runs_at_once(seed):
    flow = seed({"Query 1": 1, "Query 2": 3, "Query 3": 5, "A": 1, "B": 3, "C": 5})
    alone = await flow.run()
    results = []

    async def one():
        results.append(await flow.run())

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(one)
    assert results == [alone] * 5
    assert flow.began == flow.ended == 3 * 6
