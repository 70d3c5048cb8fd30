"""Flow files, rows 39 to 51 and others: what runs when, and what a failure means."""

from __future__ import annotations

import os
from typing import Any

import pytest
import trio

from plait import flows
from plait.errors import WorkflowRuntimeError
from tests.parity.flows_world import World
from tests.parity.flows_world import shared_origin as shared_origin
from tests.parity.flows_world import world as world

SO = "output: [{name: o, type: jmespath, value: stdout}]"
BARRIER = "{url: '{{ env.PLAIT_ORIGIN }}/barrier?n=%d'}"


def barriers(count: int, n: int, more: str = "") -> str:
    steps = "\n".join(
        f"  - {{name: s{number}, source: rest, input: {BARRIER % n}, output: [{{name: o}}]}}"
        for number in range(count)
    )
    return f"flow:\n{steps}\n{more}"


def states(told, *names: str) -> list[str]:
    """The last word of each step in the plain progress."""
    found = {}
    for line in told.lines():
        word, _, rest = line.partition(" ")
        name = rest.split()[0] if rest.split() else ""
        if word in {"succeeded", "failed", "skipped", "cancelled", "reused"}:
            found[name] = word
    return [found.get(name, "none") for name in names]


def test_row_39_overlaps_independent_steps(world: World):
    told = world(barriers(3, 3))
    assert told.code == 0
    assert world.origin.peak == 3


def test_row_40_obeys_max_workers(world: World):
    told = world(barriers(6, 3), args=("-j", "--max-workers", "3"))
    assert (told.code, world.origin.peak) == (0, 3)


def test_row_40_obeys_max_workers_of_the_file(world: World):
    told = world(barriers(4, 2, "runner: {max_workers: 2}"))
    assert (told.code, world.origin.peak) == (0, 2)


def test_row_40_the_option_wins(world: World):
    told = world(barriers(6, 3, "runner: {max_workers: 2}"), args=("-j", "--max-workers", "3"))
    assert (told.code, world.origin.peak) == (0, 3)


def test_row_40_zero_means_four(world: World):
    told = world(barriers(8, 4), args=("--max-workers", "0"))
    assert (told.code, world.origin.peak) == (0, 4)


@pytest.mark.parametrize(
    ("value", "text"), [("-1", "max_workers must be greater than 0"), ("abc", "")]
)
def test_row_40_refuses_nonsense(world: World, value: str, text: str):
    told = world(barriers(1, 1), args=("--max-workers", value))
    assert told.code == 2
    assert text in told.stderr
    assert not world.origin.requests


def test_row_41_has_4_workers(world: World):
    told = world(barriers(8, 4))
    assert (told.code, world.origin.peak) == (0, 4)
    assert "8 steps, 4 workers" in told.lines()[0]


def test_row_42_starts_in_file_order(world: World):
    told = world(
        """
        runner: {max_workers: 1}
        flow:
          - {name: r1, source: ok}
          - {name: k1, source: ok, depends_on: r1}
          - {name: r2, source: ok}
        """
    )
    started = [line.split()[1] for line in told.lines() if line.startswith("started")]
    assert started == ["r1", "r2", "k1"]


def test_row_43_goes_on_after_a_failing_leaf(world: World):
    told = world(f"flow: [{{name: a, source: bad}}, {{name: b, source: t, {SO}}}]")
    assert told.code == 1
    assert told.out == {"b": {"o": "done\n"}}
    assert states(told, "a", "b") == ["failed", "succeeded"]


def test_row_44_aborts_for_a_default_dependent(world: World):
    told = world("flow: [{name: a, source: bad}, {name: b, source: ok, depends_on: a}]")
    assert told.code == 1
    assert states(told, "a", "b") == ["failed", "skipped"]
    assert "skipped    b  abort" in told.lines()


def test_row_45_obeys_on_error_of_the_failing_step(world: World):
    told = world(
        f"""
        flow:
          - {{name: a, source: bad, on_error: continue}}
          - {{name: b, source: ok, depends_on: a, {SO}}}
        """
    )
    assert (told.code, told.out) == (0, {"b": {"o": "ok\n"}})


