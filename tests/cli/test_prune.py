"""`plait prune`: what ended long ago is dropped from a journal, and nothing else."""

import json

import pytest
import trio

from plait._cli import prune
from plait.durable import App, Context, Event, SqliteJournal, TriggerEvent

DAY = 86_400.0


@pytest.fixture
def runs(plait):
    """A journal with a failed run, a completed one, and an app's that goes on, with its child."""
    plait("run", "shop:Shop", "--set", "item=a", "--set", "number=4", "--journal", "runs.db", "-q")
    plait("run", "shop:Open", "--journal", "runs.db", "-q")
    app = App("shop", journal=SqliteJournal("runs.db"))

    @app.create_function(fn_id="child", trigger=TriggerEvent("child"))
    async def child(ctx: Context) -> str:
        return "done"

    @app.create_function(fn_id="waits", trigger=TriggerEvent("waits"))
    async def waits(ctx: Context) -> None:
        await ctx.step.invoke("child", function=child)
        await ctx.step.wait_for_event("go", event="go", timeout=1e9)

    async def main():
        await app.invoke(child, run_id="alone")
        async with app.serve():
            await app.send(Event(name="waits"))
            while [run.status for run in await app.runs(fn=child)] != ["completed"] * 2:
                await trio.lowlevel.checkpoint()

    trio.run(main)
    return lambda: sorted(
        (run["target"], run["state"]) for run in json.loads(plait("runs", "--journal", "runs.db", "-j").out)
    )  # fmt: skip


#: Nobody serves the app any more: what it waits for goes on when somebody does.
ALL = [
    ("shop-child", "completed"), ("shop-child", "completed"), ("shop-waits", "interrupted"),
    ("shop.Open", "completed"), ("shop.Shop", "failed"),
]  # fmt: skip


def test_nothing_is_old_enough(plait, runs):
    done = plait("prune", "--older-than", "30d", "--journal", "runs.db")
    assert (done.code, done.out, done.err) == (0, "", "plait: 0 runs dropped\n")
    assert runs() == ALL


def test_what_goes_on_stays_with_its_child(plait, runs, monkeypatch):
    now = prune.time.time()
    monkeypatch.setattr(prune.time, "time", lambda: now + 31 * DAY)
    done = plait("prune", "--older-than", "30d", "--journal", "runs.db")
    assert (done.code, done.out, done.err) == (0, "", "plait: 3 runs dropped\n")
    assert runs() == [ALL[0], ALL[2]]


def test_a_dry_run_drops_nothing_and_lists(plait, runs):
    done = plait("prune", "--older-than", "0", "--dry-run", "--journal", "runs.db")
    assert (done.code, done.err) == (0, "plait: 3 runs would be dropped\n")
    head, *rows = done.out.splitlines()
    assert head.split() == ["id", "target", "state", "started", "ended"]
    assert sorted(row.split()[1:3] for row in rows) == [
        ["shop-child", "completed"], ["shop.Open", "completed"], ["shop.Shop", "failed"],
    ]  # fmt: skip
    assert runs() == ALL


@pytest.mark.parametrize(
    ("options", "gone"),
    [
        (["--status", "failed"], [4]),
        (["--status", "failed", "--status", "completed"], [1, 3, 4]),
        (["--status", "cancelled"], []),
        (["--app", "shop"], [1]),
        (["--app="], [3, 4]),
        (["--app", "nobody"], []),
    ],
)
def test_only_what_was_chosen_goes(plait, runs, options, gone):
    done = plait("prune", "--older-than", "0", *options, "--journal", "runs.db")
    said = "1 run" if len(gone) == 1 else f"{len(gone)} runs"
    assert (done.code, done.err) == (0, f"plait: {said} dropped\n")
    assert runs() == [one for place, one in enumerate(ALL) if place not in gone]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ["--older-than", "soon", "--journal", "runs.db"],
            "--older-than takes a number of seconds",
        ),
        (["--older-than", "-1", "--journal", "runs.db"], "--older-than takes a number of seconds"),
        (["--journal", "runs.db"], "--older-than"),
        (["--older-than", "1d"], "no journal: use --journal FILE or set PLAIT_JOURNAL"),
        (["--older-than", "1d", "--status", "running", "--journal", "runs.db"], "running"),
    ],
)
def test_what_is_wrong_is_said(plait, runs, options, said):
    done = plait("prune", *options)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert done.err.startswith("plait: ")


@pytest.mark.parametrize("options", [[], ["--dry-run"]])
def test_a_journal_that_is_not_there_is_not_made(plait, here, options):
    done = plait("prune", "--older-than", "1d", "--journal", "none.db", *options)
    assert (done.code, done.out) == (2, "")
    assert "none.db" in done.err
    assert not (here / "none.db").exists()


def test_a_journal_that_is_written_to_is_refused(plait, runs):
    app = App("other", journal=SqliteJournal("runs.db"))

    async def main():
        async with app.serve():
            return await trio.to_thread.run_sync(
                lambda: plait("prune", "--older-than", "0", "--journal", "runs.db")
            )

    done = trio.run(main)
    assert done.code == 2
    assert done.err.startswith("plait: runs.db is used by this process")
    assert runs() == ALL
