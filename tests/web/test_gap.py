"""Nobody has looked for long: then the oldest records are gone, and the page shows how the run stands all the same."""

from __future__ import annotations

import time

import anyio
import pytest

import plait
import plait.flows
from plait import Event, StartEvent, StopEvent, Workflow, step
from plait._web.feed import MOST_RECORDS
from plait._web.shown import LiveRun
from tests.web.conftest import ask


class Item(Event):
    number: int


class Done(Event):
    number: int


class Long(Event):
    pass


class Busy(Workflow):
    """One body runs for long, while others come and go; many wait in a queue, and a batch is not whole."""

    gate: anyio.Event
    end: anyio.Event

    @step
    async def begin(self, ctx: plait.Context, ev: StartEvent) -> Long | Item:
        ctx.send_event(Long())
        for number in range(ev.count):
            ctx.send_event(Item(number=number))

    @step(num_workers=1)
    async def long(self, ev: Long) -> StopEvent:
        await self.end.wait()
        return StopEvent()

    @step(num_workers=4)
    async def work(self, ctx: plait.Context, ev: Item) -> Done | None:
        if ev.number >= WAITS:
            await self.gate.wait()
        return Done(number=ev.number) if ev.number == 2_000 else None

    @step
    async def gather(self, ctx: plait.Context, ev: Done) -> StopEvent | None:
        return StopEvent() if ctx.collect_events(ev, [Done, Done]) else None


#: Items from here on wait at the gate.
WAITS = 3_000


def busy():
    workflow = Busy()
    workflow.gate, workflow.end = anyio.Event(), anyio.Event()
    return workflow


async def until(wanted):
    while not wanted():
        await anyio.lowlevel.checkpoint()


def states(page):
    return {name: one["states"] for name, one in page["steps"].items()}


@pytest.mark.anyio
async def test_who_comes_late_sees_what_runs_waits_and_is_collected():
    workflow = busy()
    run = workflow.run(count=WAITS + 500)
    shown = LiveRun(run, "Busy")
    async with run:
        work = run._shell.state.steps["work"]
        await until(lambda: work.running == 4 and len(work.queue) == 496)
        await shown.pull()
        page = shown.view.whole()
        assert page["run"]["misses"]
        assert page["count"] == shown.feed.whole().place == MOST_RECORDS + 1
        assert abs(page["run"]["epoch"] - time.time()) < 60
        assert page["run"]["status"] == "running"
        told = states(page)
        assert told["long"] == {"running": 1}
        assert (told["work"]["running"], told["work"]["queued"]) == (4, 496)
        assert [(one["step"], one["text"]) for one in page["buffers"]] == [("gather", "1 of 2")]
        assert "?" not in page["steps"]
        long = next(one for one in page["activities"].values() if one["name"] == "long")
        assert long["attempts"][0]["began"] == pytest.approx(0, abs=60)
        workflow.end.set()
        await run.result()
    await shown.pull()
    page = shown.view.whole()
    assert (page["run"]["status"], page["run"]["outcome"]) == ("completed", "stopped by StopEvent")
    assert states(page)["long"] == {"succeeded": 1}
    assert states(page)["work"].keys() == {"succeeded", "cancelled", "dropped"}


@pytest.mark.anyio
async def test_who_comes_back_is_given_the_whole_without_bodies_that_are_gone():
    workflow = busy()
    run = workflow.run(count=0)
    shown = LiveRun(run, "Busy")
    async with run:
        work = run._shell.state.steps["work"]
        for number in range(4):
            run.send_event(Item(number=WAITS + number))
        await until(lambda: work.running == 4)
        await shown.pull()
        window = shown.feed.cursor(shown.feed.whole())
        assert states(shown.view.whole())["work"]["running"] == 4
        workflow.gate.set()
        await until(lambda: not work.running)
        for number in range(WAITS):
            run.send_event(Item(number=number))
        await until(lambda: not (work.running or work.queue))
        await shown.pull()
        [message] = shown.feed.after(window)
        assert message.event == "whole"
        page = shown.view.whole()
        assert page["run"]["misses"]
        assert states(page)["work"].keys() == {"succeeded"}
        assert states(page)["long"] == {"running": 1}
        assert {one["state"] for one in page["activities"].values()} == {"succeeded", "running"}
        workflow.end.set()


@pytest.mark.anyio
async def test_while_a_window_is_there_more_are_kept():
    workflow = busy()
    run = workflow.run(count=0)
    shown = LiveRun(run, "Busy")
    async with run:
        work = run._shell.state.steps["work"]
        with shown.watched(), shown.watched():
            for number in range(WAITS):
                run.send_event(Item(number=number))
            await until(lambda: not (work.running or work.queue))
            assert not shown.feed.has_gap
            assert shown.feed.advance()
            assert states(shown.view.whole())["work"]
        assert shown.feed.has_gap
        await shown.pull()
        assert not shown.feed.has_gap
        run.send_event(Item(number=0))
        await until(lambda: not (work.running or work.queue))
        assert shown.feed.first is not None, "it hears no more"
        assert not shown.feed.has_gap
        workflow.end.set()


@pytest.mark.anyio
async def test_a_window_of_one_page_changes_nothing_for_another_page():
    workflow = busy()
    run = workflow.run(count=0)
    one, other = LiveRun(run, "Busy"), LiveRun(run, "Busy")
    async with run:
        work = run._shell.state.steps["work"]
        with one.watched():
            for number in range(WAITS):
                run.send_event(Item(number=number))
            await until(lambda: not (work.running or work.queue))
            assert other.feed.has_gap
            assert not one.feed.has_gap
        for shown in (one, other):
            await shown.pull()
            assert not states(shown.view.whole())["work"].keys() & {"running", "queued"}
        workflow.end.set()


@pytest.mark.anyio
async def test_of_a_flow_no_output_is_missing(page, monkeypatch):
    monkeypatch.setenv("WEB_A", "alpha")
    steps = [
        {"name": f"s{n}", "source": "e", "output": [{"name": "o"}]} for n in range(MOST_RECORDS)
    ]
    env = {"type": "env", "configuration": {"vars": ["WEB_A"]}}
    run = page.watch(plait.flows.load({"sources": {"e": env}, "flow": steps}).start())
    await run
    assert len((await ask(page, "/outputs")).json) == MOST_RECORDS
