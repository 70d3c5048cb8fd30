"""Flow files on the command line: what is loaded, what is refused, what is said, and flowtoy's ways."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import environment
from tests.cli.test_starting import loaded_by

ONE = """
sources:
  ok: {type: process, configuration: {command: [echo, ok]}}
  bad: {type: process, configuration: {command: [sh, -c, 'for n in $(seq 30); do echo "line $n" >&2; done; exit 3']}}
flow:
  - {name: a, source: ok, output: [{name: o, type: jmespath, value: stdout}]}
"""


@pytest.fixture
def flow(here):
    """Write a flow file."""

    def write(text, name="flow.yaml"):
        (here / name).write_text(text)
        return name

    return write


def test_an_empty_flow_loads_no_library_that_it_does_not_need(here, flow):
    code, out, heavy = loaded_by("run", flow(""), "-j", cwd=here)
    assert (code, out) == (0, "{}\n")
    assert heavy <= {"cyclopts", "trio", "yaml", "cattrs"}
    assert {"cyclopts", "trio", "yaml"} <= heavy


@pytest.mark.parametrize("verb", ["check", "plan", "graph"])
def test_what_runs_nothing_loads_no_backend(here, flow, verb):
    code, _, heavy = loaded_by(verb, flow("flow: [{name: a, source: env}]"), cwd=here)
    assert code == 0
    assert not heavy & {"trio", "anyio", "httpx2", "rich"}


def test_a_missing_library_is_named(here, flow):
    program = (
        "import sys; sys.modules['yaml'] = None\n"
        "from plait._cli.main import main; sys.exit(main(['run', 'flow.yaml']))"
    )
    flow(ONE)
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(),
        cwd=here,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "plait: flow files need pyyaml. Type: pip install 'plait[flows]'\n"


def test_the_lines_of_the_progress(plait, flow):
    done = plait("run", flow(ONE))
    head, *lines, last = done.err.splitlines()
    assert head.startswith("plait: run ")
    assert head.endswith(" of flow.yaml: 1 step, 4 workers")
    assert [line.rpartition("  ")[0] if "succeeded" in line else line for line in lines] == [
        "started    a",
        "succeeded  a",
    ]
    assert last.startswith("plait: completed in ")
    assert last.endswith(" s: 1 succeeded")


def test_a_failure_comes_last_with_its_place_and_twenty_lines(plait, flow):
    done = plait("run", flow(f"{ONE}  - {{name: b, source: bad}}\n"), "-q")
    assert done.code == 1
    place, *said = done.err.splitlines()
    assert place == "flow.yaml:7:5: step 'b' failed: process exited with code 3"
    assert said == [f"  line {number}" for number in range(1, 21)]
    assert done.out == "", "quiet"


def test_a_timeout_is_124_and_shows_what_there_is(plait, flow):
    slow = "  - {name: s, source: {type: process, configuration: {command: [sleep, '60']}}, depends_on: a}\n"
    done = plait("run", flow(ONE + slow), "-j", "--timeout", "300ms")
    assert done.code == 124
    assert json.loads(done.out) == {"a": {"o": "ok\n"}}
    assert "cancelled  s" in done.err
    assert "plait: timed out in " in done.err
    assert done.err.rstrip().endswith("1 succeeded, 1 cancelled")


def test_all_params_that_are_wrong_are_refused_at_once(plait, flow):
    file = flow("params: {region: str, n: int, zone: {choices: [a, b]}}\n")
    done = plait("run", file, "--set", "n=two", "--set", "regoin=x", "--set", "zone=c")
    assert (done.code, done.out) == (2, "")
    assert "did you mean 'region'?" in done.err
    assert "missing param 'region': use --set region=VALUE" in done.err
    assert "param 'n': expected int" in done.err
    assert "param 'zone': 'c' is not one of a, b" in done.err


def test_a_plan_takes_params_and_misses_none(plait, flow):
    file = flow("params: {region: str, n: int}\n" + ONE.lstrip())
    assert plait("plan", file).code == 0
    assert plait("plan", file, "--set", "n=1").code == 0
    done = plait("plan", file, "--set", "n=one", "--set", "m=1")
    assert (done.code, done.out) == (2, "")
    assert "param 'n': expected int" in done.err
    assert "param 'm' is not declared" in done.err


def test_flowtoys_ways(plait, flow):
    file = flow(f"{ONE}  - {{name: b, source: bad}}\nzzz: 1\n")
    done = plait("run", file)
    assert done.code == 2
    done = plait("run", file, "--compat", "flowtoy")
    assert (done.code, done.out) == (0, "{'a': {'o': 'ok\\n'}}\n"), "as Python writes it"
    assert "flow.yaml:8:1: warning: unknown key 'zzz'" in done.err
    assert json.loads(plait("run", file, "--compat", "flowtoy", "-j").out) == {"a": {"o": "ok\n"}}
    done = plait("run", file, "--compat", "flotoy")
    assert (done.code, done.out) == (2, "")


def test_a_run_of_the_journal_is_taken_over(plait, flow):
    file = flow(ONE)
    assert plait("run", file, "-q", "--journal", "runs.db").code == 0
    done = plait("run", file, "-j", "--journal", "runs.db", "--resume", "last")
    assert (done.code, json.loads(done.out)) == (0, {"a": {"o": "ok\n"}})
    assert "reused     a" in done.err.splitlines()
    assert done.err.rstrip().endswith("1 reused")
    [newest, _] = json.loads(plait("runs", "--journal", "runs.db", "-j").out)
    assert newest["steps"] == {"reused": 1}


def test_a_run_that_is_not_there_cannot_be_taken_over(plait, flow):
    file = flow(ONE)
    assert plait("run", file, "-q", "--journal", "runs.db").code == 0
    done = plait("run", file, "--journal", "runs.db", "--resume", "zzz")
    assert (done.code, done.out) == (2, "")
    assert "zzz" in done.err
    assert "started" not in done.err
    done = plait("run", file, "--resume", "last")
    assert (done.code, done.err) == (
        2,
        "plait: no journal: use --journal FILE or set PLAIT_JOURNAL\n",
    )


def test_the_schema_is_json(plait):
    done = plait("schema")
    assert done.code == 0
    assert json.loads(done.out)["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize("verb", ["check", "plan"])
def test_only_files_are_checked(plait, verb):
    done = plait(verb, "shop:Shop")
    assert (done.code, done.err) == (
        2,
        f"plait: {verb} takes flow files, and shop:Shop is a workflow\n",
    )
    done = plait(verb)
    assert done.code == 2
    assert f"{verb} needs FILE..." in done.err


def test_a_file_that_is_not_there_is_a_problem_of_the_file(plait):
    done = plait("run", "none.yaml")
    assert (done.code, done.out, done.err) == (2, "", "none.yaml: no such file\n")


def test_each_problem_is_one_line(plait, flow):
    done = plait("run", flow("flow:\n  - {name: a, source: env, depends_on: [z, y]}\n"))
    assert (done.code, done.out) == (2, "")
    [line] = done.err.splitlines()
    assert line.startswith("flow.yaml:2:")
    assert line.endswith(": Step 'a' depends on missing step(s): 'y', 'z'")


def test_results_that_cannot_be_written_are_a_failure(here, flow):
    flow(ONE)
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "plait", "run", "flow.yaml", "-q", "-j"],
            env=environment(),
            cwd=here,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == "plait: cannot write the results: No space left on device\n"


def test_a_reader_that_has_gone_is_no_drama(here, flow):
    flow(ONE)
    leave, enter = os.pipe()
    os.close(leave)
    done = subprocess.run(
        [sys.executable, "-m", "plait", "run", "flow.yaml", "-q", "-j"],
        env=environment(),
        cwd=here,
        stdout=enter,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(enter)
    assert (done.returncode, done.stderr) == (1, "")
