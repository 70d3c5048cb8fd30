"""Who waits for what, in the words of the contract: what a stall, a timeout and `explain()` say."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait._errors import Waiting
from plait._kernel.explain import MOST_LINES, explain, waiting
from plait._kernel.plan import Plan
from tests.kernel.shell import Shell
from tests.kernel.strategies import (
    A,
    Answer,
    B,
    Event,
    FineAnswer,
    Start,
    Stop,
    Watched,
    plan,
    plans,
    step,
)

STALLED = (
    "Workflow 'ConcurrentFlow' is stalled: nothing is queued, running or due, "
    "and no step returned StopEvent."
)
IDLE = "Workflow 'ConcurrentFlow' is idle: it waits for an event from outside."
RUNNING = "Workflow 'ConcurrentFlow' is running."


def flow(asks: type[Event] | None = None) -> Plan:
    steps = [step("start", Start), step("step_three", A, num_workers=3), step("pair", A, B)]
    if asks:
        steps.append(step("hear", asks))
    return plan(*steps, name="ConcurrentFlow")


def started(of: Plan) -> Shell:
    shell = Shell(of)
    shell.open(Start())
    shell.comes("start")
    return shell


# ---------------------------------------------------------------- the texts


def test_a_stall_says_who_waits_for_what():
    """The lines of the contract, in its order; those of joins come with the joins."""
    shell = started(flow())
    for event in (A(1), A(2)):
        shell.sends(event, "step_three", by=1)
    shell.sends(A(3), "pair", by=1)
    shell.sends(Answer(), by=1)
    shell.sends(Answer(), by=1)
    shell.sends(FineAnswer(), by=1)
    shell.returns(1, Watched())
    for number, name in ((2, "step_three"), (3, "step_three"), (4, "pair")):
        assert shell.comes(name) == number
        if name == "pair":
            shell.collects(number, [A, B], key=7)
        else:
            shell.collects(number, {A: 3})
        shell.returns(number, None)
    assert explain(shell.state, shell.now).splitlines() == [
        STALLED,
        "  step 'step_three': collect_events(buffer 'default') has A 2/3",
        "  step 'pair': collect_events(buffer 'default', key 7) has A 1/1, B 0/1",
        "  streamed only: Watched from step 'start'; no step accepts it",
        "  mailbox: Answer x 2",
        "  mailbox: FineAnswer x 1",
        "  last returned None: step 'step_three', step 'pair'",
    ]


def test_a_stall_without_more_to_say_has_a_head_and_who_returned_none():
    shell = started(flow())
    shell.returns(1, None)
    assert explain(shell.state, shell.now) == f"{STALLED}\n  last returned None: step 'start'"


def test_an_idle_run_waits_for_the_outside():
    shell = started(flow(asks=Answer))
    shell.returns(1, Watched())
    assert explain(shell.state, shell.now) == (
        f"{IDLE}\n  streamed only: Watched from step 'start'; no step accepts it"
    )


def test_a_running_run_says_what_runs_and_what_is_queued():
    shell = started(flow())
    for n in range(20):
        shell.sends(A(n), "step_three", by=1)
    shell.sends(B(), by=1)
    for _ in range(3):
        shell.comes("step_three")
    assert explain(shell.state, shell.now).splitlines() == [
        RUNNING,
        "  step 'start': 1 running, 0 queued",
        "  step 'step_three': 3 running, 17 queued",
        "  step 'pair': 0 running, 1 queued",
    ]


def test_before_and_after_a_run_says_so():
    shell = Shell(flow())
    assert explain(shell.state, shell.now) == "Workflow 'ConcurrentFlow' has not been started."
    shell.open(Start())
    shell.sends(Stop())
    shell.settles()
    assert explain(shell.state, shell.now).splitlines() == [
        "Workflow 'ConcurrentFlow' has ended.",
        "  step 'start': 0 running, 1 queued",
    ]


def test_a_buffer_is_named_by_its_id_and_its_key():
    shell = started(flow())
    shell.sends(A(), "pair", by=1)
    shell.comes("pair")
    for buffer_id, key in (("mine", None), ("mine", "k"), ("default", (1, 2))):
        shell.collects(2, [A, A], buffer_id, key)
    assert explain(shell.state, shell.now).splitlines()[3:] == [
        "  step 'pair': collect_events(buffer 'mine') has A 1/2",
        "  step 'pair': collect_events(buffer 'mine', key 'k') has A 1/2",
        "  step 'pair': collect_events(buffer 'default', key (1, 2)) has A 1/2",
    ]


def test_a_step_that_returned_an_event_since_is_no_longer_named():
    shell = Shell(plan(step("loop", Start, A), step("hear", Answer), name="W"))
    shell.open(Start())
    shell.sends(A())
    shell.comes("loop")
    shell.returns(1, None)
    assert "last returned None" in explain(shell.state, shell.now)
    shell.comes("loop")
    shell.returns(2, Watched())
    assert "last returned None" not in explain(shell.state, shell.now)


# ---------------------------------------------------------------- at most twenty lines


@pytest.mark.parametrize("count", [19, 20, 21, 22, 90])
def test_after_twenty_lines_the_rest_is_counted(count: int):
    shell = started(plan(step("start", Start), step("join", A), name="ConcurrentFlow"))
    shell.sends(A(), by=1)
    shell.comes("join")
    for key in range(count - 2):  # two lines are for the running steps
        shell.collects(2, [A, A], key=key)
    head, *lines = explain(shell.state, shell.now).splitlines()
    assert head == RUNNING
    if count <= MOST_LINES:
        assert len(lines) == count
    else:
        assert lines[MOST_LINES:] == [f"  ... and {count - 20} more"]
        assert lines[MOST_LINES - 1] == (
            "  step 'join': collect_events(buffer 'default', key 17) has A 1/2"
        )


@given(plans(), st.integers(0, 12))
def test_whatever_the_run_the_text_is_short(of: Plan, count: int):
    shell = Shell(of)
    shell.open(Start())
    kinds = [kind for s in of.steps for kind in s.accepts]
    for number in range(count):
        shell.sends(kinds[number % len(kinds)](number))
        shell.comes(of.steps[number % len(of.steps)].name)
    head, *lines = explain(shell.state, shell.now).splitlines()
    assert re.fullmatch(r"Workflow 'Flow' is (running|idle: .*|stalled: .*)\.", head)
    assert len(lines) <= MOST_LINES + 1
    assert all(line.startswith("  ") for line in lines)


# ---------------------------------------------------------------- as values


def test_who_waits_is_listed_as_values():
    shell = started(flow())
    shell.sends(A(), by=1)
    shell.now = 2.5
    shell.comes("pair")
    shell.collects(3, [A, B], "mine", "k")
    shell.comes("step_three")
    shell.now = 4.0
    shell.collects(2, [A, A])
    assert waiting(shell.state) == (
        Waiting("step_three", "collect", {"A": 1}, {"A": 2}, "default", None, None, 4.0),
        Waiting("pair", "collect", {"A": 1, "B": 0}, {"A": 1, "B": 1}, "mine", "k", None, 2.5),
    )


def test_a_wait_lasts_from_its_first_event():
    shell = started(flow())
    shell.sends(A(1), "pair", by=1)
    shell.sends(A(2), "pair", by=1)
    for now, number in ((1.0, 2), (5.0, 3)):
        shell.now = now
        shell.comes("pair")
        shell.collects(number, [A, A, A])
    (wait,) = waiting(shell.state)
    assert wait.since == 1.0
    assert wait.have == {"A": 2}


def test_nobody_waits_for_a_batch_that_has_been_given():
    shell = started(flow())
    shell.sends(A(), "pair", by=1)
    shell.comes("pair")
    assert shell.collects(2, [A]) == (A(),)
    assert waiting(shell.state) == ()
