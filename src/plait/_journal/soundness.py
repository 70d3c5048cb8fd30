"""Whether the parts of a state that was read fit together. Every fault is told, with its path.

A snapshot may have been edited, cut, or made by another version of the workflow. What gets past
here is a state that some run could have been in, as far as numbers and places can tell: whoever goes
on with it never meets a delivery, a stream or a slot that is not there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TypeAlias

from plait._ids import DeliveryId
from plait._kernel.calls.refusals import call_text
from plait._kernel.calls.state import BodyState
from plait._kernel.delivery_calls import root_of
from plait._kernel.life import GOING, Phase
from plait._kernel.plan import StepPlan
from plait._kernel.state import Delivery, RunState, StepState, parts
from plait._kernel.streams import Branch, Stream, StreamId
from plait._kernel.waits import WaitKey
from plait._show import show

from .pending import is_several

Fault: TypeAlias = tuple[str, str]
#: The places in which a step's deliveries are, by their names in a snapshot.
Places: TypeAlias = dict[str, list[Delivery]]


def faults_of(state: RunState) -> list[Fault]:
    """Look at a state that was read; what does not fit."""
    found = [*_look(state)]
    return found or [*_last_look(state)]


def _look(state: RunState) -> Iterator[Fault]:
    places = _places(state)
    for name, step in state.steps.items():
        for path, text in _in_step(state, step, places[name]):
            yield f"steps.{name}.{path}", text
    yield from _in_streams(state)
    for place, (number, _) in enumerate(state.mailbox):
        yield from _below(state, number, f"mailbox.letters[{place}][0]")
    for place, (number, _) in enumerate(state.unrouted):
        if number > state.next_delivery:  # it used no number up
            yield from _below(state, number, f"mailbox.unrouted[{place}][0]")
    for place, failure in enumerate(state.failures):
        if failure.step not in state.steps:
            yield f"mailbox.failures[{place}].step", _no_step(state, failure.step)
    if state.phase is Phase.OVER and (state.running or state.suspended):
        yield "is_running", "a body is running"


def _last_look(state: RunState) -> Iterator[Fault]:
    """What the kernel asserts after each stimulus. Nobody has been offered anything yet."""
    steps = state.steps.values()
    for step in steps:
        step.offered = state.startable(step)
    try:
        state.check()
    except AssertionError as error:
        yield "steps", f"it does not fit together: {error}"
    finally:
        for step in steps:
            step.offered = 0


def _places(state: RunState) -> dict[str, Places]:
    found: dict[str, Places] = {}
    for name, step in state.steps.items():
        found[name] = {
            "queue": [*step.queue],
            "running": [],
            "suspended": [],
            "due": [],
            "aside": [],
        }
    for place in ("running", "suspended", "due", "aside"):
        deliveries: dict[DeliveryId, Delivery] = getattr(state, place)
        for delivery in deliveries.values():
            found[delivery.step][place].append(delivery)
    return found


def _below(state: RunState, number: int, path: str) -> Iterator[Fault]:
    if number >= state.next_delivery:
        yield path, f"{number} is not below next_delivery, {state.next_delivery}"


def _no_step(state: RunState, name: str) -> str:
    return f"workflow {state.plan.name!r} has no step {name!r}"


# ---------------------------------------------------------------- a step


def _in_step(state: RunState, step: StepState, places: Places) -> Iterator[Fault]:
    plan = step.plan
    for place, deliveries in places.items():
        for index, delivery in enumerate(deliveries):
            for path, text in _in_delivery(state, plan, place, delivery):
                yield f"{place}[{index}].{path}", text
    yield from _workers(step, places["running"])
    yield from _joins(state, step)
    for index, buffer in enumerate(step.buffers.values()):
        where = f"buffers[{index}].have"
        try:
            buffer.check()
        except AssertionError as error:
            yield where, str(error)
        for kind, line in buffer.have.items():
            for number, event in line:
                yield from _below(state, number, where)
                if plan.counts_as(type(event), buffer.need) is not kind:
                    yield where, f"{type(event).__name__} does not count as {kind.__name__}"
    yield from _waits(state, step)


def _in_delivery(
    state: RunState, plan: StepPlan, place: str, delivery: Delivery
) -> Iterator[Fault]:
    yield from _below(state, delivery.number, "number")
    yield from _below(state, delivery.cause, "cause")
    yield from _fits(state, plan, delivery.event)
    if (delivery.worker >= 0) is not (place == "running"):
        yield "worker", "a delivery has a worker if it is running, and only then"
    if place == "due" and delivery.trouble is None:
        yield "trouble", "is missing"
    inputs = max(1, len(parts(delivery.event)))
    if any(which >= inputs for _, which in delivery.answers or ()):
        yield "answers", "there is no such input"
    if delivery.calls is not None:
        yield from _in_calls(delivery, delivery.calls)
    if delivery.branch is not None:
        stream = state.streams.get(delivery.branch.stream)
        if stream is None:
            yield "branch", f"there is no stream {delivery.branch.stream}"
        elif stream.members.get(delivery.number) != plan.name:
            yield "branch", f"stream {stream.id} does not know of it"


def _in_calls(delivery: Delivery, calls: BodyState) -> Iterator[Fault]:
    mine = root_of(delivery)
    for key in (*calls.past, *calls.deadlines):
        if key.path[:1] != mine:
            yield "calls", f"{call_text(key)} is another delivery's"
    for key, past in calls.past.items():
        if any(one is not None and one.key != key for one in (past.scheduled, past.ending)):
            yield "calls.past", f"{call_text(key)} has another call's record"
    for key, deadline in calls.deadlines.items():
        if deadline.fired is not None and deadline.fired.key != key:
            yield "calls.deadlines", f"{call_text(key)} has another one's record"


def _fits(state: RunState, plan: StepPlan, event: object) -> Iterator[Fault]:
    """Would the step be given this?"""
    if plan.plain is is_several(event):
        yield "event", f"step {plan.name!r} takes {'one event' if plan.plain else 'several'}"
        return
    several = [event] if plan.plain else parts(event)
    if plan.slots and len(several) != len(plan.slots):
        yield "event", f"step {plan.name!r} takes {len(plan.slots)} events"
    for one in several:
        if not plan.takes(type(one), state.plan.kinds):
            yield "event", f"step {plan.name!r} does not accept {type(one).__name__}"


def _workers(step: StepState, running: Iterable[Delivery]) -> Iterator[Fault]:
    most = step.plan.num_workers
    if step.running > most:
        yield "running", f"{step.running} at once, and at most {most} may be"
    busy = [delivery.worker for delivery in running]
    if sorted([*busy, *step.free]) != [*range(step.workers)] or step.workers > most:
        yield "free", "the workers are not numbered from 0 on, each once"
    heap = step.free
    if any(heap[(place - 1) // 2] > heap[place] for place in range(1, len(heap))):
        yield "free", "it is no heap"


def _joins(state: RunState, step: StepState) -> Iterator[Fault]:
    wanted = step.plan.slots
    for index, (level, slots) in enumerate(step.joins.items()):
        where = f"joins[{index}]"
        if len(slots) != len(wanted):
            yield f"{where}.slots", f"{len(slots)} slots instead of {len(wanted)}"
            continue
        if all(slots) or not any(slots):
            yield f"{where}.slots", "a join waits while it has something, and not all"
        for slot, kind in zip(slots, wanted, strict=True):
            for kept in slot:
                yield from _below(state, kept.number, f"{where}.slots")
                if (kept.branch and kept.branch.stream) != level:
                    yield f"{where}.slots", f"delivery {kept.number} is of another stream"
                mine = type(kept.event)
                if mine is not kind and not (
                    step.plan.accept_subclasses and issubclass(mine, kind)
                ):
                    yield f"{where}.slots", f"{mine.__name__} is in the slot of {kind.__name__}"


def _waits(state: RunState, step: StepState) -> Iterator[Fault]:
    for wait in state.waits.values():
        if wait.step == step.plan.name:
            yield from _asker(state, step, wait.key, "waits")
    for key in step.resuming:
        yield from _asker(state, step, key, "resuming")
        if key in state.waits:
            yield "resuming", f"wait {[*key]} is still open"
    asked = {number for number, _ in [*state.waits, *step.resuming]}
    for number, delivery in state.suspended.items():
        if delivery.step == step.plan.name and number not in asked:
            yield "suspended", f"delivery {number} waits for nothing"


def _asker(state: RunState, step: StepState, key: WaitKey, path: str) -> Iterator[Fault]:
    number, ordinal = key
    delivery = state.suspended.get(number) or state.running.get(number)
    if delivery is None or delivery.step != step.plan.name:
        yield path, f"delivery {number} neither runs nor waits here"
    elif ordinal >= delivery.waits:
        yield path, f"delivery {number} has begun {delivery.waits} waits"


# ---------------------------------------------------------------- streams


def _in_streams(state: RunState) -> Iterator[Fault]:
    held = _held(state)
    inside = {(d.branch.stream, d.number) for d in state.live() if d.branch is not None}
    inner = {(s.parent.stream, s.id) for s in state.streams.values() if s.parent is not None}
    for index, stream in enumerate(state.streams.values()):
        where = f"streams.open[{index}]"
        if stream.id >= state.next_stream:
            yield f"{where}.id", f"{stream.id} is not below streams.next, {state.next_stream}"
        yield from _below(state, stream.cause, f"{where}.cause")
        yield from _fan_ins(state, stream, where)
        if stream.parent is not None:
            outer = state.streams.get(stream.parent.stream)
            if outer is None or outer.id >= stream.id or stream.id not in outer.inner:
                yield f"{where}.parent", f"stream {stream.parent.stream} does not know of it"
        if state.phase is not GOING:  # what will never be started is not counted any more
            continue
        for number, name in stream.members.items():
            if (stream.id, number) not in inside:
                yield f"{where}.members", f"delivery {number} of step {name!r} is nowhere"
        for nested in stream.inner:
            if (stream.id, nested) not in inner:
                yield f"{where}.inner", f"stream {nested} is not in it"
        if stream.live != held[stream.id]:
            yield f"{where}.live", f"{held[stream.id]} are in it, not {stream.live}"
        elif not stream.live:
            yield f"{where}.live", "nothing is in it: it is over"
    for lost in held.keys() - state.streams.keys():
        yield "streams.open", f"there is no stream {lost}"


def _held(state: RunState) -> Counter[StreamId]:
    """Count what is in each stream."""
    branches: list[Branch | None] = [delivery.branch for delivery in state.live()]
    for step in state.steps.values():
        for slots in step.joins.values():
            branches += [kept.branch for slot in slots for kept in slot]
    branches += [stream.parent for stream in state.streams.values()]
    return Counter(branch.stream for branch in branches if branch is not None)


def _fan_ins(state: RunState, stream: Stream, where: str) -> Iterator[Fault]:
    opener = state.plan.step.get(stream.step)
    if opener is None:
        yield f"{where}.step", _no_step(state, stream.step)
        return
    if len({*stream.open}) < len(stream.open) or not {*stream.open} <= {*opener.opens}:
        names = ", ".join(opener.opens) or "no fan-in"
        yield f"{where}.open", f"{show(stream.open, 80)}; its streams end in {names}"
        return
    for name, arrived in stream.gathered.items():
        if name not in stream.open:
            yield f"{where}.gathered", f"fan-in {show(name, 40)} is not open"
            continue
        fan_in = state.plan.step[name]
        if fan_in.gather is not None and len(arrived) >= (fan_in.gather.take or len(arrived) + 1):
            yield f"{where}.gathered", f"fan-in {name!r} has all that it takes"
        for kept in arrived:
            yield from _below(state, kept.number, f"{where}.gathered")
            if not fan_in.takes(type(kept.event), state.plan.kinds):
                text = f"step {name!r} does not accept {type(kept.event).__name__}"
                yield f"{where}.gathered", text
