"""Events as they come: sent, ticked or invoked. Who wants them, and whom they cancel.

Rule 1: *Cancelling comes before triggering:* no event cancels the run that it leads to.
Rule 2: *An event of a later time cancels now and triggers then.* Its keys are asked for now.
Rule 3: *A callable that raises costs its own function this event, and no other.* Whoever sent is
    told, once that is on disk.
"""

from __future__ import annotations

from . import effects, records
from .keys import Trouble, ask
from .knobs import Caller, hold, pass_knobs
from .plan import Cancel, FunctionPlan, Trigger
from .records import EventReceived
from .state import Held, Run
from .stimuli import Arrival, CronWatched, EventsReceived, Invoked, Ticked
from .turn import Turn


def receive(turn: Turn, stimulus: EventsReceived) -> None:
    """Take in what somebody sent: all or nothing."""
    state = turn.state
    unwanted = [
        event.name
        for event in stimulus.events
        # One that was accepted before is no news: who waited for it may have ended by it.
        if not (state.accepts(event.name) or state.ids.has(("", event.id), turn.now))
    ]
    if unwanted:
        turn.do(effects.RefuseEvents(tuple(dict.fromkeys(unwanted))))
        return
    for arrival in stimulus.events:
        if state.ids.has(("", arrival.id), turn.now):
            turn.skip("", 0, "id", arrival.id, "an event of this id came less than a day ago")
            continue
        event = _record(turn, arrival)
        for fn_id, cancels in state.plan.cancelling.get(event.name, {}).items():
            _cancel(turn, fn_id, cancels, event)
        for fn_id, triggers in state.plan.triggered.get(event.name, {}).items():
            function = state.plan.functions[fn_id]
            _come(turn, function, event, state.plan.name_run(fn_id, event), triggers)


def tick(turn: Turn, stimulus: Ticked) -> None:
    """Take in a tick, unless it has fired before."""
    state, fn_id, planned = turn.state, stimulus.fn_id, float(stimulus.planned)
    last = state.ticks.get((fn_id, stimulus.cron), float("-inf"))
    if planned <= last or state.ids.has((fn_id, repr(planned)), turn.now):
        return
    turn.write(records.CronFired(turn.now, fn_id, planned, stimulus.cron))
    event = _record(turn, stimulus.event, to=fn_id)
    _come(turn, state.plan.functions[fn_id], event, stimulus.run_id)


def watch(turn: Turn, stimulus: CronWatched) -> None:
    """Remember since when a trigger is served, unless it was before."""
    if (stimulus.fn_id, stimulus.cron) not in turn.state.ticks:
        turn.write(records.CronWatched(turn.now, stimulus.fn_id, stimulus.cron))


def invoke(turn: Turn, stimulus: Invoked) -> None:
    """Take in what somebody waits for."""
    event = _record(turn, stimulus.event, to=stimulus.fn_id)
    function = turn.state.plan.functions[stimulus.fn_id]
    _come(turn, function, event, stimulus.run_id, caller=Caller(stimulus.parent))


def _record(turn: Turn, arrival: Arrival, to: str = "") -> EventReceived:
    number = turn.state.next_event
    event = EventReceived(turn.now, number, arrival.id, arrival.name, arrival.data, arrival.ts, to)
    turn.write(event)
    return event


def _come(
    turn: Turn,
    function: FunctionPlan,
    event: EventReceived,
    run_id: str,
    triggers: tuple[Trigger, ...] = (),
    caller: Caller | None = None,
) -> None:
    """Offer an event to a function."""
    keys = ask(function, event, triggers)
    if keys is None:
        return
    if isinstance(keys, Trouble):
        _report(turn, function.fn_id, event, keys)
        return
    held = Held(event, run_id, keys)
    due = event.ts / 1000
    if not event.to and due > turn.now:
        hold(turn, function, held, "ts", "", due, "its time has not come")
    else:
        pass_knobs(turn, function, held, caller)


def _report(turn: Turn, fn_id: str, event: EventReceived, trouble: Trouble) -> None:
    """Rule 3."""
    turn.skip(fn_id, event.number, trouble.knob, "", trouble.because)
    turn.do(effects.Report(trouble.error, fn_id, trouble.knob, event.id))


def _cancel(turn: Turn, fn_id: str, cancels: tuple[Cancel, ...], event: EventReceived) -> None:
    """Cancel the runs of a function that this event is meant for.

    Each is asked about: which runs a callable means, nobody can know without calling it.
    """
    trouble: Trouble | None = None
    for name in [*turn.state.look(fn_id).runs]:
        run = turn.state.runs[name]
        try:
            meant = any(_is_meant(cancel, run, event, turn.now) for cancel in cancels)
        except BaseException as error:  # noqa: BLE001, ASYNC103 - the sender gets it: see `Report`
            trouble = trouble or Trouble("cancel", error)
            continue  # noqa: ASYNC104
        if meant:
            turn.cancel(run, f"event {event.name!r} cancels it")
    if trouble is not None:
        _report(turn, fn_id, event, trouble)


def _is_meant(cancel: Cancel, run: Run, event: EventReceived, now: float) -> bool:
    if run.cancelled is not None:
        return False
    if cancel.timeout is not None and now - run.queued_at >= cancel.timeout:
        return False
    return cancel.if_exp is None or bool(cancel.if_exp(run.events[0], event))
