"""Retry: a new run with the same input as one that has ended badly, or words that say why not."""

from __future__ import annotations

import anyio
import attrs
import pytest

import plait.flows
import plait.web
from plait import Context, HumanResponseEvent, StartEvent, StopEvent, Workflow, step
from plait.durable import App, TriggerEvent
from tests.web.conftest import TOKEN, Broken, ask

ENV = {"type": "env", "configuration": {"vars": ["WEB_A"]}}
FLOW = {
    "params": {
        "region": {"type": "str", "default": "eu"},
        "sizes": {"type": "list", "default": []},
    },
    "sources": {"e": ENV, "bad": {"type": "process", "configuration": {"command": ["false"]}}},
    "flow": [{"name": "a", "source": "e"}, {"name": "b", "source": "bad", "depends_on": ["a"]}],
}


class Order(StartEvent):
    item: str
    api_token: str
    session: str = attrs.field(default="", repr=False)


class Shop(Workflow):
    """Fails, and remembers what it was asked for."""

    asked: list[Order]

    @step
    async def take(self, ev: Order) -> StopEvent:
        self.asked.append(ev)
        raise ValueError("sold out")


def shop(**options):
    found = Shop(**options)
    found.asked = []
    return found


async def listed(page):
    return (await ask(page, "/api/board")).json["runs"]


async def settled(page, run=None):
    """Wait until a run, by default the newest, is over; what the list says of it."""
    while True:
        found = next((one for one in await listed(page) if run in {None, one["id"]}), None)
        if found is not None and found["state"] in {"completed", "failed", "cancelled"}:
            return found
        await anyio.lowlevel.checkpoint()


async def retried(page, run):
    """Press the button, and wait for what comes of it: the new run."""
    answer = await ask(page, "/api/retry", "POST", body={"run": run})
    assert answer.status == 201, answer.text
    return await settled(page, answer.json["run"])


async def refused(page, run):
    answer = await ask(page, "/api/retry", "POST", body={"run": run})
    assert answer.status == 409
    return answer.json["error"]


ORDER = {"item": "tea", "api_token": "hush-hush", "session": "s3ss"}


@pytest.mark.anyio
@pytest.mark.parametrize("kept", [False, True])
async def test_a_run_of_this_process_is_begun_again_with_its_own_input(tmp_path, kept):
    workflow = shop(journal=tmp_path / "runs.db" if kept else None)
    page = plait.web.app(workflow, token=TOKEN)
    async with anyio.create_task_group() as group:
        page.open_doors(group, fields={"item": "another", "api_token": "another"})
        with pytest.raises(ValueError, match="sold out"):
            await page.watch(workflow.run(**ORDER))
        [first] = await listed(page)
        assert first["retryable"]
        assert (await retried(page, first["id"]))["id"] != first["id"]
    assert workflow.asked == [Order(**ORDER)] * 2, "secrets as they were, and not as they are shown"
    assert "hush-hush" not in (await ask(page, "/api/changes")).text


@pytest.mark.anyio
async def test_a_run_of_the_journal_is_begun_again_with_the_input_that_is_kept(tmp_path):
    with pytest.raises(ValueError):
        await shop(journal=tmp_path / "runs.db").run(**ORDER)
    workflow = shop(journal=tmp_path / "runs.db")
    page = plait.web.app(workflow, token=TOKEN)
    [first] = await listed(page)
    assert not first["retryable"], "nobody has opened the doors"
    assert "nothing can be begun" in await refused(page, first["id"])
    async with anyio.create_task_group() as group:
        page.open_doors(group)
        assert (await listed(page))[0]["retryable"]
        await retried(page, first["id"])
    assert workflow.asked == [Order(**ORDER)]


@pytest.mark.anyio
async def test_a_flow_is_begun_again_with_its_params(tmp_path):
    flow = plait.flows.load(FLOW)
    first = await flow.run(params={"region": "us", "sizes": [1, 2]}, journal=tmp_path / "runs.db")
    page = plait.web.app(flow, journal=tmp_path / "runs.db", token=TOKEN)
    async with anyio.create_task_group() as group:
        page.open_doors(group, params={"region": "asia"})
        again = await retried(page, first.run_id)
        assert again["state"] == "failed"
        third = await retried(page, again["id"])
    assert third["id"] not in {first.run_id, again["id"]}
    for run in (again, third):
        shown = (await ask(page, f"/api/changes?run={run['id']}")).json["messages"][0]["data"]
        assert '"us"' in shown["log"][1]["payload"]
        assert "reused" not in {one["state"] for one in shown["steps"].values()}, "all of it is new"


