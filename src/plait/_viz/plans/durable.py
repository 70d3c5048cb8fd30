"""Durable functions as a drawing: what starts them, what ends them, and whom they call.

Which calls a run makes is known when it has made them. What is drawn of them before is what stands in
the code, from top to bottom: ids that are written there, the functions that are invoked by name.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, TypeAlias

from typing_extensions import TypeIs

from plait._strands._durable.app import App
from plait._strands._durable.function import Function
from plait._strands._durable.options import Cancel, Concurrency
from plait._strands._durable.setup import Setup
from plait._strands._durable.triggers import Trigger, TriggerEvent
from plait._viz.drawing import Arrow, Drawing, Node, mark

from .durable_calls import Call, calls_in
from .marks import attempts, retries, seconds
from .source_code import values_named

AnyFunction: TypeAlias = Function[Any, Any]

#: So many of its calls are written on a function.
CALLS: Final = 8


def draw_app(app: App) -> Drawing:
    """Draw an app: its functions, with their triggers, and who invokes whom."""
    return _draw(app.id, [*app._roster.own.values()])


def draw_function(function: AnyFunction) -> Drawing:
    """Draw one function, with its triggers and the functions that it invokes."""
    others = [target for target in _invoked(function) if target is not function]
    return _draw(function.id, [function, *dict.fromkeys(others)], only=function)


def _draw(title: str, functions: list[AnyFunction], only: AnyFunction | None = None) -> Drawing:
    nodes: dict[str, Node] = {}
    arrows: dict[Arrow, None] = {}
    shown = functions if only is None else [only]
    for function in shown:
        for trigger in function.setup.trigger:
            cause = _cause(trigger)
            nodes.setdefault(cause.name, cause)
            arrows[Arrow(cause.name, function.id, _condition(trigger))] = None
    for function in functions:
        nodes[function.id] = Node(function.id, function.name, "function", tuple(_marks(function)))
    for function in shown:
        for option in function.setup.cancel:
            nodes.setdefault(_event(option.name), _event_node(option))
            arrows[Arrow(_event(option.name), function.id, "cancels", dashed=True)] = None
        for target in _invoked(function):
            if target.id in nodes:
                arrows[Arrow(function.id, target.id, "invokes")] = None
        if function.setup.on_failure is not None:
            name = f"{function.id} on_failure"
            nodes[name] = Node(name, _name(function.setup.on_failure), "function", ("on_failure",))
            arrows[Arrow(function.id, name, "fails", dashed=True)] = None
    return Drawing(title, tuple(nodes.values()), tuple(arrows))


def _event(name: str) -> str:
    return f"event {name}"


def _cause(trigger: Trigger) -> Node:
    if isinstance(trigger, TriggerEvent):
        return _event_node(trigger)
    zone = () if trigger.tz is None else (trigger.tz,)
    text = " ".join(trigger.cron.split())
    return Node(f"cron {text} {trigger.tz}", text, "time", zone)


def _event_node(known_by: TriggerEvent | Cancel) -> Node:
    """Make the node of an event: of a class its short name, which is what people read."""
    event = known_by.event
    label = event if isinstance(event, str) else event.__name__
    return Node(_event(known_by.name), label, "event", full=known_by.name)


def _condition(trigger: Trigger) -> str:
    return "if" if isinstance(trigger, TriggerEvent) and trigger.expression is not None else ""


def _name(func: Callable[..., object]) -> str:
    return str(getattr(func, "__name__", type(func).__name__))


def _invoked(function: AnyFunction) -> Iterator[AnyFunction]:
    """Find the functions that a function invokes by a name that its code knows."""
    wanted = {
        target.id
        for call in calls_in(function.handler)
        if call.verb == "invoke" and isinstance(target := call.arguments.get("function"), ast.Name)
    }
    if wanted:
        for name, value in values_named(function.handler, None):
            if name in wanted and is_function(value):
                yield value


def drawings_of(what: object) -> list[Drawing]:
    """Draw an app of durable functions, or one of them; anything else is nothing."""
    if isinstance(what, App):
        return [draw_app(what)]
    return [draw_function(what)] if is_function(what) else []


def is_function(what: object) -> TypeIs[AnyFunction]:
    """Say whether this is a durable function."""
    return isinstance(what, Function)


# ---------------------------------------------------------------- marks


def _marks(function: AnyFunction) -> Iterator[str]:
    yield from _limits(function.setup)
    calls = calls_in(function.handler)
    yield from (mark(_spelt(call)) for call in calls[:CALLS])
    if len(calls) > CALLS:
        yield f"{len(calls) - CALLS} more calls"


def _spelt(call: Call) -> str:
    return call.verb if call.id is None else f"{call.verb} {call.id!r}"


def _limits(setup: Setup) -> Iterator[str]:
    if isinstance(setup.retries, int):
        yield attempts(setup.retries + 1)
    else:
        yield retries(setup.retries)
    yield from map(_concurrency, setup.concurrency)
    if setup.throttle is not None:
        yield f"throttle {setup.throttle.limit} per {seconds(setup.throttle.period)}"
    if setup.rate_limit is not None:
        yield f"rate limit {setup.rate_limit.limit} per {seconds(setup.rate_limit.period)}"
    if setup.debounce is not None:
        yield f"debounce {seconds(setup.debounce.period)}"
    if setup.batch_events is not None:
        yield f"batches of {setup.batch_events.max_size}, {seconds(setup.batch_events.timeout)}"
    if setup.singleton is not None:
        yield f"singleton: {setup.singleton.mode}"
    yield from _given(("priority", setup.priority), ("idempotency", setup.idempotency))
    if setup.timeouts is not None:
        for name, limit in (("start", setup.timeouts.start), ("finish", setup.timeouts.finish)):
            if limit is not None:
                yield f"{name} within {seconds(limit)}"


def _given(*options: tuple[str, object]) -> Iterable[str]:
    return (name for name, value in options if value is not None)


def _concurrency(limit: Concurrency) -> str:
    key = "" if limit.key is None else " per key"
    return f"{limit.limit} {limit.of}{key} at once"
