"""A process dies, and another takes the run up: from the records, or from a snapshot.

`Shell` tries that after every stimulus of every test. Here are the stories: who runs again, and what
a body that runs again does not do twice.
"""

from __future__ import annotations

import copy
from typing import get_args

import attrs
import pytest

from plait._errors import PlaitInternalError
from plait._ids import OUTSIDE, DeliveryId
from plait._kernel import effects, records, stimuli
from plait._kernel.advance import advance
from plait._kernel.fold import fold, take_out
from plait._kernel.keeping import KEEPING, Keep
from plait._kernel.life import Phase
from plait._kernel.plan import Gather
from plait._kernel.records import Record
from plait._kernel.state import RunState, Trouble
from plait._kernel.waits import TIMED_OUT
from tests.kernel.shell import RUN, Shell, replay
from tests.kernel.strategies import (
    A,
    Answer,
    B,
    C,
    Event,
    Patience,
    Start,
    Stop,
    Watched,
    fan_in,
    join,
    plan,
    step,
)

ERROR = ValueError("failed")


@attrs.frozen
class Told(Event):
    """Events of this class differ."""

    what: str = ""


@attrs.frozen
class Odd(Event):
    """It cannot be compared."""

    def __eq__(self, other: object) -> bool:
        raise TypeError("no")

    __hash__ = None  # type: ignore[assignment]


@attrs.frozen(eq=False)
class Like(Event):
    """It thinks that it equals whatever there is."""

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0


class Liker(Like):
    """It does so too, and is of another class."""


def working(num_workers: int = 2, *, on_stop: str = "cancel", stepwise: bool = False) -> Shell:
    """Delivery 1, of `start`, runs; 2, 3 and 4 are for `work`, which takes whatever it is sent."""
    of = plan(
        step("start", Start),
        step("work", A, num_workers=num_workers, retry=Patience(3)),
        step("tell", Told, Odd, Like, Liker, B),
        step("also", B),
        on_stop=on_stop,  # type: ignore[arg-type]
    )
    shell = Shell(of, epoch=1000.0, stepwise=stepwise)
    shell.open(Start())
    if stepwise:
        shell.hear(stimuli.StepAsked(0.0))
    shell.comes("start")
    for number in range(3):
        shell.sends(A(number), by=1)
    return shell


# ---------------------------------------------------------------- who runs again


def test_bodies_that_were_executing_run_again_before_the_others_in_the_order_of_numbers():
    shell = working(num_workers=2)
    shell.comes("work")
    shell.comes("work")
    shell.waits(3, Answer)
    shell.comes("work")
    shell.sends(A(9), by=1)
    assert (shell.queue("work"), [*shell.state.running]) == ([5], [1, 2, 4])
    shell.dies(now=7.0, epoch=1500.0)
    assert shell.latest == [records.Reopened(7.0, 1500.0)]
    assert (shell.queue("start"), shell.queue("work")) == ([1], [2, 3, 4, 5])
    assert shell.offers == {"start": 1, "work": 2}
    assert (shell.comes("work"), shell.comes("work")) == (2, 3)
    assert [shell.body(n).worker for n in (2, 3)] == [0, 1]


def test_what_is_complete_never_runs_again():
    shell = working()
    shell.works("work", None, None)
    shell.dies()
    assert shell.queue("work") == [4]
    shell.works("work", None)
    shell.dies()
    assert (shell.queue("work"), shell.queue("start")) == ([], [1])


def test_an_attempt_that_the_process_did_not_survive_is_no_failure():
    shell = working()
    shell.comes("work")
    shell.raises(2, ERROR)
    shell.rings(2)
    shell.works("work", None, None)
    for _ in range(3):
        assert shell.comes("work") == 2
        assert shell.body(2).attempt == 2
        shell.dies()


def test_a_retry_keeps_its_due_time_by_the_clock_on_the_wall():
    shell = working()
    shell.comes("work")
    shell.now = 3.0
    shell.raises(2, ERROR)
    assert shell.alarms == {2: 8.0}
    shell.dies(now=0.0, epoch=1006.0)
    assert shell.effects[0] == effects.Alarm(DeliveryId(2), 2.0)
    trouble = shell.state.due[DeliveryId(2)].trouble
    assert trouble == Trouble(1, began=-6.0, failed=-3.0, error=ERROR, due=2.0)
    shell.rings(2)
    assert shell.queue("work")[-1] == 2


def test_alarms_are_set_in_the_order_in_which_they_ring():
    shell = working(num_workers=3)
    for _ in range(3):
        shell.comes("work")
    for number, now in ((3, 2.0), (4, 3.0), (2, 3.0)):
        shell.now = now
        shell.raises(number, ERROR)
    shell.dies()
    alarms = [effect for effect in shell.effects if isinstance(effect, effects.Alarm)]
    assert [(alarm.delivery, alarm.at) for alarm in alarms] == [(3, 7.0), (2, 8.0), (4, 8.0)]