def test_row_46_obeys_continue_on_the_dependent(world: World):
    told = world(
        f"""
        flow:
          - {{name: a, source: bad}}
          - {{name: b, source: p, on_error: continue, input: '{{{{ flows.a.error.message }}}}', {SO}}}
        """
    )
    assert (told.code, told.out) == (0, {"b": {"o": "process exited with code 3\n"}})


def test_row_47_skips_a_subtree(world: World):
    told = world(
        """
        flow:
          - {name: a, source: bad}
          - {name: b, source: ok, depends_on: a, on_error: skip}
          - {name: c, source: ok, depends_on: b, on_error: continue}
          - {name: z, source: ok}
        """
    )
    assert told.code == 1
    assert states(told, "a", "b", "c", "z") == ["failed", "skipped", "skipped", "succeeded"]


def test_row_48_obeys_runner_on_error(world: World):
    told = world(
        f"""
        runner: {{on_error: continue}}
        flow:
          - {{name: a, source: bad, {SO}}}
          - {{name: b, source: ok, depends_on: a, {SO}}}
          - {{name: c, source: p, input: '{{{{ flows.a.o }}}}'}}
        """
    )
    assert (told.code, told.out) == (0, {"b": {"o": "ok\n"}})
    assert "step 'a' failed and has no output 'o'" in told.stderr


def test_row_49_refuses_unknown_policies(world: World):
    told = world("flow: [{name: a, source: ok, on_error: retry}]")
    assert told.code == 2
    assert "unknown on_error 'retry'; use fail, skip or continue" in told.stderr
    assert world("flow: [{name: a, source: ok, on_error: Skip}]").code == 0


def test_row_51_starts_nothing_after_an_abort(world: World):
    told = world(
        """
        runner: {max_workers: 1}
        flow:
          - {name: a, source: bad}
          - {name: x1, source: process, input: {command: [touch, x]}}
          - {name: x2, source: process, input: {command: [touch, x]}}
          - {name: d, source: ok, depends_on: a}
        """
    )
    assert told.code == 1
    assert not world.has("x")
    assert states(told, "a", "x1", "x2", "d") == ["failed", "cancelled", "cancelled", "skipped"]


def test_row_42_children_start_in_file_order(world: World):
    children = "\n".join(f"  - {{name: c{n}, source: e, depends_on: r}}" for n in (3, 1, 4, 2, 5))
    told = world(f"flow:\n  - {{name: r, source: ok}}\n{children}\n")
    started = [line.split()[1] for line in told.lines() if line.startswith("started")]
    assert started == ["r", "c3", "c1", "c4", "c2", "c5"]


ENV = {"type": "env", "configuration": {"vars": []}}


