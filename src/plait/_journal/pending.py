"""How what is pending in a run is written in a snapshot: deliveries, buffers, joins, waits, streams.

Each `write_...` makes JSON values; its `read_...` takes just those. Keys that say nothing are left
out of what there may be ten thousand of: a delivery in a queue has `number`, `cause` and `event`.
Whether the parts fit together is not looked at here: see `soundness`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any, Final

from plait._ids import DeliveryId
from plait._kernel.calls.records import (
    CallCompleted,
    CallFailed,
    CallScheduled,
    DeadlineFired,
)
from plait._kernel.calls.state import BodyState, Deadline, Past
from plait._kernel.collecting import Buffer, BufferKey, Kept
from plait._kernel.memory import UNANSWERED, Memory, Reply
from plait._kernel.state import Delivery, Failure, Slotted, StepState, Trouble, parts
from plait._kernel.streams import Branch, Gathered, Stream, StreamId
from plait._kernel.waits import TIMED_OUT, Wait, WaitKey

from . import forms
from .call_kinds import KEY as CALL_KEY
from .forms import Form, Misfit, Values
from .kinds import BRANCH, REGISTRY, WAIT, WAIT_FIELDS, WAIT_KEY

JsonDict = dict[str, Any]

# ---------------------------------------------------------------- what several of them have


def _branch(data: object, values: Values) -> Branch:
    branch: Branch = BRANCH.read(data, values)
    return branch


LINE: Final = forms.listing(forms.TEXT)
EVENTS: Final = forms.listing(forms.VALUE)
ERROR: Final = forms.instance(Exception)
#: Where it is, as a member of a returned list, and which handlers of failures it descends from.
DESCENT: Final = {"branch": Form(_branch), "line": LINE}


def write_input(event: object, values: Values) -> JsonDict:
    """Write what a delivery was given: one event, or those of a join or a fan-in."""
    if is_several(event):
        return {"events": [forms.write_value(one, values) for one in parts(event)]}
    return {"event": forms.write_value(event, values)}


def is_several(event: object) -> bool:
    """Is this what a join or a fan-in is given, be it nothing?"""
    return isinstance(event, tuple)


def _take_input(found: JsonDict) -> JsonDict:
    """Put what was read as `event` or `events` where a class has its `event`."""
    if ("event" in found) is ("events" in found):
        raise Misfit("it needs 'event' or 'events'")
    if "events" in found:
        found["event"] = found.pop("events")
    return found


def _write_descent(branch: Branch | None, line: tuple[str, ...], values: Values) -> JsonDict:
    written: JsonDict = {}
    if branch is not None:
        written["branch"] = forms.write(BRANCH, branch, values)
    if line:
        written["line"] = [*line]
    return written


# ---------------------------------------------------------------- what was answered

#: More than any body sends: what is stored must not make us fill the memory.
MANY: Final = 1 << 22
#: In place of an event: why there is none.
NO_ANSWERS: Final = {"timed out": TIMED_OUT, "open": UNANSWERED}


def _write_answer(answer: object, values: Values) -> JsonDict:
    for name, none in NO_ANSWERS.items():
        if answer is none:
            return {"none": name}
    return {"event": forms.write_value(answer, values)}


def _read_answer(data: object, values: Values) -> object:
    found = forms.read_fields(data, {}, values, {"event": forms.VALUE, "none": forms.TEXT})
    if len(found) != 1:
        raise Misfit("it needs 'event' or 'none'")
    if "event" in found:
        return found["event"]
    if found["none"] not in NO_ANSWERS:
        raise Misfit(f"{found['none']!r} is none of {', '.join(NO_ANSWERS)}")
    return NO_ANSWERS[found["none"]]


ANSWER: Final = Form(_read_answer, _write_answer)
REPLY: Final = forms.fields(Reply, wait=WAIT, answer=ANSWER, taken=forms.FLAG)
REPLIES: Final = forms.listing(forms.row(forms.COUNT, REPLY))
MEMORY: Final = {"sends": forms.whole(0, MANY), "answers": REPLIES, "owed": forms.listing(REPLY)}
WRITES: Final = {"writes": forms.whole(1, MANY)}


def _write_memory(memory: Memory, values: Values) -> JsonDict:
    """Of what was sent the count is enough: a body that runs again is taken at its word.

    What runs inside have shown is left out: taken up from a snapshot they do not show it again.
    """
    written: JsonDict = {
        "sends": len(memory.sends),
        "answers": forms.write(REPLIES, memory.answers.items(), values),
        "owed": forms.write(MEMORY["owed"], memory.owed, values),
    }
    if memory.writes:
        written["writes"] = len(memory.writes)
    return written


def _read_memory(data: object, values: Values) -> Memory:
    found = forms.read_fields(data, MEMORY, values, WRITES)
    return Memory(
        sends=[None] * found["sends"],
        writes=[None] * found.get("writes", 0),
        answers=dict[int, Reply](found["answers"]),
        owed=[*found["owed"]],
    )


# ---------------------------------------------------------------- buffers


def _write_wants(wants: Iterable[tuple[type, int]], values: Values) -> list[object]:
    """A set has no order, what is written has one."""
    return sorted(([forms.write_value(k, values), n] for k, n in wants), key=repr)


def _read_wants(data: object, values: Values) -> tuple[tuple[type, int], ...]:
    wants: tuple[tuple[type, int], ...] = forms.RUNS.read(data, values)
    if len(dict(wants)) < len(wants):
        raise Misfit("a class is there twice")
    if not wants:
        raise Misfit("it expects nothing")
    return wants


WANTS: Final = Form(_read_wants, _write_wants)
KEPT: Final = forms.row(forms.NUMBER, forms.VALUE)
HAVE: Final = forms.listing(forms.row(forms.KIND, forms.listing(KEPT)))
BUFFER_ID: Final = {"id": forms.TEXT, "key": forms.KEY}
BUFFER: Final = {**BUFFER_ID, "need": WANTS, "since": forms.SECONDS, "have": HAVE}


def write_buffers(step: StepState, values: Values) -> list[JsonDict]:
    """Write the buffers of a step."""
    return [
        {
            "id": key.buffer_id,
            "key": forms.write_value(key.key, values),
            "need": _write_wants(buffer.need.items(), values),
            "since": float(buffer.since),
            "have": [
                [
                    forms.write_value(kind, values),
                    [forms.write(KEPT, kept, values) for kept in line],
                ]
                for kind, line in buffer.have.items()
            ],
        }
        for key, buffer in step.buffers.items()
    ]


def read_buffer(data: object, values: Values) -> tuple[BufferKey, Buffer]:
    """Read one of them, and how it is known."""
    found = forms.read_fields(data, BUFFER, values)
    need: dict[type, int] = dict(found["need"])
    have: dict[type, deque[Kept]] = {kind: deque(line) for kind, line in found["have"]}
    if len(have) < len(found["have"]):
        raise Misfit(faults=[("have", "a class is there twice")])
    missing = sum(max(0, count - len(have.get(kind, ()))) for kind, count in need.items())
    key = BufferKey(found["id"], frozenset(need.items()), found["key"])
    return key, Buffer(need, found["since"], have, missing)


# ---------------------------------------------------------------- durable calls

#: Of a call: what scheduled it and what ended it are written as the records that they are.
SCHEDULED: Final = REGISTRY.by_class[CallScheduled][1]
ENDING: Final = forms.choice(
    completed=(CallCompleted, REGISTRY.by_class[CallCompleted][1]),
    failed=(CallFailed, REGISTRY.by_class[CallFailed][1]),
)
PAST: Final = forms.fields(
    Past,
    scheduled=forms.optional(SCHEDULED),
    failures=forms.COUNT,
    began=forms.SECONDS,
    due_at=forms.SECONDS,
    ending=forms.optional(ENDING),
    n=forms.COUNT,
    cancelled_in=forms.INTEGER,
    cancelled_by=forms.COUNT,
    cancellations=forms.COUNT,
)
DEADLINE: Final = forms.fields(
    Deadline,
    due_at=forms.SECONDS,
    n=forms.NUMBER,
    fired=forms.optional(REGISTRY.by_class[DeadlineFired][1]),
)
CALLS: Final = {
    "seed": forms.COUNT,
    "attempt": forms.COUNT,
    "outcomes": forms.COUNT,
    "last_n": forms.NUMBER,
    "past": forms.listing(forms.row(CALL_KEY, PAST)),
    "deadlines": forms.listing(forms.row(CALL_KEY, DEADLINE)),
    "patches": forms.table(forms.FLAG),
}


def _write_calls(calls: BodyState, values: Values) -> JsonDict:
    """Write what is remembered of a body's calls. What its last start has made of it goes with that."""
    return {
        "seed": calls.seed,
        "attempt": calls.attempt,
        "outcomes": calls.outcomes,
        "last_n": calls.last_n,
        "past": forms.write(CALLS["past"], calls.past.items(), values),
        "deadlines": forms.write(CALLS["deadlines"], calls.deadlines.items(), values),
        "patches": calls.patches,
    }


