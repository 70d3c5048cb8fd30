"""One stimulus, to the end: decide, apply, and what follows from the new state.

`decide` says what a stimulus means; this module sees to what any stimulus may have brought about,
so that no case of `decide` can forget it:

Rule 1: *Every startable delivery has been offered to a worker.* A step's `startable` count is
    min(queued, free slots). Whenever it is above the offers that are out, `Offer`s go out. A worker
    takes the oldest delivery at the moment in which it really runs: when it comes, or when it has
    returned and stays. So bodies begin in the order of the queue whatever the scheduler does, no
    wake-up can be lost, and a worker that comes in vain is told so and goes back to wait.
Rule 2: *Who has waited comes first:* a free slot goes to a wait that is over before the queue.
Rule 3: *A stream whose time has come is dealt with:* its fan-ins fire, then it closes, and that may
    close the stream around it.
Rule 4: *A quiet run is never silent.* When nothing is queued, running or due, the same stimulus that
    made it so says whether the run is idle (the outside can move it on) or stalled.
"""

from __future__ import annotations

from . import effects, records
from .apply import apply
from .decide import ImpossibleStimulus, decide
from .effects import Begin, Effect
from .life import GOING, WINDING_UP
from .records import Record, Started
from .state import RunState, StepState
from .stimuli import Ready, Returned, Stimulus
from .streams import Stream
from .waits import WaitKey


def advance(state: RunState, stimulus: Stimulus) -> tuple[list[Record], list[Effect]]:
    """Take a stimulus in: change the state, and say what is to be kept and what to be done.

    Raises:
        ImpossibleStimulus: The shell is wrong; nothing has changed.
    """
    if type(stimulus) is Ready:
        return _come(state, stimulus)
    freed: StepState | None = None
    if type(stimulus) is Returned and stimulus.stays:
        delivery = state.running.get(stimulus.delivery)
        freed = None if delivery is None else state.steps[delivery.step]
    was_busy = state.busy
    written, todo = decide(state, stimulus)
    for record in written:
        apply(state, record)
    if state.phase is not GOING:
        _wind_up(state, todo)
    else:
        if state.loose or state.answered:
            _deal_with_loose_ends(state, stimulus.now, written, todo)
        if not state.busy:
            _quiet(state, stimulus.now, written, todo, news=was_busy > 0)
        elif state.permits is not None:
            _take_turns(state, stimulus.now, written, todo)
        elif state.touched:
            _share_out(state, freed, stimulus.now, written, todo)
    if state.touched:
        state.touched.clear()
    return written, todo


def _come(state: RunState, stimulus: Ready) -> tuple[list[Record], list[Effect]]:
    """A worker takes a delivery, or comes in vain: there is no more to give to anybody than before.

    But in a run that goes step by step, where it may have been another step's turn.
    """
    step = state.steps[stimulus.step]
    if not step.offered:
        raise ImpossibleStimulus(state, stimulus)
    step.offered -= 1
    written, todo = decide(state, stimulus)
    for record in written:
        apply(state, record)
    if state.permits is not None and state.phase is GOING:
        _take_turns(state, stimulus.now, written, todo)
    return written, todo


def _share_out(
    state: RunState,
    freed: StepState | None,
    now: float,
    written: list[Record],
    todo: list[Effect],
) -> None:
    """Give the slots that are free to who comes first; `freed`: whose worker stays."""
    for step in state.touched:
        if step.resuming:
            _resume(state, step, now, written, todo)
        queue = step.queue
        if not queue or step.running >= step.plan.num_workers:
            continue
        if step is freed:
            freed = None
            number = queue[0].number
            started = Started(now, number, step.plan.name, step.next_worker)
            apply(state, started)
            written.append(started)
            todo.append(Begin(number))
        room, waiting = step.plan.num_workers - step.running, len(queue)
        owed = (room if room < waiting else waiting) - step.offered  # noqa: FURB136 - see startable
        while owed > 0:
            owed -= 1
            step.offered += 1
            todo.append(step.offer)


