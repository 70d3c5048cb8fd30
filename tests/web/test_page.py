"""What a page says of runs: live ones, ended ones, those of a journal; and what its buttons do."""

from __future__ import annotations

import json
import math

import anyio
import pytest

import plait.flows
import plait.web
from plait import HumanResponseEvent, StartEvent, StopEvent, Workflow, step
from plait.durable import MemoryJournal
from plait.errors import ConfigError, WorkflowRuntimeError
from tests.web.conftest import TOKEN, Braid, Broken, ask

ENV = {"type": "env", "configuration": {"vars": ["WEB_A"]}}
FAILING = {
    "sources": {"e": ENV, "bad": {"type": "process", "configuration": {"command": ["false"]}}},
    "flow": [
        {"name": "a", "source": "e", "output": [{"name": "o"}]},
        {"name": "b", "source": "bad", "depends_on": ["a"]},
        {"name": "c", "source": "e", "depends_on": ["b"], "on_error": "skip"},
    ],
}


class Asking(Workflow):
    """Waits for an answer, so that it can be looked at while it runs."""

    @step
    async def ask(self, ctx: plait.Context, ev: StartEvent) -> StopEvent:
        answer = await ctx.wait_for_event(HumanResponseEvent)
        return StopEvent(result=answer.response)


class Gate(Workflow):
    gate: anyio.Event

    @step
    async def pass_through(self, ev: StartEvent) -> StopEvent:
        await self.gate.wait()
        return StopEvent(result=math.nan)


def gated():
    workflow = Gate()
    workflow.gate = anyio.Event()
    return workflow


async def whole(page, run=""):
    found = (await ask(page, f"/api/changes?run={run}")).json["messages"]
    assert [one["event"] for one in found] == ["whole"]
    return found[0]["data"]


@pytest.mark.anyio
async def test_status_while_a_run_goes_on_and_after(page):
    workflow = gated()
    run = page.watch(workflow.run())
    async with run:
        await anyio.lowlevel.checkpoint()
        while not run.running_steps():
            await anyio.lowlevel.checkpoint()
        status = (await ask(page, "/status")).json
        assert status["run_id"] == run.run_id
        assert status["running_steps"] == ["pass_through"]
        assert (status["running_count"], status["current_step"]) == (1, "pass_through")
        assert (status["total_steps"], status["completed_steps"]) == (1, 0)
        assert status["ended_at"] is None
        told = status["steps"]["pass_through"]
        assert (told["state"], told["ended_at"], told["notes"]) == ("running", None, [])
        assert told["started_at"] >= status["started_at"] > 1e9
        workflow.gate.set()
        await run.result()
    status = (await ask(page, "/status")).json
    assert (status["state"], status["completed_steps"], status["running_steps"]) == (
        "completed",
        1,
        [],
    )
    assert status["ended_at"] >= status["started_at"]
    assert (await ask(page, "/outputs")).json["pass_through"]["StopEvent"]["result"] == "nan"


@pytest.mark.anyio
async def test_a_flow_tells_its_steps_and_outputs(page, monkeypatch):
    monkeypatch.setenv("WEB_A", "<b>alpha</b>")
    result = await page.watch(plait.flows.load(FAILING).start())
    assert result.state == "failed"
    status = (await ask(page, "/status")).json
    assert {name: one["state"] for name, one in status["steps"].items()} == {
        "a": "succeeded",
        "b": "failed",
        "c": "skipped",
    }
    assert (status["total_steps"], status["completed_steps"]) == (3, 3)
    assert status["steps"]["a"]["outputs"] == ["o"]
    assert status["steps"]["b"]["notes"] == ["process exited with code 1"]
    answer = await ask(page, "/outputs")
    assert answer.json == {"a": {"o": {"WEB_A": "<b>alpha</b>"}}}
    assert answer.headers["content-type"] == "application/json"
    shown = await whole(page)
    assert shown["steps"]["c"]["reason"] == "on_error"
    assert shown["failures"][0]["step"] == "b"
    assert "returncode" in shown["failures"][0]["story"]


