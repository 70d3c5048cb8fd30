"""Record -> state. The only mutator: recovery is a loop over this function, and so is the live run."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import assert_never

from . import records
from .keeping import KEEPING
from .records import (
    EventHeld,
    EventReceived,
    EventSkipped,
    Keys,
    Record,
    RunAdmitted,
    RunReleased,
    Waited,
)
from .state import AppState, Burst, Call, Company, FunctionState, Held, Later, Run


def apply(state: AppState, record: Record) -> None:
    """Change the state by one record, in place."""
    if KEEPING[type(record)] is not None:
        state.since += 1
    match record:
        case EventReceived():
            state.fresh = record
            state.next_event = record.number + 1
            if not record.to:
                state.ids.add(("", record.id), record.at)
        case RunAdmitted():
            _admit(state, record)
        case RunReleased():
            _release(state, record)
        case records.RunLeft():
            _leave(state, record)
        case EventHeld():
            _hold(state, record)
        case EventSkipped():
            if record.out_of:
                _let_go(state, record.fn_id, record.out_of, 1)
            else:
                _come(state, record.event, record.fn_id)
        case records.CronFired():
            state.ids.add((record.fn_id, repr(record.scheduled_at)), record.at)
            state.ticks[record.fn_id, record.cron] = record.scheduled_at
        case records.CronWatched():
            state.ticks[record.fn_id, record.cron] = record.at
        case records.CancelRequested():
            state.runs[record.run_id].cancelled = record.reason
            state.timers.remove(("finish", record.run_id, ""))
        case records.AppSnapshot():
            state.since = 0
        case records.HandlerQueued():
            _queue_handler(state, record)
        case records.HandlerAdmitted():
            call = state.handlers.calls[record.call]
            state.handlers.calls[record.call] = Call(call.run_id, call.lane, None)
            state.handlers.lanes.leave(call.lane, record.call)
            state.handlers.lanes.take(call.lane)
        case records.HandlerGone():
            _drop_handler(state, record)
        case _:
            assert_never(record)


# ---------------------------------------------------------------- events


def _come(state: AppState, number: int, fn_id: str) -> EventReceived | None:
    """The event that a record names: it was received just now, or its time has come."""
    later = state.later.pop((number, fn_id), None)
    if later is None:
        return state.fresh
    state.timers.remove(("ts", str(number), fn_id))
    return later.held.event


def _hold(state: AppState, record: EventHeld) -> None:
    fn_id, key = record.fn_id, record.key
    event = _come(state, record.event, fn_id)
    assert event is not None
    held = Held(event, record.run_id, record.keys)
    if record.knob == "ts":
        state.later[record.event, fn_id] = Later(held, record.due_at)
        arm(state, "ts", str(record.event), fn_id, record.due_at, record.event)
        return
    own = state.function(fn_id)
    _count(state, own, record.keys, fn_id, record.at)
    if record.knob == "debounce":
        burst = own.bursts.get(key)
        began = record.at if burst is None else burst.began
        own.bursts[key] = Burst(held, began, record.due_at)
        arm(state, "debounce", fn_id, key, record.due_at, record.event)
    else:
        company = own.batches.get(key)
        if company is None:
            company = own.batches[key] = Company(record.due_at)
            arm(state, "batch_events", fn_id, key, record.due_at, record.event)
        company.held.append(held)


def arm(state: AppState, kind: str, one: str, other: str, due: float, order: int) -> None:
    """Set a timer, if the plan knows the function for which it is."""
    if state.knows(other if kind == "ts" else one):
        state.set_timer((kind, one, other), due, order)


def _let_go(state: AppState, fn_id: str, out_of: Waited, number: int) -> tuple[EventReceived, ...]:
    """Take so many events out of where they have waited."""
    own = state.function(fn_id)
    knob, key = out_of
    if knob == "debounce":
        gone = [own.bursts.pop(key).held]
    else:
        company = own.batches[key]
        gone, company.held = company.held[:number], company.held[number:]
        if company.held:
            return tuple(held.event for held in gone)
        del own.batches[key]
    state.timers.remove((knob, fn_id, key))
    return tuple(held.event for held in gone)


def _count(state: AppState, own: FunctionState, keys: Keys, fn_id: str, now: float) -> None:
    """An event has passed the knobs that count: its key is used, and its window has one more."""
    if keys.idempotency is not None:
        state.used.add((fn_id, keys.idempotency), now)
    function = state.plan.functions.get(fn_id)
    if keys.rate_limit is None or function is None or function.rate_limit is None:
        return
    limit, passed = function.rate_limit, own.passed
    times = passed.setdefault(keys.rate_limit, deque())
    times.append(now)
    while len(times) > limit.limit:
        times.popleft()
    passed.move_to_end(keys.rate_limit)
    for oldest in [*islice(passed, 2)]:  # never a sweep, see `recent`
        if now - passed[oldest][-1] < limit.period:
            return
        del passed[oldest]


# ---------------------------------------------------------------- runs


def _admit(state: AppState, record: RunAdmitted) -> None:
    fn_id, keys = record.fn_id, record.keys
    own = state.function(fn_id)
    if record.out_of:
        events = _let_go(state, fn_id, record.out_of, len(record.events))
    else:
        event = _come(state, record.events[0], fn_id)
        assert event is not None
        events = (event,)
        _count(state, own, keys, fn_id, record.at)
    run = Run(
        record.run_id,
        fn_id,
        state.next_order,
        events,
        keys,
        record.needs,
        record.parent,
        record.at,
    )
    state.next_order += 1
    enter(state, run)


def enter(state: AppState, run: Run) -> None:
    """Add a run, in whatever state it is."""
    own = state.function(run.fn_id)
    state.runs[run.run_id] = run
    own.runs[run.run_id] = None
    if run.keys.singleton is not None:
        own.singles.setdefault(run.keys.singleton, {})[run.run_id] = None
    if run.started_at is not None:
        state.queue.take(run.lane)
        _set_finish(state, run)
        return
    state.queue.join(run.lane, run.run_id, run.rank)
    function = state.plan.functions.get(run.fn_id)
    start = None if function is None else function.timeouts.start
    if start is not None:
        state.set_timer(("start", run.run_id, ""), run.queued_at + start, run.order)


def _set_finish(state: AppState, run: Run) -> None:
    function = state.plan.functions.get(run.fn_id)
    finish = None if function is None else function.timeouts.finish
    if finish is not None and run.started_at is not None and run.cancelled is None:
        state.set_timer(("finish", run.run_id, ""), run.started_at + finish, run.order)


def _release(state: AppState, record: RunReleased) -> None:
    run = state.runs[record.run_id]
    lane = run.lane
    run.started_at = record.at
    state.queue.leave(lane, run.run_id)
    state.queue.take(lane)
    state.disarm(lane)
    state.timers.remove(("start", run.run_id, ""))
    _set_finish(state, run)
    function = state.plan.functions.get(run.fn_id)
    if lane.throttle is None or function is None or function.throttle is None:
        return
    tats = state.function(run.fn_id).tats
    tat = max(record.at, tats.get(lane.throttle, record.at)) + function.throttle.interval
    tats[lane.throttle] = tat
    tats.move_to_end(lane.throttle)
    for oldest in [*islice(tats, 2)]:  # one that is past says no more than none
        if tats[oldest] > record.at:
            return
        del tats[oldest]


def _leave(state: AppState, record: records.RunLeft) -> None:
    run = state.runs.pop(record.run_id)
    own = state.function(run.fn_id)
    del own.runs[run.run_id]
    if run.keys.singleton is not None:
        names = own.singles[run.keys.singleton]
        del names[run.run_id]
        if not names:
            del own.singles[run.keys.singleton]
    if run.started_at is None:
        state.queue.leave(run.lane, run.run_id)
        state.disarm(run.lane)
        state.timers.remove(("start", run.run_id, ""))
    else:
        state.queue.give_back(run.lane)
        state.timers.remove(("finish", run.run_id, ""))


# ---------------------------------------------------------------- handlers


def _queue_handler(state: AppState, record: records.HandlerQueued) -> None:
    own, run = state.handlers, state.runs[record.run_id]
    rank = (record.at - run.keys.priority, own.next_order)
    own.next_order += 1
    own.calls[record.call] = Call(run.run_id, run.handlers, rank)
    own.of_run[run.run_id] += 1
    own.lanes.join(run.handlers, record.call, rank)


def _drop_handler(state: AppState, record: records.HandlerGone) -> None:
    own = state.handlers
    call = own.calls.pop(record.call)
    own.of_run[call.run_id] -= 1
    if not own.of_run[call.run_id]:
        del own.of_run[call.run_id]
    if call.rank is None:
        own.lanes.give_back(call.lane)
    else:
        own.lanes.leave(call.lane, record.call)
