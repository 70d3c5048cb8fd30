"""What is told of runs of every strand: live and from a journal, the same."""

from __future__ import annotations

import json
from itertools import pairwise

import anyio
import attrs
import pytest
import trio
import trio.testing

import plait.testing
import plait.viz
from plait import Context, Event, HumanResponseEvent, StartEvent, StopEvent, Workflow, step
from plait._abc import StreamInfo
from plait._cli.journals import opened
from plait._viz.executions.execution import Execution
from plait._viz.executions.kept import execution_of
from plait._viz.timelines.timeline import timeline
from plait.durable import App, MemoryJournal, SqliteJournal, TriggerEvent
from plait.durable import Context as FunctionContext
from plait.durable import Event as FunctionEvent
from plait.errors import NonRetriableError, UnknownRunError, WorkflowRuntimeError
from plait.flows import load
from plait.retry import ConstantDelayRetryPolicy


class Part(Event):
    number: int


class Done(Event):
    number: int


class Left(Event):
    pass


class Right(Event):
    pass


class Flow(Workflow):
    """Three parts, two workers: one fails once, one waits for a person."""

    @step
    async def start(self, ctx: Context, ev: StartEvent) -> Part | None:
        for number in range(3):
            ctx.send_event(Part(number=number))

    @step(num_workers=2, retry_policy=ConstantDelayRetryPolicy(maximum_attempts=2, delay=2))
    async def work(self, ctx: Context, ev: Part) -> Done:
        await trio.sleep(1)
        if ev.number == 1 and not ctx.retry_info().retry_number:
            raise ValueError("<b>no</b>")
        if ev.number == 2:
            await ctx.wait_for_event(HumanResponseEvent)
        return Done(number=ev.number)

    @step
    async def gather(self, ctx: Context, ev: Done) -> StopEvent | None:
        done = ctx.collect_events(ev, [Done] * 3)
        return None if done is None else StopEvent(result=len(done))


async def watched(journal=None):
    """Run it, and give the run and the execution that watched it."""
    run = Flow(journal=journal).run()
    execution = Execution(name="Flow")
    run.observe(execution.feed)
    async with run:
        await trio.sleep(4)
        run.send_event(HumanResponseEvent(response="yes"))
        assert await run == 3
    return run, execution


def test_attempts_waits_and_causes_of_an_event_workflow():
    _, execution = plait.testing.run(watched)
    work = [one for one in execution.activities.values() if one.name == "work"]
    assert [one.state for one in work] == ["succeeded"] * 3
    retried = next(one for one in work if len(one.attempts) == 2)
    assert [(one.began, one.ended, one.how, one.error) for one in retried.attempts] == [
        (0, 1, "failed", "ValueError: <b>no</b>"),
        (3, 4, "succeeded", None),
    ]
    assert [(one.kind, one.began, one.due) for one in retried.pauses if one.kind == "retry"] == [
        ("retry", 1, 3)
    ]
    [waited] = [one for one in work if any(pause.kind == "event" for pause in one.pauses)]
    assert [(one.worker, one.began, one.ended) for one in waited.attempts[0].stretches] == [
        (waited.attempts[0].stretches[0].worker, 1, 2),
        (waited.attempts[0].stretches[1].worker, 4, 4),
    ]
    assert ("(outside)", "answer", "HumanResponseEvent") in [
        (cause.source, cause.how, cause.event) for cause in waited.causes
    ]
    last = execution.activities["gather#7"]
    assert {cause.source for cause in last.causes if cause.how == "collected"} == {
        "gather#5",
        "gather#6",
    }
    assert execution.ends[0].source == last.id
    assert (execution.status, execution.outcome) == ("completed", "stopped by StopEvent")


def test_a_buffer_says_what_it_has_and_what_it_needs():
    async def main():
        run = Flow().run()
        execution = Execution()
        run.observe(execution.feed)
        async with run:
            await trio.sleep(5)
            [buffer] = execution.buffers.values()
            assert str(buffer) == "2 of 3"
            assert (buffer.have, buffer.need) == ({"Done": 2}, {"Done": 3})
            assert execution.status == "idle"
            run.send_event(HumanResponseEvent(response="yes"))
        assert not execution.buffers

    plait.testing.run(main)


@pytest.mark.parametrize("kept", [MemoryJournal, "file"])
def test_live_and_from_the_journal_it_is_the_same(kept, tmp_path):
    async def main():
        journal = kept() if kept is MemoryJournal else tmp_path / "runs.db"
        run, live = await watched(journal)
        read = await plait.viz.read_execution(journal, run.run_id)
        assert {**read.to_dict(), "name": "Flow"} == live.to_dict()
        assert not read.unreadable

    plait.testing.run(main)


def test_a_journal_is_read_on_asyncio_too(tmp_path):
    file = tmp_path / "runs.db"

    async def main():
        await watched(file)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0.05))
    [run_id] = anyio.run(names, file, backend="asyncio")
    execution = anyio.run(plait.viz.read_execution, file, run_id, backend="asyncio")
    assert execution.status == "completed"
    assert len(execution.activities) == 7