async def test_secrets_of_a_flow_are_nowhere(page, monkeypatch):
    monkeypatch.setenv("MY_PASSWORD", "hunter2-hunter2")
    flow = {
        "sources": {"e": {"type": "env", "configuration": {"vars": ["MY_PASSWORD"]}}},
        "flow": [{"name": "a", "source": "e", "output": [{"name": "o"}]}],
    }
    for journal in (None, MemoryJournal()):
        page = plait.web.app(plait.flows.load(flow), token=TOKEN, journal=journal)
        await page.watch(plait.flows.load(flow).start(journal=journal))
        for path in ("/status", "/outputs", "/api/changes", "/api/board"):
            assert "hunter2" not in (await ask(page, path)).text
        assert (await ask(page, "/outputs")).json == {"a": {"o": {"MY_PASSWORD": "***"}}}


@pytest.mark.anyio
async def test_a_window_sees_steps_activities_events_and_the_result(page):
    await page.watch(Braid().run())
    shown = await whole(page)
    assert shown["run"]["status"] == "completed"
    assert shown["run"]["limits"]["work"] == 3
    assert shown["steps"]["work"]["states"] == {"succeeded": 3}
    assert [one["state"] for one in shown["activities"].values() if one["name"] == "work"] == [
        "succeeded"
    ] * 3
    assert json.loads(shown["run"]["result"]) == {"result": "<b>done</b>"}
    assert "hush-hush" not in json.dumps(shown), "a field that sounds secret"
    sent = [line for line in shown["log"] if line.get("event") == "Part"]
    assert json.loads(sent[0]["payload"]) == {"number": 0, "api_token": "***"}
    assert [line["n"] for line in shown["log"]] == [*range(1, shown["count"] + 1)]


@pytest.mark.anyio
async def test_markup_is_text_in_json_and_in_nothing_else(page):
    with pytest.raises(ValueError):
        await page.watch(Broken().run())
    answer = await ask(page, "/api/changes")
    assert answer.headers["content-type"] == "application/json"
    [failure] = answer.json["messages"][0]["data"]["failures"]
    assert failure["said"] == "ValueError: <script>alert(1)</script>"
    assert "test" not in (await ask(page, "/")).text, "the page itself has nothing of the run in it"


async def test_partial_buffers_say_how_far_they_are(page):
    class Half(Workflow):
        @step
        async def begin(self, ev: StartEvent) -> HumanResponseEvent | None:
            return None

        @step
        async def collect(self, ctx: plait.Context, ev: HumanResponseEvent) -> StopEvent | None:
            found = ctx.collect_events(ev, [HumanResponseEvent] * 3)
            return None if found is None else StopEvent(result=len(found))

    run = page.watch(Half().run())
    async with run:
        for number in range(2):
            await run.wait_idle()
            run.send_event(HumanResponseEvent(response=number))
        await run.wait_idle()
        [buffer] = (await whole(page))["buffers"]
        assert (buffer["step"], buffer["text"]) == ("collect", "2 of 3")
        run.send_event(HumanResponseEvent(response=2))
        assert await run.result() == 3
    assert (await whole(page))["buffers"] == []


async def test_changes_follow_the_whole(page):
    workflow = gated()
    run = page.watch(workflow.run())
    first = (await ask(page, "/api/changes")).json["messages"][-1]
    async with run:
        workflow.gate.set()
        await run.result()
    changes = (await ask(page, f"/api/changes?run={run.run_id}&after={first['id']}")).json[
        "messages"
    ]
    assert changes
    assert {one["event"] for one in changes} == {"change"}
    again = await ask(page, f"/api/changes?run={run.run_id}&after={changes[-1]['id']}")
    assert again.json["messages"] == []


# ---------------------------------------------------------------- runs of a journal