def _take_turns(state: RunState, now: float, written: list[Record], todo: list[Effect]) -> None:
    """The same in a run that goes step by step: whose turn it is may be anybody's."""
    for step in state.steps.values():
        if step.resuming:
            _resume(state, step, now, written, todo)
    for step in state.steps.values():
        if not step.offered and state.startable(step):
            step.offered = 1
            todo.append(step.offer)


def _write(state: RunState, record: Record, written: list[Record]) -> None:
    apply(state, record)
    written.append(record)


def _resume(
    state: RunState, step: StepState, now: float, written: list[Record], todo: list[Effect]
) -> None:
    """Rule 2."""
    while step.resuming:
        if state.permits is None:
            if step.running >= step.plan.num_workers:
                return
        elif state.running or not state.permits:
            return
        first = next(iter(step.resuming))
        _go_on(state, step, first, now, written, todo)
        delivery = state.running[first[0]]
        for ordinal in range(delivery.waits):  # it may have waited for several events at once
            if (other := (first[0], ordinal)) in step.resuming:
                _go_on(state, step, other, now, written, todo)


def _go_on(
    state: RunState,
    step: StepState,
    key: WaitKey,
    now: float,
    written: list[Record],
    todo: list[Effect],
) -> None:
    worker = -1 if key[0] in state.running else step.next_worker
    answer = step.resuming[key]
    _write(state, records.Resumed(now, key, worker), written)
    todo.append(effects.Resume(key, answer))


def _deal_with_loose_ends(
    state: RunState, now: float, written: list[Record], todo: list[Effect]
) -> None:
    """Look at the streams that the records have touched, and at the waits that they have ended."""
    while state.loose:
        _deal_with(state, state.loose.pop(), now, written, todo)
    for key in state.answered:  # a body that waits for several events at once may be running
        if (delivery := state.running.get(key[0])) is None:
            continue
        step = state.steps[delivery.step]
        if key in step.resuming:  # else the records that told of it were read back
            _go_on(state, step, key, now, written, todo)
    state.answered.clear()


def _deal_with(
    state: RunState, stream: Stream, now: float, written: list[Record], todo: list[Effect]
) -> None:
    """Rule 3."""
    if stream.id not in state.streams:
        return
    for name in [*stream.open]:
        gather = state.plan.step[name].gather
        assert gather is not None
        events = stream.batch(name, gather)
        if events is None:
            continue
        fired = records.Fired(now, stream.id, name, events, state.next_delivery)
        _write(state, fired, written)
        if gather.cancel_rest:
            _cancel_rest(state, stream, now, written, todo)
    if not stream.live and not stream.open and stream.id in state.streams:
        _write(state, records.StreamClosed(now, stream.id), written)


def _cancel_rest(
    state: RunState, stream: Stream, now: float, written: list[Record], todo: list[Effect]
) -> None:
    inside = [stream.id]
    for number in inside:  # it grows on the way
        inside += state.streams[number].inner
    inside.sort()  # a stream is younger than the one around it
    members = [number for one in inside for number in state.streams[one].members]
    running = tuple(n for n in members if n in state.running or n in state.suspended)
    dropped = tuple(sorted({*members} - {*running}))
    joined = any(step.joins.keys() & inside for step in state.steps.values() if step.joins)
    if dropped or joined or len(inside) > 1:
        _write(state, records.Dropped(now, dropped, tuple(inside)), written)
    if running:
        todo.append(effects.Interrupt(running))


def _quiet(
    state: RunState, now: float, written: list[Record], todo: list[Effect], *, news: bool
) -> None:
    """Rule 4. `news`: it was busy before."""
    if not state.open_ended:
        _write(state, records.Decided(now, records.Stalled()), written)
        todo.append(effects.Wind())
    elif news:
        _write(state, records.Idled(now), written)
        todo.append(effects.Rest())


def _wind_up(state: RunState, todo: list[Effect]) -> None:
    """Once the bodies that were left to finish have done so, a drain is over."""
    state.loose.clear()
    state.answered.clear()
    drains = state.plan.on_stop == "drain" and isinstance(state.outcome, records.Stopped)
    if drains and not state.running and state.phase is WINDING_UP and effects.Wind() not in todo:
        todo.append(effects.Wind())