def test_a_buffer_keeps_its_events_and_since_when():
    shell = working()
    shell.comes("work")
    shell.now = 4.0
    shell.collects(2, [A, A])
    shell.dies(now=0.0, epoch=1010.0)
    (buffer,) = shell.state.steps["work"].buffers.values()
    assert (buffer.since, len(buffer.have[A])) == (-6.0, 1)
    shell.comes("work")
    shell.comes("work")
    assert shell.collects(2, [A, A]) is None, "it has counted"
    assert shell.collects(3, [A, A]) == (A(), A())


def test_an_input_of_a_join_that_was_collected_is_known_when_the_records_come_from_a_file():
    """Read back, a record's event is another object than the one that the delivery was given."""
    of = plan(step("start", Start), join("both", A, B), step("never", Stop))
    shell = Shell(of)
    shell.open(Start())
    shell.comes("start")
    shell.sends(A(1), by=1)
    shell.sends(B(2), by=1)
    shell.comes("both")
    _, b = shell.body(3).event  # type: ignore[misc]
    assert shell.collects(3, [B, B], event=b) is None
    state = replay(of, [copy.deepcopy(record) for record in shell.records])
    advance(state, stimuli.TakenUp(0.0, 0.0))
    advance(state, stimuli.Ready(0.0, "both"))
    _, b = state.running[DeliveryId(3)].event  # type: ignore[misc]
    (call,) = (heard for heard in shell.heard if isinstance(heard, stimuli.Contributed))
    assert advance(state, attrs.evolve(call, event=b)) == ([], []), "it has counted"
    (buffer,) = state.steps["both"].buffers.values()
    assert buffer.have[B][0] == (3, b)
    assert buffer.have[B][0][1] is b


def test_a_branch_goes_on_and_its_fan_in_fires():
    of = plan(
        step("start", Start, returns_list=True, opens=("f",)),
        step("work", A, num_workers=2),
        fan_in("f", B),
    )
    shell = Shell(of)
    shell.open(Start())
    shell.works("start", [A(1), A(2), A(3)])
    shell.works("work", B(1))
    shell.comes("work")
    shell.dies()
    assert shell.queue("work") == [3, 4]
    shell.works("work", B(2), B(3))
    assert shell.queue("f")
    assert shell.state.steps["f"].queue[0].event == (B(), B(), B())


def test_what_a_fan_in_has_cancelled_does_not_run_again():
    of = plan(
        step("start", Start, returns_list=True, opens=("f",)),
        step("work", A, C, num_workers=4, returns_list=True, opens=("g",)),
        fan_in("f", B, gather=Gather(1, cancel_rest=True)),
        fan_in("g", C),
    )
    shell = Shell(of)
    shell.open(Start())
    shell.works("start", [A(1), A(2), A(3), A(4)])
    for _ in range(4):
        shell.comes("work")
    shell.returns(3, [A(5)])
    shell.comes("work")
    shell.returns(2, B(1))
    assert shell.unwanted == {4, 5, 6}
    shell.dies()
    first, second = (
        record for record in shell.latest[:3] if not isinstance(record, records.Reopened)
    )
    assert first == records.Dropped(0.0, (DeliveryId(4), DeliveryId(5), DeliveryId(6)), (1, 2))
    assert isinstance(second, records.StreamClosed)
    assert (shell.state.streams, shell.queue("work")) == ({}, [])
    assert shell.offers == {"f": 1}


def test_an_idle_run_says_once_more_that_it_is_idle():
    shell = Shell(plan(step("start", Start), step("ask", Answer)))
    shell.open(Start())
    shell.works("start", None)
    shell.dies()
    assert shell.latest == [records.Reopened(0.0, 0.0), records.Idled(0.0)]
    assert shell.effects == [effects.Rest()]


def test_a_run_that_goes_step_by_step_waits_to_be_asked_in_every_process():
    shell = working(stepwise=True)
    shell.dies()
    assert (shell.state.permits, shell.offers) == (0, {})
    shell.hear(stimuli.StepAsked(0.0))
    assert shell.comes("start") == 1
    shell.stepwise = False
    shell.dies()
    assert shell.state.permits is None
    assert shell.offers == {"start": 1, "work": 2}


def test_a_run_that_has_not_begun_or_is_over_cannot_be_taken_up():
    shell = Shell(plan(step("start", Start)))
    shell.cannot_hear(stimuli.TakenUp(0.0, 0.0))
    shell.open(Start())
    shell.works("start", Stop())
    shell.settles()
    shell.cannot_hear(stimuli.TakenUp(0.0, 0.0))


def test_the_time_that_counts_against_the_timeout_is_kept():
    shell = working()
    shell.hear(stimuli.TakenUp(0.0, 1000.0, elapsed=12.5))
    assert (shell.state.elapsed, shell.state.reopened) == (12.5, 1)
    assert shell.records[-1] == records.Reopened(0.0, 1000.0, elapsed=12.5)


# ---------------------------------------------------------------- a decided run


