"""Where an event goes, and what whoever sent it is told if it goes nowhere.

By exact class, or with `accept_subclasses` by descent; to every step that accepts it or to the one
that was named. The texts are the contract's: they say what was done, what is accepted, and what to
write instead.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait._errors import WorkflowRuntimeError, WorkflowStepDoesNotExistError
from plait._ids import OUTSIDE, DeliveryId
from plait._kernel import effects, records
from plait._kernel.life import Phase
from plait._kernel.plan import Plan, StepPlan
from plait._kernel.refusals import Refusal, not_an_event
from tests.kernel.shell import RUN, Shell
from tests.kernel.strategies import (
    KINDS_OF_TRAFFIC,
    A,
    Answer,
    B,
    Event,
    FineA,
    FineAnswer,
    FinestA,
    FineStop,
    Start,
    Stop,
    Stray,
    Watched,
    plan,
    plans,
    step,
)


class WatchedAnswer(Watched, Answer):
    """Is for the stream, and is kept for whoever asks."""


def opened(of: Plan) -> Shell:
    shell = Shell(of)
    shell.open(Start())
    return shell


def receivers(shell: Shell) -> tuple[str, ...]:
    """Where the event went that was just emitted."""
    emitted = shell.latest[0]
    assert isinstance(emitted, records.Emitted)
    return emitted.to


def refusal(shell: Shell, event: object, to: str | None = None, *, by: int = 0) -> str:
    """The text of the refusal; nothing has happened."""
    with pytest.raises(WorkflowRuntimeError) as caught:
        shell.sends(event, to, by=by)
    assert shell.latest == []
    return str(caught.value)


# ---------------------------------------------------------------- who gets it


@given(plans(), st.sampled_from(KINDS_OF_TRAFFIC))
def test_a_route_is_what_looking_at_each_step_says(of: Plan, kind: type[Event]):
    route = of.routes[kind]
    naive = tuple(
        step.name
        for step in of.steps
        if kind in step.accepts
        or (step.accept_subclasses and any(issubclass(kind, base) for base in step.accepts))
    )
    assert route.kind is kind
    assert route.stops == issubclass(kind, Stop)
    assert route.to == (() if route.stops else naive)
    assert route.gathered_by == ()
    assert route.answers == issubclass(kind, Answer)
    assert route.observable == issubclass(kind, Watched)
    assert of.routes[kind] is route, "it is made once"


def test_an_event_goes_to_the_steps_that_accept_exactly_its_class():
    shell = opened(plan(step("start", Start), step("a", A), step("fine", FineA), step("b", B)))
    shell.sends(FineA())
    assert receivers(shell) == ("fine",)
    shell.sends(A())
    assert receivers(shell) == ("a",)


def test_with_subclasses_a_step_gets_what_descends_from_what_it_accepts():
    shell = opened(plan(step("start", Start), step("a", A, subclasses=True), step("fine", FineA)))
    shell.sends(FineA())
    assert receivers(shell) == ("a", "fine")
    shell.sends(FinestA())
    assert receivers(shell) == ("a",)


@pytest.mark.parametrize("kind", [Stop, FineStop])
def test_a_stop_event_goes_to_no_step_even_if_one_accepts_everything(kind: type[Event]):
    shell = opened(plan(step("start", Start), step("all", Event, Stop, subclasses=True)))
    shell.sends(kind())
    assert receivers(shell) == ()
    assert shell.state.outcome == records.Stopped(kind())


def test_every_receiver_gets_the_same_object_in_the_order_of_the_steps():
    shell = opened(plan(step("start", Start), step("y", A), step("x", A), step("z", A)))
    event = A()
    shell.sends(event)
    assert receivers(shell) == ("y", "x", "z")
    queued = [shell.state.steps[name].queue[0] for name in ("y", "x", "z")]
    assert [delivery.number for delivery in queued] == [2, 3, 4]
    assert all(delivery.event is event for delivery in queued)


def test_a_class_that_the_plan_never_saw_is_classified_when_it_is_met():
    of = plan(step("start", Start), step("a", A, subclasses=True))
    assert dict(of.routes) == {}
    shell = opened(of)
    late = type("Late", (A,), {})
    shell.sends(late())
    assert receivers(shell) == ("a",)
    assert {*of.routes} == {Start, late}


def test_a_step_has_four_workers_and_accepts_exact_classes_unless_it_says_otherwise():
    assert StepPlan("s", (A,)) == StepPlan("s", (A,), num_workers=4, accept_subclasses=False)


def test_a_plan_knows_its_steps_by_name_and_whether_it_asks():
    one, two = step("one", Start), step("two", FineAnswer)
    assert plan(one, two).step == {"one": one, "two": two}
    assert plan(one, two).asks
    assert not plan(one).asks
    assert plan(one) != plan(one), "a plan is itself, and no other"


# ---------------------------------------------------------------- one receiver


def test_a_targeted_event_goes_to_that_step_only():
    shell = opened(plan(step("start", Start), step("x", A), step("y", A)))
    shell.sends(A(), "y")
    assert shell.latest == [records.Emitted(0.0, OUTSIDE, A(), DeliveryId(2), ("y",))]
    assert shell.queue("x") == []
    assert shell.queue("y") == [2]


def test_a_target_that_does_not_exist_is_refused_with_the_nearest_name():
    shell = opened(plan(step("start", Start), step("process_data", A)))
    with pytest.raises(WorkflowStepDoesNotExistError) as caught:
        shell.sends(A(), "proces_data")
    text = "Step proces_data does not exist. Did you mean process_data?"
    assert str(caught.value) == text
    with pytest.raises(WorkflowStepDoesNotExistError) as caught:
        shell.sends(A(), "xyz")
    assert str(caught.value) == "Step xyz does not exist."
    assert isinstance(caught.value, WorkflowRuntimeError)


@pytest.mark.parametrize("kind", [B, Stray, Answer, Watched])
def test_a_target_that_does_not_accept_the_event_refuses_it(kind: type[Event]):
    shell = opened(plan(step("start", Start), step("t", A), step("b", B)))
    text = f"Step t does not accept event of type <class '{kind.__module__}.{kind.__qualname__}'>"
    assert refusal(shell, kind(), "t") == text


def test_a_stop_event_ends_the_run_whatever_its_target():
    shell = opened(plan(step("start", Start)))
    shell.sends(Stop(), "nowhere")
    assert shell.state.outcome == records.Stopped(Stop())


# ---------------------------------------------------------------- no receiver

FLOW = plan(step("start", Start), step("step_two", A), name="ParallelFlow")


def test_what_nobody_accepts_is_refused_from_outside():
    shell = opened(FLOW)
    assert refusal(shell, Stray()) == (
        "Stray was sent, but no step of workflow 'ParallelFlow' accepts it.\n"
        "  accepted: Start (start), A (step_two)\n"
        "  Did you mean Start? Otherwise add a step:  @step async def ...(self, ev: Stray)"
    )


def test_what_nobody_accepts_is_refused_in_the_step_that_sent_it():
    shell = opened(FLOW)
    number = shell.comes("start") or 0
    assert refusal(shell, B(), by=number) == (
        "Step 'start' sent B, but no step of workflow 'ParallelFlow' accepts it.\n"
        "  accepted: Start (start), A (step_two)\n"
        "  Add a step:  @step async def ...(self, ev: B)"
    )
    assert shell.state.phase is Phase.GOING


def test_a_returned_event_that_nobody_accepts_fails_the_run():
    shell = opened(FLOW)
    shell.returns(shell.comes("start") or 0, B(), stays=True)
    (failure,) = shell.state.failures
    assert isinstance(failure.error, Refusal)
    assert type(failure.error).__qualname__ == "WorkflowRuntimeError"
    assert str(failure.error).startswith(
        "Step 'start' returned B, but no step of workflow 'ParallelFlow' accepts it.\n"
    )
    assert shell.state.outcome == records.Crashed()
    assert shell.effects == [effects.Wind()]


def test_whoever_accepts_only_the_base_is_named():
    class Query(Event):
        pass

    class FineQuery(Query):
        pass

    shell = opened(plan(step("start", Start), step("t", Query), step("u", Query, A), name="W"))
    assert refusal(shell, FineQuery()) == (
        "FineQuery was sent, but no step of workflow 'W' accepts it.\n"
        "Step 't' accepts its base Query: use @step(accept_event_subclasses=True).\n"
        "Step 'u' accepts its base Query: use @step(accept_event_subclasses=True).\n"
        f"{refusal(shell, FineQuery()).splitlines()[3]}\n"
        "  Did you mean Query? Otherwise add a step:  @step async def ...(self, ev: FineQuery)"
    )


def test_a_class_that_only_shares_its_name_with_an_accepted_one_is_no_suggestion():
    namesake = type("A", (Event,), {})
    shell = opened(FLOW)
    assert refusal(shell, namesake()).splitlines()[-1] == (
        "  Add a step:  @step async def ...(self, ev: A)"
    )


@pytest.mark.parametrize("value", ["text", 3, Stop, [A()]])
def test_a_returned_value_that_is_no_event_fails_the_run(value: object):
    shell = opened(FLOW)
    shell.returns(shell.comes("start") or 0, value)
    (failure,) = shell.state.failures
    assert isinstance(failure.error, Refusal)
    assert type(failure.error).__qualname__ == "WorkflowRuntimeError"
    kind = type(value).__name__
    text = f"Step function start returned {kind} instead of an Event instance."
    assert str(failure.error) == text


class Later:
    """What an `await` is missing before."""

    def __await__(self):
        yield


RESULT = "A step returns events. The result of a run is returned in one: StopEvent(result=...)"


@pytest.mark.parametrize(
    ("value", "cure"),
    [
        pytest.param(Stop, "Stop is a class. Write Stop(...)", id="a class"),
        pytest.param(Later(), "An await is missing before the call that makes it", id="awaitable"),
        pytest.param(
            [A()],
            "Its return annotation has no list. Write -> list[E] to return several events",
            id="a list",
        ),
        pytest.param(
            (A(), A()),
            "Several events are returned as a list, under the annotation -> list[E]",
            id="a tuple",
        ),
        pytest.param("text", RESULT, id="a text"),
        pytest.param({"a": A()}, RESULT, id="a mapping"),
        pytest.param(3, RESULT, id="a number"),
    ],
)
def test_what_may_have_been_meant_by_a_value_that_is_no_event_is_noted(value: object, cure: str):
    shell = opened(FLOW)
    shell.returns(shell.comes("start") or 0, value)
    (failure,) = shell.state.failures
    assert failure.error.__notes__ == [cure]


def test_in_a_list_nothing_can_be_guessed():
    assert not hasattr(not_an_event("s", 3, in_list=True), "__notes__")


# ---------------------------------------------------------------- after the decision


@pytest.mark.parametrize("over", [False, True])
@pytest.mark.parametrize("kind", [A, Stop, Answer, Watched, Stray])
def test_after_the_decision_everything_from_outside_is_refused(kind: type[Event], over: bool):  # noqa: FBT001
    shell = opened(FLOW)
    shell.sends(Stop())
    if over:
        shell.settles()
    text = f"Run {RUN} of workflow 'ParallelFlow' has ended; {kind.__name__} was not sent."
    assert refusal(shell, kind()) == text


# ---------------------------------------------------------------- the stream and the mailbox


def test_an_observable_event_is_streamed_and_needs_no_step():
    shell = opened(plan(step("start", Start)))
    event = Watched()
    shell.sends(event)
    assert shell.stream == [event]
    assert shell.effects == [effects.Publish(event)]
    assert shell.state.undelivered == (Start(),)


def test_an_observable_event_is_streamed_before_it_is_routed():
    shell = opened(plan(step("start", Start), step("w", Watched)))
    shell.sends(Watched())
    assert shell.effects == [effects.Publish(Watched()), effects.Offer("w")]
    number = shell.comes("start") or 0
    shell.returns(number, Watched())
    assert shell.effects == [effects.Publish(Watched()), effects.Offer("w")]


def test_an_answer_that_nobody_takes_lies_in_the_mailbox():
    shell = opened(plan(step("start", Start), step("a", A)))
    first, second = FineAnswer(), Answer()
    shell.sends(first)
    assert shell.effects == []
    shell.sends(second, by=shell.comes("start") or 0)
    assert [event for _, event in shell.state.mailbox] == [first, second]
    assert shell.state.undelivered == (first, second)


def test_an_answer_that_a_step_accepts_goes_there():
    shell = opened(plan(step("start", Start), step("hear", Answer)))
    shell.sends(Answer())
    assert shell.queue("hear") == [2]
    shell.sends(FineAnswer())
    assert [event for _, event in shell.state.mailbox] == [FineAnswer()]


def test_an_observable_answer_is_streamed_and_kept():
    shell = opened(plan(step("start", Start)))
    shell.sends(WatchedAnswer())
    assert shell.stream == [WatchedAnswer()]
    assert len(shell.state.mailbox) == 1


def test_what_is_written_is_streamed_and_goes_nowhere():
    shell = opened(plan(step("start", Start), step("a", A)))
    shell.writes(A())
    assert shell.latest == [records.Streamed(0.0, OUTSIDE, A())]
    assert shell.stream == [A()]
    assert shell.queue("a") == []
    number = shell.comes("start") or 0
    shell.writes(Stop(), by=number)
    assert shell.state.outcome is None, "a written stop event is an item like any other"


def test_what_only_the_stream_took_is_remembered_with_the_step_that_emitted_it():
    shell = opened(plan(step("start", Start), step("w", A)))
    number = shell.comes("start") or 0
    shell.sends(Watched(), by=number)
    shell.sends(Watched())
    assert [*shell.state.steps["start"].streamed_only] == [Watched]
    shell.returns(number, Watched())
    assert [*shell.state.steps["start"].streamed_only] == [Watched]
    assert [*shell.state.steps["w"].streamed_only] == []
