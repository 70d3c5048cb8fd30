"""What the failure of a step means for those that wait for it: each cell of the table, and who else."""

from __future__ import annotations

from typing import Any

import pytest

from plait._kernel import effects, records, stimuli
from plait._kernel.graph.admission import ONCE, Broken, Leave
from plait._kernel.graph.records import Skipped
from plait._kernel.plan import Word
from tests.kernel.graph.board import BAD, Board, step


def test_a_step_begins_when_all_that_it_waits_for_have_succeeded():
    run = Board(step("a"), step("b"), step("c", "a", "b"))
    assert run.running == ["a", "b"]
    run.returns("a")
    assert run.running == ["b"]
    run.returns("b")
    assert run.running == ["c"]
    run.returns("c")
    assert run.outcome == records.Finished()
    run.settles()
    assert run.told(records.Failed) == []


def test_fail_skips_those_behind_and_ends_the_run():
    run = Board(
        step("z"), step("a"), step("b", "a"), step("c", on={"b": "continue"}), step("y", "z")
    )
    run.raises("a")
    assert run.skipped == {"b": "abort", "c": "abort"}
    assert run.outcome == records.Crashed()
    assert run.running == ["z"]
    assert run.pending == ["y"]
    run.cannot_hear(stimuli.Settled(0.0))


def test_an_aborted_run_starts_nothing_more():
    run = Board(step("a"), step("b", "a"), *[step(f"x{n}") for n in range(3)], workers=2)
    assert run.running == ["a", "x0"]
    run.raises("a")
    run.returns("x0")
    assert run.launched == [("a", 0), ("x0", 0)]
    assert run.running == []
    run.settles()
    assert run.state.outcome == records.Crashed()


def test_skip_leaves_out_all_that_descend_whatever_their_own_word():
    run = Board(
        step("a"),
        step("b", on={"a": "skip"}),
        step("c", on={"b": "continue"}),
        step("d", "c", "z"),
        step("z"),
    )
    run.raises("a")
    assert run.skipped == {"b": "on_error", "c": "on_error", "d": "on_error"}
    assert run.running == ["z"]
    run.returns("z")
    assert run.outcome == records.Finished()


def test_continue_lets_the_step_run_when_the_others_have_finished():
    run = Board(step("a"), step("z"), step("b", "z", on={"a": "continue"}))
    run.raises("a")
    assert run.running == ["z"]
    assert run.pending == ["b"]
    run.returns("z")
    assert run.running == ["b"]
    run.returns("b")
    assert run.outcome == records.Finished()


def test_a_leaf_that_fails_lets_the_rest_go_on():
    run = Board(step("a"), step("z"))
    run.raises("a")
    assert run.going
    run.returns("z")
    assert run.outcome == records.Finished()
    assert [failure.step for failure in run.state.failures] == ["a"]


def test_a_leaf_ends_the_run_if_that_is_wished():
    run = Board(step("a", aborts=True), step("z"))
    run.raises("a")
    assert run.outcome == records.Crashed()
    assert run.skipped == {}


def test_aborts_is_for_leaves_alone():
    run = Board(step("a", aborts=True), step("b", on={"a": "continue"}))
    run.raises("a")
    assert run.going
    assert run.running == ["b"]


WORDS: list[Word] = ["fail", "skip", "continue"]


@pytest.mark.parametrize("first", WORDS)
@pytest.mark.parametrize("second", WORDS)
def test_each_edge_is_for_itself_and_one_fail_aborts(first: Word, second: Word):
    run = Board(step("a"), step("b", on={"a": first}), step("c", on={"a": second}), step("z"))
    run.raises("a")
    reasons = {"fail": "abort", "skip": "on_error"}
    expected = {
        name: reasons[word] for name, word in [("b", first), ("c", second)] if word != "continue"
    }
    assert run.skipped == expected
    assert run.going == ("fail" not in {first, second})
    if run.going:
        goes_on = [name for name, word in [("b", first), ("c", second)] if word == "continue"]
        assert run.running == ["z", *goes_on]
    else:
        assert run.running == ["z"]


@pytest.mark.parametrize("first", WORDS)
@pytest.mark.parametrize("second", WORDS)
@pytest.mark.parametrize("order", ["ab", "ba"])
def test_of_several_failures_the_hardest_word_counts(first: Word, second: Word, order: str):
    run = Board(step("a"), step("b"), step("c", on={"a": first, "b": second}))
    for name in order:
        if name in run.running:
            run.raises(name)
    words = {first, second}
    if "fail" in words:
        assert run.outcome == records.Crashed()
        assert [*run.skipped] == ["c"]
    elif "skip" in words:
        assert run.skipped == {"c": "on_error"}
        assert run.outcome == records.Finished()
    else:
        assert run.running == ["c"]


