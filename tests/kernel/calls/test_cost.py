"""What a call costs does not depend on how many there are: lines of Python are counted, not time."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any, Self

from plait._kernel.calls import stimuli
from plait._kernel.calls.advance import advance
from plait._kernel.calls.apply import fold
from plait._kernel.calls.keys import Path
from plait._kernel.calls.state import BodyState

SMALL, LARGE = 100, 10_000


class Meter:
    """Counts the lines that are executed, and the heap's own comparisons are not among them."""

    def __init__(self) -> None:
        self.lines = 0

    def __call__(self, _frame: FrameType, what: str, _argument: object) -> Any:
        if what == "line":
            self.lines += 1
        return self

    def __enter__(self) -> Self:
        self.before = sys.gettrace()
        sys.settrace(self)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self.before)


def tell(state: BodyState, stimulus: Any) -> list[tuple[int, Any]]:
    return advance(state, stimulus)[0]


def made(state: BodyState, path: Path) -> list[tuple[int, Any]]:
    key = state.next_key(path, "a")
    return tell(state, stimuli.Called(1.0, key, "run", "h"))


def one_after_another(size: int) -> tuple[float, BodyState, list[tuple[int, Any]]]:
    """Calls of one task, each handed out before the next is made."""
    state = BodyState()
    tell(state, stimuli.Began(0.0, 0))
    kept: list[tuple[int, Any]] = []
    with Meter() as meter:
        for _ in range(size):
            key = state.next_key((), "a")
            kept += made(state, ())
            kept += tell(state, stimuli.HandlerReturned(2.0, key, None))
            tell(state, stimuli.Acknowledged(2.0, state.last_n))
            tell(state, stimuli.AtRest(2.0))
    return meter.lines / size, state, kept


def all_at_once(size: int, kept: list[tuple[int, Any]]) -> float:
    """Calls of many tasks, made in replay if there are records, which end in the wrong order."""
    state = BodyState()
    with Meter() as meter:
        for n, record in kept:
            fold(state, record, n)
        tell(state, stimuli.Began(0.0, 0))
        for k in range(size):
            made(state, (k,))
        tell(state, stimuli.AtRest(1.0))
        for k in reversed(range(size)):
            key = state.next_key((k,), "a")._replace(occurrence=0)
            if state.outcome(key) is None:
                kept += tell(state, stimuli.HandlerReturned(2.0, key, None))
        tell(state, stimuli.Acknowledged(2.0, state.last_n))
        while state.may_move:
            tell(state, stimuli.AtRest(2.0))
    assert state.handed == size
    return meter.lines / size


def test_ten_thousand_calls_cost_no_more_each_than_a_hundred() -> None:
    small, _, _ = one_after_another(SMALL)
    large, _, _ = one_after_another(LARGE)
    assert large <= small * 1.02


def test_ten_thousand_calls_at_once_cost_no_more_each() -> None:
    assert all_at_once(LARGE, []) <= all_at_once(SMALL, []) * 1.02


def test_a_replay_of_ten_thousand_calls_costs_no_more_each() -> None:
    prices = []
    for size in (SMALL, LARGE):
        records: list[tuple[int, Any]] = []
        all_at_once(size, records)
        prices.append(all_at_once(size, records))
    assert prices[1] <= prices[0] * 1.02