async def names(file):
    async with opened(SqliteJournal(file)) as journal:
        return [info.stream for info in await journal.streams()]


def test_a_run_that_is_taken_up_goes_on_in_one_picture():
    async def main():
        journal = MemoryJournal()
        with trio.move_on_after(2.5):
            await Flow(journal=journal).run(run_id="r")
        left = await plait.viz.read_execution(journal, "r")
        assert left.activities["work#4"].state == "waiting"
        run = Flow(journal=journal).resume("r")
        seen = []
        run.observe(seen.append)
        async with run:
            await trio.sleep(3)
            run.send_event(HumanResponseEvent(response="yes"))
        both = await plait.viz.read_execution(journal, "r")
        assert both.status == "completed"
        first, second = both.activities["work#4"].attempts
        assert (first.how, first.number) == ("interrupted", 1)
        assert (second.how, second.number) == ("succeeded", 1)
        assert first.ended <= second.began
        assert second.ended - second.began == pytest.approx(3, abs=0.5), "its clock began anew"
        # Those who observe see what is new: together with what was read it is the whole.
        for record in seen:
            left.feed(record)
        assert {**left.to_dict(), "status": both.status} == both.to_dict()

    plait.testing.run(main)


def test_a_join_has_all_that_it_was_given():
    class Join(Workflow):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> Left | Right | None:
            ctx.send_event(Left())
            ctx.send_event(Left())
            ctx.send_event(Right())

        @step
        async def join(self, one: Left, other: Right) -> StopEvent:
            return StopEvent()

    async def main():
        run = Join().run()
        trace = run.trace()
        await run
        execution = Execution().feed_all(trace.records)
        joined = execution.activities["join#4"]
        assert joined.given == "Left + Right"
        assert [(cause.source, cause.how) for cause in joined.causes] == [("start#1", "part")] * 2
        assert execution.activities["join#2"].into == "join#4"
        assert execution.activities["join#3"].state == "dropped"

    plait.testing.run(main)


# ---------------------------------------------------------------- functions and flows


def test_calls_of_a_function(tmp_path):
    app = App("shop", journal=MemoryJournal())
    tries = []

    async def charge():
        await trio.sleep(1)
        tries.append(1)
        if len(tries) == 1:
            raise ValueError("later")
        return 3

    async def pack():
        await trio.sleep(3)

    @app.create_function(fn_id="pay", trigger=TriggerEvent("order"))
    async def pay(ctx: FunctionContext) -> str:
        await ctx.step.run("charge", charge)
        await ctx.group.parallel(
            (lambda: ctx.step.run("pack", pack), lambda: ctx.step.sleep("rest", 2))
        )
        await ctx.step.wait_for_event("paid", event="paid", timeout=4)
        return "done"

    async def main():
        async with app.serve() as worker:
            await app.send(FunctionEvent(name="order"))
            await worker.drain()
        [info] = await app.runs()
        return await plait.viz.read_execution(app._journal, info.run_id)

    execution = plait.testing.run(main)
    assert not execution.unreadable
    by_name = {one.name: one for one in execution.activities.values()}
    assert [one.how for one in by_name["charge"].attempts] == ["failed", "succeeded"]
    assert by_name["charge"].attempts[0].error == "ValueError: later"
    assert {by_name["pack"].causes[0].source, by_name["rest"].causes[0].source} == {
        by_name["charge"].id
    }
    assert by_name["paid"].causes[0].source == by_name["pack"].id, "the last that was handed out"
    assert by_name["paid"].pauses[0].of == "paid"
    assert by_name["paid"].pauses[0].ended - by_name["paid"].pauses[0].began == 4
    body = execution.activities["(body)"]
    assert (body.given, body.state) == ("order", "succeeded")
    assert body.ended == execution.ended
    text = plait.viz.timeline_text(execution)
    assert "task g0.0" in text


def test_a_rollback_is_told():
    app = App("shop", journal=MemoryJournal())

    async def charge():
        return 3

    async def refund(amount):
        await trio.sleep(1)

    async def pack():
        raise NonRetriableError("no box")

    @app.create_function(fn_id="pay", trigger=TriggerEvent("order"), retries=0)
    async def pay(ctx: FunctionContext) -> None:
        await ctx.step.run("charge", charge, rollback=refund)
        await ctx.step.run("pack", pack)

    async def main():
        async with app.serve() as worker:
            await app.send(FunctionEvent(name="order"))
            await worker.drain()
        [info] = await app.runs()
        entries = app._journal._streams[info.run_id].entries
        return await plait.viz.read_execution(app._journal, info.run_id), entries

    execution, entries = plait.testing.run(main)
    assert execution.status == "failed"
    assert "no box" in execution.outcome
    assert {one.name: one.state for one in execution.activities.values()} == {
        "shop-pay": "failed",
        "charge": "succeeded",
        "pack": "failed",
        "charge (rollback)": "succeeded",
    }
    # A process may end after any record: what is drawn then is what was known.
    for length in range(len(entries) + 1):
        info = StreamInfo("r", "", "pay", None, "running", None, 0.0, 0.0, length)
        part = execution_of(info, entries[:length])
        assert not part.unreadable
        assert plait.viz.draw(part, "html")
        for row in timeline(part).rows:
            for one, other in pairwise(row.bars):
                assert one.ended <= other.began