def test_a_run_that_was_decided_is_wound_up_with_the_same_outcome():
    shell = working()
    shell.comes("work")
    shell.comes("work")
    shell.waits(3, Answer)
    shell.sends(Stop(7))
    shell.dies()
    gone = [records.Interrupted(0.0, DeliveryId(n)) for n in (1, 2, 3)]
    assert shell.latest == [records.Reopened(0.0, 1000.0), *gone]
    assert shell.effects == [effects.Wind()]
    assert shell.comes("work") is None
    shell.settles()
    assert shell.state.phase is Phase.OVER
    assert shell.state.outcome == records.Stopped(Stop(7))
    assert shell.state.undelivered == (A(),)


def test_bodies_that_were_left_to_finish_run_again_and_nobody_else_does():
    shell = working(on_stop="drain")
    shell.comes("work")
    shell.comes("work")
    shell.waits(3, Answer)
    shell.waits(2, Answer)
    shell.comes("work")
    shell.sends(B(1))
    shell.sends(Stop(7))
    shell.dies()
    gone = [records.Interrupted(0.0, DeliveryId(n)) for n in (2, 3)]
    assert shell.latest == [records.Reopened(0.0, 1000.0), *gone]
    assert shell.effects == [effects.Offer("start"), effects.Offer("work")]
    assert (shell.comes("work"), shell.comes("start")) == (4, 1)
    shell.returns(4, B(2))
    shell.returns(1, None)
    assert shell.effects == [effects.Wind()]
    shell.settles()
    assert shell.state.outcome == records.Stopped(Stop(7))
    assert [type(event) for event in shell.state.undelivered] == [B, B, B]


def test_a_drain_can_be_taken_up_twice_and_cut_short():
    shell = working(on_stop="drain", num_workers=3)
    shell.comes("work")
    shell.comes("work")
    shell.sends(Stop(7))
    shell.dies()
    shell.comes("work")
    shell.dies()
    assert shell.queue("work") == [2, 3]
    shell.hear(stimuli.CancelAsked(0.0))
    assert shell.effects == [effects.Wind()]
    shell.settles()
    assert shell.state.undelivered == (Start(), A(), A(), A())


def test_a_drain_is_not_lost_if_nobody_has_begun_when_the_next_process_dies():
    shell = working(on_stop="drain", num_workers=3)
    shell.comes("work")
    shell.comes("work")
    shell.sends(Stop(7))
    shell.dies()
    shell.dies()
    assert effects.Wind() not in shell.effects
    assert (shell.comes("work"), shell.comes("work")) == (2, 3)


def test_a_worker_of_a_drain_takes_the_next_one():
    shell = working(on_stop="drain", num_workers=2)
    shell.comes("work")
    shell.comes("work")
    shell.sends(Stop(7))
    shell.dies()
    assert shell.comes("work") == 2
    shell.returns(2, None, stays=True)
    assert shell.comes("work") == 3


def test_a_drain_of_bodies_that_all_waited_is_over():
    shell = working(on_stop="drain")
    shell.waits(1, Answer)
    shell.sends(Stop(7))
    assert effects.Wind() in shell.effects
    shell.dies()
    assert shell.effects == [effects.Wind()]
    shell.settles()


def test_what_waited_beside_a_body_that_drains_is_forgotten():
    """A body that has several tasks may wait and run; its answer came and it had no time to go on."""
    shell = working(on_stop="drain", num_workers=1)
    shell.comes("work")
    first, second = shell.waits(2, Answer), shell.waits(2, B)
    shell.sends(Answer(1))
    assert shell.resumed() == [(first, Answer(1))]
    shell.sends(Stop(7))
    shell.dies()
    assert (second in shell.state.waits, shell.queue("work")) == (False, [2])
    shell.comes("work")
    shell.waits(2, Answer)
    assert shell.resumed() == [((2, 0), Answer(1))]


def test_what_is_returned_after_the_decision_and_is_no_event_is_nothing():
    shell = working()
    shell.comes("work")
    shell.comes("work")
    shell.hear(stimuli.CancelAsked(0.0))
    shell.returns(2, "no event")
    assert shell.latest[0] == records.Completed(0.0, DeliveryId(2), None, DeliveryId(5), ())
    shell.returns(3, [B(1), "no event"])
    assert shell.latest[0] == records.Completed(0.0, DeliveryId(3), [B(1)], DeliveryId(5), ())


# ---------------------------------------------------------------- what it has sent


def sent(shell: Shell) -> int:
    """How many events are for `tell`, or were."""
    return sum(
        "tell" in record.to for record in shell.records if isinstance(record, records.Emitted)
    )


def test_what_was_sent_is_not_sent_again():
    shell = working()
    shell.comes("work")
    shell.sends(Told(what="x"), by=2)
    shell.sends(Told(what="y"), by=2)
    shell.dies()
    shell.comes("work")
    for what in "xyz":
        shell.sends(Told(what=what), by=2)
    kinds = [type(record) for record in shell.records[-3:]]
    assert kinds == [records.Repeated, records.Repeated, records.Emitted]
    assert sent(shell) == 3


def test_what_differs_is_new_and_from_then_on_it_is_on_record():
    shell = working()
    shell.comes("work")
    for what in "xyz":
        shell.sends(Told(what=what), by=2)
    shell.dies()
    shell.comes("work")
    shell.sends(Told(what="new"), by=2)
    assert sent(shell) == 4
    shell.dies()
    shell.comes("work")
    for what in ("new", "y", "z"):
        shell.sends(Told(what=what), by=2)
        assert shell.latest == [records.Repeated(0.0, DeliveryId(2))]
    assert sent(shell) == 4