@pytest.mark.parametrize("kept", [False, True])
async def test_a_param_that_held_a_secret_is_not_begun_with_stars(tmp_path, monkeypatch, kept):
    monkeypatch.setenv("WEB_SECRET", "hunter2-hunter2")
    flow = plait.flows.load({**FLOW, "secrets": {"key": {"env": "WEB_SECRET"}}})
    journal = tmp_path / "runs.db" if kept else None
    page = plait.web.app(flow, journal=journal, token=TOKEN)
    result = await page.watch(flow.start(params={"region": "hunter2-hunter2"}, journal=journal))
    async with anyio.create_task_group() as group:
        page.open_doors(group)
        text = await refused(page, result.run_id)
    assert "'region'" in text
    assert "secret" in text
    assert "hunter2" not in text
    assert len(await listed(page)) == 1, "nothing has begun"


async def test_what_has_not_ended_badly_is_not_begun_again(tmp_path):
    class Gate(Workflow):
        gate = anyio.Event()

        @step
        async def wait(self, ev: StartEvent) -> StopEvent:
            await self.gate.wait()
            return StopEvent()

    page = plait.web.app(Gate(), token=TOKEN)
    async with anyio.create_task_group() as group:
        page.open_doors(group)
        begun = (await ask(page, "/api/run", "POST", body={})).json["run"]
        while (await ask(page, "/status")).json["running_count"] == 0:
            await anyio.lowlevel.checkpoint()
        assert "has not ended badly: it is running" in await refused(page, begun)
        Gate.gate.set()
        assert not (await settled(page)).get("retryable")
        assert "it is completed" in await refused(page, begun)
        assert "there is no run x" in await refused(page, "x")


async def test_a_cancelled_run_may_be_begun_again():
    class Endless(Workflow):
        @step
        async def wait(self, ev: StartEvent) -> StopEvent:
            await anyio.sleep_forever()
            return StopEvent()

    page = plait.web.app(Endless(), token=TOKEN)
    async with anyio.create_task_group() as group:
        page.open_doors(group)
        begun = (await ask(page, "/api/run", "POST", body={})).json["run"]
        while (await ask(page, "/status")).json["running_count"] == 0:
            await anyio.lowlevel.checkpoint()
        await ask(page, "/api/cancel", "POST", body={"run": begun})
        assert (await settled(page))["retryable"]
        again = (await ask(page, "/api/retry", "POST", body={"run": begun})).json["run"]
        assert again != begun
        group.cancel_scope.cancel()


async def test_runs_of_something_else_are_not_begun_here(tmp_path):
    path = tmp_path / "runs.db"
    with pytest.raises(ValueError):
        await Broken(journal=path).run(run_id="broken")
    app = App("shop", journal=path)

    @app.create_function(fn_id="pay", trigger=TriggerEvent("order/new"), retries=0)
    async def pay(ctx) -> None:
        raise ValueError("no money")

    with pytest.raises(ValueError):
        await app.invoke(pay, run_id="paid")
    page = plait.web.app(shop(), journal=path, token=TOKEN)
    async with anyio.create_task_group() as group:
        page.open_doors(group)
        page.watch(run := Broken().run())
        with pytest.raises(ValueError):
            await run
        assert [one.get("retryable", False) for one in await listed(page)] == [False] * 3
        for name in ("broken", "paid", run.run_id):
            assert "is not of" in await refused(page, name)


async def test_an_input_that_cannot_be_read_is_said(tmp_path):
    class First(StartEvent, name="tests.First"):
        item: str

    class Shop1(Workflow):
        @step
        async def take(self, ev: First) -> StopEvent:
            raise ValueError("sold out")

    class Second(StartEvent, name="tests.First", version=2):
        thing: str

    class Shop2(Workflow):
        @step
        async def take(self, ev: Second) -> StopEvent:
            return StopEvent()

    path = tmp_path / "runs.db"
    with pytest.raises(ValueError):
        await Shop1(workflow_name="shop", journal=path).run(run_id="old", item="tea")
    page = plait.web.app(Shop2(workflow_name="shop", journal=path), token=TOKEN)
    async with anyio.create_task_group() as group:
        page.open_doors(group)
        assert "the input of run old cannot be read" in await refused(page, "old")


async def test_a_run_that_began_from_a_snapshot_has_no_input(tmp_path):
    class Asking(Workflow):
        @step
        async def ask(self, ctx: Context, ev: StartEvent) -> StopEvent:
            answer = await ctx.wait_for_event(HumanResponseEvent)
            return StopEvent(result=answer.response)

    workflow = Asking(journal=tmp_path / "runs.db")
    async with workflow.run() as run:
        await run.wait_idle()
        snapshot = run.ctx.to_dict()
        run.cancel()
    async with workflow.run(ctx=Context.from_dict(workflow, snapshot), run_id="second") as run:
        await run.wait_idle()
        run.cancel()
    page = plait.web.app(workflow, token=TOKEN)
    async with anyio.create_task_group() as group:
        page.open_doors(group)
        assert "checkpoint or a context" in await refused(page, "second")
