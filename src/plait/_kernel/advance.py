"""One stimulus, to the end: decide, apply, and what follows from the new state.

`decide` says what a stimulus means; this module sees to what any stimulus may have brought about,
so that no case of `decide` can forget it:

Rule 1: *A slot that is free is given away*, see `slots`.
Rule 2: *A stream whose time has come is dealt with:* its fan-ins fire, then it closes, and that may
    close the stream around it.
Rule 3: *A quiet run is never silent.* When nothing is queued, running or due, the same stimulus that
    made it so says whether the run is idle (the outside can move it on) or stalled.

The commonest stimuli need none of this: `shortcuts` has their results sooner.
"""

from __future__ import annotations

from typing import TypeAlias

from . import effects, records
from .apply import apply
from .decide import decide
from .effects import Begin, Effect
from .life import GOING
from .records import Record
from .shortcuts import come, contribute, pass_on, send_on, write_on
from .slots import go_on, share_out, take_turns
from .state import RunState
from .stimuli import Contributed, News, Ready, Returned, Sent, Stimulus, TakenUp, Wrote
from .streams import Stream, StreamId

Advance: TypeAlias = tuple[list[Record], list[Effect]]


def advance(state: RunState, stimulus: Stimulus) -> Advance:
    """Take a stimulus in: change the state, and say what is to be kept and what to be done.

    Raises:
        ImpossibleStimulus: The shell is wrong; nothing has changed.
    """
    soon: Advance | None = None
    if isinstance(stimulus, Contributed):
        if state.phase is GOING:
            return contribute(state, stimulus)
    elif isinstance(stimulus, Sent):
        if stimulus.step is None:
            soon = send_on(state, stimulus.now, stimulus.sender, stimulus.event)
    elif isinstance(stimulus, Ready):  # it leaves nobody more to do than before
        started = come(state, stimulus.now, stimulus.step)
        return ([], []) if started is None else ([started], [Begin(started.delivery)])
    elif isinstance(stimulus, Returned):
        soon = pass_on(state, stimulus.now, stimulus.delivery, stimulus.value, stays=stimulus.stays)
    elif isinstance(stimulus, Wrote):
        soon = write_on(state, stimulus)
    return soon or at_length(state, stimulus)


def at_length(state: RunState, stimulus: News) -> Advance:
    """Do as `advance`, without any short cut."""
    freed = None
    if type(stimulus) is Returned and stimulus.stays and stimulus.delivery in state.running:
        freed = state.steps[state.running[stimulus.delivery].step]
    reopens = type(stimulus) is TakenUp
    was_busy = state.busy
    written, todo = decide(state, stimulus)
    for record in written:
        apply(state, record)
    if state.phase is not GOING:
        _wind_up(state, todo)
    else:
        if reopens:
            _cancel_again(state, stimulus.now, written, todo)
        if state.met:
            _say_who_met(state, stimulus.now, written)
        if state.loose or state.answered:
            _deal_with_loose_ends(state, stimulus.now, written, todo)
        if not state.busy:
            _quiet(state, stimulus.now, written, todo, news=was_busy > 0 or reopens)
        elif state.permits is not None:
            take_turns(state, stimulus.now, written, todo)
        elif state.touched:
            share_out(state, freed, stimulus.now, written, todo)
    if state.touched:
        state.touched.clear()
    return written, todo


def _say_who_met(state: RunState, now: float, written: list[Record]) -> None:
    for number, events in [*state.met]:  # the first record empties it
        _write(state, records.Met(now, number, events), written)


def _deal_with_loose_ends(
    state: RunState, now: float, written: list[Record], todo: list[Effect]
) -> None:
    """Look at the streams that the records have touched, and at the waits that they have ended."""
    while state.loose:
        _deal_with(state, state.loose.pop(), now, written, todo)
    for key in state.answered:  # a body that waits for several events at once may be running
        if (delivery := state.running.get(key[0])) is None:
            continue
        go_on(state, state.steps[delivery.step], key, now, written, todo)
    state.answered.clear()


def _deal_with(
    state: RunState, stream: Stream, now: float, written: list[Record], todo: list[Effect]
) -> None:
    """Rule 2."""
    if stream.id not in state.streams:
        return
    for name in [*stream.open]:
        gather = state.plan.step[name].gather
        assert gather is not None
        batch = stream.batch(name, gather)
        if batch is None:
            continue
        number, events = state.next_delivery, tuple(kept.event for kept in batch)
        _write(state, records.Fired(now, stream.id, name, events, number), written)
        if gather.cancel_rest:
            _cancel_rest(state, stream, now, written, todo)
        if batch:
            met = tuple(kept.number for kept in batch)
            _write(state, records.Met(now, number, met), written)
    if not stream.live and not stream.open and stream.id in state.streams:
        _write(state, records.StreamClosed(now, stream.id), written)


def _cancel_rest(
    state: RunState, stream: Stream, now: float, written: list[Record], todo: list[Effect]
) -> list[StreamId]:
    """Let go of what is in a stream, and in those inside it, which are returned too."""
    inside = [stream.id]
    for number in inside:  # it grows on the way
        inside += state.streams[number].inner
    inside.sort()  # a stream is younger than the one around it
    members = [number for one in inside for number in state.streams[one].members]
    bodies = (state.running, state.suspended, state.aside)
    running = tuple(number for number in members if any(number in place for place in bodies))
    dropped = tuple(sorted({*members} - {*running}))
    joined = any(step.joins.keys() & inside for step in state.steps.values() if step.joins)
    if dropped or joined or len(inside) > 1:
        _write(state, records.Dropped(now, dropped, tuple(inside)), written)
    if running:
        todo.append(effects.Interrupt(running))
    return inside


def _cancel_again(state: RunState, now: float, written: list[Record], todo: list[Effect]) -> None:
    """What a fan-in had cancelled, and was not gone when the process died, does not run again."""
    gone: set[StreamId] = set()
    for stream in [*state.streams.values()]:
        enough = any(
            gather.cancel_rest and name not in stream.open
            for name in state.plan.step[stream.step].opens
            if (gather := state.plan.step[name].gather) is not None
        )
        if enough and stream.id not in gone:
            gone.update(_cancel_rest(state, stream, now, written, todo))


def _quiet(
    state: RunState, now: float, written: list[Record], todo: list[Effect], *, news: bool
) -> None:
    """Rule 3. `news`: it was busy before."""
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
    state.met.clear()  # nobody begins with them
    if state.drains_again and _begin_again(state, todo):
        return
    if state.draining and not state.running and effects.Wind() not in todo:
        todo.append(effects.Wind())


def _begin_again(state: RunState, todo: list[Effect]) -> bool:
    """Ask for workers for what drains in another process; is there anything left to begin?"""
    for step in state.steps.values():
        while step.offered < step.startable:
            step.offered += 1
            todo.append(step.offer)
    return state.begins_again


def _write(state: RunState, record: Record, written: list[Record]) -> None:
    apply(state, record)
    written.append(record)