def test_it_holds_when_process_after_process_dies():
    shell = working()
    for life in range(1, 5):
        shell.comes("work")
        for n in range(life):
            shell.sends(Told(what=str(n)), by=2)
        shell.dies()
    assert sent(shell) == 4
    assert [delivery.event for delivery in shell.state.steps["tell"].queue] == [
        Told(what=str(n)) for n in range(4)
    ]


def test_another_class_and_another_step_are_another_send():
    shell = working()
    shell.comes("work")
    shell.sends(B(), "tell", by=2)
    shell.sends(B(), by=2)
    shell.dies()
    shell.comes("work")
    shell.sends(B(), "also", by=2)
    assert isinstance(shell.latest[0], records.Emitted)
    shell.sends(Told(), by=2)
    assert isinstance(shell.latest[0], records.Emitted)
    shell.dies()
    shell.comes("work")
    shell.sends(B(), "also", by=2)
    assert shell.latest == [records.Repeated(0.0, DeliveryId(2))]


def test_what_says_that_it_is_equal_is_another_if_its_class_is():
    shell = working()
    shell.comes("work")
    shell.sends(Like(), by=2)
    shell.dies()
    shell.comes("work")
    shell.sends(Liker(), by=2)
    assert isinstance(shell.latest[0], records.Emitted)


def test_what_cannot_be_compared_is_new():
    shell = working()
    shell.comes("work")
    state = replay(shell.plan, shell.records)
    state.remembers = state.folding = True  # an event like this cannot be watched
    advance(state, stimuli.Sent(0.0, DeliveryId(2), odd := Odd()))
    for _ in range(2):
        advance(state, stimuli.TakenUp(0.0, 0.0))
        advance(state, stimuli.Ready(0.0, "work"))
        (emitted, *_), _ = advance(state, stimuli.Sent(0.0, DeliveryId(2), odd))
        assert isinstance(emitted, records.Emitted)


def test_what_nobody_would_take_any_more_is_not_refused_if_it_is_on_record():
    """It answered a wait then, and there is none now."""
    of = plan(step("start", Start), step("ask", A))
    shell = Shell(of)
    shell.open(Start())
    shell.comes("start")
    shell.sends(A(), by=1)
    shell.comes("ask")
    shell.waits(2, C)
    shell.sends(C(), by=1)
    shell.dies()
    shell.comes("start")
    shell.sends(A(), by=1)
    shell.sends(C(), by=1)
    assert shell.latest == [records.Repeated(0.0, DeliveryId(1))]


def test_the_next_attempt_sends_anew():
    shell = working()
    shell.comes("work")
    shell.sends(Told(what="x"), by=2)
    shell.raises(2, ERROR)
    shell.rings(2)
    shell.works("work", None, None)
    assert shell.comes("work") == 2
    shell.dies()
    shell.comes("work")
    shell.sends(Told(what="x"), by=2)
    assert sent(shell) == 2
    shell.dies()
    shell.comes("work")
    shell.sends(Told(what="x"), by=2)
    assert sent(shell) == 2


def test_a_snapshot_knows_how_many_were_sent_and_takes_them_for_equal():
    shell = working()
    shell.comes("work")
    shell.sends(Told(what="x"), by=2)
    assert shell.body(2).sends_on_record == 1
    shell.hear(stimuli.TakenUp(0.0, 1000.0))
    shell.comes("work")
    assert shell.body(2).sends_on_record == 1
    shell.sends(Told(what="other"), by=2)
    assert shell.latest == [records.Repeated(0.0, DeliveryId(2))]
    shell.sends(Told(what="x"), by=2)
    assert (sent(shell), shell.body(2).sends_on_record) == (2, 2)


def test_a_run_that_is_not_recorded_keeps_no_event_that_was_sent():
    shell = working()
    shell.comes("work")
    for _ in range(3):
        shell.sends(Told(), by=2)
    assert (shell.body(2).sent, shell.body(2).memory) == (3, None)
    shell.dies()
    shell.comes("work")
    for _ in range(9):
        shell.sends(Told(), by=2)
    memory = shell.body(2).memory
    assert memory is not None
    assert (shell.body(2).sent, len(memory.sends)) == (9, 3)


def test_what_a_drain_has_sent_it_does_not_send_again():
    shell = working(on_stop="drain")
    shell.comes("work")
    shell.sends(Stop(7))
    shell.sends(Told(what="x"), by=2)
    assert isinstance(shell.latest[0], records.Emitted)
    shell.dies()
    shell.comes("work")
    shell.sends(Told(what="x"), by=2)
    assert shell.latest == [records.Repeated(0.0, DeliveryId(2))]


# ---------------------------------------------------------------- what it has written


def written(shell: Shell) -> list[str]:
    """What was put on the stream by writing."""
    return [r.event.what for r in shell.records if isinstance(r, records.Streamed)]