def quick(*steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A flow of steps that do nothing, but those that say otherwise."""
    return {
        "sources": {"e": ENV, "bad": BAD},
        "flow": [{"source": "e", **one} for one in steps],
        **more,
    }


BAD = {"type": "process", "configuration": {"command": ["sh", "-c", "exit 3"]}}


def test_row_50_never_races():
    flow = flows.load(
        quick(
            {"name": "a", "source": "bad"},
            {"name": "x1"},
            {"name": "x2"},
            {"name": "x3"},
            {"name": "d", "depends_on": ["a"]},
        )
    )

    async def main() -> None:
        for _ in range(300):
            result = await flow.run()
            found = {name: step.state for name, step in result.steps.items()}
            assert result.exit_code == 1
            assert (found["a"], found["d"]) == ("failed", "skipped")
            assert {found[f"x{n}"] for n in (1, 2, 3)} <= {"succeeded", "cancelled"}

    trio.run(main)


# ---------------------------------------------------------------- Python programs (84), and size (85)


def test_row_84_run_flow(world: World):
    path = world.write(
        "flow: [{name: a, source: {type: env, configuration: {vars: [FT_A]}}, output: [{name: o}]}]"
    )
    outputs, status = flows.run_flow([path])
    assert outputs == {"a": {"o": {"FT_A": "alpha"}}}
    assert status["a"]["state"] == "succeeded"


def test_row_84_local_runner():
    seen: list[tuple[str, str]] = []
    runner = flows.LocalRunner(
        quick({"name": "a"}, {"name": "b", "source": "bad"}, {"name": "c", "depends_on": "b"}),
        lambda step, state: seen.append((step, state)),
    )
    assert (runner.steps, [*runner.sources]) == (["a", "b", "c"], ["e", "bad"])
    for _ in range(2):  # it may run again
        seen.clear()
        runner.run()
        assert runner.flows == {"a": {}}
        assert sorted(seen) == [
            ("a", "running"),
            ("a", "succeeded"),
            ("b", "failed"),
            ("b", "running"),
            ("c", "skipped"),
        ]
    assert runner.status["b"] == {"state": "failed", "notes": ["process exited with code 3"]}


async def test_row_84_not_in_a_running_loop():
    with pytest.raises(
        WorkflowRuntimeError, match=r"here write: await plait.flows.load\(paths\).run\(\)"
    ):
        flows.run_flow(["flow.yaml"])


COUNT = 10_000


def test_row_85_stays_flat_side_by_side():
    flow = flows.load(quick(*({"name": f"s{n}", "output": [{"name": "o"}]} for n in range(COUNT))))
    result = trio.run(flow.run)
    assert (result.state, len(result.flows)) == ("completed", COUNT)


def chain(*first: dict[str, Any]) -> dict[str, Any]:
    steps = [*first, *({"name": f"s{n}", "depends_on": [f"s{n - 1}"]} for n in range(1, COUNT))]
    return quick(*steps)


def test_row_85_stays_flat_as_a_chain():
    result = trio.run(flows.load(chain({"name": "s0"})).run)
    assert (result.state, len(result.flows)) == ("completed", COUNT)


def test_row_85_skips_a_chain():
    flow = flows.load(chain({"name": "s0", "source": "bad", "on_error": "skip"}))
    result = trio.run(flow.run)
    assert result.exit_code == 1
    assert {step.state for name, step in result.steps.items() if name != "s0"} == {"skipped"}
    assert {step.reason for name, step in result.steps.items() if name != "s0"} == {"on_error"}


# ---------------------------------------------------------------- X4 to X8, X11


def test_row_x04_times_steps_out(world: World):
    told = world(
        "flow: [{name: a, source: process, timeout: 0.3, input: {command: [sleep, '60']}}]"
    )
    assert told.code == 1
    assert "step 'a' failed: timeout" in told.stderr


def test_row_x04_times_runs_out(world: World):
    told = world(
        f"flow: [{{name: a, source: ok, {SO}}}, {{name: b, source: process, input: {{command: [sleep, '60']}}}}]",
        args=("-j", "--timeout", "0.5"),
    )
    assert (told.code, told.out) == (124, {"a": {"o": "ok\n"}})
    assert states(told, "a", "b") == ["succeeded", "cancelled"]


def test_row_x05_obeys_when(world: World):
    told = world(
        """
        params: {left: {type: bool, default: true}}
        flow:
          - {name: no, source: ok, when: false}
          - {name: after_no, source: ok, depends_on: no}
          - {name: l, source: ok, when: '{{ params.left }}'}
          - {name: r, source: ok, when: 'not params.left'}
          - {name: both, source: ok, depends_on: [l, r]}
        """
    )
    assert told.code == 0
    assert [*told.out] == ["l", "both"]
    assert "skipped    after_no  upstream" in told.lines()


def test_row_x05_when_needs_no_text(world: World):
    told = world(
        "params: {x: {default: 'false'}}", "flow: [{name: a, source: ok, when: '{{ params.x }}'}]"
    )
    assert told.code == 1
    assert "when gave the text 'false'; compare it, e.g. params.x == 'true'" in told.stderr


def test_row_x06_maps_in_order(world: World):
    told = world(
        """
        flow:
          - name: a
            source: process
            foreach: [0.3, 0.1, 0.2]
            input: {command: [sh, -c, 'sleep $0; echo $0', '{{ item }}']}
            output: [{name: o, type: jmespath, value: stdout}]
          - name: none
            source: ok
            foreach: []
            output: [{name: o}]
          - name: again
            source: p
            foreach: {items: '{{ flows.a.o }}', as: it}
            input: '{{ index }}={{ it | trim }}'
            output: [{name: o, type: jmespath, value: stdout}]
        """
    )
    assert told.code == 0
    assert told.out == {
        "a": {"o": ["0.3\n", "0.1\n", "0.2\n"]},
        "none": {"o": []},
        "again": {"o": ["0=0.3\n", "1=0.1\n", "2=0.2\n"]},
    }


def test_row_x06_max_parallel(world: World):
    told = world(
        f"""
        flow:
          - name: a
            source: rest
            foreach: {{items: [1, 2, 3, 4], max_parallel: 2}}
            input: {BARRIER % 2}
        """
    )
    assert (told.code, world.origin.peak) == (0, 2)


ITEMS = """
flow:
  - name: a
    source: process
    foreach: {items: %s, fail_fast: %s}
    input: {command: [sh, -c, '%s', '{{ item }}']}
    output: [{name: o, type: jmespath, value: stdout}]
"""


def test_row_x07_fails_items_fast(world: World):
    told = world(ITEMS % ("[60, x, 60]", "true", "sleep $0; exit 3"))
    assert told.code == 1
    assert "step 'a' failed: item 2 of 3 failed: process exited with code" in told.stderr
    assert states(told, "a[0]", "a[1]", "a[2]") == ["cancelled", "failed", "cancelled"]


def test_row_x07_fails_items_late():
    flow = flows.load(
        {
            "flow": [
                {
                    "name": "a",
                    "source": "process",
                    "foreach": {"items": [0, 3, 0], "fail_fast": False},
                    "input": {"command": ["sh", "-c", "echo $0; exit $0", "{{ item }}"]},
                    "output": [{"name": "o", "type": "jmespath", "value": "stdout"}],
                }
            ]
        }
    )
    result = trio.run(flow.run)
    error = result.steps["a"].error
    assert error is not None
    assert error.message == "1 of 3 items failed"
    assert error.outputs == {"o": ["0\n", None, "0\n"]}
    assert [one["index"] for one in error.items or ()] == [1]


def test_row_x08_expands_a_matrix(world: World):
    told = world(
        """
        flow:
          - name: a
            source: p
            matrix:
              axes: {region: [eu, us], size: [1, 2]}
              include: [{region: ap, size: 1}]
              exclude: [{region: us, size: 2}]
              max_parallel: 2
            input: '{{ index }} {{ matrix.region }} {{ matrix.size }}'
            output: [{name: o, type: jmespath, value: stdout}]
        """
    )
    assert told.out == {"a": {"o": ["0 eu 1\n", "1 eu 2\n", "2 us 1\n", "3 ap 1\n"]}}


def test_row_x11_limits_groups(world: World):
    steps = "\n".join(
        f"  - {{name: s{n}, source: rest, concurrency: {{group: db, limit: 2}}, input: {BARRIER % 2}}}"
        for n in range(6)
    )
    told = world(f"runner: {{max_workers: 6}}\nflow:\n{steps}\n")
    assert (told.code, world.origin.peak) == (0, 2)


def test_row_x11_lets_others_by(world: World):
    """Whoever is in the group waits for one who is not, and who stands behind them all."""
    held = ""
    for n in range(3):
        os.mkfifo(world.folder / f"go{n}")
        command = f"[sh, -c, 'read line < go{n}']"
        held += (
            f"  - {{name: s{n}, source: process, concurrency: {{group: db, limit: 2}}, "
            f"input: {{command: {command}}}}}\n"
        )
    free = "[sh, -c, 'for n in 0 1 2; do echo > go$n; done']"
    told = world(
        "runner: {max_workers: 6, timeout: 60s}\n"
        f"flow:\n{held}  - {{name: free, source: process, input: {{command: {free}}}}}\n"
    )
    assert told.code == 0, told.stderr