def _read_calls(data: object, values: Values) -> BodyState:
    found = forms.read_fields(data, CALLS, values)
    for name in ("past", "deadlines"):
        held = found[name]
        found[name] = dict(held)
        if len(found[name]) < len(held):
            raise Misfit(faults=[(name, "a call is there twice")])
    return BodyState(**found)


# ---------------------------------------------------------------- deliveries

TROUBLE: Final = forms.fields(
    Trouble,
    failures=forms.NUMBER,
    began=forms.SECONDS,
    failed=forms.SECONDS,
    error=ERROR,
    due=forms.SECONDS,
    waits=forms.COUNT,
)
TOLD: Final = {
    **BUFFER_ID,
    "wants": WANTS,
    "place": forms.INTEGER,
    "batch": forms.optional(EVENTS),
}
DELIVERY: Final = {"number": forms.NUMBER, "cause": forms.COUNT}


def _write_answers(delivery: Delivery, values: Values) -> list[JsonDict]:
    return [
        {
            "id": key.buffer_id,
            "key": forms.write_value(key.key, values),
            "wants": _write_wants(key.wants, values),
            "place": place,
            "batch": None if batch is None else [forms.write_value(e, values) for e in batch],
        }
        for (key, place), batch in (delivery.answers or {}).items()
    ]


