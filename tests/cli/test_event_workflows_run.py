"""`plait run module:Workflow`: the start event, the result, the exit code, and what is refused."""

import json

import pytest


def test_the_result_is_bare_json_and_nothing_else(plait):
    done = plait("run", "shop:Shop", "--set", "item=box", "--set", "number=2", "-j")
    assert done.code == 0
    assert json.loads(done.out) == {"item": "x", "packed": 2}
    assert done.out == '{\n  "item": "x",\n  "packed": 2\n}\n'
    assert "a step prints" in done.err, "what a step prints is no result"


def test_progress_is_a_line_for_each_thing_that_happens(plait):
    done = plait("run", "shop:Shop", "--set", "item=box", "--set", "number=2")
    head, *lines, last = done.err.splitlines()
    assert head.startswith("plait: run ")
    assert head.endswith(" of shop:Shop: 3 steps")
    words = [line.split() for line in lines if line != "a step prints"]
    assert [(word, name) for word, name, *_ in words] == [
        ("started", "take"),
        ("succeeded", "take"),
        ("started", "pack"),
        ("succeeded", "pack"),
        ("started", "pack"),
        ("succeeded", "pack"),
        ("started", "send"),
        ("succeeded", "send"),
    ]
    assert lines[0] == "started    take"
    assert last.startswith("plait: completed in ")
    assert last.endswith(" s: 4 succeeded")


def test_the_result_is_one_line_without_j(plait):
    done = plait("run", "shop:Open", "--set", "name=Zoë")
    assert done.out == '{"name": "Zoë"}\n'


def test_quiet_is_silent_but_for_json(plait):
    done = plait("run", "shop:Open", "-q", "--set", "a=1")
    assert (done.out, done.err) == ("", "")
    done = plait("run", "shop:Open", "-qj", "--set", "a=1")
    assert (json.loads(done.out), done.err) == ({"a": 1}, "")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("1.5", 1.5),
        ("true", True),
        ("yes", "yes"),
        ("null", None),
        ("[1, a]", [1, "a"]),
        ("{a: 1}", {"a": 1}),
        ("2026-11-22", "2026-11-22"),
        ("", None),
        ("a=b", "a=b"),
    ],
)
def test_what_is_not_declared_is_read_as_yaml(plait, text, value):
    done = plait("run", "shop:open_shop", "-qj", "--set", f"name={text}")
    assert json.loads(done.out) == {"name": value}


def test_a_declared_field_is_read_by_its_type(plait):
    done = plait("run", "shop:Shop", "--set", "item=12", "--set", "number=two")
    assert done.code == 2
    assert "number" in done.err
    assert "expected int" in done.err
    assert plait("run", "shop:Shop", "--set", "item=12", "-q").code == 0, "12 is the text '12'"


def test_a_field_that_is_not_there_is_refused_with_a_suggestion(plait):
    done = plait("run", "shop:Shop", "--set", "itme=box")
    assert done.code == 2
    assert "Did you mean 'item'?" in done.err


def test_a_missing_field_is_refused(plait):
    done = plait("run", "shop:Shop")
    assert (done.code, done.err) == (
        2,
        "plait: Order() is missing 'item'\nWrite --set item=VALUE\n",
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["shop:Shop", "--max-workers", "3"], "num_workers is declared on each step"),
        (["shop:Shop", "--compat", "flowtoy"], "--compat is for flow files"),
        (["shop:Shop", "shop:Open"], "one workflow, not 2"),
        (["shop:Shop", "shop.py"], "shop:Shop is a workflow and shop.py a file"),
        (["shop:Shpo"], "has no 'Shpo'; did you mean 'Shop'?"),
        (["shop:number"], "shop:number is no workflow: it is of 'int'"),
        (["shop:Order"], "shop:Order is no workflow: it is class 'Order'"),
        (["nowhere.at_all:Flow"], "cannot import 'nowhere.at_all': ModuleNotFoundError"),
        (["shop:Shop", "--set", "item"], "--set takes NAME=VALUE, not 'item'"),
        (["shop:Shop", "--set", "item=a", "--set", "item=b"], "--set item is given twice"),
        (["shop:Shop", "--resume", "last", "--set", "item=a"], "leave out --set"),
        (["shop:Shop", "--resume", "last"], "no journal: use --journal FILE or set PLAIT_JOURNAL"),
        (["shop:Shop", "--timeout", "soon"], "--timeout takes a number of seconds"),
        (["shop:Shop", "--timeout", "0"], "and more than 0"),
        (["shop:Shop", "--jsn"], "Unknown option: --jsn. Did you mean --json?"),
        (["shop:Shop", "-o", "-"], "For JSON on stdout: -j"),
        ([], "run needs FILE... or module:Workflow"),
    ],
)
def test_bad_usage_is_refused_in_a_sentence(plait, arguments, said):
    done = plait("run", *arguments)
    assert done.code == 2
    assert said in done.err
    assert done.out == ""
    assert "Traceback" not in done.err


