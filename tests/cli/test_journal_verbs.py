"""`plait runs` and `plait show`: what a journal has of runs."""

import json
import signal

import attrs
import pytest
import trio

from plait._abc import Entry, StreamInfo
from plait._cli.exits import UsageError
from plait._cli.journals import chosen, shortened
from plait._cli.kept import counted, steps_of
from plait._journal.standing import standing
from plait.durable import App, Context, Event, SqliteJournal, TriggerEvent


def run(stream, created=0.0, **more):
    fields = {"app_id": "", "target": "t", "parent": None, "status": "completed", "source": None}
    return StreamInfo(
        stream=stream, created=created, updated=created, last_n=1, **{**fields, **more}
    )


def test_two_runs_are_listed_the_newest_first(plait):
    plait("run", "shop:Open", "--set", "a=1", "--journal", "runs.db", "-q")
    plait("run", "shop:Shop", "--set", "item=a", "--set", "number=4", "--journal", "runs.db", "-q")
    done = plait("runs", "--journal", "runs.db")
    head, newest, oldest = done.out.splitlines()
    assert head.split() == ["id", "target", "state", "started", "took", "steps"]
    assert newest.split()[1:3] == ["shop.Shop", "failed"]
    assert "1 failed" in newest
    assert oldest.split()[1:3] == ["shop.Open", "completed"]
    listed = json.loads(plait("runs", "--journal", "runs.db", "-j").out)
    assert [one["target"] for one in listed] == ["shop.Shop", "shop.Open"]
    assert listed[1]["steps"] == {"succeeded": 1}
    assert listed[1]["started"].endswith("Z")
    assert listed[1]["took"] >= 0


def test_the_last_run_is_shown_step_by_step(plait):
    plait("run", "shop:Shop", "--set", "item=a", "--set", "number=4", "--journal", "runs.db", "-q")
    done = plait("show", "last", "--journal", "runs.db")
    steps, _, _ = done.out.partition("\n\n")  # below them is the timeline
    head, titles, *rows = steps.splitlines()
    assert head.startswith("run ")
    assert " of shop.Shop: failed, " in head
    assert titles.split() == ["step", "state", "start", "took", "attempts", "outputs"]
    assert rows[0].split()[:2] == ["take", "succeeded"]
    assert [row.split()[:2] for row in rows[1:]] == [["pack", "succeeded"]] * 3 + [
        ["pack", "failed"]
    ]
    assert rows[-1].endswith("ValueError: no\\x1b[2J box")
    document = json.loads(plait("show", "last", "--journal", "runs.db", "-j").out)
    assert document["state"] == "failed"
    assert document["steps"][1]["outputs"] == {"place": 0}
    assert document["steps"][-1]["error"] == "ValueError: no\x1b[2J box"
    assert document["steps"][-1]["attempts"] == 1


def test_a_run_is_found_by_the_beginning_of_its_id(plait):
    plait("run", "shop:Open", "--journal", "runs.db", "-q")
    [one] = json.loads(plait("runs", "--journal", "runs.db", "-j").out)
    shown = plait("show", one["id"][:4], "--journal", "runs.db", "-j")
    assert json.loads(shown.out)["id"] == one["id"]


def test_without_a_journal_there_is_nothing_to_read(plait):
    for verb in (["runs"], ["show", "last"]):
        done = plait(*verb)
        assert done.code == 2
        assert done.err == "plait: no journal: use --journal FILE or set PLAIT_JOURNAL\n"


def test_a_journal_that_is_not_there_is_not_made(plait, here):
    done = plait("runs", "--journal", "none.db")
    assert (done.code, done.out) == (2, "")
    assert "none.db" in done.err
    assert not (here / "none.db").exists()


def test_runs_of_durable_functions_are_shown_too(plait):
    app = App("shop", journal=SqliteJournal("runs.db"))

    @app.create_function(fn_id="pay", trigger=TriggerEvent("order"))
    async def pay(ctx: Context) -> str:
        charged = await ctx.step.run("charge", charge)
        return f"paid {charged['amount']}"

    async def charge():
        return {"amount": 3}

    async def main():
        async with app.serve() as worker:
            await app.send(Event(name="order"))
            await worker.drain()

    trio.run(main)
    [one] = json.loads(plait("runs", "--journal", "runs.db", "-j").out)
    assert (one["target"], one["state"], one["steps"]) == (
        "shop-pay",
        "completed",
        {"succeeded": 1},
    )
    [step] = json.loads(plait("show", "last", "--journal", "runs.db", "-j").out)["steps"]
    assert (step["name"], step["state"], step["outputs"]) == ("charge", "succeeded", {"amount": 3})


# ---------------------------------------------------------------- choosing


def test_the_newest_run_is_the_last_one():
    runs = [run("b", 2.0, parent="a"), run("a", 1.0)]
    assert chosen(runs, "last").stream == "a", "a run inside a run is not meant"
    assert chosen(runs, "b").stream == "b"


def test_an_exact_name_wins_over_a_beginning():
    assert chosen([run("ab"), run("a")], "a").stream == "a"