def writes(shell: Shell, text: str, *, source: str = "") -> None:
    """Let delivery 2 write an event for each letter."""
    for what in text:
        shell.writes(Told(what=what), by=2, source=source)


def test_what_was_written_is_not_written_again():
    shell = working()
    shell.comes("work")
    writes(shell, "xy")
    shell.dies()
    shell.comes("work")
    writes(shell, "xyz")
    kinds = [type(record) for record in shell.records[-3:]]
    assert kinds == [records.StreamedBefore, records.StreamedBefore, records.Streamed]
    assert written(shell) == [*"xyz"]
    assert [event.what for event in shell.stream] == [*"xyz"]


def test_another_event_is_new_and_from_then_on_it_is_on_record():
    shell = working()
    shell.comes("work")
    writes(shell, "xyz")
    shell.dies()
    shell.comes("work")
    writes(shell, "n")
    shell.writes(B(), by=2)
    shell.dies()
    shell.comes("work")
    writes(shell, "n")
    shell.writes(B(), by=2)
    writes(shell, "z")
    assert [type(record) for record in shell.records[-3:]] == [records.StreamedBefore] * 3


def test_writes_of_process_after_process():
    shell = working()
    for life in range(1, 5):
        shell.comes("work")
        writes(shell, "wxyz"[:life])
        shell.dies()
    assert written(shell) == [*"wxyz"]


def test_what_is_written_is_counted_apart_from_what_is_sent():
    shell = working()
    shell.comes("work")
    shell.sends(Told(what="x"), by=2)
    writes(shell, "x")
    shell.dies()
    shell.comes("work")
    writes(shell, "xx")
    shell.sends(Told(what="x"), by=2)
    shell.sends(Told(what="x"), by=2)
    assert (written(shell), sent(shell)) == (["x", "x"], 2)


def test_an_event_that_says_it_is_equal_is_another_if_its_class_is():
    shell = working()
    shell.comes("work")
    shell.writes(Like(), by=2)
    shell.dies()
    shell.comes("work")
    shell.writes(Liker(), by=2)
    assert isinstance(shell.latest[0], records.Streamed)


def test_the_next_attempt_writes_anew():
    shell = working()
    shell.comes("work")
    writes(shell, "x")
    shell.raises(2, ERROR)
    shell.rings(2)
    shell.works("work", None, None)
    assert shell.comes("work") == 2
    writes(shell, "x")
    assert written(shell) == ["x", "x"]


def test_a_snapshot_knows_how_many_were_written_and_takes_them_for_equal():
    shell = working()
    shell.comes("work")
    writes(shell, "x")
    assert shell.body(2).writes_on_record == 1
    shell.hear(stimuli.TakenUp(0.0, 1000.0))
    shell.comes("work")
    assert shell.body(2).writes_on_record == 1
    writes(shell, "ox")
    assert (written(shell), shell.body(2).writes_on_record) == (["x", "x"], 2)


def test_a_run_that_is_not_recorded_keeps_no_event_that_was_written():
    shell = working()
    shell.comes("work")
    writes(shell, "xyz")
    writes(shell, "xyz", source="child")
    assert (shell.body(2).written, shell.body(2).memory) == (3, None)


def test_what_is_written_from_elsewhere_is_nobodys():
    """From outside, and by a task that a body has left behind."""
    shell = working()
    shell.comes("work")
    shell.writes(Told(what="x"))
    shell.writes(Told(what="x"), by=1)
    shell.dies()
    shell.comes("work")
    shell.writes(Told(what="x"))
    shell.writes(Told(what="x"), by=1)
    assert written(shell) == [*"xxxx"]


def test_what_a_run_inside_shows_again_is_on_the_stream_once():
    """In whatever order: a question that is open comes after what had followed it."""
    shell = working()
    shell.comes("work")
    writes(shell, "a?bb", source="child")
    writes(shell, "x")
    shell.dies()
    shell.comes("work")
    writes(shell, "abb?", source="child")
    writes(shell, "x")
    assert written(shell) == [*"a?bbx"]
    writes(shell, "bc", source="child")
    assert written(shell) == [*"a?bbxbc"]
    shell.dies()
    shell.comes("work")
    writes(shell, "a?bbbcd", source="child")
    assert written(shell) == [*"a?bbxbcd"]


def test_runs_inside_are_counted_apart():
    shell = working()
    shell.comes("work")
    writes(shell, "a", source="one")
    shell.dies()
    shell.comes("work")
    writes(shell, "a")
    writes(shell, "a", source="other")
    writes(shell, "a", source="one")
    assert written(shell) == [*"aaa"]
    assert isinstance(shell.latest[0], records.StreamedBefore)


# ---------------------------------------------------------------- what it was answered


def asking(num_workers: int = 1) -> Shell:
    """Delivery 2 runs, of `ask`."""
    of = plan(step("start", Start), step("ask", A, num_workers=num_workers, retry=Patience(3)))
    shell = Shell(of)
    shell.open(Start())
    shell.comes("start")
    for n in range(num_workers):
        shell.sends(A(n), by=1)
        shell.comes("ask")
    shell.returns(1, None)
    return shell


