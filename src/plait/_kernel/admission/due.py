"""Time passes: what is due happens, in the order of its times, however late the app reports it.

Rule 1: *What is overdue comes before what is new.* Every stimulus first lets time pass.
Rule 2: *What is due at one moment happens as if at once,* the knobs in their order: who may start at
    the moment at which it has waited too long does start.
Rule 3: *Nothing is due at a place that nobody knows:* what waits for a function that the running
    code does not have goes on waiting.
"""

from __future__ import annotations

from .knobs import admit, flush, pass_knobs
from .start import settle
from .state import Timer
from .turn import Turn


def let_time_pass(turn: Turn) -> None:
    """Do what is due by now, and after each moment start what may start."""
    state = turn.state
    while (moment := state.next_due) is not None and moment <= turn.now:
        at_once = state.timers.lowest[:2]
        while state.timers and state.timers.lowest[:2] == at_once:
            _fire(turn, state.timers.first)
        settle(turn)


def _fire(turn: Turn, timer: Timer) -> None:
    state = turn.state
    functions = state.plan.functions
    match timer:
        case "ts", number, fn_id:
            pass_knobs(turn, functions[fn_id], state.later[int(number), fn_id].held)
        case "debounce", fn_id, key:
            held = state.functions[fn_id].bursts[key].held
            admit(turn, functions[fn_id], (held,), out_of=("debounce", key))
        case "batch_events", fn_id, key:
            flush(turn, functions[fn_id], key)
        case "throttle", _, _:
            state.timers.remove(timer)
            state.queue.open(timer)
        case "start", run_id, _:
            run = state.runs[run_id]
            limit = functions[run.fn_id].timeouts.start
            turn.cancel(run, f"it was {limit:g} s in the queue (timeouts.start)")
        case _:
            run = state.runs[timer[1]]
            limit = functions[run.fn_id].timeouts.finish
            turn.cancel(run, f"{limit:g} s have passed since its start (timeouts.finish)")
