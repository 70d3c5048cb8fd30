"""What a change of one sign or word in the kernel showed that no other test had seen."""

from __future__ import annotations

import pytest

from plait._errors import PlaitInternalError, WorkflowRuntimeError
from plait._ids import OUTSIDE, DeliveryId
from plait._kernel import effects, records, stimuli
from plait._kernel.decide import ImpossibleStimulus
from plait._kernel.plan import Gather, Plan
from plait._kernel.waits import Wait, Waits
from tests.kernel.shell import Shell
from tests.kernel.strategies import (
    A,
    Answer,
    B,
    Broken,
    C,
    Start,
    Stop,
    Watched,
    fan_in,
    plan,
    step,
)

# ---------------------------------------------------------------- failures and causes


def lists(*members: object) -> Shell:
    """A run whose first body has returned a list."""
    shell = Shell(plan(step("start", Start, returns_list=True), step("work", A)))
    shell.open(Start())
    shell.works("start", [*members])
    return shell


def test_every_member_of_a_list_knows_its_cause():
    """A stop event among them, and what comes behind it."""
    emitted = [r for r in lists(A(), Stop(), A(), Stop()).latest if isinstance(r, records.Emitted)]
    assert [record.cause for record in emitted] == [1, 1, 1, 1]


def test_what_is_sent_in_a_drain_knows_its_cause():
    shell = Shell(plan(step("start", Start), step("work", A), on_stop="drain"))
    shell.open(Start())
    shell.works("start", A())
    body = shell.comes("work")
    assert body is not None
    shell.sends(Stop())
    shell.sends(A(), by=body)
    (emitted,) = shell.latest
    assert isinstance(emitted, records.Emitted)
    assert emitted.cause == body


def test_what_is_no_event_is_named_behind_a_stop_event_too():
    (failure,) = lists(Stop(), A(), "text", 42).state.failures
    text = "Step function start returned a list containing str instead of an Event instance."
    assert isinstance(failure.error, WorkflowRuntimeError)
    assert str(failure.error) == text


@pytest.mark.parametrize("error", [KeyboardInterrupt(), PlaitInternalError("ours")])
def test_what_is_not_tried_again_is_the_failure(error: BaseException):
    shell = Shell(plan(step("start", Start)))
    shell.open(Start())
    shell.comes("start")
    shell.raises(1, error)
    (failure,) = shell.state.failures
    assert failure.error is error


@pytest.mark.parametrize(
    "stimulus",
    [
        stimuli.Wrote(1.5, OUTSIDE, A()),
        stimuli.Expired(1.5),
        stimuli.CancelAsked(1.5),
        stimuli.Abandoned(1.5),
        stimuli.Settled(1.5),
        stimuli.Ready(1.5, "start"),
        stimuli.Returned(1.5, DeliveryId(1), None),
    ],
    ids=lambda stimulus: type(stimulus).__name__,
)
def test_what_cannot_happen_before_the_start_is_named(stimulus: stimuli.Stimulus):
    shell = Shell(plan(step("start", Start)))
    with pytest.raises(ImpossibleStimulus) as caught:
        shell.hear(stimulus)
    assert str(caught.value).startswith(f"{stimulus} in phase 'new'\n")


def test_a_run_is_opened_once():
    shell = Shell(plan(step("start", Start)))
    shell.open(Start())
    again = stimuli.Opened(0.0, Start(), 0.0, stepwise=False)
    with pytest.raises(ImpossibleStimulus) as caught:
        shell.hear(again)
    assert str(caught.value).startswith(f"{again} in phase 'going'\n")


# ---------------------------------------------------------------- streams


def test_a_stream_inside_a_loser_ends_though_nothing_of_it_is_queued():
    of = plan(
        step("start", Start, returns_list=True, opens=("f",)),
        step("inner", A, returns_list=True, opens=("g",)),
        step("work", B),
        fan_in("g", C),
        fan_in("f", Watched, gather=Gather(1, cancel_rest=True)),
    )
    shell = Shell(of)
    shell.open(Start())
    shell.works("start", [A(), A()])
    shell.works("inner", [B()])
    loser = shell.comes("work")
    assert loser is not None
    shell.works("inner", Watched())
    assert records.Dropped(0.0, (), (1, 2)) in shell.latest
    assert effects.Interrupt((loser,)) in shell.effects
    shell.unwinds(loser)
    assert shell.state.streams == {}
    assert shell.queue("g") == []