def _read_told(
    data: object, values: Values
) -> tuple[tuple[BufferKey, int], tuple[object, ...] | None]:
    found = forms.read_fields(data, TOLD, values)
    key = BufferKey(found["id"], frozenset(found["wants"]), found["key"])
    return (key, found["place"]), found["batch"]


def _read_answers(data: object, values: Values) -> dict[Any, Any]:
    return dict(forms.read_list(_read_told, data, values))


MORE: Final[dict[str, Form]] = {
    "event": forms.VALUE,
    "events": EVENTS,
    **DESCENT,
    "trouble": TROUBLE,
    "worker": forms.COUNT,
    "began": forms.SECONDS,
    "waits": forms.NUMBER,
    "sent": forms.whole(1, MANY),
    "written": forms.whole(1, MANY),
    "memory": Form(_read_memory),
    "answers": Form(_read_answers),
    "calls": Form(_read_calls),
}


def write_delivery(delivery: Delivery, values: Values) -> JsonDict:
    """Write a delivery; its step is known from where it stands."""
    written: JsonDict = {"number": delivery.number, "cause": delivery.cause}
    written |= write_input(delivery.event, values)
    if delivery.branch is not None or delivery.line:
        written |= _write_descent(delivery.branch, delivery.line, values)
    if delivery.trouble is not None:
        written["trouble"] = forms.write(TROUBLE, delivery.trouble, values)
    if delivery.worker >= 0:
        written["worker"] = delivery.worker
    if delivery.began:
        written["began"] = float(delivery.began)
    if delivery.waits:
        written["waits"] = delivery.waits
    if delivery.sent:
        written["sent"] = delivery.sent
    if delivery.written:
        written["written"] = delivery.written
    memory = delivery.memory
    if memory is not None and (memory.sends or memory.writes or memory.answers or memory.owed):
        written["memory"] = _write_memory(memory, values)
    if delivery.answers is not None:
        written["answers"] = _write_answers(delivery, values)
    if delivery.calls is not None and delivery.calls.last_n:
        written["calls"] = _write_calls(delivery.calls, values)
    return written


def delivery_of(step: str) -> Form:
    """The form of the deliveries of a step."""

    def read(data: object, values: Values) -> Delivery:
        found = _take_input(forms.read_fields(data, DELIVERY, values, MORE))
        return Delivery(step=step, **found)

    return Form(read, write_delivery)


# ---------------------------------------------------------------- joins, waits, failures

SLOTTED: Final = {"number": forms.NUMBER, "event": forms.VALUE}


def _write_slotted(kept: Slotted, values: Values) -> JsonDict:
    written = {"number": kept.number, "event": forms.write_value(kept.event, values)}
    return written | _write_descent(kept.branch, kept.line, values)


def _read_slotted(data: object, values: Values) -> Slotted:
    found = forms.read_fields(data, SLOTTED, values, DESCENT)
    return Slotted(found["number"], found["event"], found.get("branch"), found.get("line", ()))


SLOTS: Final = forms.listing(forms.listing(Form(_read_slotted, _write_slotted)))
JOIN: Final = {"stream": forms.optional(forms.NUMBER), "slots": SLOTS}


def write_joins(step: StepState, values: Values) -> list[JsonDict]:
    """Write what waits in a join, by the stream that it belongs to."""
    return [
        {"stream": level, "slots": forms.write(SLOTS, slots, values)}
        for level, slots in step.joins.items()
    ]