def test_an_import_that_fails_says_where(plait, here):
    (here / "broken.py").write_text("x = 1\nraise RuntimeError('not today')\n")
    done = plait("run", "broken:Flow")
    assert done.code == 2
    assert done.err == (
        f"plait: cannot import 'broken': {here / 'broken.py'}:2: RuntimeError: not today\n"
    )


def test_a_workflow_that_cannot_work_is_refused_before_it_runs(plait, here):
    (here / "wrong.py").write_text(
        "from plait import *\n"
        "class Lost(Event): pass\n"
        "class Flow(Workflow):\n"
        "    @step\n"
        "    async def one(self, ev: StartEvent) -> Lost | StopEvent: return Lost()\n"
    )
    done = plait("run", "wrong:Flow")
    assert done.code == 2
    assert "Lost" in done.err
    assert "Traceback" not in done.err


def test_a_failed_step_is_named_with_its_place(plait, here):
    done = plait("run", "shop:Shop", "--set", "item=a", "--set", "number=4", "-j")
    line = (here / "shop.py").read_text().splitlines().index(
        '            raise ValueError("no\\x1b[2J box")'
    ) + 1
    assert done.code == 1
    assert done.out == ""
    last = done.err.splitlines()[-1]
    assert last == f"shop.py:{line}: step 'pack' failed: ValueError: no\\x1b[2J box"
    assert "\x1b" not in done.err
    assert "Traceback" not in done.err
    assert (
        plait("run", "shop:Shop", "--set", "item=a", "--set", "number=4", "--exit-zero").code == 0
    )


def test_verbose_shows_the_traceback_of_a_failed_step(plait):
    done = plait("run", "shop:Shop", "--set", "item=a", "--set", "number=4", "-v")
    assert done.code == 1
    assert "Traceback" in done.err


def test_quiet_still_says_what_failed(plait):
    done = plait("run", "shop:Shop", "--set", "item=a", "--set", "number=4", "-q")
    assert done.code == 1
    assert [line for line in done.err.splitlines() if line != "a step prints"] == [
        line for line in done.err.splitlines() if "step 'pack' failed" in line
    ]


def test_a_timeout_is_124(plait):
    done = plait("run", "shop:Waiting", "--timeout", "50ms")
    assert done.code == 124
    assert "plait: timed out in " in done.err
    assert "cleaned up" in done.err


def test_a_run_of_the_journal_goes_on(plait):
    first = plait("run", "shop:Waiting", "--timeout", "50ms", "--journal", "runs.db")
    assert first.code == 124
    plait("run", "shop:Open", "--set", "a=1", "--journal", "runs.db")
    again = plait("run", "shop:Open", "--resume", "last", "--journal", "runs.db", "-qj")
    assert (again.code, json.loads(again.out)) == (0, {"a": 1})
    other = plait("run", "shop:Shop", "--resume", "last", "--journal", "runs.db")
    assert (other.code, other.err) == (2, "plait: no run is there yet\n"), "not another workflow's"


def test_the_journal_of_the_environment_is_taken(plait, monkeypatch):
    monkeypatch.setenv("PLAIT_JOURNAL", "kept.db")
    assert plait("run", "shop:Open", "--set", "a=1", "-q").code == 0
    again = plait("run", "shop:Open", "--resume", "last", "-qj")
    assert json.loads(again.out) == {"a": 1}
