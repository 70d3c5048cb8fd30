"""Planned times, in an app that is served and stopped and served again."""

from __future__ import annotations

import importlib.util
import re

import pytest

from plait._engine import wall
from plait._strands._durable.cron import Schedule
from plait._strands._durable.options import Concurrency
from plait._strands._durable.triggers import TriggerCron, TriggerEvent
from tests.parity.clocks import in_virtual_time
from tests.strands.durable.flowing import Flow
from tests.strands.durable.test_ticks import EPOCH, MINUTE, every


@pytest.fixture(autouse=True)
def from_a_full_hour_on(request, monkeypatch):
    monkeypatch.setattr(wall, "ZERO", EPOCH)
    if "with_the_library" not in request.node.name:
        schedule = property(lambda self: Schedule(self.cron, self.tz, times=every))
        monkeypatch.setattr(TriggerCron, "schedule", schedule)


def minutes(n, **more):
    return TriggerCron(f"*/{n} * * * *", **more)


class Ticking(Flow):
    """Says of each tick for which minute it was planned."""

    def ticks(self, fn_id="fn", *, on, seconds=0.0, **options):
        async def body(ctx) -> None:
            planned = ctx.event.data["scheduled_at"]
            await ctx.step.run("work", self.work, (planned - EPOCH) / MINUTE, seconds)

        return self.declare(body, fn_id, on=on, **options)

    @property
    def minutes(self):
        """When each run began, and for when it was planned, in minutes."""
        return [(at / MINUTE, planned) for at, planned in self.starts]


@in_virtual_time
async def test_a_function_runs_when_it_is_planned():
    flow = Ticking()
    flow.ticks(on=[minutes(10)])
    async with flow.served():
        await flow.until(35 * MINUTE)
    assert flow.minutes == [(10, 10), (20, 20), (30, 30)]
    runs = await flow.app.runs()
    assert len(runs) == 3
    assert all(re.fullmatch("tick-[0-9a-f]{32}", run.run_id) for run in runs)


@pytest.mark.parametrize(
    ("missed", "expected"), [("skip", []), ("once", [50]), ("all", [20, 30, 40, 50])]
)
@in_virtual_time
async def test_what_was_missed_between_two_processes(missed, expected):
    flow = Ticking()
    flow.ticks(on=[minutes(10, missed=missed)])
    async with flow.served(drain=False):
        await flow.until(11 * MINUTE)
    flow.make_app()
    await flow.until(55 * MINUTE)
    async with flow.served():
        await flow.until(61 * MINUTE)
    caught_up = sorted(planned for at, planned in flow.minutes if at == 55)
    assert caught_up == expected
    assert [pair for pair in flow.minutes if pair[0] != 55] == [(10, 10), (60, 60)]


@in_virtual_time
async def test_what_was_missed_before_the_first_tick():
    flow = Ticking()
    flow.ticks(on=[minutes(10, missed="all")])
    async with flow.served():
        await flow.until(5 * MINUTE)
    flow.make_app()
    await flow.until(21 * MINUTE)
    async with flow.served():
        pass
    assert sorted(planned for _, planned in flow.minutes) == [10, 20]


@in_virtual_time
async def test_a_tick_whose_run_was_interrupted_goes_on_and_does_not_fire_again():
    flow = Ticking()
    flow.ticks(on=[minutes(10)], seconds=100)
    async with flow.served(drain=False):
        await flow.until(10.5 * MINUTE)
    flow.make_app()
    async with flow.served():
        pass
    assert flow.minutes == [(10, 10), (10.5, 10)]
    [run] = await flow.app.runs()
    assert run.status == "completed"


@in_virtual_time
async def test_ticks_wait_in_the_queue_as_others_do():
    flow = Ticking()
    flow.ticks(on=[minutes(1)], seconds=150, concurrency=Concurrency(1, of="runs"))
    async with flow.served(drain=False):
        await flow.until(10.2 * MINUTE)
        assert flow.minutes == [(1, 1), (3.5, 2), (6, 3), (8.5, 4)]
        assert await flow.statuses() == {"completed": 3, "running": 1, "queued": 6}


@in_virtual_time
async def test_an_expression_of_another_trigger_is_not_asked_about_ticks():
    flow = Ticking()
    flow.ticks(on=[minutes(10), TriggerEvent("e", expression=lambda e: e.data["none"])])
    async with flow.served():
        await flow.until(11 * MINUTE)
    assert flow.minutes == [(10, 10)]


@pytest.mark.skipif(importlib.util.find_spec("cronsim") is None, reason="cronsim is not installed")
@in_virtual_time
async def test_with_the_library_every_hour():
    flow = Ticking()
    flow.ticks(on=[TriggerCron("TZ=Europe/Paris 17 * * * *")])
    async with flow.served():
        await flow.until(3 * 3600)
    assert [at / MINUTE % 60 for at, _ in flow.starts] == [17, 17, 17]
