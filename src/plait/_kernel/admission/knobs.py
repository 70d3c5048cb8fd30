"""The knobs that an event passes on its way to the queue.

    idempotency → rate limit → debounce → batch → singleton → queue

Rule 1: *A key is used, and a window filled, by what passes.* An event that a later knob drops there
    and then has used up nothing: what is counted leads to runs.
Rule 2: *What was invoked waits for nobody's burst or batch,* and who invoked is told if it is dropped.
Rule 3: *The older run is cancelled first.* The new one is queued at once, and starts when the older
    one has left. So no two runs of a singleton's key are ever on their way that are not being
    cancelled, and no two of them have started.
"""

from __future__ import annotations

from collections import deque

import attrs

from . import effects, records
from .plan import FunctionPlan
from .records import Keys, Knob, Need, Waited
from .state import Held
from .turn import Turn


@attrs.frozen
class Caller:
    """Somebody waits for the run: a run, or the app's caller."""

    parent: str | None


def pass_knobs(
    turn: Turn, function: FunctionPlan, held: Held, caller: Caller | None = None
) -> None:
    """Let an event through, as far as it goes now."""
    keys = held.keys
    dropped = _dropped_by(turn, function, keys)
    if dropped is not None:
        _drop(turn, function, held, *dropped, caller=caller)
    elif caller is None and function.debounce is not None and keys.debounce is not None:
        _debounce(turn, function, held, keys.debounce)
    elif caller is None and function.batch is not None and keys.batch is not None:
        _gather(turn, function, held, keys.batch)
    else:
        admit(turn, function, (held,), caller=caller)


def _dropped_by(turn: Turn, function: FunctionPlan, keys: Keys) -> tuple[Knob, str, str] | None:
    """The knob that counts, and has counted enough; the key; why."""
    state, now, fn_id = turn.state, turn.now, function.fn_id
    used = keys.idempotency
    if used is not None and function.idempotency and state.used.has((fn_id, used), now):
        return "idempotency", used, "there was a run for this key less than a day ago"
    key, limit = keys.rate_limit, function.rate_limit
    if key is None or limit is None:
        return None
    passed = state.look(fn_id).passed.get(key, deque[float]())
    if len(passed) < limit.limit or now - passed[-limit.limit] >= limit.period:
        return None
    return "rate_limit", key, f"{limit.limit} have passed within {limit.period:g} s"


def _drop(
    turn: Turn,
    function: FunctionPlan,
    held: Held,
    knob: Knob,
    key: str,
    because: str,
    *,
    out_of: Waited | None = None,
    caller: Caller | None = None,
) -> None:
    turn.skip(function.fn_id, held.event.number, knob, key, because, out_of)
    if caller is not None:
        turn.do(effects.SkipRun(held.run_id, function.fn_id, knob, key))


def _debounce(turn: Turn, function: FunctionPlan, held: Held, key: str) -> None:
    limit = function.debounce
    assert limit is not None
    due, because = turn.now + limit.period, "the first of its burst"
    burst = turn.state.look(function.fn_id).bursts.get(key)
    began = turn.now if burst is None else burst.began
    if burst is not None:
        because = f"takes the place of event {burst.held.event.number}"
    if limit.timeout is not None:
        due = min(due, began + limit.timeout)
    hold(turn, function, held, "debounce", key, due, because)


def _gather(turn: Turn, function: FunctionPlan, held: Held, key: str) -> None:
    limit = function.batch
    assert limit is not None
    batches = turn.state.look(function.fn_id).batches
    company = batches.get(key)
    due = turn.now + limit.timeout if company is None else company.due
    number = 1 if company is None else len(company.held) + 1
    because = f"{number} of {limit.max_size}"
    hold(turn, function, held, "batch_events", key, due, because)
    while key in batches and len(batches[key].held) >= limit.max_size:
        flush(turn, function, key)


def hold(
    turn: Turn,
    function: FunctionPlan,
    held: Held,
    knob: Knob,
    key: str,
    due: float,
    because: str,
) -> None:
    """Let an event wait."""
    turn.write(
        records.EventHeld(
            turn.now,
            held.event.number,
            function.fn_id,
            held.run_id,
            knob,
            key,
            due,
            because,
            held.keys,
        )
    )


def flush(turn: Turn, function: FunctionPlan, key: str) -> None:
    """Let a batch go, or as much of it as is one batch."""
    held = turn.state.look(function.fn_id).batches[key].held
    size = len(held) if function.batch is None else function.batch.max_size
    admit(turn, function, tuple(held[:size]), out_of=("batch_events", key))


def admit(
    turn: Turn,
    function: FunctionPlan,
    held: tuple[Held, ...],
    *,
    out_of: Waited | None = None,
    caller: Caller | None = None,
) -> None:
    """Let a run into the queue: the first event says which, with which keys."""
    state, fn_id = turn.state, function.fn_id
    run_id, keys = held[0].run_id, held[0].keys
    needs: tuple[Need, ...] = ()
    if (single := keys.singleton) is not None and function.singleton is not None:
        older = [*state.look(fn_id).singles.get(single, ())]
        if function.singleton.mode == "cancel":
            needs = (Need(-1, ("one", fn_id, single)),)
            for name in older:
                turn.cancel(state.runs[name], f"run {run_id} takes its place (singleton)")
        elif older:
            because = f"run {older[0]} has not ended"
            first = held[0]
            _drop(turn, function, first, "singleton", single, because, out_of=out_of, caller=caller)
            return
    parent = None if caller is None else caller.parent
    above = state.held_above(parent)
    needs += tuple(need for need in keys.runs if need.bucket not in above)
    events = tuple(one.event for one in held)
    turn.write(
        records.RunAdmitted(
            turn.now,
            run_id,
            fn_id,
            tuple(event.number for event in events),
            keys,
            needs,
            parent,
            out_of,
        )
    )
    turn.do(effects.QueueRun(run_id, fn_id, events, keys.priority, parent))