def test_a_wait_that_was_answered_is_answered_again_and_its_question_is_not_asked():
    shell = asking()
    shell.waits(2, Answer, Watched(1))
    shell.sends(Answer(5))
    shell.waits(2, Answer, Watched(2))
    assert [*map(type, shell.stream)] == [Watched, Watched]
    shell.dies()
    shell.comes("ask")
    assert shell.waits(2, Answer, Watched(3)) == (2, 0)
    assert isinstance(shell.latest[0], records.Recalled)
    assert shell.resumed() == [((2, 0), Answer(5))]
    assert len(shell.stream) == 2
    assert shell.waits(2, Answer, Watched(4)) == (2, 1)
    assert shell.resumed() == []
    assert len(shell.stream) == 3, "an open question is asked again"
    shell.sends(Answer(6))
    assert shell.resumed() == [((2, 1), Answer(6))]


def test_a_wait_that_was_open_will_be_begun_again():
    """Until it has been: then it is open, or over. A letter that lies there for it is enough."""
    shell = asking()
    shell.waits(2, Answer)
    assert not shell.state.will_ask_for(Answer(1))
    shell.dies()
    assert shell.state.will_ask_for(Answer(1))
    assert not shell.state.will_ask_for(B())
    shell.sends(Answer(5))
    assert not shell.state.will_ask_for(Answer(6))
    shell.dies()
    shell.comes("ask")
    shell.waits(2, Answer)
    assert shell.resumed() == [((2, 0), Answer(5))]
    assert not shell.state.will_ask_for(Answer(6))
    shell.waits(2, Answer)
    shell.dies()
    shell.comes("ask")
    shell.waits(2, Answer)
    assert shell.state.will_ask_for(Answer(6))
    shell.waits(2, Answer)
    assert not shell.state.will_ask_for(Answer(6))


def test_an_answer_is_remembered_as_often_as_processes_die():
    shell = asking()
    shell.waits(2, Answer)
    shell.sends(Answer(5))
    for _ in range(3):
        shell.dies()
        shell.comes("ask")
    for _ in range(3):
        shell.waits(2, Answer)
        assert shell.resumed() == [((2, 0), Answer(5))]
        shell.dies()
        shell.comes("ask")


def test_the_clock_of_an_open_wait_does_not_start_again():
    shell = working()
    shell.comes("work")
    key = shell.waits(2, Answer)
    shell.dies(now=50.0, epoch=970.0)  # 20 seconds later, on a clock that is 30 behind
    shell.comes("work")
    assert shell.waits(2, Answer) == key
    assert shell.state.waits[key].since == 30.0
    shell.dies(now=7.0, epoch=1020.0)
    shell.comes("work")
    shell.waits(2, Answer)
    assert shell.state.waits[key].since == -20.0
    assert shell.waits(2, Told) != key
    assert shell.state.waits[DeliveryId(2), 1].since == 7.0


def test_a_wait_that_took_too_long_has_taken_too_long():
    shell = asking()
    shell.expires(shell.waits(2, Answer))
    shell.dies()
    shell.comes("ask")
    shell.waits(2, Answer)
    assert shell.resumed() == [((2, 0), TIMED_OUT)]


def test_a_wait_from_which_the_body_was_called_away_begins_anew():
    shell = asking()
    first = shell.waits(2, Answer)
    shell.hear(stimuli.WaitExpired(0.0, first, called_away=True))
    assert shell.latest[0] == records.WaitEnded(0.0, first, called_away=True)
    assert shell.resumed() == [(first, TIMED_OUT)]
    shell.waits(2, Answer)
    shell.sends(Answer(5))
    shell.dies()
    shell.comes("ask")
    shell.waits(2, Answer, Watched(1))
    assert (shell.resumed(), len(shell.stream)) == ([], 1)
    shell.hear(stimuli.WaitExpired(0.0, (DeliveryId(2), 0), called_away=True))
    shell.waits(2, Answer)
    assert shell.resumed() == [((2, 1), Answer(5))]


def test_an_answer_out_of_the_mailbox_is_remembered():
    shell = asking()
    shell.sends(Answer(5))
    shell.waits(2, Answer)
    assert shell.resumed() == [((2, 0), Answer(5))]
    shell.dies()
    assert shell.state.undelivered == (A(),), "the body has had it"
    shell.comes("ask")
    shell.waits(2, Answer)
    assert shell.resumed() == [((2, 0), Answer(5))]


def test_an_answer_that_the_body_had_no_time_to_take_is_not_lost():
    shell = asking(num_workers=1)
    shell.waits(2, Answer)
    shell.sends(A(9))
    assert shell.comes("ask") == 3
    shell.sends(Answer(5))
    assert shell.resumed() == []
    shell.dies()
    assert shell.state.undelivered == (A(), Answer(), A())
    assert shell.comes("ask") == 2
    assert Answer() in shell.state.undelivered
    shell.waits(2, Answer)
    assert shell.resumed() == [((2, 0), Answer(5))]
    assert Answer() not in shell.state.undelivered


