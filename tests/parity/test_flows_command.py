"""Rows of the behaviour table that are about the command: its files, its signals, what it prints."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from shutil import copy

import pytest
import yaml

from tests.cli.conftest import Command, environment
from tests.parity.flows_world import BASE, SAMPLES
from tests.parity.flows_world import shared_origin as shared_origin
from tests.parity.flows_world import world as world

USERS = {"users": [{"id": 1, "name": "Ann"}, {"id": 2, "name": "Bob"}]}
AUTOMATIC = {
    "fetch_users": USERS,
    "fetch_products": {"products": [{"sku": "p1"}]},
    "fetch_orders": {"orders": [{"oid": 9}]},
}
SO = "{name: o, type: jmespath, value: stdout}"
TOKEN = "flows.authenticate.token in input.headers.Authorization"
MIXED_PLAN = f"""\
2-mixed.yaml: 4 steps in 3 waves, 4 workers
wave 1  authenticate    rest
wave 2  fetch_users     rest     authenticate    {TOKEN} (2-mixed.yaml:26:24)
        fetch_products  rest     authenticate    {TOKEN} (2-mixed.yaml:36:24)
wave 3  combine_data    process  fetch_users     depends_on (2-mixed.yaml:45:9)
                                 fetch_products  depends_on (2-mixed.yaml:46:9)
"""


def sample(world, name):
    """Put a sample of the how-to page into the folder."""
    copy(SAMPLES / name, world.folder)
    return name


def of_group(leader):
    """The processes of a group that still run, zombies left out."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[2]) == leader and fields[0] != "Z":
            found.append(int(folder.name))
    return found


def test_row_01_runs_one_yaml_file(world):
    told = world.command("run", sample(world, "1-automatic.yaml"), "-j")
    assert (told.code, told.out) == (0, AUTOMATIC)
    assert list(told.out) == list(AUTOMATIC), "in file order"


def test_row_11_reads_json_and_stdin(world):
    document = yaml.safe_load((SAMPLES / "1-automatic.yaml").read_text())
    (world.folder / "flow.json").write_text(json.dumps(document))
    told = world.command("run", "flow.json", "-j")
    assert (told.code, told.out) == (0, AUTOMATIC)
    for name in ("/dev/stdin", "-"):
        with (SAMPLES / "1-automatic.yaml").open() as stdin:
            done = subprocess.run(
                [sys.executable, "-m", "plait", "run", name, "-j"],
                env=environment(),
                cwd=world.folder,
                stdin=stdin,
                capture_output=True,
                text=True,
                check=False,
            )
        assert (done.returncode, json.loads(done.stdout)) == (0, AUTOMATIC), done.stderr


def test_row_52_ends_what_is_in_flight_at_an_abort(world):
    os.mkfifo(world.folder / "go")
    told = world(
        """
        runner: {max_workers: 3}
        sources:
          x: {type: process, configuration: {command: [sh, -c, 'echo $$ > pid; sleep 60 & echo > go; sleep 60']}}
          late: {type: process, configuration: {command: [sh, -c, 'read line < go; exit 3']}}
        flow:
          - {name: x, source: x}
          - {name: a, source: late}
          - {name: d, source: ok, depends_on: a}
        """
    )
    assert told.code == 1
    lines = told.lines()
    assert any(line.startswith("cancelled  x") for line in lines)
    assert any(line.startswith("failed     a") for line in lines)
    assert "skipped    d  abort" in lines
    assert of_group(int((world.folder / "pid").read_text())) == []


SIGNALLED = """
runner: {max_workers: 2}
sources:
  slow: {type: process, configuration: {command: [sh, -c, 'echo $$ > "pid-$PLAIT_STEP"; echo is up >&2; sleep 60']}}
  deaf: {type: process, configuration: {grace: 1h, command:
    [sh, -c, 'trap "" TERM; echo $$ > "pid-$PLAIT_STEP"; echo is up >&2; for n in $(seq 600); do sleep 0.1; done']}}
  touch: {type: process, configuration: {command: [sh, -c, 'touch "touched-$PLAIT_STEP"']}}
flow:
  - {name: done, source: ok, output: [{name: o, type: jmespath, value: stdout}]}
  - {name: s1, source: SLOW, depends_on: done}
  - {name: s2, source: SLOW, depends_on: done}
  - {name: t1, source: touch, depends_on: done}
  - {name: t2, source: touch, depends_on: done}
"""


