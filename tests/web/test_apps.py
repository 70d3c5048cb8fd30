"""The page of an app of durable functions: its runs, its events, and the end of a run."""

from __future__ import annotations

import anyio
import pytest

import plait.web
from plait import Event
from plait.durable import App, Batch, MemoryJournal, RateLimit, TriggerEvent
from plait.durable import Event as DurableEvent
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
        for deed in ("run", "resume"):
            told = await press(page, deed, run["id"])
            assert told.status == 409


async def press(page, deed, run):
    return await ask(page, f"/api/{deed}", "POST", body={"run": run})


async def test_a_run_that_has_failed_is_begun_again_with_its_event(tmp_path):
    """Its function alone has the event again, and whole: with what the page does not show."""
    app, taken, others, broke = App("shop", journal=tmp_path / "runs.db"), [], [], [True]

    @app.create_function(fn_id="pay", trigger=TriggerEvent(OrderPlaced), retries=0)
    async def pay(ctx) -> str:
        taken.append(ctx.event.data)
        if broke:
            raise ValueError("no money")
        return "paid"

    @app.create_function(fn_id="note", trigger=TriggerEvent(OrderPlaced))
    async def note(ctx) -> None:
        others.append(ctx.event.data)

    page = plait.web.app(app, token=TOKEN)
    async with app.serve(), anyio.create_task_group() as group:
        await app.send(OrderPlaced(number=3, api_token="hush"))
        [failed] = [one for one in await runs(page, ended(2)) if one["state"] == "failed"]
        assert not failed["retryable"], "this page only shows"
        assert (await press(page, "retry", failed["id"])).status == 409
        page.open_doors(group)
        [failed] = [one for one in await runs(page, ended(2)) if one["state"] == "failed"]
        [done] = [one for one in await runs(page, ended(2)) if one["state"] == "completed"]
        assert (failed["retryable"], done["retryable"]) == (True, False)
        assert (await press(page, "retry", done["id"])).status == 409
        assert (await press(page, "retry", "nobody")).status == 409
        broke.clear()
        told = await press(page, "retry", failed["id"])
        assert told.status == 201
        assert (await ask(page, f"/api/changes?run={told.json['run']}")).status == 200
        found = await runs(page, ended(3))
        assert {one["state"] for one in found if one["id"] == told.json["run"]} == {"completed"}
        assert taken == [OrderPlaced(number=3, api_token="hush")] * 2
        assert len(others) == 1


def ended(number):
    return lambda states: len(states) == number and {*states} <= {"completed", "failed"}


async def test_what_cannot_be_begun_again_says_why(tmp_path):
    app = App("shop", journal=tmp_path / "runs.db")
    batch, limit = Batch(max_size=2, timeout=100), RateLimit(limit=1, period=10_000)

    @app.create_function(fn_id="two", trigger=TriggerEvent("two"), batch_events=batch, retries=0)
    async def two(ctx) -> None:
        raise ValueError("no money")

    @app.create_function(fn_id="rare", trigger=TriggerEvent("rare"), rate_limit=limit, retries=0)
    async def rare(ctx) -> None:
        raise ValueError("no money")

    page = plait.web.app(app, token=TOKEN)
    async with app.serve(), anyio.create_task_group() as group:
        page.open_doors(group)
        await app.send([DurableEvent(name="two"), DurableEvent(name="two")])
        [together] = await runs(page, ended(1))
        told = await press(page, "retry", together["id"])
        assert (told.status, "2 events together" in told.json["error"]) == (409, True)
        await app.send(DurableEvent(name="rare"))
        limited = (await runs(page, ended(2)))[0]
        told = await press(page, "retry", limited["id"])
        assert (told.status, "dropped by rate_limit" in told.json["error"]) == (409, True)
        assert len(await runs(page, ended(2))) == 2


async def test_a_run_that_is_held_is_gone_on_with(tmp_path, caplog):
    def app_with(names):
        app = App("shop", journal=tmp_path / "runs.db")

        @app.create_function(fn_id="pay", trigger=TriggerEvent("begin"))
        async def pay(ctx) -> str:
            async def charge() -> str:
                return "paid"

            async def refund() -> str:
                return "paid back"

            handlers = {"charge": charge, "refund": refund}
            found = await ctx.step.run("pay", handlers[names[0]])
            await ctx.step.wait_for_event("go", event="go", timeout=10_000.0)
            return found

        return app

    app = app_with(["charge"])
    async with app.serve():
        await app.send(DurableEvent(name="begin"))
        with anyio.fail_after(60):
            while (await app.runs())[0].waiting_for is None:
                await anyio.lowlevel.checkpoint()
    names = ["refund"]
    app = app_with(names)
    page = plait.web.app(app, token=TOKEN)
    async with app.serve() as worker, anyio.create_task_group() as group:
        page.open_doors(group)
        [held] = await runs(page, lambda states: states == ["held"])
        assert (held["resumable"], held["retryable"]) == (True, False)
        caplog.set_level("INFO", logger="plait")
        assert (await press(page, "resume", held["id"])).status == 201
        with anyio.fail_after(60):
            while "resumed on the live page" not in caplog.text:
                await anyio.lowlevel.checkpoint()
        assert "DeterminismError" in caplog.text, "it is held again"
        names[:] = ["charge"]
        assert (await press(page, "resume", held["id"])).json == {"run": held["id"]}
        await runs(page, lambda states: states == ["running"])
        assert (await press(page, "resume", held["id"])).status == 409
        await app.send(DurableEvent(name="go"))
        await runs(page, lambda states: states == ["completed"])
        await worker.drain()


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