@pytest.mark.anyio
async def test_runs_of_a_journal_are_listed_and_shown(tmp_path):
    path = tmp_path / "runs.db"
    run_id = (await _ended(Braid(journal=path).run())).run_id
    page = plait.web.app(journal=path, token=TOKEN)
    board = (await ask(page, "/api/board")).json
    assert [one["id"] for one in board["runs"]] == [run_id]
    unseen = (await ask(page, "/api/board?picture=no")).json
    assert unseen == {name: value for name, value in board.items() if name != "picture"}
    assert board["runs"][0]["state"] == "completed"
    assert not board["can_run"]
    shown = await whole(page, run_id)
    assert shown["run"]["status"] == "completed"
    assert shown["steps"]["work"]["states"] == {"succeeded": 3}
    parts = [json.loads(one["payload"]) for one in shown["log"] if one.get("event") == "Part"]
    assert {"number": 0, "api_token": "***"} in parts
    assert (await ask(page, f"/status?run={run_id}")).json["steps"]["work"]["state"] == "succeeded"


async def test_a_workflow_that_goes_on_shows_what_it_did_before(tmp_path):
    path = tmp_path / "runs.db"
    async with Asking(journal=path).run(run_id="kept") as run:
        await run.wait_idle()
        run._shell.abandon()
    page = plait.web.app(journal=path, token=TOKEN)
    again = page.watch(Asking(journal=path).resume("kept"))
    async with again:
        await again.wait_idle()
        again.send_event(HumanResponseEvent(response="yes"))
        assert await again.result() == "yes"
    words = [line["what"] for line in (await whole(page))["log"]]
    assert words[0] == "run started"
    assert words.count("taken up again") == 1


async def test_windows_that_read_a_journal_at_once_read_each_record_once(tmp_path):
    run_id = (await _ended(Braid(journal=tmp_path / "runs.db").run())).run_id
    page = plait.web.app(journal=tmp_path / "runs.db", token=TOKEN)
    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(ask, page, f"/api/changes?run={run_id}")
    shown = await whole(page, run_id)
    assert [line["n"] for line in shown["log"]] == [*range(1, shown["count"] + 1)]


async def _ended(run):
    await run
    return run


async def test_a_flow_of_a_journal_ends_as_it_was_tolerated(tmp_path):
    tolerated = {
        **FAILING,
        "flow": [*FAILING["flow"][:1], {**FAILING["flow"][1], "on_error": "continue"}],
    }
    result = await plait.flows.load(tolerated).run(journal=tmp_path / "runs.db")
    assert result.state == "completed"
    page = plait.web.app(journal=tmp_path / "runs.db", token=TOKEN)
    shown = await whole(page, result.run_id)
    assert shown["run"]["status"] == "completed"
    assert shown["steps"]["b"]["state"] == "failed"
    assert (await ask(page, f"/outputs?run={result.run_id}")).json == {"a": {"o": {"WEB_A": None}}}


async def test_a_broken_journal_is_said_and_the_page_goes_on(tmp_path):
    (tmp_path / "runs.db").write_text("this is no journal, and never was one" * 100)
    page = plait.web.app(Braid(), journal=tmp_path / "runs.db", token=TOKEN)
    board = (await ask(page, "/api/board")).json
    assert board["journal"]
    assert (await ask(page, "/status?run=x")).status == 503


async def test_unknown_runs_are_unknown(page):
    for path in ("/status", "/outputs", "/api/changes", "/api/events"):
        assert (await ask(page, f"{path}?run=nobody")).status == 404
    assert (await ask(page, "/status")).json == {"status": "no-runner"}
    assert (await ask(page, "/outputs")).json == {}


# ---------------------------------------------------------------- buttons


@pytest.mark.anyio
async def test_run_and_cancel_from_the_page():
    workflow = gated()
    page = plait.web.app(workflow, token=TOKEN)
    async with anyio.create_task_group() as group:
        page.open_doors(group)
        begun = (await ask(page, "/api/run", "POST", body={})).json["run"]
        while (await ask(page, "/status")).json["running_count"] == 0:
            await anyio.lowlevel.checkpoint()
        assert (await ask(page, "/api/cancel", "POST", body={"run": begun})).status == 202
        assert (await ended(page))["state"] == "cancelled"
        again = await ask(page, "/api/cancel", "POST", body={"run": begun})
        assert (again.status, "has ended" in again.json["error"]) == (409, True)
        board = (await ask(page, "/api/board")).json
        assert [(one["id"], one["state"], one["error"]) for one in board["runs"]] == [
            (begun, "cancelled", None)
        ]


