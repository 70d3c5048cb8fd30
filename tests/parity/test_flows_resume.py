"""Flow files, rows X12 and X13: what a run leaves for one that resumes it."""

# ruff: noqa: E501 - a step of a flow reads best on one line

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.parity.flows_world import World
from tests.parity.flows_world import shared_origin as shared_origin
from tests.parity.flows_world import world as world

JOURNAL = ("-j", "--journal", "runs.db")
RESUME = (*JOURNAL, "--resume", "last")


def words(told, word: str) -> list[str]:
    return [line.split()[1] for line in told.lines() if line.startswith(f"{word} ")]


DIAMOND = """
runner: {on_error: skip}
params: {n: {type: int, default: 1}}
flow:
  - {name: a, source: r, input: {params: {step: a}}, output: [{name: o, type: jmespath, value: path}]}
  - {name: b, source: r, depends_on: a, input: {params: {step: b, n: '{{ params.n }}'}}, output: [{name: o, type: jmespath, value: path}]}
  - {name: c, source: rest, input: {url: '{{ env.PLAIT_ORIGIN }}/flaky?key=c&fail=1&from={{ flows.a.o | urlencode }}'}, output: [{name: o}]}
  - {name: d, source: r, depends_on: [b, c], input: {params: {step: d}}, output: [{name: o, type: jmespath, value: path}]}
"""


def asked(world: World) -> list[str]:
    """Which steps the origin was asked for."""
    return [request.query.get("step") or request.query["key"] for request in world.origin.requests]


def test_row_x12_resumes(world: World):
    first = world(DIAMOND, args=JOURNAL)
    assert first.code == 1
    assert sorted(asked(world)) == ["a", "b", "c"]
    assert words(first, "skipped") == ["d"]
    world.origin.requests.clear()
    second = world(DIAMOND, args=RESUME)
    assert second.code == 0
    assert asked(world) == ["c", "d"]
    assert words(second, "reused") == ["a", "b"]
    assert [*second.out] == ["a", "b", "c", "d"]
    assert second.out["a"] == first.out["a"]


def test_row_x12_what_is_asked_differently_runs_again(world: World):
    world(DIAMOND, args=JOURNAL)
    world.origin.requests.clear()
    told = world(DIAMOND, args=(*RESUME, "--set", "n=2"))
    assert told.code == 0
    assert sorted(asked(world)) == ["b", "c", "d"]
    assert words(told, "reused") == ["a"]


def test_row_x12_old_params_hold(world: World):
    world(DIAMOND, args=(*JOURNAL, "--set", "n=7"))
    world.origin.requests.clear()
    told = world(DIAMOND, args=RESUME)
    assert words(told, "reused") == ["a", "b"]
    assert "n=7" in told.out["b"]["o"]


def test_row_x12_a_step_behind_one_that_gave_something_else_runs_again(world: World):
    text = """
    flow:
      - {name: a, source: process, reuse: false, input: {command: [sh, -c, 'cat given']}, output: [{name: o, type: jmespath, value: stdout}]}
      - {name: b, source: ok, depends_on: a, output: [{name: o}]}
      - {name: bad, source: bad}
    """
    (world.folder / "given").write_text("1")
    world(text, args=JOURNAL)
    told = world(text, args=RESUME)
    assert (words(told, "reused"), told.out["a"]) == (["b"], {"o": "1"})
    (world.folder / "given").write_text("2")
    told = world(text, args=RESUME)
    assert (words(told, "reused"), told.out["a"]) == ([], {"o": "2"})


def test_row_x12_a_rotated_secret_undoes_no_work(world: World, monkeypatch: pytest.MonkeyPatch):
    text = """
    secrets: {key: {env: FT_KEY}}
    flow:
      - {name: a, source: r, input: {headers: {X-Key: '{{ secrets.key }}'}, params: {step: a}}, output: [{name: o, type: jmespath, value: headers}]}
      - {name: b, source: r, input: {params: {step: b, key: '{{ secrets.key }}'}}, output: [{name: o, type: jmespath, value: path}]}
      - {name: bad, source: bad}
    """
    monkeypatch.setenv("FT_KEY", "old-key-1")
    world(text, args=JOURNAL)
    assert b"old-key-1" not in (world.folder / "runs.db").read_bytes()
    monkeypatch.setenv("FT_KEY", "new-key-2")
    world.origin.requests.clear()
    told = world(text, args=RESUME)
    assert sorted(words(told, "reused")) == ["a", "b"]
    assert not world.origin.requests
    assert told.out["b"]["o"].endswith("key=***")