def written(world, source):
    world.write(BASE, "base.yaml")
    return ["base.yaml", world.write(SIGNALLED.replace("SLOW", source), "flow.yaml")]


def signalled(world, send, *, source="slow", times=1):
    """Run the steps of row 53, send signals once both processes are up, and look at what is left."""
    with Command("run", *written(world, source), "-j", "-v", cwd=world.folder) as running:
        for _ in ("s1", "s2"):
            running.until("is up")
        for time in range(times):
            send(running)
            if time == 0 and times > 1:
                running.until("plait: interrupted")
        done = running.wait()
    assert done.code == 130, done.err
    assert json.loads(done.out) == {"done": {"o": "ok\n"}}
    assert "Traceback" not in done.err
    assert not [*world.folder.glob("touched-*")]
    for step in ("s1", "s2"):
        assert of_group(int((world.folder / f"pid-{step}").read_text())) == []
    for step in ("s1", "s2", "t1", "t2"):
        assert f"cancelled  {step}" in done.err
    return done


def to_plait_alone(number):
    return lambda running: running.send(number)


def to_the_group(number):
    return lambda running: os.killpg(running.process.pid, number)


@pytest.mark.parametrize("way", [to_plait_alone, to_the_group])
def test_row_53_obeys_ctrl_c(world, way):
    signalled(world, way(signal.SIGINT))


def test_row_53_a_second_ctrl_c_ends_children_that_ignore_term(world):
    signalled(world, to_plait_alone(signal.SIGINT), source="deaf", times=2)


@pytest.mark.parametrize("way", [to_plait_alone, to_the_group])
def test_row_54_obeys_sigterm(world, way):
    signalled(world, way(signal.SIGTERM))


def test_row_54_a_second_sigterm_ends_children_that_ignore_it(world):
    signalled(world, to_plait_alone(signal.SIGTERM), source="deaf", times=2)


def test_row_55_reports_failure_by_its_exit_code(world):
    status = "flow: [{name: a, source: r, input: {url: '{{ env.PLAIT_ORIGIN }}/status/500'}}]"
    bad = "flow: [{name: a, source: bad}]"
    for text in (status, bad):
        assert world(text).code == 1
        assert world(text, args=("-j", "--exit-zero")).code == 0


def test_row_60_runs_the_first_sample(world):
    name = sample(world, "1-automatic.yaml")
    world.origin.reset()
    world.origin.delay = 0.2
    try:
        told = world.command("run", name, "-j")
        assert (told.code, told.out) == (0, AUTOMATIC)
        assert (len(world.origin.requests), world.origin.peak) == (3, 3)
        assert "warning" not in told.stderr
        world.origin.reset()
        assert world.command("run", name, "-j", "--max-workers", "2").out == AUTOMATIC
        assert world.origin.peak == 2
    finally:
        world.origin.delay = 0.0


def test_row_60_runs_the_second_sample(world, monkeypatch):
    (world.folder / "merge.py").write_text("print('{\"merged\": true}')\n")
    (world.folder / "bin").mkdir()
    (world.folder / "bin" / "python").symlink_to(sys.executable)
    monkeypatch.setenv("PATH", f"{world.folder / 'bin'}{os.pathsep}{os.environ['PATH']}")
    world.origin.delay = 0.2
    try:
        told = world.command("run", sample(world, "2-mixed.yaml"), "-j")
    finally:
        world.origin.delay = 0.0
    assert told.code == 0, told.stderr
    assert told.out == {
        "authenticate": {"token": "tok-123"},
        "fetch_users": USERS,
        "fetch_products": {"products": [{"sku": "p1"}]},
        "combine_data": {"combined": {"merged": True}},
    }
    auth, *others = world.origin.requests
    assert auth.route == "/auth"
    assert {one.route for one in others} == {"/users", "/products"}
    assert all(one.started >= auth.ended for one in others)
    assert all(one.headers["Authorization"] == "Bearer tok-123" for one in others)
    assert world.origin.peak == 2
    assert "warning" not in told.stderr


