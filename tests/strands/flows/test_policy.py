"""What a failure means for those that wait: each cell of the table, and who is tolerated."""

from __future__ import annotations

from itertools import product

import pytest

from plait._strands._flows.compile import make_plan
from plait._strands._flows.flow import load
from plait._strands._flows.policy import is_tolerated, word_of

WORDS = (None, "fail", "skip", "continue")


@pytest.mark.parametrize(("dependent", "failing", "runner"), [*product(WORDS, repeat=3)])
def test_the_dependents_word_comes_first(dependent, failing, runner):
    said = [word for word in (dependent, failing, runner) if word is not None]
    assert word_of(dependent, failing, runner) == (said[0] if said else "fail")


@pytest.mark.parametrize(("failing", "runner"), [*product(WORDS, repeat=2)])
def test_a_leaf_is_tolerated_by_its_own_word_or_the_runners(failing, runner):
    assert is_tolerated(failing, runner, ()) == ((failing or runner) == "continue")


@pytest.mark.parametrize("edges", [*product(WORDS[1:], repeat=2)])
def test_all_edges_must_say_continue(edges):
    assert is_tolerated("continue", "continue", edges) == (set(edges) == {"continue"})


@pytest.mark.parametrize(
    ("word", "fail_fast", "aborts"),
    [(None, True, True), (None, False, False), ("continue", True, False), ("skip", True, True)],
)
def test_a_leaf_aborts_if_the_runner_is_to_fail_fast(word, fail_fast, aborts):
    step = {"name": "a", "source": "env"} | ({} if word is None else {"on_error": word})
    flow = load({"flow": [step], "runner": {"fail_fast": fail_fast}})
    [plan] = make_plan(flow.checked).steps
    assert plan.after is not None
    assert plan.after.aborts is aborts


def test_a_step_that_somebody_waits_for_is_no_leaf():
    steps = [{"name": "a", "source": "env"}, {"name": "b", "source": "env", "depends_on": "a"}]
    first, second = make_plan(load({"flow": steps, "runner": {"fail_fast": True}}).checked).steps
    assert first.after is not None
    assert second.after is not None
    assert (first.after.aborts, second.after.aborts) == (False, True)
