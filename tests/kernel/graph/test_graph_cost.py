"""The price of a step does not grow with their number: counted in lines that are executed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from plait._kernel import records, stimuli
from plait._kernel.graph.admission import Admit, Broken, Go, Leave, everyone
from plait._kernel.graph.advance import advance
from plait._kernel.graph.effects import Launch
from plait._kernel.graph.records import Skipped
from plait._kernel.graph.state import GraphState
from plait._kernel.plan import Plan, StepPlan
from tests.kernel.graph.board import BAD, RUN, plan, step
from tests.kernel.strategies import Start

FEW, MANY = 500, 10_000


def lines_of(work: Callable[[], object]) -> int:
    """Count the lines of the kernel that a call executes."""
    count = 0

    def trace(frame: FrameType, event: str, arg: object) -> Any:
        nonlocal count
        if "_kernel" not in frame.f_code.co_filename:
            return None
        if event == "line":
            count += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def finish(drawn: Plan, admit: Admit = everyone, *, fail: str = "") -> GraphState:
    """Run a plan to its end: whoever began first ends first, and `fail` fails."""
    state = GraphState(drawn, RUN)
    state.admit = admit
    line = [stimuli.Opened(0.0, Start())]
    for stimulus in line:
        _, todo = advance(state, stimulus)
        for effect in todo:
            if isinstance(effect, Launch):
                number = effect.delivery
                failed = state.running[number].step == fail
                line.append(
                    stimuli.Raised(0.0, number, BAD)  # type: ignore[arg-type]
                    if failed
                    else stimuli.Returned(0.0, number, None)
                )
    assert state.outcome == records.Finished()
    assert not state.open
    return state


def wide(count: int) -> tuple[Plan, dict[str, Any]]:
    """Steps that wait for nobody."""
    return plan(*[step(f"s{n}") for n in range(count)]), {}


def chain(count: int) -> tuple[Plan, dict[str, Any]]:
    """Each waits for the one before."""
    return plan(step("s0"), *[step(f"s{n}", f"s{n - 1}") for n in range(1, count)]), {}


def fan(count: int) -> tuple[Plan, dict[str, Any]]:
    """All wait for one, and one for all."""
    middle = [step(f"s{n}", "root") for n in range(count)]
    return plan(step("root"), *middle, step("end", *[one.name for one in middle])), {}


def skipped(count: int) -> tuple[Plan, dict[str, Any]]:
    """A chain behind a failure."""
    steps: list[StepPlan] = [step("s0"), step("s1", on={"s0": "skip"})]
    steps += [step(f"s{n}", f"s{n - 1}") for n in range(2, count)]
    return plan(*steps), {"fail": "s0"}


def left_out(count: int) -> tuple[Plan, dict[str, Any]]:
    """A chain whose first step is told not to run."""
    drawn, _ = chain(count)
    return drawn, {"admit": lambda name: Leave() if name == "s0" else Go()}


def grouped(count: int) -> tuple[Plan, dict[str, Any]]:
    """Steps that share one slot, and one that does not."""
    drawn = plan(*[step(f"s{n}", group="g") for n in range(count)], step("z"), groups={"g": 1})
    return drawn, {}


def items(count: int) -> tuple[Plan, dict[str, Any]]:
    """One step with as many items."""
    return plan(step("s", workers=2)), {"admit": lambda name: Go(count)}


def dropped(count: int) -> tuple[Plan, dict[str, Any]]:
    """The same, and the first fails."""
    drawn = plan(step("s", workers=1), step("z"))
    return drawn, {"admit": lambda name: Go(count if name == "s" else 1), "fail": "s"}


def reused(count: int) -> tuple[Plan, dict[str, Any]]:
    """The same, and all are known."""
    return plan(step("s")), {"admit": lambda name: Go(count, dict.fromkeys(range(count)))}


def broken(count: int) -> tuple[Plan, dict[str, Any]]:
    """Steps that fail before they run."""
    return wide(count)[0], {"admit": lambda name: Broken(BAD)}


def cut_short(count: int) -> tuple[Plan, dict[str, Any]]:
    """Many steps with a few items, of which the first cannot be had, in one group."""
    drawn = plan(*[step(f"s{n}", group="g", workers=2) for n in range(count // 4)], groups={"g": 3})
    return drawn, {"admit": lambda name: Go(4)}


def two_in_a_group(count: int) -> tuple[Plan, dict[str, Any]]:
    """Two steps with many items share a group, and each has a limit of its own."""
    steps = [step("s", group="g", workers=1), step("t", group="g", workers=9)]
    half = count // 2
    return plan(*steps, groups={"g": 2}), {"admit": lambda name: Go(half)}


SHAPES = [
    wide, chain, fan, skipped, left_out, grouped, items, dropped, reused, broken, cut_short,
    two_in_a_group,
]  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_the_price_of_a_step_does_not_grow(shape: Callable[[int], tuple[Plan, dict[str, Any]]]):
    prices: list[float] = []
    for count in (FEW, MANY):
        drawn, options = shape(count)
        _ = drawn.step, drawn.place, drawn.dependents
        prices.append(lines_of(lambda: finish(drawn, **options)) / count)  # noqa: B023
    few, many = prices
    assert many <= few * 1.05


def test_a_long_chain_behind_a_failure_is_one_record():
    drawn, options = skipped(MANY)
    state = GraphState(drawn, RUN)
    advance(state, stimuli.Opened(0.0, Start()))
    (number,) = state.running
    written, _ = advance(state, stimuli.Raised(0.0, number, BAD))
    (lost,) = [record for record in written if isinstance(record, Skipped)]
    assert len(lost.steps) == MANY - 1
    assert options == {"fail": "s0"}