def test_tasks_of_one_body_may_wait_in_another_order():
    shell = asking()
    shell.waits(2, B)
    shell.waits(2, C)
    shell.sends(C(5))
    shell.dies()
    shell.comes("ask")
    shell.waits(2, C)
    assert shell.resumed() == [((2, 0), C(5))]
    shell.waits(2, B)
    assert shell.resumed() == []
    shell.sends(B(6))
    shell.dies()
    shell.comes("ask")
    shell.waits(2, C)
    assert shell.resumed() == [((2, 0), C(5))]
    shell.waits(2, B)
    assert shell.resumed() == [((2, 1), B(6))]


def test_a_named_wait_is_known_by_its_name():
    shell = asking()
    shell.waits(2, Answer, waiter_id="first")
    shell.waits(2, Answer, waiter_id="second")
    shell.sends(Answer(1))
    assert shell.resumed() == [((2, 0), Answer(1))]
    shell.dies()
    shell.comes("ask")
    shell.waits(2, Answer, waiter_id="second")
    shell.waits(2, Answer, waiter_id="third")
    assert shell.resumed() == []
    shell.waits(2, Answer)
    assert shell.resumed() == [], "it has no name, and the answer is for one that has"
    shell.waits(2, Answer, waiter_id="first")
    assert shell.latest[0] == records.Recalled(0.0, shell.latest[0].wait, 0)  # type: ignore[union-attr]
    assert shell.resumed() == [((2, 3), Answer(1))]


def test_a_wait_for_something_else_is_another_wait():
    shell = asking()
    shell.waits(2, Answer, number=5)
    shell.sends(Answer(5))
    shell.dies()
    shell.comes("ask")
    shell.waits(2, Answer, number=6)
    assert shell.resumed() == []
    shell.waits(2, Answer, number=5)
    assert isinstance(shell.latest[0], records.Recalled)


def test_a_body_that_waits_already_needs_a_slot_before_it_goes_on_with_a_known_answer():
    shell = asking()
    shell.waits(2, Answer)
    shell.sends(Answer(5))
    shell.dies()
    shell.comes("ask")
    shell.waits(2, B, waiter_id="other")
    shell.sends(A(9))
    assert shell.comes("ask") == 3
    shell.waits(2, Answer, waiter_id="ask:2:0")
    assert (type(shell.latest[0]), shell.resumed()) == (records.Recalled, [])
    shell.returns(3, None)
    assert shell.resumed() == [((2, 1), Answer(5))]


def test_the_next_attempt_waits_anew():
    shell = asking()
    shell.waits(2, Answer)
    shell.sends(Answer(5))
    shell.raises(2, ERROR)
    shell.rings(2)
    shell.comes("ask")
    assert shell.waits(2, Answer) == (2, 1)
    shell.sends(Answer(6))
    shell.dies()
    shell.comes("ask")
    assert shell.waits(2, Answer) == (2, 1), "it is still the second of the delivery"
    assert shell.resumed() == [((2, 1), Answer(6))]


# ---------------------------------------------------------------- the store


def test_folded_up_to_a_record_the_store_has_what_steps_could_see_then():
    shell = working()
    changed: list[tuple[dict[str, object], tuple[str, ...], bool, dict[str, object]]] = [
        ({"a": 1, "b": 1}, (), False, {"a": 1, "b": 1}),
        ({"a": 2}, ("b", "c"), False, {"a": 2}),
        ({"d": 4}, (), True, {"d": 4}),
        ({"d": 5}, ("d",), False, {"d": 5}),
    ]
    for values, removed, cleared, _ in changed:
        shell.hear(stimuli.StoreChanged(0.0, DeliveryId(1), values, removed, cleared))
    first = len(shell.records) - len(changed) + 1
    for n, (*_, seen) in enumerate(changed):
        assert replay(shell.plan, shell.records[: first + n]).store == seen


def test_the_store_of_a_run_is_written_while_there_is_one():
    shell = working()
    change = stimuli.StoreChanged(0.0, OUTSIDE, {"a": 1})
    Shell(shell.plan).cannot_hear(change)
    shell.hear(stimuli.CancelAsked(0.0))
    shell.hear(change)
    assert shell.state.store == {"a": 1}
    shell.unwinds(1)
    shell.settles()
    shell.hear(stimuli.StoreChanged(0.0, OUTSIDE, {"a": 2}))
    assert (shell.latest, shell.state.store) == ([], {"a": 1})


# ---------------------------------------------------------------- records


def test_every_record_is_marked_and_it_is_known_what_is_only_a_note():
    assert {*KEEPING} == {*get_args(Record)}
    notes = {kind for kind, keep in KEEPING.items() if keep is Keep.NOTE}
    assert notes == {records.Idled, records.Permitted, records.Met}


def test_the_stream_is_in_the_records():
    of = plan(step("start", Start, returns_list=True), step("ask", A, Watched), on_stop="drain")
    shell = Shell(of)
    shell.open(Start())
    shell.comes("start")
    shell.writes(Stop(1), by=1)
    shell.sends(Watched(2), by=1)
    shell.returns(1, [A(3), Watched(4)])
    shell.comes("ask")
    shell.waits(2, Answer, Watched(5))
    shell.comes("ask")
    shell.returns(3, Watched(6))
    shell.sends(Stop(7))
    shell.replays()
    assert [event.number for event in shell.stream] == [1, 2, 4, 5, 6]  # type: ignore[attr-defined]


