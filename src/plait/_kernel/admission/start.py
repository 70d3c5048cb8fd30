"""The queue: which run may start now, and which handler.

Rule 1: *A run starts at the first moment at which its throttle and all its limits let it.* It does
    not use up the throttle's leave before: what starts is limited, not what would like to.
Rule 2: *The throttle is the GCRA.* With `T = period / limit`, a start happens at
    `s = max(now, tat - (burst - 1) * T)`, and then `tat = max(s, tat) + T`.
Rule 3: *Nobody waits in front of a free slot.* See `lanes` for who comes first.
"""

from __future__ import annotations

from . import effects, records
from .lanes import Lane, Place
from .turn import Turn


def settle(turn: Turn) -> None:
    """Start all that may start."""
    _start_runs(turn)
    _start_handlers(turn)


def park(turn: Turn) -> None:
    """Let those in the queue of an earlier process wait where they did: its throttles are timers again."""
    state, queue = turn.state, turn.state.queue
    for lane in [*queue.loose]:
        place = state.full(lane, float("-inf"), queue)
        if place is not None:  # or the limits are others now: it starts with the rest
            _park(turn, lane, place)


def _park(turn: Turn, lane: Lane, place: Place) -> None:
    turn.state.queue.park(lane, place)
    turn.state.disarm(lane)
    if place[0][0] == "throttle":
        _arm(turn, place[0])


def _start_runs(turn: Turn) -> None:
    state, now, queue = turn.state, turn.now, turn.state.queue
    while (lane := queue.next(lambda place: state.has_room(place, now))) is not None:
        place = state.full(lane, now, queue)
        if place is not None:
            _park(turn, lane, place)
            continue
        run = state.runs[queue.waiting[lane].first]
        turn.write(records.RunReleased(now, run.run_id))
        turn.start(run)
        if lane.throttle is not None:
            _arm(turn, ("throttle", lane.fn_id, lane.throttle))


def _arm(turn: Turn, bucket: tuple[str, ...]) -> None:
    """Look at those who are parked at a throttle when it lets the next one start."""
    if bucket in turn.state.queue.places:
        kind, fn_id, key = bucket
        turn.state.set_timer((kind, fn_id, key), turn.state.leave_at(bucket), 0)


def _start_handlers(turn: Turn) -> None:
    own = turn.state.handlers
    lanes = own.lanes
    while (lane := lanes.next(lanes.has_room)) is not None:
        place = turn.state.full(lane, turn.now, lanes)
        if place is not None:
            lanes.park(lane, place)
            continue
        call = lanes.waiting[lane].first
        turn.write(records.HandlerAdmitted(turn.now, call))
        turn.do(effects.GiveSlot(call))
