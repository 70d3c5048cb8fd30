"""The page of an app of durable functions: its runs, its events, and the end of a run."""

from __future__ import annotations

import anyio
import pytest

import plait.web
from plait import Event
from plait.durable import App, MemoryJournal, TriggerEvent
from plait.errors import ConfigError
from tests.cli.conftest import command as command
from tests.cli.conftest import here as here
from tests.web.conftest import TOKEN, ask
from tests.web.served import Page
from tests.web.test_answers import RIGHT


class OrderPlaced(Event):
    number: int
    api_token: str = "hush-hush"


def shop(journal=None):
    app = App("shop", journal=journal)

    @app.create_function(
        fn_id="pay", trigger=[TriggerEvent("order/new"), TriggerEvent(OrderPlaced)]
    )
    async def pay(ctx) -> str:
        return await ctx.step.run("charge", charge)

    @app.create_function(fn_id="wait", trigger=TriggerEvent("order/wait"))
    async def wait(ctx) -> None:
        await ctx.step.wait_for_event("confirm", event="order/confirmed", timeout=10_000.0)

    async def charge() -> str:
        return "paid"

    return app


async def runs(page, wanted):
    """Wait until the runs are as wanted; the newest is first."""
    with anyio.fail_after(60):
        while True:
            found = (await ask(page, "/api/board")).json["runs"]
            if wanted([one["state"] for one in found]):
                return found
            await anyio.lowlevel.checkpoint()


async def send(page, kind, **fields):
    return await ask(page, "/api/send", "POST", body={"kind": kind, "fields": fields})


@pytest.mark.parametrize("journal", ["file", "memory"])
async def test_events_are_sent_and_their_runs_are_shown(tmp_path, journal):
    app = shop(MemoryJournal() if journal == "memory" else tmp_path / "runs.db")
    page = plait.web.app(app, token=TOKEN)
    async with app.serve(), anyio.create_task_group() as group:
        told = await send(page, "order/new")
        assert (told.status, "only shows runs" in told.json["error"]) == (409, True)
        page.open_doors(group)
        board = (await ask(page, "/api/board")).json
        assert (board["title"], board["can_run"]) == ("shop", False)
        names = {one["label"]: one for one in board["sends"]}
        assert {*names} == {"order/new", "OrderPlaced", "order/wait"}
        assert names["order/new"]["free"] == "{}"
        assert [one["name"] for one in names["OrderPlaced"]["fields"]] == ["number", "api_token"]
        assert {"pay", "wait"} <= {box["label"] for box in board["picture"]["boxes"]}
        assert (await send(page, "order/new", id=3)).status == 202
        [run] = await runs(page, lambda states: states == ["completed"])
        kind = names["OrderPlaced"]["kind"]
        told = await send(page, kind, number="x")
        assert (told.status, told.json["fields"]) == (422, {"number": "must be a whole number"})
        assert (await send(page, kind, number=1)).status == 202
        await runs(page, lambda states: states == ["completed"] * 2)
        told = await send(page, "order/none")
        assert (told.status, "begun by that event" in told.json["error"]) == (409, True)
        picture = (await ask(page, f"/api/picture?run={run['id']}")).json["picture"]
        assert (picture["of"], "charge" in {box["name"] for box in picture["boxes"]}) == (
            "records",
            True,
        )
        assert "hush-hush" not in (await ask(page, "/api/board")).text


async def test_a_run_that_waits_is_cancelled_for_good(tmp_path):
    app = shop(tmp_path / "runs.db")
    page = plait.web.app(app, token=TOKEN)
    async with app.serve(), anyio.create_task_group() as group:
        page.open_doors(group)
        await send(page, "order/wait")
        [run] = await runs(page, lambda states: states == ["running"])
        shown = (await ask(page, f"/api/changes?run={run['id']}")).json["messages"][0]["data"]
        assert shown["run"]["cancellable"]
        assert (await ask(page, "/api/cancel", "POST", body={"run": run["id"]})).status == 202
        await runs(page, lambda states: states == ["cancelled"])
        told = await ask(page, "/api/cancel", "POST", body={"run": "nobody"})
        assert (told.status, "no run 'nobody'" in told.json["error"]) == (409, True)
        for deed in ("run", "retry", "resume"):
            told = await ask(page, f"/api/{deed}", "POST", body={"run": run["id"]})
            assert told.status == 409


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"{", 400), (b"{}", 400), (b'{"kind": 1, "fields": {}}', 400), (b"[" * 70_000, 413)],
)
async def test_what_is_sent_is_checked(page, body, status):
    assert (
        await ask(page, "/api/send", "POST", body=body, content_type="application/json")
    ).status == status
    assert (await ask(page, "/api/send", "POST", token=None, body=RIGHT)).status == 401
    cookie = {"cookie": f"plait-8000={TOKEN}", "origin": "http://evil.example"}
    assert (await ask(page, "/api/send", "POST", token=None, body=RIGHT, **cookie)).status == 403
    assert (await ask(page, "/api/send", "POST", body=RIGHT)).status == 409, "there is no app"


def test_what_is_not_for_apps_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="journal of its own"):
        plait.web.app(shop(), journal=tmp_path / "runs.db")
    page = plait.web.app(shop())
    with pytest.raises(ConfigError, match="not for apps"):
        page.open_doors(None, params={})


SERVED = """
from plait.durable import App, TriggerEvent

app = App("shop", journal="app.db")

@app.create_function(fn_id="pay", trigger=TriggerEvent("order/new"))
async def pay(ctx) -> str:
    return "paid"
"""


def test_the_command_serves_an_app_with_its_page(here, command):
    (here / "served.py").write_text(SERVED)
    with command("webui", "served:app", "--journal", "other.db", "--port", "0") as running:
        done = running.wait()
        assert (done.code, "takes no --journal" in done.err) == (2, True)
    with command("webui", "served:app", "--port", "0") as running:
        page = Page(running.until("open http"))
        running.until("Ctrl-C")
        assert page.press("send", kind="order/new", fields={}) == (202, {})
        page.until(lambda one: one.get("state") == "completed")
        running.send()
        done = running.wait()
        assert (done.code, "Traceback" in done.err) == (130, False), done.err
