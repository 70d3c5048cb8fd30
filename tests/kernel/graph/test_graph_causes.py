"""A record says what a step has waited for: by the plan, and by nothing that has happened since."""

from __future__ import annotations

from plait._kernel.graph.admission import ONCE, Admit, Leave, Verdict
from plait._kernel.graph.records import Readied, Skipped

from .board import Board, step


def after(run: Board, kind: type[Readied | Skipped]) -> dict[str, tuple[str, ...] | None]:
    """What the steps have waited for that records of this kind are about."""
    return {
        name: record.after
        for record in run.told(kind)
        if isinstance(record, kind)
        for name in (record.steps if isinstance(record, Skipped) else [record.step])
    }


def test_a_step_that_is_ready_names_all_that_it_has_waited_for():
    run = Board(step("a"), step("b"), step("c", "a", "b"), step("d", "c"))
    run.returns("b", "a", "c")
    assert after(run, Readied) == {"a": (), "b": (), "c": ("a", "b"), "d": ("c",)}


def test_who_was_left_out_is_named_too():
    run = Board(step("a"), step("b", "a"), step("c", "a", "b"), admit=without("b"))
    run.returns("a")
    assert after(run, Readied) == {"a": (), "c": ("a", "b")}
    assert after(run, Skipped) == {"b": ("a",)}


def test_a_step_for_which_nothing_is_left_names_all_that_it_has_waited_for():
    run = Board(step("a"), step("b"), step("c", "a", "b"), admit=without("a", "b"))
    assert after(run, Skipped) == {"a": (), "b": (), "c": ("a", "b")}


def test_what_a_failure_takes_along_names_who_has_failed():
    run = Board(step("a"), step("b", on={"a": "skip"}), step("c", "b"), step("z"))
    run.raises("a")
    assert after(run, Skipped) == {"b": ("a",), "c": ("a",)}


def without(*names: str) -> Admit:
    """Tell these steps not to run."""

    def admit(name: str) -> Verdict:
        return Leave() if name in names else ONCE

    return admit
