"""Flow files, rows 39 to 51 and others: what runs when, and what a failure means."""

from __future__ import annotations

import pytest

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
