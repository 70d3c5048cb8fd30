"""A copy of a run's state, of which either can go its own way: events are shared, they do not change."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

import attrs

from .calls.state import BodyState, Call, Deadline, Past
from .collecting import Buffer
from .memory import Memory, Reply
from .state import Delivery, RunState, StepState
from .streams import Stream
from .waits import Waits

T = TypeVar("T")


def copy_of(value: T) -> T:
    """Copy a state, and whatever in it `apply` changes."""
    copier = COPIERS.get(type(value))
    return value if copier is None else cast("T", copier(value))


def _table(table: dict[Any, Any]) -> dict[Any, Any]:
    return type(table)((key, copy_of(held)) for key, held in table.items())


def _line(line: list[Any]) -> list[Any]:
    return type(line)(map(copy_of, line))


def _waits(waits: Waits) -> Waits:
    copied = Waits()
    for wait in waits.values():  # the oldest first
        copied.begin(wait)
    return copied


def _parts(holder: Any) -> Any:
    kind = cast("type[attrs.AttrsInstance]", type(holder))
    held = {field: copy_of(getattr(holder, field.name)) for field in attrs.fields(kind)}
    return kind(**{field.alias: value for field, value in held.items() if field.init})


COPIERS: Final[dict[type, Callable[[Any], object]]] = {
    dict: _table,
    OrderedDict: _table,
    list: _line,
    deque: _line,
    Waits: _waits,
    **dict.fromkeys((RunState, StepState, Delivery, Memory, Reply, Buffer, Stream), _parts),
    **dict.fromkeys((BodyState, Past, Deadline, Call), _parts),
}