FLOW = """\
secrets:
  token: {env: PLAIT_TEST_TOKEN}
sources:
  sh: {type: process}
flow:
  - name: first
    source: sh
    input: {command: [sh, -c, "echo $T >&2; echo 1"], env: {T: "{{ secrets.token }}"}}
    output: [{name: out, type: jmespath, value: stdout}]
  - name: each
    source: sh
    depends_on: [first]
    foreach: [a, b]
    input: {command: [echo, "{{ item }}"]}
    output: [{name: out, type: jmespath, value: stdout}]
  - name: bad
    source: sh
    depends_on: [each]
    input: {command: [sh, -c, "echo $T >&2; exit 3"], env: {T: "{{ secrets.token }}"}}
    output: [{name: out, type: jmespath, value: stdout}]
  - name: after
    source: sh
    depends_on: [bad]
    input: {command: [echo, x]}
    output: [{name: out, type: jmespath, value: stdout}]
"""


def test_a_flow_live_and_from_its_journal(tmp_path, monkeypatch):
    monkeypatch.setenv("PLAIT_TEST_TOKEN", "canary-9f")
    (tmp_path / "flow.yaml").write_text(FLOW)

    async def main():
        journal = MemoryJournal()
        run = load([str(tmp_path / "flow.yaml")]).start(journal=journal)
        live = Execution(name="flow")
        run.observe(live.feed)
        async with run:
            pass
        return live, await plait.viz.read_execution(journal, run.run_id)

    live, read = trio.run(main)
    assert {**read.to_dict(), "name": "flow"} == live.to_dict()
    states = {name: one.state for name, one in read.activities.items()}
    assert states == {
        "first": "succeeded",
        "each[0]": "succeeded",
        "each[1]": "succeeded",
        "bad": "failed",
        "after": "skipped",
    }
    assert read.status == "failed"
    causes = {name: [one.source for one in it.causes] for name, it in read.activities.items()}
    assert causes == {
        "first": ["(outside)"],
        "each[0]": ["first"],
        "each[1]": ["first"],
        "bad": ["each[0]", "each[1]"],
        "after": ["bad"],
    }
    page = plait.viz.draw(read, "html")
    assert "bad" in page
    for form in (page, plait.viz.timeline_text(read), json.dumps(read.to_dict())):
        assert "canary" not in form


# ---------------------------------------------------------------- what is refused


def test_a_run_that_kept_nothing_says_what_to_do(tmp_path):
    async def main():
        run = Flow().run()
        with trio.move_on_after(1):
            await run
        with pytest.raises(WorkflowRuntimeError, match=r"(?s)has kept no records.*run\.trace\(\)"):
            plait.viz.draw_most_recent_execution(run, tmp_path / "x.html")
        journaled = Flow(journal=MemoryJournal()).run()
        with trio.move_on_after(1):
            await journaled
        with pytest.raises(WorkflowRuntimeError, match=r"read_execution\(journal, '"):
            plait.viz.timeline_text(journaled)

    plait.testing.run(main)
    assert not (tmp_path / "x.html").exists()


@pytest.mark.parametrize("thing", ["run", None, Flow])
def test_what_is_no_run_is_refused(thing):
    with pytest.raises(TypeError, match="This is no run"):
        plait.viz.timeline_text(thing)


def test_a_run_that_no_journal_has_is_refused():
    async def main():
        with pytest.raises(UnknownRunError, match="no run 'x'"):
            await plait.viz.read_execution(MemoryJournal(), "x")

    plait.testing.run(main)


def test_what_cannot_be_read_is_counted_and_the_rest_is_told():
    async def main():
        journal = MemoryJournal()
        run, live = await watched(journal)
        return run.run_id, journal._streams[run.run_id].entries, live

    run_id, entries, live = plait.testing.run(main)
    info = StreamInfo(run_id, "", "Flow", None, "completed", None, 0.0, 0.0, len(entries))
    broken = [
        attrs.evolve(one, body=b"{") if one.kind == "event.collected" else one for one in entries
    ]
    execution = execution_of(info, broken)
    assert len(execution.unreadable) == 3
    assert execution.activities.keys() == live.activities.keys()


def test_what_it_writes_is_json_without_what_says_nothing():
    _, execution = plait.testing.run(watched)
    found = json.loads(json.dumps(execution.to_dict()))
    assert found["format"] == 1
    assert "error" not in found["activities"]["start#1"]
    assert found["activities"]["start#1"]["label"] == "start#1"
