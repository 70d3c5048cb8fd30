"""What pyright (strict) and mypy (strict) must say of event classes. Checked, never run.

An expected error has an ignore of its own on its line, by rule, for each checker that reports it:
with `warn_unused_ignores` and `reportUnnecessaryTypeIgnoreComment` a vanished error is a failure.
"""

from collections.abc import ItemsView, Iterator, KeysView
from typing import Any, ClassVar, Generic, TypeVar, assert_type

import attrs

from plait._event import (
    ChildEvent,
    Event,
    HumanResponseEvent,
    InputRequiredEvent,
    StartEvent,
    StepState,
    StepStateChanged,
    StopEvent,
    WorkflowCancelledEvent,
    WorkflowFailedEvent,
)

T = TypeVar("T")


class Query(Event):
    unit: ClassVar[str] = "line"
    text: str
    limit: int = 10
    _trace: str = ""
    tags: list[str] = []
    seen: set[str] = attrs.field(factory=set[str])


class Narrow(Query, name="app.narrow", version=2, observable=True):
    where: str


class Box(Event, Generic[T]):
    item: T


class Report(StopEvent):
    total: int


class Typed(StopEvent):
    result: str


class Begin(StartEvent, extra=True):
    topic: str


class Ping(Event):
    pass


# A closed class: right, missing, wrong, unknown, positional.

assert_type(Query(text="a"), Query)
assert_type(Query(text="a", limit=1, _trace="t", tags=["x"], seen={"y"}).text, str)
assert_type(Query.unit, str)
Query()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
Query(text=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Query(text="a", txt="b")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
Query("a")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
Query(text="a", unit="b")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
Query(text="a", __plait_undeclared__={})  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]

# Inherited fields count; class keywords are checked.

assert_type(Narrow(text="a", where="b").limit, int)
Narrow(where="b")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
Narrow(text="a", where="b", wher="c")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


class Wrong(  # type: ignore[call-arg]  # pyright: ignore[reportGeneralTypeIssues]
    Event,
    observabel=True,  # pyright: ignore[reportCallIssue]
):
    pass


# Frozen.

query = Query(text="a")
query.text = "b"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
del query.text  # pyright: ignore[reportAttributeAccessIssue]
query.txt  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
query.txt = "b"  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
StartEvent().topic = "b"  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
query.limit += 1  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]

# Generics, evolve, match.

assert_type(Box(item=1), Box[int])
assert_type(Box[str](item="a").item, str)
Box[str](item=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
assert_type(attrs.evolve(query, text="b"), Query)
attrs.evolve(query, txt="b")  # type: ignore[call-arg]
attrs.evolve(Event(x=1), x=2)  # type: ignore[call-arg]


def texts(event: Query | Box[int]) -> str:
    match event:
        case Query(text=text, limit=limit):
            assert_type(text, str)
            assert_type(limit, int)
            return text
        case Box(item=item):
            assert_type(item, int)
            return str(item)


# The open classes take anything; a field-less class of the user's takes nothing.

assert_type(Event(), Event)
assert_type(Event(anything=1), Event)
assert_type(StartEvent(anything=1), StartEvent)
assert_type(InputRequiredEvent(anything=1), InputRequiredEvent)
assert_type(HumanResponseEvent(anything=1), HumanResponseEvent)
Event(1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
# Read: the classes that people use without declaring anything give any attribute, and so do their
# heirs, beside what they declare. All others are exact.
assert_type(StartEvent(topic="a")["topic"], Any)
assert_type(StartEvent(topic="a").topic, Any)
assert_type(HumanResponseEvent(response="a").response, Any)
assert_type(InputRequiredEvent(prefix="a").prefix, Any)
assert_type(Begin(topic="a").topic, str)
Event(topic="a").topic  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
query.txt  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
Ping()
Ping(anything=1)  # mypy says nothing # pyright: ignore[reportCallIssue]
assert_type(Begin(topic="a"), Begin)
Begin()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]

# Stop events.

assert_type(StopEvent("a").result, Any)
assert_type(StopEvent(), StopEvent)
StopEvent(result=1, anything=2)
StopEvent(1, 2)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
assert_type(Report(total=1).total, int)
assert_type(Report(total=1).result, Any)
Report()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
Report(total=1, result=2)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
assert_type(Typed(result="a").result, str)
Typed(result=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Typed()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
WorkflowCancelledEvent()

# The events that plait itself makes.

failed = WorkflowFailedEvent(
    step_name=None, exception=ValueError(), attempts=1, elapsed_seconds=1.0
)
assert_type(failed.step_name, str | None)
assert_type(failed.exception, BaseException)
WorkflowFailedEvent(step_name=None)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
child = ChildEvent(event=query, workflow="W", run_id="1", path=("a", "b"))
assert_type(child.event, Event)
assert_type(child.path, tuple[str, ...])
changed = StepStateChanged(
    name="s",
    step_state=StepState.RUNNING,
    worker_id="0",
    input_event_name="A",
    output_event_name=None,
)
assert_type(changed.step_state, StepState)

# Mapping access.

event = Event(x=1)
assert_type(event["x"], Any)
assert_type(event.get("x"), Any)
assert_type(event.keys(), KeysView[str])
assert_type(event.items(), ItemsView[str, Any])
assert_type(iter(event), Iterator[str])
assert_type("x" in event, bool)
assert_type(len(event), int)
assert_type(event.to_dict(), dict[str, Any])
assert_type(Query.upgrade({}, 1), dict[str, Any])
event["x"] = 1  # type: ignore[index]  # pyright: ignore[reportIndexIssue]
event[1]  # type: ignore[index]  # pyright: ignore[reportArgumentType]