def test_row_60_runs_the_third_sample(world):
    told = world.command("run", sample(world, "3-explicit.yaml"), "-j")
    assert (told.code, told.out) == (
        0,
        {
            "create_database": {"db_id": "db7"},
            "create_schema": {"schema_id": {"schema": "s1", "path": "/databases/db7/schema"}},
        },
    )
    assert [(one.method, one.path) for one in world.origin.requests] == [
        ("POST", "/databases"),
        ("POST", "/databases/db7/schema"),
    ]
    assert "warning" not in told.stderr


ONE = f"flow: [{{name: a, source: ok, output: [{SO}]}}]"


def test_row_78_prints_as_asked(world):
    told = world(ONE, args=())
    assert (told.code, told.stdout) == (0, 'step  output  value\na     o       "ok\\n"\n')
    assert world(ONE).stdout == '{\n  "a": {\n    "o": "ok\\n"\n  }\n}\n'
    told = world(ONE, args=("-o", "out.json"))
    assert (told.code, told.stdout) == (0, "")
    assert json.loads((world.folder / "out.json").read_text()) == {"a": {"o": "ok\n"}}
    assert (world(ONE, args=("-q",)).stdout, world(ONE, args=("-q",)).stderr) == ("", "")
    told = world(ONE, args=("-q", "-j"))
    assert (told.out, told.stderr) == ({"a": {"o": "ok\n"}}, "")


def test_row_78_refuses_a_missing_folder_before_anything_runs(world):
    touch = "flow: [{name: a, source: {type: process, configuration: {command: [touch, x]}}}]"
    told = world(touch, args=("-o", "missing/out.json"))
    assert (told.code, told.stdout) == (2, "")
    assert "missing/out.json" in told.stderr
    assert not world.has("x")


def test_row_78_writes_what_there_is_after_a_failure(world):
    told = world(
        f"""
        flow:
          - {{name: a, source: ok, output: [{SO}]}}
          - {{name: b, source: bad, depends_on: a}}
        """,
        args=("-o", "out.json"),
    )
    assert told.code == 1
    assert json.loads((world.folder / "out.json").read_text()) == {"a": {"o": "ok\n"}}
    assert [path.name for path in world.folder.iterdir() if path.name.endswith(".part")] == []


def test_row_81_shows_data_as_data(world):
    world.write(BASE, "base.yaml")
    world.write(
        f"""
        flow:
          - {{name: 'x[/b]<b>', source: p, input: 'out[/b]<b>', output: [{SO}]}}
          - {{name: 'y[red]', source: {{type: process, configuration: {{command: [sh, -c,
               'printf "[/b]\\033[31mwhy" >&2; exit 3']}}}}}}
        """,
        "flow.yaml",
    )
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "plait", "run", "base.yaml", "flow.yaml"],
        env=environment(TERM="xterm-256color", COLUMNS="100", LINES="24"),
        cwd=world.folder,
        stdin=subprocess.DEVNULL,
        stdout=follower,
        stderr=follower,
    )
    os.close(follower)
    seen = b""
    try:
        while True:
            try:
                more = os.read(leader, 65536)
            except OSError:  # nobody holds the other end any more
                break
            if not more:
                break
            seen += more
    finally:
        os.close(leader)
        process.wait()
    text = seen.decode()
    assert process.returncode == 1
    assert "x[/b]<b>" in text
    assert '"out[/b]<b>\\n"' in text
    assert "y[red]" in text
    assert "[/b]\\x1b[31mwhy" in text
    assert "\x1b[31mwhy" not in text


def test_row_x14_plans_and_checks(world):
    name = sample(world, "2-mixed.yaml")
    told = world.command("plan", name)
    assert (told.code, told.stdout, told.stderr) == (0, MIXED_PLAN, "")
    plan = world.command("plan", name, "-j").out
    assert plan["workers"] == 4
    assert plan["waves"] == [["authenticate"], ["fetch_users", "fetch_products"], ["combine_data"]]
    assert plan["steps"][1] == {
        "name": "fetch_users",
        "provider": "rest",
        "needs": [
            {
                "step": "authenticate",
                "because": TOKEN,
                "at": "2-mixed.yaml:26:24",
            }
        ],
    }
    told = world.command("check", name)
    assert (told.code, told.stdout, told.stderr) == (0, "ok: 4 steps, 3 sources\n", "")
    assert world.command("check", name, "-j").out == {"ok": True, "problems": []}
    secret = world.write(
        "secrets: {s: {env: FT_NOPE}}\nflow: [{name: a, source: process, "
        "input: {command: [echo, '{{ secrets.s }}']}}]"
    )
    assert world.command("check", secret).code == 0
    assert world.command("plan", secret).code == 0
    assert world.command("run", secret).code == 2, "to run it, the secret is needed"
    assert world.origin.requests == []


