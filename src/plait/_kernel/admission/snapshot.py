"""The state written out, and a state made of that. Each event once, however many wait for it."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable
from typing import TypeAlias

from plait._kernel.value import value

from .apply import apply, arm, enter
from .plan import AppPlan
from .recent import Recent
from .records import EventReceived, Keys, Need, Record
from .state import AppState, Burst, Company, FunctionState, Held, Later, Run


@value
class HeldPicture:
    """An event that waits: its number, and what may come of it."""

    event: int
    run_id: str
    keys: Keys


@value
class RunPicture:
    """A run; its events by their numbers."""

    run_id: str
    fn_id: str
    order: int
    events: tuple[int, ...]
    keys: Keys
    needs: tuple[Need, ...]
    parent: str | None
    queued_at: float
    started_at: float | None
    cancelled: str | None


@value
class FunctionPicture:
    """A function: for each key what waits there, or when it was used."""

    fn_id: str
    passed: tuple[tuple[str, tuple[float, ...]], ...]
    tats: tuple[tuple[str, float], ...]
    #: Key, event, beginning, end.
    bursts: tuple[tuple[str, HeldPicture, float, float], ...]
    batches: tuple[tuple[str, float, tuple[HeldPicture, ...]], ...]


Marks: TypeAlias = tuple[tuple[str, str, float], ...]


@value
class Picture:
    """An app's state."""

    next_event: int
    next_order: int
    events: tuple[EventReceived, ...]
    runs: tuple[RunPicture, ...]
    functions: tuple[FunctionPicture, ...]
    #: Function, time, event.
    later: tuple[tuple[str, float, HeldPicture], ...]
    ids: Marks
    used: Marks
    ticks: Marks


def picture_of(state: AppState) -> Picture:
    """Write a state out. What is of this process only, its handlers, is not in it."""
    events: dict[int, EventReceived] = {}

    def held(one: Held) -> HeldPicture:
        events[one.event.number] = one.event
        return HeldPicture(one.event.number, one.run_id, one.keys)

    def function(fn_id: str, own: FunctionState) -> FunctionPicture:
        return FunctionPicture(
            fn_id,
            tuple((key, tuple(times)) for key, times in own.passed.items()),
            tuple(own.tats.items()),
            tuple((key, held(x.held), x.began, x.due) for key, x in own.bursts.items()),
            tuple((key, x.due, tuple(map(held, x.held))) for key, x in own.batches.items()),
        )

    def run(one: Run) -> RunPicture:
        events.update((event.number, event) for event in one.events)
        return RunPicture(
            one.run_id,
            one.fn_id,
            one.order,
            tuple(event.number for event in one.events),
            one.keys,
            one.needs,
            one.parent,
            one.queued_at,
            one.started_at,
            one.cancelled,
        )

    def marks(recent: Recent) -> Marks:
        return tuple((*mark, at) for mark, at in recent.marks.items())

    runs = tuple(map(run, state.runs.values()))
    functions = tuple(function(*item) for item in state.functions.items())
    later = tuple((fn_id, x.due, held(x.held)) for (_, fn_id), x in state.later.items())
    return Picture(
        state.next_event,
        state.next_order,
        tuple(events[number] for number in sorted(events)),
        runs,
        functions,
        later,
        marks(state.ids),
        marks(state.used),
        tuple((*trigger, at) for trigger, at in state.ticks.items()),
    )


def state_of(plan: AppPlan, picture: Picture) -> AppState:
    """Make a state of what was written out. The records that came after it are still to be applied."""
    state = AppState(plan, picture.next_event, picture.next_order)
    events = {event.number: event for event in picture.events}

    def held(one: HeldPicture) -> Held:
        return Held(events[one.event], one.run_id, one.keys)

    for written in picture.functions:
        fn_id, own = written.fn_id, state.function(written.fn_id)
        own.passed = OrderedDict((key, deque(times)) for key, times in written.passed)
        own.tats = OrderedDict(written.tats)
        for key, last, began, due in written.bursts:
            own.bursts[key] = Burst(held(last), began, due)
            arm(state, "debounce", fn_id, key, due, last.event)
        for key, due, waiting in written.batches:
            own.batches[key] = Company(due, [held(one) for one in waiting])
            arm(state, "batch_events", fn_id, key, due, waiting[0].event)
    for fn_id, due, one in picture.later:
        state.later[one.event, fn_id] = Later(held(one), due)
        arm(state, "ts", str(one.event), fn_id, due, one.event)
    for run in picture.runs:
        enter(
            state,
            Run(
                run.run_id,
                run.fn_id,
                run.order,
                tuple(events[number] for number in run.events),
                run.keys,
                run.needs,
                run.parent,
                run.queued_at,
                run.started_at,
                run.cancelled,
            ),
        )
    state.ids = Recent(OrderedDict(((to, name), at) for to, name, at in picture.ids))
    state.used = Recent(OrderedDict(((fn_id, key), at) for fn_id, key, at in picture.used))
    state.ticks = {(fn_id, cron): at for fn_id, cron, at in picture.ticks}
    return state


def fold(state: AppState, written: Iterable[Record]) -> AppState:
    """Add records to a new state, or to one that a snapshot was made of; it is also what is returned."""
    for record in written:
        apply(state, record)
    return state
