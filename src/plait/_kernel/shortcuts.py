"""The commonest stimuli, each in half the time that `advance` would take for it.

Nearly all that a run hears is: a worker comes; a body returns an event which goes to some steps, or
nothing; a body sends such an event, or writes one to the stream. There is no more to it than one
record and the offers that it brings about, unless something rarer is going on: a wait, a stream of a
list, a body that runs again, a run that goes step by step or has been decided. Then these functions
say `None` and change nothing, and `advance` is asked.

Rule: they say what `advance` would say. Nothing is decided here that is not decided there.
"""

from __future__ import annotations

from typing import TypeAlias

from plait._ids import DeliveryId

from .apply import collect, complete, send, start
from .decide import ImpossibleStimulus, contributed
from .effects import Effect, Publish
from .life import GOING
from .records import Collected, Completed, Emitted, Record, Started, Streamed
from .slots import share_out
from .state import RunState
from .stimuli import Contributed, Ready, Wrote

Advance: TypeAlias = tuple[list[Record], list[Effect]]


def come(state: RunState, now: float, name: str) -> Started | None:
    """Take in a `Ready`: a worker takes the oldest delivery, or comes in vain.

    Raises:
        ImpossibleStimulus: The shell is wrong; nothing has changed.
    """
    step = state.steps[name]
    if not step.offered:
        raise ImpossibleStimulus(state, Ready(now, name))
    step.offered -= 1
    queue = step.queue
    if (
        not queue
        or not (state.phase is GOING or state.drains_again)
        or step.running >= step.plan.num_workers
    ):
        return None
    if state.permits is not None and not state.may_start(step):
        return None
    free = step.free
    started = Started(now, queue[0].number, name, free[0] if free else step.workers)
    start(state, started)
    return started


def pass_on(
    state: RunState, now: float, number: DeliveryId, event: object, *, stays: bool
) -> Advance | None:
    """Take in a `Returned` whose event goes to some steps, or nowhere, and that is all."""
    delivery = state.running.get(number)
    if delivery is None or delivery.branch is not None or not _is_plain(state):
        return None
    step = state.steps[delivery.step]
    if event is None:
        to: tuple[str, ...] | None = () if state.busy > 1 else None
    else:
        to = state.plan.routes[type(event)].plainly
    if to is None or step.plan.returns_list:
        return None
    completed = Completed(now, number, event, state.next_delivery, to)
    complete(state, completed)
    written: list[Record] = [completed]
    todo: list[Effect] = []
    share_out(state, step if stays else None, now, written, todo)
    state.touched.clear()
    return written, todo


def send_on(state: RunState, now: float, sender: DeliveryId, event: object) -> Advance | None:
    """Take in a `Sent` whose event goes to every step that accepts it, and that is all."""
    to = state.plan.routes[type(event)].plainly
    if to is None or state.remembers or not _is_plain(state):
        return None  # a body that runs again repeats itself, perhaps
    emitted = Emitted(now, sender, event, state.next_delivery, to)
    send(state, emitted)
    written: list[Record] = [emitted]
    todo: list[Effect] = []
    share_out(state, None, now, written, todo)
    state.touched.clear()
    return written, todo


def write_on(state: RunState, stimulus: Wrote) -> Advance | None:
    """Take in a `Wrote` of a body that has not written this before."""
    writer = state.running.get(stimulus.sender)
    if (
        writer is None
        or stimulus.source
        or state.remembers
        or state.phase is not GOING
        or state.permits is not None
    ):
        return None
    writer.written += 1
    event = stimulus.event
    return [Streamed(stimulus.now, stimulus.sender, event)], [Publish(event)]


def contribute(state: RunState, stimulus: Contributed) -> Advance:
    """Take in a `Contributed` to a run that goes on: it changes a buffer, and nothing else."""
    written, todo = contributed(state, stimulus)
    for record in written:
        assert isinstance(record, Collected)
        collect(state, record)
    return written, todo


def _is_plain(state: RunState) -> bool:
    """Can an event that goes to some steps have no other consequence?"""
    return (
        state.phase is GOING
        and state.permits is None
        and not (state.waits or state.answered or state.loose)
    )
