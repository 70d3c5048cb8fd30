"""Waits: a body asks for one event and goes on when it has come. Meanwhile it holds no slot."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait._errors import Waiting, WorkflowRuntimeError
from plait._ids import OUTSIDE, DeliveryId
from plait._kernel import effects, records, stimuli
from plait._kernel.advance import advance
from plait._kernel.explain import explain, waiting
from plait._kernel.plan import Plan
from plait._kernel.state import RunState
from plait._kernel.waits import TIMED_OUT, TimedOutWait, Wait, Waits
from tests.kernel.ledger import wants
from tests.kernel.price import price
from tests.kernel.shell import RUN, Shell
from tests.kernel.strategies import (
    A,
    Answer,
    B,
    C,
    FineA,
    FineAnswer,
    Patience,
    Start,
    Stop,
    Watched,
    number_of,
    plan,
    step,
)


def asking(num_workers: int = 2, *, subclasses: bool = False, on_stop: str = "cancel") -> Plan:
    return plan(
        step("start", Start),
        step("ask", A, num_workers=num_workers, subclasses=subclasses, retry=Patience(2)),
        step("also", B),
        on_stop=on_stop,  # type: ignore[arg-type]
    )


def bodies(of: Plan, count: int = 1) -> Shell:
    """A run in which so many bodies of `ask` run, from delivery 2 on."""
    shell = Shell(of)
    shell.open(Start())
    shell.comes("start")
    for n in range(count):
        shell.sends(A(n), by=1)
    shell.returns(1, None)
    for _ in range(count):
        shell.comes("ask")
    return shell


# ---------------------------------------------------------------- the life of a wait


def test_a_body_that_waits_gives_its_slot_back():
    shell = bodies(asking(num_workers=1))
    shell.sends(A())
    assert shell.effects == []
    wait = shell.waits(2, Answer, Watched(7))
    assert wait == (2, 0)
    assert shell.stream == [Watched(7)]
    assert shell.effects == [effects.Publish(Watched()), effects.Offer("ask")]
    assert not shell.state.running
    assert [*shell.state.suspended] == [2]
    assert shell.comes("ask") == 3


def test_an_answer_resumes_the_body_with_it():
    shell = bodies(asking())
    wait = shell.waits(2, Answer)
    answer = Answer(5)
    shell.sends(answer)
    assert shell.resumed() == [(wait, answer)]
    assert shell.resumed()[0][1] is answer
    assert shell.latest[-1] == records.Resumed(0.0, wait, 0)
    assert [*shell.state.running] == [2]
    assert not shell.state.waits
    shell.returns(2, None)


def test_a_resumed_body_gets_the_lowest_free_worker():
    shell = bodies(asking(num_workers=3), 3)
    wait = shell.waits(3, Answer)
    shell.returns(2, None)
    shell.sends(Answer())
    assert shell.latest[-1] == records.Resumed(0.0, wait, 0)


def test_a_resolved_wait_gets_the_next_free_slot_before_queued_deliveries():
    shell = bodies(asking(num_workers=1))
    first = shell.waits(2, Answer)
    for n in range(3):
        shell.sends(A(n))
    assert shell.comes("ask") == 3
    shell.sends(Answer())
    assert shell.resumed() == []
    assert shell.comes("ask") is None
    assert shell.returns(3, None, stays=True) is None, "the slot goes to who has waited"
    assert [key for key, _ in shell.resumed()] == [first]
    assert shell.returns(2, None, stays=True) == 4


def test_waits_that_are_over_are_resumed_in_their_order():
    shell = bodies(asking(num_workers=2), 2)
    keys = [shell.waits(2, Answer), shell.waits(3, Answer)]
    for _ in range(2):
        shell.sends(A())
        shell.comes("ask")
    shell.sends(Answer(1))
    shell.sends(Answer(2))
    assert shell.resumed() == []
    shell.returns(4, None)
    assert [key for key, _ in shell.resumed()] == keys[:1]
    shell.unwinds(5)
    assert [key for key, _ in shell.resumed()] == keys[1:]


def test_a_wait_that_takes_too_long_is_told_so():
    shell = bodies(asking())
    wait = shell.waits(2, Answer)
    shell.now = 2000.0
    shell.expires(wait)
    assert shell.latest == [records.WaitEnded(2000.0, wait), records.Resumed(2000.0, wait, 0)]
    assert shell.resumed() == [(wait, TIMED_OUT)]
    assert isinstance(TIMED_OUT, TimedOutWait)
    shell.sends(Answer())
    assert len(shell.state.mailbox) == 1


def test_a_wait_that_is_over_does_not_expire():
    shell = bodies(asking())
    wait = shell.waits(2, Answer)
    shell.sends(Answer())
    shell.expires(wait)
    assert (shell.latest, shell.effects) == ([], [])


def test_each_wait_of_a_body_has_its_ordinal():
    shell = bodies(asking())
    for ordinal in range(3):
        assert shell.waits(2, Answer) == (2, ordinal)
        assert shell.state.waits[DeliveryId(2), ordinal].waiter_id == f"ask:2:{ordinal}"
        shell.sends(Answer())
    assert shell.waits(2, Answer, waiter_id="mine") == (2, 3)
    assert shell.state.waits[DeliveryId(2), 3].waiter_id == "mine"


def test_a_suspended_body_may_send_write_and_collect():
    """Another task of the body."""
    shell = bodies(asking())
    shell.waits(2, Answer)
    shell.sends(B(1), by=2)
    assert shell.queue("also") != []
    shell.writes(B(2), by=2)
    assert shell.stream == [B(2)]
    assert shell.collects(2, [A]) == (A(),)


def test_a_body_that_ends_while_other_tasks_of_it_wait_takes_its_waits_along():
    for end in ("returns", "raises", "unwinds"):
        shell = bodies(asking(), 2)
        shell.waits(2, Answer)
        shell.waits(2, Answer)
        match end:
            case "returns":
                shell.returns(2, None, stays=True)
            case "raises":
                shell.raises(2, ValueError())
                assert [*shell.state.due] == [2]
            case _:
                shell.unwinds(2)
        assert not shell.state.waits
        assert not shell.state.suspended
        shell.sends(Answer())
        assert shell.resumed() == []


def test_a_body_that_ends_before_it_was_resumed_takes_the_answer_along():
    shell = bodies(asking(num_workers=1))
    shell.waits(2, Answer)
    shell.sends(A())
    shell.comes("ask")
    shell.sends(Answer())
    shell.unwinds(2)
    assert not shell.state.steps["ask"].resuming
    shell.returns(3, None)
    assert shell.state.outcome == records.Stalled()


# ---------------------------------------------------------------- several waits of one body


def test_a_body_may_wait_for_two_events_at_once():
    shell = bodies(asking())
    one, two = shell.waits(2, Answer), shell.waits(2, B)
    assert [*shell.state.suspended] == [2]
    shell.sends(Answer())
    assert [key for key, _ in shell.resumed()] == [one]
    shell.sends(B())
    assert [key for key, _ in shell.resumed()] == [two]
    assert shell.latest[-1] == records.Resumed(0.0, two, -1), "it has its slot"
    assert shell.state.steps["ask"].running == 1


def test_both_answers_may_come_before_the_slot():
    shell = bodies(asking(num_workers=1))
    one, two = shell.waits(2, Answer), shell.waits(2, Answer)
    shell.sends(A())
    shell.comes("ask")
    shell.sends(Answer(1))
    shell.sends(Answer(2))
    shell.returns(3, None)
    assert [key for key, _ in shell.resumed()] == [one, two]


def test_a_wait_of_a_suspended_body_may_find_a_letter_and_needs_a_slot():
    shell = bodies(asking(num_workers=1))
    shell.sends(Answer(5))
    shell.waits(2, B)
    shell.sends(A())
    shell.comes("ask")
    wait = shell.waits(2, Answer)
    assert [type(record) for record in shell.latest] == [records.Answered]
    assert shell.resumed() == []
    shell.returns(4, None)
    assert [key for key, _ in shell.resumed()] == [wait]
    assert shell.state.mailbox == []


def test_an_event_that_a_body_returns_does_not_answer_its_own_wait():
    shell = bodies(asking(), 2)
    shell.waits(2, B)
    other = shell.waits(3, B)
    shell.returns(2, B())
    assert [key for key, _ in shell.resumed()] == [other]


# ---------------------------------------------------------------- who is answered


def test_an_event_answers_the_oldest_wait_that_wants_it():
    shell = bodies(asking(num_workers=3), 3)
    shell.waits(2, C)
    two, three = shell.waits(3, Answer), shell.waits(4, Answer)
    shell.sends(Answer(1))
    assert [key for key, _ in shell.resumed()] == [two]
    shell.sends(Answer(2))
    assert [key for key, _ in shell.resumed()] == [three]
    shell.sends(Answer(3))
    assert shell.resumed() == []
    assert [number_of(event) for _, event in shell.state.mailbox] == [3]


def test_the_oldest_is_the_oldest_whatever_class_it_asked_for():
    shell = bodies(asking(num_workers=3, subclasses=True), 3)
    first = shell.waits(2, Answer)
    second = shell.waits(3, FineAnswer)
    shell.waits(4, Answer)
    shell.expires(first)
    shell.sends(FineAnswer())
    assert shell.resumed() == [(second, FineAnswer())]


def test_and_all_that_share_it():
    shell = bodies(asking(num_workers=4), 4)
    shared = [shell.waits(n, Answer, broadcast=True) for n in (2, 3)]
    alone = [shell.waits(n, Answer) for n in (4, 5)]
    shell.sends(Answer())
    assert sorted(key for key, _ in shell.resumed()) == [*shared, alone[0]]
    assert [*shell.state.waits] == alone[1:]


def test_an_event_that_answers_still_goes_to_the_steps_that_accept_it():
    shell = bodies(asking())
    wait = shell.waits(2, B)
    shell.sends(B())
    assert [key for key, _ in shell.resumed()] == [wait]
    assert len(shell.queue("also")) == 1


def test_a_returned_event_answers_as_well():
    shell = bodies(asking(), 2)
    wait = shell.waits(2, C)
    shell.returns(3, C(5))
    assert shell.resumed() == [(wait, C(5))]
    assert shell.state.mailbox == []


def test_a_targeted_event_answers_nobody():
    shell = bodies(asking())
    shell.waits(2, B)
    shell.sends(B(), "also")
    assert shell.resumed() == []


def test_every_required_field_must_be_equal():
    shell = bodies(asking())
    wait = shell.waits(2, Answer, number=7)
    shell.sends(Answer(6))
    assert shell.resumed() == []
    assert len(shell.state.mailbox) == 1
    shell.sends(Answer(7))
    assert shell.resumed() == [(wait, Answer())]
    shell.waits(2, Answer, number=8, name="no such field")
    shell.sends(Answer(8))
    assert shell.resumed() == []


#: What a field holds and what it is asked for: some cannot be hashed, and are equal to what can.
held = st.sampled_from([1, frozenset({1}), {1}, 2, [1]])
#: Few kinds of waits, so that several want the same, and each may answer the event.
requirements = st.sampled_from([{}, {"number": 1}, {"number": {1}}, {"number": frozenset({1})}])
asked = st.builds(
    Wait,
    delivery=st.integers(1, 3).map(DeliveryId),
    ordinal=st.just(0),
    step=st.just("ask"),
    kind=st.sampled_from([A, FineA]),
    subclasses=st.just(value=True),
    requirements=requirements | st.just({"nothing": None}),
    broadcast=st.booleans(),
    waiter_id=st.just("w"),
    since=st.just(0.0),
)


@given(
    st.lists(asked, max_size=10),
    st.builds(lambda kind, number: kind(number), st.sampled_from([FineA, A]), held),
    st.sets(st.integers(0, 9), max_size=4),
    st.sets(st.integers(0, 9), max_size=2),
    st.integers(0, 3).map(DeliveryId),
)
def test_who_is_answered_is_what_looking_at_each_wait_says(
    began: list[Wait], event: object, over: set[int], others: set[int], leaving: DeliveryId
):
    """They are looked up by class and fields, so that an event costs the same however many wait."""
    waits = Waits()
    for ordinal, wait in enumerate(began):
        waits.begin(attrs.evolve(wait, ordinal=ordinal))
    for wait in [wait for wait in waits.values() if wait.ordinal in over]:
        assert waits.end(wait.key) is wait
    but = {wait.key for wait in waits.values() if wait.ordinal in others}
    found = [
        wait
        for wait in waits.values()
        if wants(wait, event) and wait.delivery != leaving and wait.key not in but
    ]
    alone = [wait.key for wait in found if not wait.broadcast]
    shared = [wait.key for wait in found if wait.broadcast]
    assert waits.answered_by(event, leaving=leaving, but=but) == (*alone[:1], *shared)
    for key in [*waits]:
        waits.end(key)
    assert getattr(waits, "_lines", {}) == {}, "it keeps something of what is over"


def many_waiting(count: int) -> RunState:
    """Each body waits for a number of its own."""
    state = RunState(asking(num_workers=count), RUN)
    news: list[stimuli.Stimulus] = [stimuli.Opened(0.0, Start())]
    news += [stimuli.Sent(0.0, OUTSIDE, A()) for _ in range(count)]
    news += [stimuli.Ready(0.0, "ask") for _ in range(count)]
    for n in range(count):
        wait = (DeliveryId(n + 2), Answer, {"number": n})
        news.append(stimuli.WaitBegan(0.0, *wait, False, None, None))  # noqa: FBT003
    for stimulus in news:
        advance(state, stimulus)
    assert len(state.waits) == count
    return state


def test_the_price_of_an_answer_does_not_depend_on_how_many_wait():
    answer = stimuli.Sent(0.0, OUTSIDE, Answer(7))
    assert price(many_waiting(10), answer) == price(many_waiting(1_000), answer)


@pytest.mark.parametrize("subclasses", [False, True])
def test_a_wait_matches_as_its_step_routes(subclasses: bool):  # noqa: FBT001
    shell = bodies(asking(subclasses=subclasses))
    shell.waits(2, Answer)
    shell.sends(FineAnswer())
    assert bool(shell.resumed()) is subclasses


def test_members_of_a_list_answer_one_wait_each():
    shell = bodies(
        plan(step("start", Start), step("ask", A, B, num_workers=3, returns_list=True)), 3
    )
    keys = [shell.waits(2, C), shell.waits(3, C)]
    shell.returns(4, [C(1), C(2), C(3)])
    assert shell.resumed() == [(keys[0], C(1)), (keys[1], C(2))]
    assert [event for _, event in shell.resumed()] == [C(), C()]
    assert [number_of(event) for _, event in shell.state.mailbox] == [3]


# ---------------------------------------------------------------- the mailbox


def test_a_wait_first_looks_in_the_mailbox_the_oldest_first():
    shell = bodies(asking())
    for n in (1, 2, 3):
        shell.sends(Answer(n))
    wait = shell.waits(2, Answer, Watched())
    (answered,) = shell.latest
    assert isinstance(answered, records.Answered)
    assert (answered.letter, number_of(answered.event)) == (0, 1)
    assert shell.resumed() == [(wait, Answer())]
    assert shell.stream == [], "it need not ask"
    assert [*shell.state.running] == [2], "it has kept its slot"
    wait = shell.waits(2, Answer, number=3)
    assert number_of(shell.resumed()[0][1]) == 3
    assert [number_of(event) for _, event in shell.state.mailbox] == [2]
    assert wait == (2, 1)


def test_other_events_are_errors_until_somebody_has_waited_for_their_class():
    shell = bodies(asking())
    with pytest.raises(WorkflowRuntimeError):
        shell.sends(C())
    wait = shell.waits(2, C)
    shell.sends(C(1))
    assert [key for key, _ in shell.resumed()] == [wait]
    shell.sends(C(2))
    shell.returns(2, C(3))
    assert [number_of(event) for _, event in shell.state.mailbox] == [2, 3]
    with pytest.raises(WorkflowRuntimeError):
        shell.sends(FineA())


@pytest.mark.parametrize("subclasses", [False, True])
def test_what_no_wait_could_take_is_not_kept(subclasses: bool):  # noqa: FBT001
    shell = bodies(plan(step("start", Start), step("ask", A, subclasses=subclasses)))
    shell.waits(2, A, number=-1)
    if subclasses:
        shell.sends(FineA())
        assert shell.queue("ask") != []
    else:
        with pytest.raises(WorkflowRuntimeError):
            shell.sends(FineA())


def test_an_observable_event_that_answers_was_not_only_streamed():
    shell = bodies(asking(), 2)
    wait = shell.waits(2, Watched)
    shell.returns(3, Watched())
    assert [key for key, _ in shell.resumed()] == [wait]
    assert shell.stream == [Watched()]
    assert not shell.state.steps["ask"].streamed_only


def test_an_observable_event_that_was_awaited_is_kept_too():
    shell = bodies(asking())
    shell.waits(2, Watched)
    shell.sends(Watched(1))
    shell.sends(Watched(2))
    shell.waits(2, Watched)
    assert number_of(shell.resumed()[0][1]) == 2


# ---------------------------------------------------------------- quiet, and the end


def test_a_run_with_an_open_wait_is_idle_and_not_stalled():
    shell = bodies(asking())
    shell.now = 1.5
    shell.waits(2, Answer)
    assert shell.latest[-1] == records.Idled(1.5)
    assert shell.effects == [effects.Rest()]
    assert shell.state.idle
    assert explain(shell.state, 14.0).splitlines() == [
        "Workflow 'Flow' is idle: it waits for an event from outside.",
        "  step 'ask': wait_for_event(Answer, waiter 'ask:2:0') since 12.5 s",
        "  last returned None: step 'start'",
    ]
    assert waiting(shell.state) == (
        Waiting("ask", "wait", {"Answer": 0}, {"Answer": 1}, None, None, "ask:2:0", 1.5),
    )
    shell.expires((DeliveryId(2), 0))
    shell.returns(2, None)
    assert shell.state.outcome == records.Stalled()


def test_what_changes_nothing_in_an_idle_run_is_no_news():
    shell = bodies(asking())
    shell.waits(2, Answer)
    shell.expires((DeliveryId(2), 9))
    assert (shell.latest, shell.effects) == ([], [])


def test_after_the_decision_nothing_is_resumed():
    shell = bodies(asking(), 2)
    wait = shell.waits(2, Answer)
    shell.sends(Stop(), by=3)
    shell.expires(wait)
    assert (shell.latest, shell.effects) == ([], [])
    with pytest.raises(WorkflowRuntimeError):
        shell.sends(Answer())
    shell.unwinds(3)
    shell.cannot_hear(stimuli.Settled(0.0))
    shell.unwinds(2)
    shell.settles()


def test_clean_up_that_waits_is_suspended_for_good():
    shell = bodies(asking())
    shell.hear(stimuli.CancelAsked(0.0))
    shell.waits(2, Answer)
    assert [*shell.state.suspended] == [2]
    shell.returns(2, C(9))
    assert shell.state.undelivered == (C(9),)
    shell.settles()


def test_a_draining_body_that_waits_does_not_hold_the_run():
    shell = bodies(asking(on_stop="drain"), 2)
    shell.sends(Stop(), by=2)
    assert shell.effects == []
    shell.waits(2, Answer)
    assert shell.effects == []
    shell.returns(3, None)
    assert shell.effects == [effects.Wind()]
    shell.unwinds(2)
    shell.settles()


def test_a_drain_of_bodies_that_all_wait_winds_up_at_once():
    shell = bodies(asking(on_stop="drain"))
    shell.waits(2, Answer)
    shell.sends(Stop())
    assert shell.effects == [effects.Wind()]


def test_an_answer_whose_body_got_no_slot_is_undelivered():
    shell = bodies(asking(num_workers=1))
    shell.waits(2, Answer)
    shell.sends(A(6))
    shell.comes("ask")
    shell.sends(Answer(5))
    shell.hear(stimuli.CancelAsked(0.0))
    assert [number_of(event) for event in shell.state.undelivered] == [5]


def test_a_wait_that_expired_and_got_no_slot_leaves_nothing():
    shell = bodies(asking(num_workers=1))
    wait = shell.waits(2, Answer)
    shell.sends(A(6))
    shell.comes("ask")
    shell.expires(wait)
    shell.hear(stimuli.CancelAsked(0.0))
    assert shell.state.undelivered == ()


def test_who_does_not_run_cannot_wait():
    shell = bodies(asking())
    for number in (0, 1, 9):
        shell.cannot_hear(
            stimuli.WaitBegan(
                0.0, DeliveryId(number), Answer, {}, broadcast=False, waiter_id=None, question=None
            )
        )
