"""The graph of a run: of the plan where there is one, else of its records; and of a part of what is large."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import suppress

import anyio
import pytest

import plait.flows
import plait.web
from plait import Context, StartEvent, StopEvent, Workflow, step
from plait._viz.drawing import Arrow, Drawing, Node
from plait._web import graph, pictures
from plait._web.graph import around
from plait._web.sketch import _arrows, sketch
from plait.durable import App, TriggerEvent
from plait.viz import read_execution
from tests.web.conftest import TOKEN, Braid, Broken, Part, Whole, ask

ENV = {"type": "env", "configuration": {"vars": ["WEB_A"]}}


async def drawn(page, run="", name=""):
    answer = await ask(page, f"/api/picture?run={run}&around={name}")
    assert answer.status == 200, answer.text
    return answer.json["picture"]


def names(picture):
    return {box["name"] for box in picture["boxes"]}


def lines(picture):
    return {(one["source"], one["target"]): one["labels"] for one in picture["cables"]}


def places(picture):
    for box in picture["boxes"]:
        assert 0 < box["x"] < picture["width"]
        assert 0 < box["y"] < picture["height"]
    return picture


async def kept(workflow, **fields):
    run = workflow.run(**fields)
    with suppress(ValueError):
        await run
    return run.run_id


@pytest.mark.anyio
async def test_a_run_of_a_journal_has_the_graph_of_its_records(tmp_path):
    run = await kept(Braid(journal=tmp_path / "runs.db"))
    page = plait.web.app(journal=tmp_path / "runs.db", token=TOKEN)
    picture = places(await drawn(page, run))
    assert picture["of"] == "records"
    assert "records of the run" in picture["about"]
    assert names(picture) == {"(outside)", "begin", "work", "end", "(end)"}
    assert lines(picture) == {
        ("(outside)", "begin"): ["StartEvent"],
        ("begin", "work"): ["Part ×3"],
        ("work", "end"): ["Whole ×3"],
        ("end", "(end)"): [],
    }


@pytest.mark.anyio
async def test_of_the_plan_where_the_page_has_it_also_for_runs_that_failed_early(tmp_path):
    class Early(Braid):
        @step
        async def begin(self, ev: StartEvent) -> list[Part]:
            raise ValueError("no parts")

    run = await kept(Early(journal=tmp_path / "runs.db"))
    page = plait.web.app(Early(journal=tmp_path / "runs.db"), token=TOKEN)
    picture = await drawn(page, run)
    assert (picture["of"], picture.get("about")) == ("plan", None)
    assert {"begin", "work", "end"} <= names(picture)
    live = await drawn(page)
    assert live == picture, "of no run, what would run"


async def test_another_version_is_drawn_as_it_was(tmp_path):
    class Old(Workflow):
        @step
        async def gone(self, ev: StartEvent) -> StopEvent:
            return StopEvent()

    class New(Workflow):
        @step
        async def here(self, ev: StartEvent) -> StopEvent:
            return StopEvent()

    path = tmp_path / "runs.db"
    run = await kept(Old(workflow_name="shop", journal=path))
    page = plait.web.app(New(workflow_name="shop", journal=path), token=TOKEN)
    picture = await drawn(page, run)
    assert (picture["of"], "gone" in names(picture)) == ("records", True)
    other = await kept(New(workflow_name="shop", journal=path))
    assert (await drawn(page, other))["of"] == "plan"


@pytest.mark.anyio
async def test_a_run_of_this_process_of_something_else_is_drawn_as_it_grows():
    class Gate(Workflow):
        gate: anyio.Event

        @step
        async def first(self, ev: StartEvent) -> Whole:
            return Whole(parts=1)

        @step
        async def second(self, ev: Whole) -> StopEvent:
            await self.gate.wait()
            return StopEvent()

    page = plait.web.app(Braid(), token=TOKEN)
    workflow = Gate()
    workflow.gate = anyio.Event()
    async with page.watch(workflow.run()) as run:
        while "second" not in run.running_steps():
            await anyio.lowlevel.checkpoint()
        picture = await drawn(page, run.run_id)
        assert names(picture) == {"(outside)", "first", "second"}
        workflow.gate.set()
        await run.result()
    assert "(end)" in names(await drawn(page, run.run_id))


@pytest.mark.anyio
async def test_a_flow_without_its_file_has_its_steps_and_what_readied_them(tmp_path):
    flow = plait.flows.load(
        {
            "sources": {"e": ENV},
            "flow": [
                {"name": "<b>a</b>", "source": "e"},
                {"name": "b", "source": "e", "depends_on": ["<b>a</b>"]},
            ],
        }
    )
    result = await flow.run(journal=tmp_path / "runs.db")
    page = plait.web.app(journal=tmp_path / "runs.db", token=TOKEN)
    picture = await drawn(page, result.run_id)
    assert {"<b>a</b>", "b"} <= names(picture)
    assert ("<b>a</b>", "b") in lines(picture)


async def test_the_run_of_a_durable_function_has_its_calls(tmp_path):
    app = App("shop", journal=tmp_path / "runs.db")

    @app.create_function(fn_id="pay", trigger=TriggerEvent("order/new"))
    async def pay(ctx) -> int:
        async def one() -> int:
            return 1

        first = await ctx.step.run("look up", one)
        return first + await ctx.step.run("charge", one)

    assert await app.invoke(pay, run_id="paid") == 2
    page = plait.web.app(journal=tmp_path / "runs.db", token=TOKEN)
    picture = places(await drawn(page, "paid"))
    assert names(picture) == {"(outside)", "shop-pay", "look up", "charge", "(end)"}
    assert {("shop-pay", "look up"), ("look up", "charge")} <= {*lines(picture)}
    shapes = {box["name"]: box["shape"] for box in picture["boxes"]}
    assert (shapes["shop-pay"], shapes["charge"]) == ("function", "step")


async def test_calls_of_a_delivery_hang_on_its_step(tmp_path):
    class Calling(Workflow):
        @step
        async def work(self, ctx: Context, ev: StartEvent) -> StopEvent:
            async def one() -> int:
                return 1

            return StopEvent(result=await ctx.step.run("call it", one))

    run = await kept(Calling(journal=tmp_path / "runs.db"))
    execution = await read_execution(tmp_path / "runs.db", run)
    drawing = await sketch(execution)
    assert Arrow("work", "call it") in drawing.arrows
    page = plait.web.app(Calling(journal=tmp_path / "runs.db"), token=TOKEN)
    assert (await drawn(page, run))["of"] == "plan", "calls are in no plan"


def test_of_one_line_the_commonest_labels_are_shown_and_the_rest_is_counted():
    counted = Counter({("a", "b", False, f"Kind{n}"): n for n in range(1, 10)})
    found = _arrows(counted)
    assert [one.label for one in found] == [
        "Kind9 ×9",
        "Kind8 ×8",
        "Kind7 ×7",
        "Kind6 ×6",
        "and 5 more",
    ]


# ---------------------------------------------------------------- what is large


def many(number=2_000):
    """A flow in rows of ten: each step waits for the one ten before it."""
    steps = [
        {"name": f"s{n}", "source": "e", **({"depends_on": [f"s{n - 10}"]} if n >= 10 else {})}
        for n in range(number)
    ]
    return plait.flows.load({"sources": {"e": ENV}, "flow": steps})


async def test_of_a_large_plan_a_part_is_drawn_around_a_step():
    page = plait.web.app(many(), token=TOKEN)
    whole = await drawn(page)
    assert (whole["large"], "boxes" in whole) == (True, False)
    assert "2000 steps are too many for a picture. Choose one in the table" in whole["about"]
    part = places(await drawn(page, name="s1000"))
    assert names(part) == {"s980", "s990", "s1000", "s1010", "s1020"}
    assert part["large"]
    assert part["around"] == "s1000"
    assert part["about"] == "s1000 and what is around it: 5 of 2000 boxes"


async def test_a_large_run_of_a_journal_is_drawn_in_parts_too(tmp_path, monkeypatch):
    monkeypatch.setattr(graph, "MOST_NODES", 4)
    monkeypatch.setattr(pictures, "MOST_NODES", 4)
    run = await kept(Braid(journal=tmp_path / "runs.db"))
    page = plait.web.app(journal=tmp_path / "runs.db", token=TOKEN)
    assert "boxes" not in await drawn(page, run)
    part = await drawn(page, run, "begin")
    assert names(part) == {"(outside)", "begin", "work", "end"}
    assert "records of the run" in part["about"]


def hub(number):
    nodes = [Node("hub", "hub"), *(Node(f"n{n}", f"n{n}") for n in range(number))]
    return Drawing("d", tuple(nodes), tuple(Arrow("hub", f"n{n}") for n in range(number)))


def test_around_a_hub_there_are_sixty_boxes_and_the_rest_is_counted():
    part = around(hub(2_000), "hub")
    assert len(part.nodes) == 60
    assert len(part.arrows) == 59
    assert part.about == (
        "hub and what is around it: 60 of 2001 boxes; 1941 more are as near, and are not drawn",
    )
    assert len(around(hub(2_000), "n1999").nodes) == 60
    assert "n1999" in {node.name for node in around(hub(2_000), "n1999").nodes}


def test_two_arrows_are_far_enough_and_a_loop_does_no_harm():
    chain = [Node(name, name) for name in "abcdef"]
    arrows = [Arrow(one, other) for one, other in zip("abcde", "bcdef", strict=True)]
    arrows += [Arrow("a", "a"), Arrow("c", "b")]
    part = around(Drawing("d", tuple(chain), tuple(arrows)), "a")
    assert [node.name for node in part.nodes] == ["a", "b", "c"]
    assert {(one.source, one.target) for one in part.arrows} == {
        ("a", "b"),
        ("b", "c"),
        ("a", "a"),
        ("c", "b"),
    }


async def test_what_a_window_is_told_of_two_thousand_steps_is_bounded():
    flow = many()
    page = plait.web.app(flow, token=TOKEN)
    await page.watch(flow.start())
    told = (await ask(page, "/api/changes")).text
    assert len(told) < 2_000_000
    assert len(json.loads(told)["messages"][0]["data"]["steps"]) == 2_000
    assert len((await ask(page, "/api/board")).text) < 3_000
    assert len((await ask(page, "/api/picture?around=s1000")).text) < 20_000


async def test_a_picture_is_made_once_for_all_windows(monkeypatch):
    made = []
    place = graph.place
    monkeypatch.setattr(
        graph, "place", lambda drawing: made.append(drawing.title) or place(drawing)
    )
    page = plait.web.app(many(500), token=TOKEN)
    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(drawn, page, "", "s100")
    assert len(made) == 1
    for number in range(pictures.MOST_KEPT + 1):
        await drawn(page, name=f"s{number}")
    assert len(page._pictures._kept) == pictures.MOST_KEPT
    made.clear()
    await drawn(page, name="s100")
    assert len(made) == 1, "the oldest was let go"


@pytest.mark.parametrize("name", ["nobody", "../../etc/passwd", "%00", "x" * 5_000, "s1%20", "<b>"])
async def test_a_step_that_is_not_there_is_not_drawn(name):
    page = plait.web.app(Braid(), token=TOKEN)
    answer = await ask(page, f"/api/picture?around={name}")
    assert (answer.status, "no such step" in answer.json["error"]) == (404, True)


async def test_a_run_that_is_not_there_has_no_picture(page):
    assert (await ask(page, "/api/picture?run=nobody")).status == 404
    assert (await ask(page, "/api/picture")).json == {"picture": None}
    assert (await ask(page, "/api/picture", "POST", body={})).status == 405
    assert (await ask(page, "/api/picture", token="wrong")).status == 401


async def test_labels_of_a_picture_hold_no_values(tmp_path):
    run = await kept(Broken(journal=tmp_path / "runs.db"), api_token="hush-hush")
    page = plait.web.app(journal=tmp_path / "runs.db", token=TOKEN)
    told = (await ask(page, f"/api/picture?run={run}")).text
    assert "hush" not in told
    assert "alert" not in told