def test_a_fail_behind_what_is_skipped_already_still_ends_the_run():
    """The rule looks at the file, not at timing."""
    run = Board(step("a"), step("b"), step("c", "b", on={"a": "skip"}), step("z"))
    run.raises("a")
    assert run.skipped == {"c": "on_error"}
    run.raises("b")
    assert run.outcome == records.Crashed()


def test_abort_beats_skip_where_both_reach_a_step():
    run = Board(
        step("a"), step("s", on={"a": "skip"}), step("f", "a"), step("d", "s", "f"), step("z")
    )
    run.raises("a")
    assert run.skipped == {"f": "abort", "d": "abort", "s": "on_error"}
    assert [r.steps for r in run.told(Skipped) if isinstance(r, Skipped)] == [("f", "d"), ("s",)]


def test_skipped_steps_are_listed_in_the_order_of_the_plan():
    run = Board(
        step("d", "b", "c"), step("c", "a"), step("b", on={"a": "skip"}), step("a"), step("e", "b")
    )
    run.raises("a")
    assert [*run.skipped] == ["d", "c", "b", "e"]


# ---------------------------------------------------------------- told not to run


def by(verdicts: dict[str, Any]) -> Any:
    """Admit as these say; the others run."""
    return lambda name: verdicts.get(name, ONCE)


def test_a_step_that_is_told_not_to_run_is_no_failure():
    run = Board(step("a"), step("b"), step("c", "a", "b"), step("d", "a"), admit=by({"a": Leave()}))
    assert run.skipped == {"a": "when", "d": "upstream"}
    assert run.running == ["b"]
    run.returns("b")
    assert run.running == ["c"]
    run.returns("c")
    assert run.outcome == records.Finished()


def test_two_exclusive_branches_meet_again():
    run = Board(
        step("root"),
        step("yes", "root"),
        step("no", "root"),
        step("after", "yes", "no"),
        admit=by({"no": Leave()}),
    )
    run.returns("root")
    run.returns("yes")
    assert run.running == ["after"]


def test_upstream_goes_all_the_way_down():
    run = Board(step("a"), step("b", "a"), step("c", "b"), step("d", "c"), admit=by({"a": Leave()}))
    assert run.skipped == {"a": "when", "b": "upstream", "c": "upstream", "d": "upstream"}
    assert run.outcome == records.Finished()


def test_a_failure_that_is_let_pass_counts_as_something():
    run = Board(
        step("a"), step("b"), step("c", "b", on={"a": "continue"}), admit=by({"b": Leave()})
    )
    run.raises("a")
    assert run.running == ["c"]


def test_who_is_left_out_upstream_is_not_asked():
    asked: list[str] = []

    def admit(name: str) -> Any:
        asked.append(name)
        return Leave()

    Board(step("a"), step("b", "a"), admit=admit)
    assert asked == ["a"]


# ---------------------------------------------------------------- failed before it ran


@pytest.mark.parametrize("word", WORDS)
def test_what_cannot_be_found_out_is_a_failure_of_the_step(word: Word):
    run = Board(step("a"), step("b", on={"a": word}), step("z"), admit=by({"a": Broken(BAD)}))
    assert [record.error for record in run.told(records.Failed)] == [BAD]  # type: ignore[union-attr]
    assert ("a", 0) not in run.launched
    assert run.running == {"fail": [], "skip": ["z"], "continue": ["z", "b"]}[word]
    assert run.going == (word != "fail")


def test_a_failure_without_a_body_has_taken_no_time():
    run = Board(step("r"), step("a", "r"), admit=by({"a": Broken(BAD)}))
    run.now = 7.0
    run.returns("r")
    (failure,) = run.state.failures
    assert (failure.step, failure.error, failure.attempt, failure.elapsed) == ("a", BAD, 1, 0.0)


def test_whoever_is_asked_and_raises_has_failed_the_step():
    def admit(name: str) -> Any:
        raise BAD

    run = Board(step("a"), admit=admit)
    assert [failure.error for failure in run.state.failures] == [BAD]
    assert run.outcome == records.Finished()


# ---------------------------------------------------------------- errors that are not the step's


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit()])
def test_what_is_no_exception_ends_the_run_without_a_retry(error: BaseException):
    run = Board(step("a"), step("b", on={"a": "continue"}), step("z"))
    run.raises("a", error=error)
    assert run.outcome == records.Crashed()
    assert run.effects == [effects.Wind()]
    assert run.running == ["z"]
