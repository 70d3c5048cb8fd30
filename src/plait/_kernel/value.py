"""Values: what the kernel's stimuli, records and effects are made of.

A value is frozen for whoever writes code: the type checkers refuse every assignment. It is not
frozen at run time, since that triples the price of making one (0.54 µs instead of 0.18 for four
fields), and a hop makes about six.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from operator import attrgetter
from reprlib import recursive_repr
from typing import Any, TypeVar, cast, dataclass_transform

import attrs

C = TypeVar("C")


@dataclass_transform(frozen_default=True, field_specifiers=(attrs.field,))
def value(cls: type[C]) -> type[C]:
    """Make a class of values: slots, equality, a hash, a `repr`."""
    made: Any = mutable(cls)
    hashed = _reader([f for f in attrs.fields(made) if (f.eq if f.hash is None else f.hash)])

    def __hash__(self: C) -> int:  # noqa: N807 - it becomes a method
        return hash((made, hashed(self)))

    made.__hash__ = __hash__
    return cast("type[C]", made)


@dataclass_transform(field_specifiers=(attrs.field,))
def mutable(cls: type[C]) -> type[C]:
    """Make a class of what changes, such as the state of a run: slots, equality, a `repr`.

    attrs makes the class and its `__init__`. These methods are closures over its fields, and not text
    that is compiled for each class: there are two hundred classes, and a fifth of the time that it
    takes to import plait went into theirs. They take no longer to call.
    """
    made: Any = attrs.define(cls, eq=False, repr=False)
    fields = attrs.fields(made)
    compared = _reader([field for field in fields if field.eq])
    shown = [field.name for field in fields if field.repr]

    def __eq__(self: C, other: object) -> bool:  # noqa: N807
        if other.__class__ is not self.__class__:
            return NotImplemented
        return compared(self) == compared(other)

    @recursive_repr()
    def __repr__(self: C) -> str:  # noqa: N807
        written = ", ".join(f"{name}={getattr(self, name)!r}" for name in shown)
        return f"{self.__class__.__qualname__}({written})"

    made.__eq__ = __eq__
    made.__hash__ = None  # as Python does for a class that has an __eq__
    made.__repr__ = __repr__
    return cast("type[C]", made)


def _reader(fields: Sequence[Any]) -> Callable[[object], object]:
    """Make what reads these fields of an object, all at once."""
    if not fields:
        return _nothing
    if any(field.eq_key for field in fields):  # what stands in for the field when it is compared
        readers = [(attrgetter(field.name), field.eq_key or _itself) for field in fields]
        return lambda it: [key(read(it)) for read, key in readers]
    return attrgetter(*(field.name for field in fields))


def _itself(one: object) -> object:
    return one


def _nothing(_: object) -> tuple[()]:
    return ()


# Factories of empty collections. `dict[K, V]` as a factory costs six times as much, `dict` has no type.


def a_dict() -> dict[Any, Any]:
    """Make an empty one."""
    return {}


def a_list() -> list[Any]:
    """Make an empty one."""
    return []


def a_deque() -> deque[Any]:
    """Make an empty one."""
    return deque()


def an_ordered_dict() -> OrderedDict[Any, Any]:
    """Make an empty one. Unlike a dict's, its first entry is at hand whatever was taken out."""
    return OrderedDict()