def test_row_x14_checks_say_all_that_is_wrong(world):
    wrong = world.write(
        "flow:\n  - {name: a, source: env, retyr: 3}\n  - {source: nosuch}\n", "w.yaml"
    )
    told = world.command("check", wrong)
    assert (told.code, told.stdout) == (2, "")
    assert "w.yaml:2:28: unknown key 'retyr' in step 'a'; did you mean 'retry'?" in told.lines()
    told = world.command("check", wrong, "-j")
    assert (told.code, told.stderr) == (2, "")
    assert told.out["ok"] is False
    assert told.out["problems"][0] == {
        "file": "w.yaml",
        "line": 2,
        "column": 28,
        "code": "unknown-key",
        "message": "unknown key 'retyr' in step 'a'; did you mean 'retry'?",
        "severity": "error",
    }


def test_row_x15_draws(world):
    name = sample(world, "2-mixed.yaml")
    mermaid = world.command("graph", name).stdout
    assert mermaid.count("-->") == 4
    assert sum('["' in line for line in mermaid.splitlines()) == 4
    dot = world.command("graph", name, "--format", "dot").stdout
    assert (dot.count(" -> "), dot.count("[label=")) == (4, 4)
    assert world.origin.requests == []


MODULE = """
from plait import Event, StartEvent, StopEvent, Workflow, step

class Ask(StartEvent):
    query: str

class Found(Event):
    text: str

class Flow(Workflow):
    @step
    async def look(self, ev: Ask) -> Found:
        return Found(text=ev.query.upper())

    @step
    async def tell(self, ev: Found) -> StopEvent:
        return StopEvent(result={"found": ev.text})
"""


@pytest.fixture
def module(world, monkeypatch):
    (world.folder / "rows_of_events.py").write_text(MODULE)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield "rows_of_events:Flow"
    sys.modules.pop("rows_of_events", None)


def test_row_x15_draws_event_workflows(world, module):
    assert world.command("graph", module).stdout.count("-->") == 3
    assert world.command("graph", module, "--format", "dot").stdout.count(" -> ") == 3


def test_row_x17_runs_event_workflows(world, module):
    told = world.command("run", module, "--set", "query=x", "-j")
    assert (told.code, told.out) == (0, {"found": "X"})
    told = world.command("run", module, "--set", "query=x", "--max-workers", "2")
    assert (told.code, told.stdout) == (2, "")
    assert "num_workers is declared on each step" in told.stderr


def test_row_x18_keeps_a_history(world):
    for _ in range(2):
        assert world(ONE, args=("--journal", "runs.db", "-q")).code == 0
    listed = world.command("runs", "--journal", "runs.db", "-j").out
    assert [one["state"] for one in listed] == ["completed", "completed"]
    assert [one["steps"] for one in listed] == [{"succeeded": 1}] * 2
    assert len(world.command("runs", "--journal", "runs.db").stdout.splitlines()) == 3
    shown = world.command("show", "last", "--journal", "runs.db", "-j").out
    assert shown["id"] == listed[0]["id"]
    [step] = shown["steps"]
    assert (step["name"], step["state"], step["outputs"]) == ("a", "succeeded", {"o": "ok\n"})
    for verb in (["runs"], ["show", "last"]):
        told = world.command(*verb)
        assert told.code == 2
        assert told.stderr == "plait: no journal: use --journal FILE or set PLAIT_JOURNAL\n"


@pytest.mark.skipif(sys.platform != "linux", reason="needs a child subreaper")
def test_what_left_its_group_is_ended_with_the_run(world):
    flow = world.write(
        "flow: [{name: a, source: {type: process, configuration: {command:"
        " [sh, -c, 'setsid sleep 60 > /dev/null 2>&1 & echo $! > pid']}}}]"
    )
    with Command("run", flow, cwd=world.folder) as running:
        done = running.wait()
    assert done.code == 0, done.err
    pid = int((world.folder / "pid").read_text())
    assert of_group(pid) == []
    assert not Path(f"/proc/{pid}").exists()