@pytest.mark.parametrize(
    ("wanted", "said"),
    [("x", "no run 'x' is there"), ("a", "2 runs begin with 'a': ab, ac")],
)
def test_what_is_not_one_run_is_refused(wanted, said):
    with pytest.raises(UsageError, match=said):
        chosen([run("ab"), run("ac")], wanted)


def test_nothing_can_be_the_last():
    with pytest.raises(UsageError, match="no run is there yet"):
        chosen([], "last")


def test_ids_are_as_short_as_they_can_be_told_apart():
    assert shortened([run("abcdefgh"), run("abcdefgx"), run("zzzzzzzzz")]) == {
        "abcdefgh": "abcdefgh",
        "abcdefgx": "abcdefgx",
        "zzzzzzzzz": "zzzzzz",
    }


# ---------------------------------------------------------------- reading


def entry(kind, body, *, at=0.0, key=None, n=1):
    return Entry("r", n, kind, 1, at, key, json.dumps(body).encode())


def test_calls_of_durable_functions_are_steps():
    key = '[[],"charge",0]'
    [step] = steps_of(
        [
            entry("run.queued", {"fn_id": "shop-pay"}),
            entry("step.started", {"attempt": 1, "op": "run"}, at=1.0, key=key),
            entry(
                "step.retrying", {"error": {"name": "OSError", "message": "no"}}, at=2.0, key=key
            ),
            entry("step.started", {"attempt": 2, "op": "run"}, at=3.0, key=key),
            entry("step.completed", {"attempts": 2, "value": {"amount": 3}}, at=4.0, key=key),
        ]
    )
    assert (step.name, step.state, step.attempts, step.took) == ("charge", "succeeded", 2, 3.0)
    assert step.outputs == {"amount": 3}


def test_steps_of_flows_have_items_reasons_and_outputs():
    done = {"outputs": {"o": 1}, "fingerprint": "f"}
    steps = steps_of(
        [
            entry("step.readied", {"step": "a", "first": 1, "count": 1}),
            entry("step.readied", {"step": "b", "first": 2, "count": 2}),
            entry("delivery.started", {"delivery": 1, "step": "a"}, at=1.0),
            entry("delivery.completed", {"delivery": 1, "event": {"event": done}}, at=2.0),
            entry("step.reused", {"delivery": 2, "event": done}),
            entry("delivery.started", {"delivery": 3, "step": "b"}),
            entry("delivery.interrupted", {"delivery": 3}),
            entry("step.skipped", {"steps": ["c", "d"], "reason": "abort"}),
        ]
    )
    assert [(s.name, s.index, s.state, s.reused, s.reason) for s in steps] == [
        ("a", None, "succeeded", False, None),
        ("b", 0, "succeeded", True, None),
        ("b", 1, "cancelled", False, None),
        ("c", None, "skipped", False, "abort"),
        ("d", None, "skipped", False, "abort"),
    ]
    assert steps[0].outputs == steps[1].outputs == {"o": 1}
    assert counted(steps) == {"succeeded": 1, "cancelled": 1, "skipped": 2}, "items count as one"


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"delivery": []}', b"\xff", b'{"delivery": 9}']
)
@pytest.mark.parametrize(
    "kind", ["delivery.started", "delivery.completed", "step.completed", "x.y"]
)
def test_nothing_in_a_journal_ends_the_reading(kind, body):
    good = entry("delivery.started", {"delivery": 1, "step": "a"})
    assert [s.name for s in steps_of([Entry("r", 1, kind, 1, 0.0, None, body), good])][-1] == "a"


WAITS = """
import trio
from plait import StartEvent, StopEvent, Workflow, step

class One(Workflow):
    @step
    async def wait(self, ev: StartEvent) -> StopEvent:
        await trio.sleep_forever()"""


def state_of(plait, wanted):
    listed = json.loads(plait("runs", "--journal", "runs.db", "-j").out)
    return next(one["state"] for one in listed if one["target"] == wanted)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_run_whose_process_is_gone_is_interrupted(plait, command, here):
    (here / "waits.py").write_text(WAITS)
    with command("run", "waits:One", "--journal", "runs.db") as one:
        one.until("started")
        assert state_of(plait, "waits.One") == "running"
        one.process.kill()
        one.process.wait()
    assert state_of(plait, "waits.One") == "interrupted"
    assert ": interrupted, " in plait("show", "last", "--journal", "runs.db").out


async def test_another_process_writes_to_the_file():
    class File:
        async def written_since(self):
            return 1_000.0

    def at(name, updated, **more):
        return attrs.evolve(run(name, status="running", **more), updated=updated)

    runs = [
        at("old", 900.0),
        at("of an app", 900.0, app_id="shop"),
        at("while it was opened", 996.0),
        at("new", 1_001.0),
        run("over"),
    ]
    assert await standing(File(), runs) == {
        "old": "interrupted",
        "of an app": "running",
        "while it was opened": "running",
        "new": "running",
        "over": "completed",
    }
    here = await standing(File(), runs, here={"old"})  # who writes knows it, whatever the times
    assert {name for name, state in here.items() if state == "running"} == {"old", "of an app"}