# ---------------------------------------------------------------- waits


def asking(num_workers: int) -> Plan:
    return plan(
        step("start", Start), step("ask", A, num_workers=num_workers), step("also", B, Answer)
    )


def test_a_body_that_has_the_only_slot_goes_on_waiting_for_a_second_event():
    """It needs no other slot; so its answer is not held back until one comes free."""
    shell = Shell(asking(num_workers=1))
    shell.open(Start())
    shell.works("start", A())
    number = shell.comes("ask")
    assert number is not None
    one, two = shell.waits(number, Answer), shell.waits(number, B)
    shell.sends(Answer())
    assert [key for key, _ in shell.resumed()] == [one]
    shell.sends(B())
    assert [key for key, _ in shell.resumed()] == [two]


def test_it_does_so_though_the_same_event_answers_another_that_has_no_slot():
    shell = Shell(asking(num_workers=1))
    shell.open(Start())
    shell.comes("start")
    shell.sends(A(), by=1)
    shell.sends(A(), by=1)
    shell.returns(1, None)
    other = shell.comes("ask")
    assert other is not None
    left = shell.waits(other, Answer, broadcast=True)
    number = shell.comes("ask")
    assert number is not None
    one, two = shell.waits(number, B), shell.waits(number, Answer, broadcast=True)
    shell.sends(B())
    assert [key for key, _ in shell.resumed()] == [one]
    shell.sends(Answer())
    assert [key for key, _ in shell.resumed()] == [two]
    shell.returns(number, None)
    assert [key for key, _ in shell.resumed()] == [left]


def test_what_a_body_sends_while_it_waits_descends_from_it():
    """Another of its tasks does: a handler is not called more often for it."""
    of = plan(
        step("start", Start), step("work", A, handler="h"), step("h", Broken, max_recoveries=1)
    )
    shell = Shell(of)
    shell.open(Start())
    shell.works("start", A())
    shell.raises(shell.comes("work") or 0, ValueError())
    handler = shell.comes("h")
    assert handler is not None
    shell.waits(handler, Answer)
    shell.sends(A(), by=handler)
    shell.raises(shell.comes("work") or 0, ValueError())
    assert shell.state.outcome == records.Crashed()


class Changing:
    """Has another hash each time."""

    def __init__(self) -> None:
        self.hashes = 0

    def __hash__(self) -> int:
        self.hashes += 1
        return self.hashes


class Anything:
    """Equals whatever it is compared with, and so has no hash."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return True


def wait(delivery: int, **requirements: object) -> Wait:
    return Wait(
        delivery=DeliveryId(delivery),
        ordinal=0,
        step="ask",
        kind=A,
        subclasses=False,
        requirements=requirements,
        broadcast=False,
        waiter_id="",
        since=0.0,
    )


def test_a_wait_ends_though_what_it_wants_has_another_hash_by_now():
    waits = Waits()
    begun = wait(2, number=Changing())
    waits.begin(begun)
    assert waits.end(begun.key) is begun
    assert not waits


@pytest.mark.parametrize("event", [A(1), A([1])], ids=["a hash", "no hash"])  # type: ignore[arg-type]
@pytest.mark.parametrize("wanted", [1, Anything()], ids=["a value", "anything"])
def test_who_waited_first_is_answered_whatever_its_number(event: object, wanted: object):
    """Delivery 3 began to wait before delivery 2: values that cannot be looked up are no excuse."""
    waits = Waits()
    waits.begin(wait(3, number=Anything()))
    waits.begin(wait(2, number=wanted))
    assert waits.answered_by(event, leaving=OUTSIDE) == ((3, 0),)
