"""Who gets a free slot: first a wait that is over, then the oldest in the queue.

Rule: *every startable delivery has been offered to a worker.* A step's `startable` count is
    min(queued, free slots). Whenever it is above the offers that are out, `Offer`s go out. A worker
    takes the oldest delivery at the moment in which it really runs: when it comes, or when it has
    returned and stays. So bodies begin in the order of the queue whatever the scheduler does, no
    wake-up can be lost, and a worker that comes in vain is told so and goes back to wait.
"""

from __future__ import annotations

from . import effects, records
from .apply import apply, start
from .effects import Begin, Effect
from .records import Record, Started
from .state import RunState, StepState
from .waits import WaitKey


def share_out(
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
        if not queue:
            continue
        room = step.plan.num_workers - step.running
        if room <= 0:
            continue
        if step is freed:
            freed = None
            number = queue[0].number
            free = step.free
            started = Started(now, number, step.plan.name, free[0] if free else step.workers)
            start(state, started)
            written.append(started)
            todo.append(Begin(number))
            room -= 1
        waiting = len(queue)
        room = room if room < waiting else waiting  # noqa: FURB136 - `min` takes five times as long
        while room > step.offered:
            step.offered += 1
            todo.append(step.offer)


def take_turns(state: RunState, now: float, written: list[Record], todo: list[Effect]) -> None:
    """The same in a run that goes step by step: whose turn it is may be anybody's."""
    for step in state.steps.values():
        if step.resuming:
            _resume(state, step, now, written, todo)
    for step in state.steps.values():
        if not step.offered and state.startable(step):
            step.offered = 1
            todo.append(step.offer)


def _resume(
    state: RunState, step: StepState, now: float, written: list[Record], todo: list[Effect]
) -> None:
    """Give free slots to waits that are over, the oldest first."""
    while step.resuming:
        if state.permits is None:
            if step.running >= step.plan.num_workers:
                return
        elif state.running or not state.permits:
            return
        first = next(iter(step.resuming))
        go_on(state, step, first, now, written, todo)
        delivery = state.running[first[0]]
        for ordinal in range(delivery.waits):  # it may have waited for several events at once
            if (other := (first[0], ordinal)) in step.resuming:
                go_on(state, step, other, now, written, todo)


def go_on(
    state: RunState,
    step: StepState,
    key: WaitKey,
    now: float,
    written: list[Record],
    todo: list[Effect],
) -> None:
    worker = -1 if key[0] in state.running else step.next_worker
    answer = step.resuming[key]
    resumed = records.Resumed(now, key, worker)
    apply(state, resumed)
    written.append(resumed)
    todo.append(effects.Resume(key, answer))
