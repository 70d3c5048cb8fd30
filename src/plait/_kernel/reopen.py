"""A run is taken up by another process: no body is left, and the clock is another one.

Rule 1: *Who was interrupted goes first.* Each delivery whose body was executing, with a slot or in a
    wait, is at the head of its step's queue again, in the order of numbers. Its attempt goes on: no
    retry is used up, and what its body has done it does not do twice, see `memory`.
Rule 2: *What is pending stays:* queues, buffers, joins, streams, mailbox, retries. A body waits again
    for what it waited for.
Rule 3: *Times move over to the new clock*, by the Unix time of either clock's 0.
Rule 4: *After the decision nothing goes on, but a drain.* A body that was left to finish runs again,
    since what was interrupted is not complete. What was queued is reported, as before; what waited
    or was about to be cancelled counts as interrupted, which further records say.
"""

from __future__ import annotations

from collections import deque

import attrs

from plait._ids import DeliveryId

from .life import GOING
from .memory import Memory
from .records import Reopened
from .state import Delivery, RunState, each
from .waits import Wait


def reopen(state: RunState, record: Reopened) -> None:
    """Apply this one. The phase is the caller's."""
    _move_over(state, state.epoch - record.epoch)
    state.epoch = record.epoch
    state.elapsed = record.elapsed
    state.reopened += 1
    state.remembers = True
    goes_on = state.phase is GOING
    state.permits = 0 if record.stepwise and goes_on else None
    for step in state.steps.values():
        step.offered = 0
    if goes_on:
        _put_back(state, {**state.running, **state.suspended})
        state.touched += [step for step in state.steps.values() if step.queue]
    elif state.draining:
        if not state.drains_again:
            _report(state)
        _put_back(state, {**state.running})
        state.drains_again = True


def _move_over(state: RunState, shift: float) -> None:
    """Rule 3."""
    for delivery in state.live():
        delivery.began += shift
        if delivery.memory is not None:
            delivery.memory.move_over(shift)
        trouble = delivery.trouble
        if trouble is not None:
            delivery.trouble = attrs.evolve(
                trouble,
                began=trouble.began + shift,
                failed=trouble.failed + shift,
                due=trouble.due + shift,
            )
    for step in state.steps.values():
        for buffer in step.buffers.values():
            buffer.since += shift
    for key, wait in state.waits.items():
        state.waits[key] = attrs.evolve(wait, since=wait.since + shift)


def _put_back(state: RunState, gone: dict[DeliveryId, Delivery]) -> None:
    """Rule 1."""
    for number in sorted(gone, reverse=True):
        delivery = gone[number]
        _interrupt(state, delivery)
        state.steps[delivery.step].queue.appendleft(delivery)
        if state.running.pop(number, None) is None:
            del state.suspended[number]
            state.busy += 1
    for step in state.steps.values():
        step.running = step.workers = 0
        step.free.clear()


def _interrupt(state: RunState, delivery: Delivery) -> None:
    """The body is gone, and so are its waits; what it has done is not."""
    first = 0 if delivery.trouble is None else delivery.trouble.waits
    resuming = state.steps[delivery.step].resuming
    still_open: list[Wait] = []
    for ordinal in range(first, delivery.waits):
        key = (delivery.number, ordinal)
        if key in state.waits:
            still_open.append(state.waits.end(key))
        elif key in resuming:
            del resuming[key]
            state.busy -= 1
    if delivery.sent or delivery.written or still_open or delivery.memory is not None:
        if delivery.memory is None:
            delivery.memory = Memory()
        delivery.memory.interrupt(delivery.sent, delivery.written, still_open)
    delivery.worker, delivery.waits = -1, first
    delivery.sent = delivery.written = 0


def _report(state: RunState) -> None:
    """What was queued at the decision never starts: from here on, what is queued does."""
    for step in state.steps.values():
        for delivery in step.queue:
            state.busy -= 1
            state.unrouted += [(delivery.number, event) for event in each(delivery.event)]
        step.queue = deque()