@pytest.mark.anyio
async def test_a_run_that_fails_leaves_the_nursery_alone():
    page = plait.web.app(Broken(), token=TOKEN)
    async with anyio.create_task_group() as group:
        page.open_doors(group)
        for _ in range(2):
            await ask(page, "/api/run", "POST", body={})
        while any(one["state"] != "failed" for one in (await ask(page, "/api/board")).json["runs"]):
            await anyio.lowlevel.checkpoint()
    runs = (await ask(page, "/api/board")).json["runs"]
    assert [one["error"] for one in runs] == ["ValueError: <script>alert(1)</script>"] * 2


async def ended(page):
    """Wait until the newest run is over: its decision, which /status tells of, comes before that."""
    while True:
        newest = (await ask(page, "/api/board")).json["runs"][0]
        if newest["state"] in {"completed", "failed", "cancelled"}:
            return newest
        await anyio.lowlevel.checkpoint()


async def test_resume_a_flow_from_the_page(tmp_path, monkeypatch):
    echo = {"type": "process", "configuration": {"command": ["echo", "x"]}}
    flow = plait.flows.load({**FAILING, "sources": {**FAILING["sources"], "e": echo}})
    page = plait.web.app(flow, journal=tmp_path / "runs.db", token=TOKEN)
    async with anyio.create_task_group() as group:
        page.open_doors(group)
        page._begin()
        failed = await ended(page)
        assert failed["state"] == "failed"
        assert failed["resumable"]
        again = (await ask(page, "/api/resume", "POST", body={"run": failed["id"]})).json["run"]
        assert again != failed["id"]
        while (await ask(page, f"/status?run={again}")).json.get("state") != "failed":
            await anyio.lowlevel.checkpoint()
        shown = await whole(page, again)
    assert shown["activities"][next(iter(shown["activities"]))]["state"] == "reused"


async def test_without_doors_nothing_begins(page):
    for deed in ("run", "resume"):
        answer = await ask(page, f"/api/{deed}", "POST", body={"run": "x"})
        assert answer.status == 409
    async with anyio.create_task_group() as group:
        with pytest.raises(ConfigError, match="nothing to run"):
            page.open_doors(group)


async def test_a_started_run_cannot_be_watched_any_more(page):
    run = Braid().run()
    await run
    with pytest.raises(WorkflowRuntimeError, match="Watch it before"):
        page.watch(run)


async def test_the_picture_has_a_place_for_every_step():
    page = plait.web.app(Braid(), token=TOKEN)
    picture = (await ask(page, "/api/board")).json["picture"]
    assert {"begin", "work", "end"} <= {box["name"] for box in picture["boxes"]}
    assert all(0 < box["x"] < picture["width"] for box in picture["boxes"])
    assert all(len(way) > 1 for cable in picture["cables"] for way in cable["ways"])


async def test_of_very_many_steps_there_is_a_table_and_no_picture():
    many = {"sources": {"e": ENV}, "flow": [{"name": f"s{n}", "source": "e"} for n in range(2_000)]}
    flow = plait.flows.load(many)
    page = plait.web.app(flow, token=TOKEN)
    assert "too many" in (await ask(page, "/api/board")).json["picture"]["about"]
    await page.watch(flow.start())
    shown = await whole(page)
    assert len(shown["steps"]) == 2_000
    assert len(shown["activities"]) == 2_000


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"target": "flow.yaml"},
            "must be a flow or a workflow's instance, or an app of durable functions, not 'flow.yaml'",
        ),
        ({"target": Braid}, "must be a flow or a workflow's instance"),
        ({"token": ""}, "the token is empty"),
        ({"journal": 5}, "must be a journal or the path of a file, not 5"),
    ],
)
def test_what_cannot_be_meant_is_refused(given, said):
    with pytest.raises(ConfigError, match=said):
        plait.web.app(**given)
