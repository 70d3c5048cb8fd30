"""Joins: a step with several event parameters runs when each of its slots has an event.

First in, first out for each slot; the surplus waits. Events of two streams never meet.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait._errors import Waiting, WorkflowRuntimeError
from plait._ids import DeliveryId
from plait._kernel import effects, records
from plait._kernel.explain import explain, waiting
from plait._kernel.state import Delivery
from tests.kernel.shell import Shell
from tests.kernel.strategies import (
    A,
    Answer,
    B,
    Broken,
    C,
    Event,
    FineA,
    FinestA,
    Start,
    Stop,
    fan_in,
    join,
    number_of,
    plan,
    step,
)


def joining(*slots: type, subclasses: bool = False, num_workers: int = 4) -> Shell:
    """A run whose first body runs, and may send."""
    shell = Shell(
        plan(
            step("start", Start),
            join("j", *slots, subclasses=subclasses),
        )
    )
    shell.open(Start())
    assert shell.comes("start") == 1
    return shell


def pairs(shell: Shell, name: str = "j") -> list[tuple[int, ...]]:
    """The numbers of the events of each delivery that is queued."""
    return [
        tuple(number_of(event) for event in delivery.event)  # type: ignore[attr-defined]
        for delivery in shell.state.steps[name].queue
    ]


def test_a_join_runs_when_each_slot_has_an_event():
    shell = joining(A, B)
    shell.sends(A(1), by=1)
    assert shell.effects == []
    assert shell.queue("j") == []
    shell.sends(B(2), by=1)
    assert shell.effects == [effects.Offer("j")]
    (delivery,) = shell.state.steps["j"].queue
    assert delivery.event == (A(1), B(2))
    assert delivery.cause == 1
    assert shell.comes("j") == delivery.number


def test_the_event_is_in_the_order_of_the_parameters():
    shell = joining(A, B)
    shell.sends(B(1))
    shell.sends(A(2))
    assert pairs(shell) == [(2, 1)]


def test_slots_are_first_in_first_out_and_keep_the_surplus():
    shell = joining(A, B)
    for event in (A(1), A(2), A(3), B(4), B(5)):
        shell.sends(event)
    assert pairs(shell) == [(1, 4), (2, 5)]
    shell.sends(B(6))
    assert pairs(shell) == [(1, 4), (2, 5), (3, 6)]
    assert shell.state.steps["j"].joins == {}


def test_two_parameters_of_one_class_take_turns():
    shell = joining(A, A, B)
    for event in (A(1), A(2), A(3), B(4)):
        shell.sends(event)
    assert pairs(shell) == [(1, 2, 4)]
    for event in (A(5), B(6)):
        shell.sends(event)
    assert pairs(shell) == [(1, 2, 4), (3, 5, 6)]


def test_with_subclasses_an_event_goes_to_the_emptiest_slot_that_takes_it():
    shell = joining(A, FineA, subclasses=True)
    shell.sends(FinestA(1))
    shell.sends(FinestA(2))
    assert pairs(shell) == [(1, 2)]
    shell.sends(FineA(3))
    shell.sends(A(4))
    assert [len(slot) for slot in shell.state.steps["j"].joins[None]] == [2, 0]


def test_without_subclasses_only_the_class_itself_joins():
    shell = joining(A, B)
    with pytest.raises(WorkflowRuntimeError):
        shell.sends(FineA())


@given(st.text("AB", max_size=12))
def test_whatever_the_order_the_nth_meets_the_nth(word: str):
    shell = joining(A, B)
    came: dict[str, list[int]] = {"A": [], "B": []}
    for number, letter in enumerate(word):
        came[letter].append(number)
        shell.sends({"A": A, "B": B}[letter](number))
    assert pairs(shell) == [*zip(came["A"], came["B"], strict=False)]


def test_one_event_may_go_to_a_join_and_to_other_steps():
    shell = Shell(plan(step("start", Start), join("j", A, B), step("a", A)))
    shell.open(Start())
    shell.sends(A(1))
    assert len(shell.queue("a")) == 1
    shell.sends(A(2), "j")
    shell.sends(B(3))
    assert pairs(shell) == [(1, 3)]
    assert len(shell.queue("a")) == 1


def test_two_joins_have_slots_of_their_own():
    shell = Shell(plan(step("start", Start), join("j", A, B), join("k", A, C)))
    shell.open(Start())
    for event in (A(1), C(2), B(3)):
        shell.sends(event)
    assert (pairs(shell, "j"), pairs(shell, "k")) == ([(1, 3)], [(1, 2)])


def test_a_worker_that_stays_takes_the_join_that_its_return_has_made_whole():
    shell = Shell(plan(step("start", Start), join("j", A, A, num_workers=1)))
    shell.open(Start())
    shell.comes("start")
    for number in range(3):
        shell.sends(A(number), by=1)
    number = shell.comes("j")
    assert number
    assert shell.returns(number, A(3), stays=True)
    assert shell.body(shell.begun or 0).event == (A(2), A(3))


def test_streams_do_not_meet():
    shell = Shell(plan(step("start", Start, C, returns_list=True), join("j", A, B), step("b", B)))
    shell.open(Start())
    shell.sends(C())
    shell.works("start", [A(1)], [B(2), A(3)])
    assert pairs(shell) == [(3, 2)]
    shell.sends(B(4))
    assert pairs(shell) == [(3, 2)], "what is sent is in no stream"
    shell.sends(A(5))
    assert pairs(shell) == [(3, 2), (5, 4)]


def test_a_join_inside_a_stream_goes_on_inside_it():
    of = plan(
        step("start", Start, returns_list=True, opens=("f",)), join("j", A, B), fan_in("f", C)
    )
    shell = Shell(of)
    shell.open(Start())
    shell.works("start", [A(), B(), C(1)])
    assert [r for r in shell.records if isinstance(r, records.Fired)] == []
    shell.works("j", C(2))
    (fired,) = [record for record in shell.latest if isinstance(record, records.Fired)]
    assert [number_of(event) for event in fired.events] == [1, 2]


def test_what_waits_in_a_slot_keeps_its_stream_open():
    of = plan(
        step("start", Start, returns_list=True, opens=("f",)), join("j", A, B), fan_in("f", C)
    )
    shell = Shell(of)
    shell.open(Start())
    shell.works("start", [A(), C()])
    assert not any(isinstance(record, records.Fired) for record in shell.records)
    assert shell.state.outcome == records.Stalled()
    assert "  step 'j': join has A 1/1, B 0/1" in explain(shell.state, 0.0).splitlines()
    assert shell.state.undelivered == (A(), C())


# ---------------------------------------------------------------- what is said of it


def test_who_waits_in_a_join_is_named():
    shell = joining(A, A, B)
    for event in (A(1), A(2), A(3)):
        shell.sends(event)
    shell.returns(1, None)
    assert shell.state.outcome == records.Stalled()
    assert explain(shell.state, 0.0).splitlines()[1:] == [
        "  step 'j': join has A 3/2, B 0/1",
        "  last returned None: step 'start'",
    ]
    assert waiting(shell.state) == (
        Waiting("j", "join", {"A": 3, "B": 0}, {"A": 2, "B": 1}, None, None, None, 0.0),
    )


def test_what_waits_and_what_is_queued_is_undelivered_the_oldest_first():
    shell = joining(A, B)
    for event in (A(1), Answer(2), A(3), B(4), Answer(5)):
        shell.sends(event)
    shell.sends(Stop())
    left = [number_of(event) for event in shell.state.undelivered]
    assert sorted(left) == [1, 2, 3, 4, 5]
    assert left.index(2) < left.index(3) < left.index(5)


# ---------------------------------------------------------------- its body


def test_each_of_its_events_counts_once_for_a_collection():
    shell = joining(A, B)
    for event in (A(1), B(2), A(3), B(4)):
        shell.sends(event)
    first, second = (shell.comes("j") or 0 for _ in range(2))
    a1, b2 = shell.body(first).event  # type: ignore[misc]
    a3, b4 = shell.body(second).event  # type: ignore[misc]
    wanted = [A, B, A, B]
    assert shell.collects(first, wanted, event=a1) is None
    assert shell.collects(first, wanted, event=b2) is None
    assert shell.collects(first, wanted, event=a1) is None, "a repeated call"
    assert shell.collects(second, wanted, event=b4) is None
    batch = shell.collects(second, wanted, event=a3)
    assert batch is not None
    assert [number_of(event) for event in batch] == [1, 2, 3, 4]
    assert shell.collects(second, wanted, event=a3) == batch
    with pytest.raises(WorkflowRuntimeError, match="not its input"):
        shell.collects(second, wanted, event=a1)


def test_a_joins_failure_is_that_of_all_its_events():
    shell = Shell(plan(step("start", Start), join("j", A, B, handler="h"), step("h", Broken)))
    shell.open(Start())
    for event in (A(1), B(2)):
        shell.sends(event)
    number = shell.comes("j") or 0
    shell.raises(number, ValueError())
    (delivery,) = shell.state.steps["h"].queue
    assert isinstance(delivery.event, Broken)
    assert delivery.event.event == (A(1), B(2))


def test_handlers_count_along_one_line_and_not_side_by_side():
    """Two events that were each recovered once meet: the handler has been used once."""
    of = plan(
        step("start", Start),
        step("a", A, handler="h"),
        step("b", B, handler="h"),
        join("j", C, FineA, handler="h"),
        step("h", Broken, max_recoveries=2),
    )
    shell = Shell(of)
    shell.open(Start())
    shell.sends(A())
    shell.sends(B())
    shell.raises(shell.comes("a") or 0, ValueError())
    shell.raises(shell.comes("b") or 0, ValueError())
    shell.works("h", C(), FineA())
    (delivery,) = shell.state.steps["j"].queue
    assert delivery.line == ("h",)
    shell.raises(shell.comes("j") or 0, ValueError())
    assert shell.state.outcome is None
    assert len(shell.queue("h")) == 1


def test_a_join_descends_from_each_of_its_events():
    """Only the second of them was recovered: that is enough for its own failure to be final."""
    of = plan(
        step("start", Start),
        step("b", B, handler="h"),
        join("j", A, C, handler="h"),
        step("h", Broken),
    )
    shell = Shell(of)
    shell.open(Start())
    shell.sends(A())
    shell.sends(B())
    shell.raises(shell.comes("b") or 0, ValueError())
    shell.works("h", C())
    shell.raises(shell.comes("j") or 0, ValueError())
    assert shell.state.outcome == records.Crashed()


def test_a_join_waits_across_the_retries_of_others():
    delivery = Delivery(DeliveryId(1), "j", (A(1), B(2)), DeliveryId(0))
    a, b = (A(1), B(2))
    assert delivery.place_of(a) == -1, "equal is not the same"
    assert delivery.place_of(delivery.event[1]) == 1  # type: ignore[index]
    assert delivery.place_of(b) == -1
    event: Event = A()
    assert Delivery(DeliveryId(1), "s", event, DeliveryId(0)).place_of(event) == 0
