"""Stepwise: one delivery at a time, in the order of their numbers, each when it is asked for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait._ids import DeliveryId
from plait._kernel import effects, records, stimuli
from plait._kernel.plan import Gather, Plan
from tests.kernel.shell import Shell
from tests.kernel.strategies import (
    A,
    Answer,
    B,
    C,
    Patience,
    Start,
    Stop,
    fan_in,
    plan,
    step,
)

FLOW = plan(step("start", Start), step("a", A), step("b", B), step("hear", Answer))


def stepping(of: Plan = FLOW) -> Shell:
    shell = Shell(of, stepwise=True)
    shell.open(Start())
    return shell


def asks(shell: Shell) -> list[str]:
    """Ask for the next delivery; the steps that are offered something."""
    shell.hear(stimuli.StepAsked(shell.now))
    return offered(shell)


def offered(shell: Shell) -> list[str]:
    return [effect.step for effect in shell.effects if isinstance(effect, effects.Offer)]


def test_nothing_starts_before_it_is_asked_for():
    shell = stepping()
    assert shell.effects == []
    assert shell.state.permits == 0
    assert asks(shell) == ["start"]
    assert shell.latest == [records.Permitted(0.0)]
    assert shell.comes("start") == 1
    assert shell.state.permits == 0


def test_deliveries_start_one_at_a_time_in_the_order_of_their_numbers():
    shell = stepping()
    asks(shell)
    shell.comes("start")
    for event in (B(), A(), A(), B()):
        shell.sends(event, by=1)
    assert asks(shell) == [], "one is running"
    shell.returns(1, None)
    assert offered(shell) == ["b"]
    order = [shell.comes("b")]
    for name in "aab":
        number = order[-1]
        assert number
        shell.returns(number, None)
        assert offered(shell) == []
        assert asks(shell) == [name]
        order.append(shell.comes(name))
    assert order == [2, 3, 4, 5]


def test_a_worker_does_not_stay_without_being_asked():
    shell = stepping()
    shell.sends(A())
    shell.sends(A())
    asks(shell)
    shell.comes("start")
    shell.returns(1, None)
    asks(shell)
    assert shell.comes("a") == 2
    assert shell.returns(2, None, stays=True) is None
    asks(shell)
    assert shell.comes("a") == 3


def test_who_asks_twice_gets_two():
    shell = stepping()
    shell.sends(B())
    assert asks(shell) == ["start"]
    assert asks(shell) == []
    shell.comes("start")
    shell.returns(1, None)
    assert offered(shell) == ["b"], "whose turn it is may be another step's"
    assert shell.comes("b") == 2


def test_a_body_that_waits_hands_its_permit_on_and_needs_one_to_go_on():
    shell = stepping()
    shell.sends(B())
    asks(shell)
    shell.comes("start")
    wait = shell.waits(1, C)
    assert offered(shell) == ["b"], "else nobody could send what it waits for"
    shell.comes("b")
    shell.sends(C())
    assert shell.resumed() == [], "one body at a time"
    shell.returns(2, None)
    assert shell.resumed() == [], "nobody has asked"
    asks(shell)
    assert [key for key, _ in shell.resumed()] == [wait]
    assert shell.state.permits == 0
    shell.returns(1, None)


def test_an_answer_finds_the_body_that_still_has_its_permit():
    shell = stepping()
    asks(shell)
    shell.comes("start")
    wait = shell.waits(1, C)
    assert shell.state.idle
    shell.sends(C())
    assert [key for key, _ in shell.resumed()] == [wait]


def test_a_permit_is_taken_back_unless_it_has_been_used():
    shell = stepping()
    asks(shell)
    shell.hear(stimuli.StepAsked(shell.now, -1))
    assert shell.latest == [records.Permitted(0.0, -1)]
    assert shell.comes("start") is None
    asks(shell)
    shell.comes("start")
    shell.hear(stimuli.StepAsked(shell.now, -1))
    assert shell.latest == []


def test_asking_waits_while_the_run_is_idle():
    shell = stepping()
    asks(shell)
    shell.works("start", None)
    assert shell.state.idle
    assert asks(shell) == []
    shell.sends(Answer())
    assert offered(shell) == ["hear"]


def test_a_retry_is_a_step_more():
    shell = stepping(plan(step("start", Start, retry=Patience(2)), step("a", A)))
    shell.sends(A())
    asks(shell)
    shell.raises(shell.comes("start") or 0, ValueError())
    assert asks(shell) == ["a"]
    shell.rings(1)
    assert shell.effects == [effects.Offer("start")], "it has the lower number"
    assert shell.comes("start") == 1
    shell.returns(1, None)
    assert asks(shell) == []
    assert shell.comes("a") == 2


def test_what_is_dropped_makes_room_for_the_next():
    of = plan(
        step("start", Start, returns_list=True, opens=("f",)),
        step("work", A),
        fan_in("f", B, gather=Gather(1, cancel_rest=True)),
        step("end", C),
    )
    shell = stepping(of)
    asks(shell)
    shell.comes("start")
    asks(shell)
    shell.returns(1, [A(1), A(2), B(3)])
    assert offered(shell) == ["f"]
    assert shell.queue("work") == []


@pytest.mark.parametrize("over", [False, True])
def test_after_the_decision_nothing_is_permitted(over: bool):  # noqa: FBT001
    shell = stepping()
    shell.sends(Stop())
    if over:
        shell.settles()
    assert asks(shell) == []
    assert shell.latest == []


def test_that_a_run_goes_step_by_step_is_in_its_records():
    shell = stepping()
    asks(shell)
    shell.works("start", None)
    shell.replays()
    assert shell.records[0] == records.RunStarted(0.0, "run-1", 0.0, stepwise=True)


@given(st.text("AB", max_size=8))
def test_whatever_is_sent_the_order_is_that_of_the_numbers(word: str):
    shell = stepping()
    for letter in word:
        shell.sends({"A": A, "B": B}[letter]())
    order = []
    for _ in range(len(word) + 1):
        (name,) = asks(shell)
        number = shell.comes(name)
        assert number
        order.append(number)
        shell.returns(number, None)
    assert order == [DeliveryId(n) for n in range(1, len(word) + 2)]
