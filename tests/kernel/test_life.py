"""The tables of a run's and a delivery's life are complete, and exact.

A small plan is explored: every stimulus in every state that can be reached within a few. What was
then seen to happen must be what the tables say, no more and no less: a row that nothing ever uses
would be as wrong as one that is missing. The diagrams in the docs are drawn from these tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import TypeAlias, get_args

import pytest

from plait._errors import PlaitInternalError
from plait._ids import OUTSIDE, DeliveryId, RunId
from plait._kernel import records, stimuli
from plait._kernel.advance import advance
from plait._kernel.apply import apply
from plait._kernel.collecting import Shape
from plait._kernel.decide import ImpossibleStimulus
from plait._kernel.functions.reasons import Unreadable
from plait._kernel.life import DELIVERY, RUN, Phase, Stage
from plait._kernel.plan import Gather, Plan
from plait._kernel.records import Record
from plait._kernel.state import RunState
from tests.kernel import shell
from tests.kernel.strategies import (
    A,
    Answer,
    B,
    Broken,
    Patience,
    Start,
    Stop,
    Stray,
    Watched,
    fan_in,
    plan,
    step,
)

RunStep: TypeAlias = tuple[Phase, type, Phase]
DeliveryStep: TypeAlias = tuple[Stage, type, Stage]

GOING, WINDING_UP = Phase.GOING, Phase.WINDING_UP
OTHERWISE = {
    # What the tables do not hold, because it moves nothing: where it may happen.
    records.Emitted: {GOING, WINDING_UP},
    records.Collected: {GOING, WINDING_UP},
    records.Repeated: {GOING, WINDING_UP},
    records.Streamed: {GOING, WINDING_UP},
    records.StreamedBefore: {GOING, WINDING_UP},
    records.Stored: {GOING, WINDING_UP},
    records.Recalled: {GOING, WINDING_UP},
    records.Answered: {GOING, WINDING_UP},
    records.HandedOver: {GOING},
    records.WaitEnded: {GOING},
    records.Fired: {GOING},
    records.Met: {GOING},
    records.StreamClosed: {GOING},
    records.Permitted: {GOING},
    # And the records of the other table.
    records.Started: {GOING, WINDING_UP},
    records.Waited: {GOING, WINDING_UP},
    records.Resumed: {GOING},
    records.Retrying: {GOING},
    records.Requeued: {GOING},
    records.Recovered: {GOING},
    records.Dropped: {GOING},
    records.Completed: {GOING, WINDING_UP},
    records.Failed: {GOING, WINDING_UP},
    records.Interrupted: {GOING, WINDING_UP},
}

CANCELS, DRAINS, ASKS = PLAIN = (
    plan(step("s", Start, A, num_workers=1)),
    plan(step("s", Start, A, num_workers=1), on_stop="drain"),
    plan(step("s", Start, A, Answer, num_workers=2), on_stop="drain"),
)
TRIES = plan(step("s", Start, A, num_workers=1, retry=Patience(2), handler="h"), step("h", Broken))
LISTS = plan(
    step("s", Start, A, returns_list=True, opens=("f",), num_workers=1, retry=Patience(2)),
    fan_in("f", B, gather=Gather(1, cancel_rest=True)),
)


def plain(state: RunState) -> Iterator[stimuli.Stimulus]:
    """Whatever might be reported of a plain run, possible or not."""
    yield stimuli.Opened(0.0, Start())
    yield stimuli.Ready(0.0, "s")
    for number in (OUTSIDE, *state.running, state.next_delivery):
        for value in (None, A(), Stop(), Stray(), Watched()):
            yield stimuli.Returned(0.0, number, value)
        yield stimuli.Returned(0.0, number, A(), stays=True)
        yield stimuli.Raised(0.0, number, ERROR)
        yield stimuli.Unwound(0.0, number)
        yield stimuli.CannotGoOn(0.0, number, WHY)
        if number in state.running:
            event = state.running[number].event
            shape = Shape.of([Start, A])
            yield stimuli.Contributed(0.0, number, event, shape, "default", None)
        for event in (A(), Stop(), Answer(), Stray()):
            yield stimuli.Sent(0.0, number, event)
    yield stimuli.Wrote(0.0, OUTSIDE, A())
    yield stimuli.StoreChanged(0.0, OUTSIDE, {"key": 1})
    yield stimuli.HandedOn(0.0, 0, RunId("child"))
    yield stimuli.TakenUp(0.0, 0.0)
    yield stimuli.Expired(0.0)
    yield stimuli.CancelAsked(0.0)
    yield stimuli.Abandoned(0.0)
    yield stimuli.Settled(0.0)


def waiting(state: RunState) -> Iterator[stimuli.Stimulus]:
    """Bodies wait, and are answered or called away; once the run is decided they end."""
    yield from _begins(state)
    for number in state.running:
        yield stimuli.WaitBegan(
            0.0, number, Answer, {}, broadcast=False, waiter_id=None, question=None
        )
        yield stimuli.Returned(0.0, number, None)
    yield stimuli.Sent(0.0, OUTSIDE, Answer())
    for key in state.waits:
        yield stimuli.WaitExpired(0.0, key)
    for number in state.suspended:  # a body may end while another task of it waits
        yield stimuli.Unwound(0.0, number)
        yield stimuli.Raised(0.0, number, ERROR)
        yield stimuli.Returned(0.0, number, None)
    yield stimuli.Settled(0.0)
    yield stimuli.CancelAsked(0.0)
    yield stimuli.TakenUp(0.0, 0.0)


def failing(state: RunState) -> Iterator[stimuli.Stimulus]:
    """Attempts fail, and are repeated or recovered."""
    yield from _begins(state)
    for number in state.running:
        yield stimuli.Raised(0.0, number, ERROR)
        yield stimuli.Returned(0.0, number, None)
    for number in state.due:
        yield stimuli.Due(0.0, number)


def stepping(state: RunState) -> Iterator[stimuli.Stimulus]:
    """One step after the other is asked for."""
    yield stimuli.Opened(0.0, Start(), stepwise=True)
    yield from _begins(state)
    if state.phase is GOING:
        yield stimuli.StepAsked(0.0)


def listing(state: RunState) -> Iterator[stimuli.Stimulus]:
    """Lists are returned, and a fan-in has the rest of them dropped."""
    yield from _begins(state)
    for number in state.running:
        for value in ([A(), A()], B()):
            yield stimuli.Returned(0.0, number, value)
        yield stimuli.Raised(0.0, number, ERROR)


def reviving(state: RunState) -> Iterator[stimuli.Stimulus]:
    """Bodies send and wait; their process dies, and they do it again, if need be in a drain."""
    yield from _begins(state)
    for number in state.running:
        yield stimuli.Sent(0.0, number, A())
        yield stimuli.WaitBegan(
            0.0, number, Answer, {}, broadcast=False, waiter_id=None, question=None
        )
    if state.waits:
        yield stimuli.Sent(0.0, OUTSIDE, Answer())
    if state.phase is GOING:
        yield stimuli.Sent(0.0, OUTSIDE, Stop())
    if not state.reopened:
        yield stimuli.TakenUp(0.0, 0.0)


def rewriting(state: RunState) -> Iterator[stimuli.Stimulus]:
    """Bodies write to the stream; their process dies, and they do it again, if need be in a drain."""
    yield from _begins(state)
    for number in state.running:
        yield stimuli.Wrote(0.0, number, A())
    if state.phase is GOING:
        yield stimuli.Sent(0.0, OUTSIDE, Stop())
    if not state.reopened:
        yield stimuli.TakenUp(0.0, 0.0)


def _begins(state: RunState) -> Iterator[stimuli.Stimulus]:
    yield stimuli.Opened(0.0, Start())
    for name, of in state.steps.items():
        if state.startable(of) or (state.drains_again and of.queue):
            yield stimuli.Ready(0.0, name)


#: What is explored: a plan, what may be reported, and how many stimuli deep until all was seen.
EXPLORED: tuple[tuple[Plan, Callable[[RunState], Iterator[stimuli.Stimulus]], int], ...] = (
    *((of, plain, 5) for of in PLAIN),
    (DRAINS, waiting, 5),
    (TRIES, waiting, 5),
    (plan(step("s", Start, handler="h"), step("h", Broken)), waiting, 4),
    (TRIES, failing, 6),
    (CANCELS, stepping, 3),
    (LISTS, listing, 7),
    (DRAINS, reviving, 8),
    (DRAINS, rewriting, 7),
)

ERROR = ValueError()
WHY = Unreadable("what was called")


def stages(state: RunState) -> dict[DeliveryId, Stage]:
    queued = {d.number: Stage.QUEUED for step in state.steps.values() for d in step.queue}
    return {
        **queued,
        **dict.fromkeys(state.running, Stage.RUNNING),
        **dict.fromkeys(state.suspended, Stage.WAITING),
        **dict.fromkeys(state.due, Stage.DUE),
    }


@cache
def explored() -> tuple[frozenset[RunStep], frozenset[DeliveryStep]]:
    """What can happen to runs, and what to deliveries."""
    runs: set[RunStep] = set()
    deliveries: set[DeliveryStep] = set()
    for of, reports, depth in EXPLORED:
        todo: list[list[Record]] = [[]]
        known: set[str] = set()
        for _ in range(depth):
            stories, todo = todo, []
            for story in stories:
                for stimulus in reports(shell.replay(of, story)):
                    state = _live(shell.replay(of, story))
                    try:
                        made, _ = advance(state, stimulus)
                    except ImpossibleStimulus:
                        continue
                    state.check()
                    again = shell.replay(of, story)
                    for record in made:
                        _watch(again, record, runs, deliveries)
                    if made and (key := repr(state)) not in known:
                        known.add(key)
                        todo.append([*story, *made])
    return frozenset(runs), frozenset(deliveries)


def _live(state: RunState) -> RunState:
    """A recovered run whose workers are on their way."""
    for of in state.steps.values():
        of.offered = max(1, state.startable(of))
    return state


def _watch(
    state: RunState, record: Record, runs: set[RunStep], deliveries: set[DeliveryStep]
) -> None:
    phase, before = state.phase, stages(state)
    apply(state, record)
    after = stages(state)
    runs.add((phase, type(record), state.phase))
    for number, stage in before.items():
        if (now := after.get(number, Stage.DONE)) is not stage:
            deliveries.add((stage, type(record), now))


# ---------------------------------------------------------------- the table of a run


def test_what_happens_to_a_run_is_what_its_table_says():
    seen = {step for step in explored()[0] if step[1] not in OTHERWISE}
    table = {(phase, kind, then) for phase, row in RUN.items() for kind, then in row.items()}
    assert seen == table


def test_what_is_in_no_table_changes_no_phase_and_happens_where_it_may():
    seen = {step for step in explored()[0] if step[1] in OTHERWISE}
    assert seen == {(phase, kind, phase) for kind, phases in OTHERWISE.items() for phase in phases}


def test_every_record_is_in_the_table_of_a_run_or_among_the_others():
    in_table = {kind for row in RUN.values() for kind in row}
    assert in_table.isdisjoint(OTHERWISE)
    assert in_table | {*OTHERWISE} == {*get_args(records.Record)}


def test_every_phase_has_a_row_and_can_be_reached():
    assert {*RUN} == {*Phase}
    assert {then for row in RUN.values() for then in row.values()} == {*Phase} - {Phase.NEW}


RUN_RECORDS: list[Record] = [
    records.RunStarted(0.0, shell.RUN, 0.0),
    records.Reopened(0.0, 0.0),
    records.Idled(0.0),
    records.FunctionHeld(0.0, WHY),
    records.Decided(0.0, records.Stalled()),
    records.Closed(0.0),
]


def in_phase(phase: Phase) -> RunState:
    story: list[Record] = [
        records.RunStarted(0.0, shell.RUN, 0.0),
        records.Decided(0.0, records.Stalled()),
        records.Closed(0.0),
    ]
    return shell.replay(ASKS, story[: [*Phase].index(phase)])


@pytest.mark.parametrize("record", RUN_RECORDS, ids=lambda record: type(record).__name__)
@pytest.mark.parametrize("phase", Phase)
def test_a_record_that_is_not_in_the_row_of_a_phase_is_refused(phase: Phase, record: Record):
    state = in_phase(phase)
    assert state.phase is phase
    if then := RUN[phase].get(type(record)):
        apply(state, record)
        assert state.phase is then
        return
    with pytest.raises(PlaitInternalError) as caught:
        apply(state, record)
    assert str(caught.value).startswith(f"{record} in phase {phase.value!r}\n")
    assert state == in_phase(phase)


# ---------------------------------------------------------------- the table of a delivery


def test_what_happens_to_a_delivery_is_what_its_table_says():
    table = {(stage, kind, then) for stage, row in DELIVERY.items() for kind, then in row.items()}
    assert explored()[1] == table


def test_every_stage_has_a_row_and_can_be_reached():
    assert {*DELIVERY} == {*Stage}
    reached = {then for row in DELIVERY.values() for then in row.values()}
    assert reached == {*Stage}


def test_a_delivery_that_is_queued_at_the_decision_never_starts():
    run = shell.Shell(CANCELS)
    run.open(Start())
    run.sends(A(1))
    run.hear(stimuli.CancelAsked(0.0))
    assert run.comes("s") is None
    run.settles()
    assert run.state.undelivered == (Start(), A())


@pytest.mark.parametrize(
    "record",
    [
        records.Completed(0.0, DeliveryId(1), None, DeliveryId(2), ()),
        records.Failed(0.0, DeliveryId(1), ERROR),
        records.Interrupted(0.0, DeliveryId(1)),
        records.Collected(0.0, DeliveryId(1), A, A(), Shape.of([A]), "default", None),
    ],
    ids=lambda record: type(record).__name__,
)
def test_a_delivery_that_does_not_run_cannot_end_or_collect(record: Record):
    run = shell.Shell(CANCELS)
    run.open(Start())
    with pytest.raises(KeyError):
        apply(run.state, record)
    assert run.state == run.twin
