"""How a run stands now, for an execution that was not fed all of its records: taken from the run's state.

What has ended unseen is not in the state. What goes on is: who is queued, runs, waits or is tried again,
what has been collected, and what the run has come to.

Rule: what is over stays as it is, and so does what came up after the last gap, of which all is known.
    Anything else that goes on is put down anew, as the state has it. What the state does not have any
    more has ended unseen, and is forgotten.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import attrs

from plait._kernel.calls.keys import Key, key_text
from plait._kernel.life import Phase
from plait._kernel.state import Delivery, RunState, parts

from .names import error_text, event_name
from .parts import OUTSIDE, OVER, UNKNOWN, Activity, Attempt, Cause, Pause, State, Stretch

if TYPE_CHECKING:
    from .reduce import Reducer


@attrs.frozen
class Place:
    """Where an event stands that was handed to a step. Some wait to be delivered together with others."""

    state: State
    step: str
    number: int
    event: object
    delivery: Delivery | None = None


def catch_up(reducer: Reducer, state: RunState) -> None:
    """Bring an execution up to the state that its run came to with the last record it was fed."""
    deliveries, activities = reducer.deliveries, reducer.execution.activities
    if state.outcome is not None and deliveries.outcome is None:
        deliveries.learn(state.outcome)
    places: dict[int, Place] = {}
    if state.phase is not Phase.OVER:
        places = {place.number: place for place in _places(state)}
    calls = {key_text(key) for key in _calls(places.values())}
    known = dict(activities)
    gone: list[Activity] = []
    for activity in known.values():
        if activity.kind != "call":
            place = places.get(activity.number)
            given = None if place is None else _given(state, place)
            if not _stays(reducer, activity, given):
                gone.append(activity)
    deliveries.forget(gone)
    lost = [one for one in known.values() if one.kind == "call" and one.id not in calls]
    reducer.calls.forget([one for one in lost if one.state not in OVER])
    for place in places.values():
        if not deliveries.knows(place.number):
            activity = _activity(reducer, place, state)
            before = known.get(activity.id)
            if before is not None and before.given == activity.given:
                activity.causes = before.causes
            deliveries.put(activity)
    deliveries.collections.begin_anew(state)


def _places(state: RunState) -> Iterator[Place]:
    for name, step in state.steps.items():
        for slots in step.joins.values():
            for kept in (kept for slot in slots for kept in slot):
                yield Place("queued", name, kept.number, kept.event)
    for stream in state.streams.values():
        for name, arrived in stream.gathered.items():
            for gathered in arrived:
                yield Place("queued", name, gathered.number, gathered.event)
    answered = {number for step in state.steps.values() for number, _ in step.resuming}
    for one in state.live():
        standing: State = "queued"
        if one.number in state.running or one.number in state.aside:
            standing = "running"
        elif one.number in state.due:
            standing = "retrying"
        elif one.number in state.suspended and one.number not in answered:
            standing = "waiting"
        yield Place(standing, one.step, one.number, one.event, one)


def _calls(places: Iterable[Place]) -> Iterator[Key]:
    for place in places:
        if place.delivery is not None and place.delivery.calls is not None:
            yield from place.delivery.calls.waiting


def _stays(reducer: Reducer, activity: Activity, given: str | None) -> bool:
    """Say whether all is known of a delivery, or at least that it is over."""
    if activity.name == UNKNOWN:
        return False
    if activity.state in OVER:
        return True
    return activity.given == given and activity.id not in reducer.before_gap


def _activity(reducer: Reducer, place: Place, state: RunState) -> Activity:
    """Make an activity, with what the state knows of how it came to stand so."""
    deliveries, step = reducer.deliveries, place.step
    activity = Activity(f"{step}#{place.number}", "delivery", step, place.number)
    activity.given = _given(state, place)
    activity.state = place.state
    one = place.delivery
    cause = OUTSIDE if one is None else deliveries.name_of(one.cause)
    activity.causes.append(Cause(cause, "event", activity.given))
    if one is not None:
        _tell_of_attempts(reducer, activity, one, waits=one.number in state.suspended)
    match place.state:
        case "waiting":
            for wait in state.waits.values():
                if wait.delivery == place.number:
                    deliveries.wait_anew(activity, wait)
        case "queued":
            activity.pauses.append(Pause("queue", "", reducer.at))
        case _:
            pass
    return activity


def _given(state: RunState, place: Place) -> str:
    if place.delivery is None or state.plan.step[place.step].plain:
        return event_name(place.event)
    events = parts(place.event)
    if state.plan.step[place.step].gather is not None:
        return event_name([*events])
    return " + ".join(event_name(event) for event in events)


def _tell_of_attempts(reducer: Reducer, activity: Activity, one: Delivery, *, waits: bool) -> None:
    trouble = one.trouble
    if trouble is not None:  # of the failed attempts, the last
        began, failed = reducer.time(trouble.began), reducer.time(trouble.failed)
        activity.error = error_text(trouble.error)
        failure = Attempt(trouble.failures, began, failed, "failed", activity.error)
        activity.attempts.append(failure)
        if activity.state == "retrying":
            activity.pauses.append(Pause("retry", "", failed, reducer.time(trouble.due)))
    if activity.state == "running" or waits:
        began = reducer.time(one.began)
        ended = reducer.at if waits else None
        stretch = Stretch(max(one.worker, 0), began, ended)
        activity.attempts.append(Attempt(one.attempt, began, stretches=[stretch]))