def read_join(data: object, values: Values) -> tuple[StreamId | None, tuple[deque[Slotted], ...]]:
    """Read what waits in a join for one stream."""
    found = forms.read_fields(data, JOIN, values)
    return found["stream"], tuple(deque(slot) for slot in found["slots"])


def _aged(place: int, **fields: Any) -> tuple[int, Wait]:
    return place, Wait(**fields)


def _resumed(wait: WaitKey, answer: object) -> tuple[WaitKey, object]:
    return wait, answer


#: A wait, and how many are older.
OPEN_WAIT: Final = forms.fields(_aged, **WAIT_FIELDS, place=forms.COUNT)
RESUMING: Final = forms.fields(_resumed, wait=WAIT_KEY, answer=ANSWER)


def write_wait(wait: Wait, age: int, values: Values) -> JsonDict:
    """Write an open wait. `age`: how many are older."""
    written: JsonDict = {"place": age}
    for name, form in WAIT_FIELDS.items():
        written[name] = forms.write(form, getattr(wait, name), values)
    return written


def write_resuming(step: StepState, values: Values) -> list[JsonDict]:
    """Write the waits that are over and whose deliveries need a slot, the oldest first."""
    return [
        {"wait": [*key], "answer": _write_answer(answer, values)}
        for key, answer in step.resuming.items()
    ]


FAILURE: Final = {
    "delivery": forms.NUMBER,
    "step": forms.TEXT,
    "error": forms.instance(BaseException),
    "attempt": forms.NUMBER,
    "elapsed": forms.SECONDS,
}


def write_failure(failure: Failure, values: Values) -> JsonDict:
    """Write what failed for good."""
    return {
        "delivery": failure.delivery,
        "step": failure.step,
        "error": forms.write_value(failure.error, values),
        "attempt": failure.attempt,
        "elapsed": float(failure.elapsed),
        **write_input(failure.event, values),
    }


def read_failure(data: object, values: Values) -> Failure:
    """Read it."""
    more = {"event": forms.VALUE, "events": EVENTS}
    return Failure(**_take_input(forms.read_fields(data, FAILURE, values, more)))


# ---------------------------------------------------------------- streams

GATHERED: Final = {"number": forms.NUMBER, "index": forms.COUNT, "event": forms.VALUE}


def _write_gathered(kept: Gathered, values: Values) -> JsonDict:
    event = forms.write_value(kept.event, values)
    written: JsonDict = {"number": kept.number, "index": kept.index, "event": event}
    return written | _write_descent(None, kept.line, values)


def _read_gathered(data: object, values: Values) -> Gathered:
    found = forms.read_fields(data, GATHERED, values, {"line": LINE})
    return Gathered(found["number"], found["index"], found["event"], found.get("line", ()))


ARRIVED: Final = forms.listing(
    forms.row(forms.TEXT, forms.listing(Form(_read_gathered, _write_gathered)))
)
STREAM: Final = {
    "id": forms.NUMBER,
    "step": forms.TEXT,
    "cause": forms.NUMBER,
    "line": LINE,
    "parent": forms.optional(BRANCH),
    "open": LINE,
    "live": forms.COUNT,
    "members": forms.listing(forms.row(forms.NUMBER, forms.TEXT)),
    "inner": forms.listing(forms.NUMBER),
    "gathered": ARRIVED,
}


def write_stream(stream: Stream, values: Values) -> JsonDict:
    """Write the stream of a returned list."""
    return {
        "id": stream.id,
        "step": stream.step,
        "cause": stream.cause,
        "line": [*stream.line],
        "parent": forms.write(STREAM["parent"], stream.parent, values),
        "open": [*stream.open],
        "live": stream.live,
        "members": [[*member] for member in stream.members.items()],
        "inner": [*stream.inner],
        "gathered": forms.write(ARRIVED, stream.gathered.items(), values),
    }


def read_stream(data: object, values: Values) -> Stream:
    """Read it."""
    found = forms.read_fields(data, STREAM, values)
    members: dict[DeliveryId, str] = dict(found["members"])
    gathered = {name: [*arrived] for name, arrived in found["gathered"]}
    for name, read in (("members", members), ("gathered", gathered)):
        if len(read) < len(found[name]):
            raise Misfit(faults=[(name, "something is there twice")])
    found |= {
        "open": [*found["open"]],
        "members": members,
        "inner": dict.fromkeys(found["inner"]),
        "gathered": gathered,
    }
    return Stream(**found)