def test_row_x12_an_old_param_that_is_a_secret_is_that_of_today(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    text = """
    params: {key: {type: str, default: none}}
    secrets: {key: {env: FT_KEY}}
    flow:
      - {name: a, source: rest, input: {url: '{{ env.PLAIT_ORIGIN }}/flaky?key=a&fail=1&code=404&k={{ params.key }}'}, output: [{name: o}]}
    """
    monkeypatch.setenv("FT_KEY", "first-secret-1")
    assert world(text, args=(*JOURNAL, "--set", "key=first-secret-1")).code == 1
    assert b"first-secret-1" not in (world.folder / "runs.db").read_bytes()
    monkeypatch.setenv("FT_KEY", "second-secret-2")
    world.origin.requests.clear()
    assert world(text, args=RESUME).code == 0
    assert [request.query["k"] for request in world.origin.requests] == ["second-secret-2"]
    # Without the secret nobody knows what the param was.
    told = world(text.replace("secrets: {key: {env: FT_KEY}}", ""), args=RESUME)
    assert told.code == 2
    assert "param 'key' of run" in told.stderr
    assert "give it again: --set key=VALUE" in told.stderr
    told = world(
        text.replace("secrets: {key: {env: FT_KEY}}", ""), args=(*RESUME, "--set", "key=x")
    )
    assert told.code == 0


def test_row_x12_items_one_by_one(world: World):
    text = """
    flow:
      - name: a
        source: rest
        foreach: {items: [x, y, z], fail_fast: false}
        input: {url: '{{ env.PLAIT_ORIGIN }}/flaky?key={{ item }}&fail={{ 1 if item == "y" else 0 }}'}
        output: [{name: o, type: jmespath, value: key}]
    """
    first = world(text, args=JOURNAL)
    assert first.code == 1
    assert "1 of 3 items failed" in first.stderr
    world.origin.requests.clear()
    second = world(text, args=RESUME)
    assert second.code == 0
    assert asked(world) == ["y"]
    assert words(second, "reused") == ["a[0]", "a[2]"]
    assert len(second.out["a"]["o"]) == 3


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("output: [{name: o, secret: true}]", ["a"]),
        ("reuse: false", ["a"]),
        ("", []),
    ],
)
def test_row_x12_some_steps_always_run(world: World, text: str, steps: list[str]):
    flow = f"flow: [{{name: a, source: ok, {text}}}, {{name: v, source: e}}, {{name: bad, source: bad}}]"
    world(flow, args=JOURNAL)
    told = world(flow, args=RESUME)
    assert [one for one in words(told, "started") if one not in {"bad", "v"}] == steps
    assert "v" in words(told, "started")


def test_row_x12_which_run(world: World):
    flow = "flow: [{name: a, source: ok}, {name: bad, source: bad}]"
    first = world(flow, args=JOURNAL)
    run_id = first.lines()[0].split()[2]
    for name in (run_id, run_id[:8]):
        assert words(world(flow, args=(*JOURNAL, "--resume", name)), "reused") == ["a"]
    told = world(flow, args=(*JOURNAL, "--resume", "nosuch"))
    assert (told.code, told.stdout) == (2, "")
    assert "The journal has no run 'nosuch'." in told.stderr


# ---------------------------------------------------------------- killed

STEPS = """
flow:
  - {name: a, source: process, input: {command: [sh, -c, 'echo $PLAIT_STEP $PLAIT_KEY >> log; echo 1']}, output: [{name: o, type: jmespath, value: stdout}]}
  - {name: b, source: process, input: {command: [sh, -c, 'echo $PLAIT_STEP $PLAIT_KEY >> log; echo $0', '{{ flows.a.o }}']}, output: [{name: o, type: jmespath, value: stdout}]}
  - {name: c, source: process, depends_on: a, input: {command: [sh, -c, 'echo $PLAIT_STEP $PLAIT_KEY >> log; echo 3']}, output: [{name: o, type: jmespath, value: stdout}]}
  - name: d
    source: process
    foreach: {items: [x, y, z], max_parallel: 2}
    depends_on: [b, c]
    input: {command: [sh, -c, 'echo $PLAIT_STEP$0 $PLAIT_KEY >> log; echo $0', '{{ item }}']}
    output: [{name: o, type: jmespath, value: stdout}]
  - {name: e, source: process, depends_on: d, input: {command: [sh, -c, 'echo $PLAIT_STEP $PLAIT_KEY >> log; echo 5']}, output: [{name: o, type: jmespath, value: stdout}]}
"""
OUT = {
    "a": {"o": "1\n"},
    "b": {"o": "1\n"},
    "c": {"o": "3\n"},
    "d": {"o": ["x\n", "y\n", "z\n"]},
    "e": {"o": "5\n"},
}
#: Lines of progress that such a run prints.
LINES = 17


def test_row_x13_a_key_is_the_same_in_every_run(world: World):
    text = """
    flow:
      - {name: a, source: process, input: {command: [sh, -c, 'echo $PLAIT_KEY >> log; exit 3']}, retry: {attempts: 2, delay: 0}}
    """
    for args in (JOURNAL, RESUME, RESUME):
        assert world(text, args=args).code == 1
    keys = (world.folder / "log").read_text().split()
    assert (len(keys), len({*keys})) == (6, 1)


@pytest.mark.parametrize("point", range(50))
def test_row_x13_resumes_after_a_kill(tmp_path: Path, point: int):
    (tmp_path / "flow.yaml").write_text(STEPS)
    command = [sys.executable, "-m", "plait", "run", "flow.yaml", "-j", "--journal", "runs.db"]
    child = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stderr is not None
    seen = [child.stderr.readline() for _ in range(1 + point % LINES)]
    child.send_signal(signal.SIGKILL)
    _, rest = child.communicate()
    done = {line.split()[1] for line in [*seen, *rest.splitlines()] if line.startswith("succeeded")}
    log = tmp_path / "log"
    before = keys(log)
    log.unlink(missing_ok=True)
    args = [*command, "--resume", "last"] if "run" in seen[0] else command
    again = subprocess.run(args, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (again.returncode, json.loads(again.stdout)) == (0, OUT), again.stderr
    after = keys(log)
    items = {f"d[{n}]": f"d{name}" for n, name in enumerate("xyz")}
    assert not {items.get(name, name) for name in done} & after.keys()
    for name in before.keys() & after.keys():
        assert before[name] == after[name], "another key for the same step"


def keys(log: Path) -> dict[str, str]:
    """Which steps have run, and with which key."""
    if not log.exists():
        return {}
    found: dict[str, str] = {}
    for line in log.read_text().splitlines():
        name, key = line.split()
        assert found.setdefault(name, key) == key
    return found