def test_a_start_event_is_not_streamed():
    class Seen(Start, Watched):
        pass

    of = plan(step("start", Seen))
    written, todo = advance(RunState(of, RUN), stimuli.Opened(0.0, Seen()))
    stream: list[object] = []
    fold(RunState(of, RUN), written, stream.append)
    assert (stream, todo) == ([], [effects.Offer("start")])


def test_what_is_folded_forgets_who_was_looked_at():
    shell = asking()
    shell.waits(2, Answer)
    shell.sends(Answer(5))
    shell.waits(2, B)
    shell.sends(B(5))
    state = replay(shell.plan, shell.records)
    assert (state.touched, state.loose, state.answered, state.folding) == ([], [], [], False)
    broken = RunState(shell.plan, RUN)
    with pytest.raises(PlaitInternalError):
        fold(broken, [*shell.records, records.Closed(0.0)])
    assert not broken.folding


# ---------------------------------------------------------------- checkpoints


def listing() -> Shell:
    of = plan(
        step("start", Start, returns_list=True, opens=("f",)),
        step("work", A, num_workers=2),
        fan_in("f", B),
        step("end", C),
    )
    shell = Shell(of)
    shell.open(Start())
    shell.works("start", [A(1), A(2), A(3)])
    return shell


def taken_out(shell: Shell, number: int) -> RunState:
    state = replay(shell.plan, shell.records)
    take_out(state, DeliveryId(number))
    advance(state, stimuli.TakenUp(0.0, 0.0))
    state.check()
    return state


def test_a_delivery_that_was_taken_out_does_not_run_again_and_its_branch_stays_open():
    shell = listing()
    shell.comes("work")
    shell.comes("work")
    state = taken_out(shell, 2)
    assert [*state.aside] == [2]
    assert [delivery.number for delivery in state.steps["work"].queue] == [3, 4]
    for number in (3, 4):
        advance(state, stimuli.Ready(0.0, "work"))
        advance(state, stimuli.Returned(0.0, DeliveryId(number), B(number)))
        state.check()
    assert not state.steps["f"].queue, "one branch is still open"
    written, _ = advance(state, stimuli.Returned(0.0, DeliveryId(2), B(2)))
    state.check()
    assert [*map(type, written)] == [
        records.Completed,
        records.Fired,
        records.Met,
        records.StreamClosed,
    ]
    assert state.steps["f"].queue[0].event == (B(), B(), B())


def test_a_run_is_not_quiet_while_something_is_to_come():
    of = plan(step("start", Start), step("end", A))
    shell = Shell(of)
    shell.open(Start())
    shell.comes("start")
    state = taken_out(shell, 1)
    assert state.phase is Phase.GOING
    written, todo = advance(state, stimuli.Returned(0.0, DeliveryId(1), A()))
    state.check()
    assert (len(written), todo) == (1, [effects.Offer("end")])


def test_what_a_delivery_that_was_taken_out_returned_may_end_the_run_or_be_wrong():
    of = plan(step("start", Start), step("end", A))
    shell = Shell(of)
    shell.open(Start())
    shell.comes("start")
    for value, outcome in ((Stop(), records.Stopped(Stop())), (C(), records.Crashed())):
        state = taken_out(shell, 1)
        advance(state, stimuli.Returned(0.0, DeliveryId(1), value))
        assert (state.outcome, state.aside) == (outcome, {})
    state = taken_out(shell, 1)
    advance(state, stimuli.CancelAsked(0.0))
    advance(state, stimuli.TakenUp(0.0, 0.0))
    assert (state.aside, state.busy) == ({}, 0)


def test_a_body_that_waits_can_be_taken_out_with_its_waits():
    shell = asking()
    shell.waits(2, Answer)
    state = taken_out(shell, 2)
    assert (state.waits, [*state.aside]) == ({}, [2])
    with pytest.raises(PlaitInternalError):
        take_out(state, DeliveryId(2))


def test_what_is_aside_is_cancelled_with_the_rest_of_its_stream():
    of = plan(
        step("start", Start, returns_list=True, opens=("f",)),
        step("work", A, num_workers=2),
        fan_in("f", B, gather=Gather(1, cancel_rest=True)),
    )
    shell = Shell(of)
    shell.open(Start())
    shell.works("start", [A(1), A(2), A(3)])
    shell.comes("work")
    shell.comes("work")
    state = taken_out(shell, 2)
    advance(state, stimuli.Ready(0.0, "work"))
    _, todo = advance(state, stimuli.Returned(0.0, DeliveryId(3), B()))
    state.check()
    assert effects.Interrupt((DeliveryId(2),)) in todo
    advance(state, stimuli.Returned(0.0, DeliveryId(2), B()))
    state.check()
    assert (state.streams, state.aside) == ({}, {})
