"""The classes that annotations mention: what a stored run of a workflow may consist of.

Rule 1: A class is known if an annotation of a step or a field mentions it, however deep: in unions,
    in the arguments of generics, in the fields of classes that are known. Its subclasses are not.
Rule 2: Annotations are resolved when they are read, as for steps. One that cannot be resolved
    mentions nothing; what it would have mentioned is named by the error when such a value is written.
"""

from __future__ import annotations

import inspect
import sys
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TypeVar, cast, get_args, get_origin

import attrs

from plait._annotations import members_of

from .loaded import is_pydantic

#: They say nothing about classes beside what is in their arguments.
BUILTIN: Final = frozenset({"builtins", "typing", "types", "collections.abc", "typing_extensions"})


def known_classes(
    roots: Iterable[object], names: Mapping[str, Any] | None = None
) -> tuple[type, ...]:
    """Collect the classes that annotations mention.

    Args:
        roots: Where to begin: event classes, the state's class, annotations.
        names: More names that the annotations may use, as those of local classes.

    Returns:
        Each class once, in the order in which they are mentioned; of builtins only their arguments.

    Example:
        >>> class Item(Event):
        ...     tags: list[StepState | None]
        >>> [kind.__name__ for kind in known_classes([Item])]
        ['Item', 'StepState']
    """
    found: dict[type, None] = {}
    seen: set[int] = set()
    ahead = [*reversed([*roots])]
    kept: list[object] = []  # what `seen` knows by its id must stay alive
    while ahead:
        hint = ahead.pop()
        if id(hint) in seen:
            continue
        seen.add(id(hint))
        kept.append(hint)
        if isinstance(hint, type) and not get_args(hint):
            if hint.__module__ not in BUILTIN:
                found[hint] = None
            inner = _of_class(hint, names or {})
        else:
            inner = _of_form(hint)
        ahead += reversed([*inner])
    return tuple(found)


def _of_form(hint: Any) -> Iterator[object]:
    """List what a form of annotation consists of."""
    if isinstance(hint, TypeVar):
        yield from (hint.__bound__, *hint.__constraints__)
    elif isinstance(hint, typing.NewType):
        yield hint.__supertype__
    elif get_origin(hint) is typing.Literal:
        yield from (type(value) for value in get_args(hint))
    elif get_origin(hint) is typing.Annotated:
        yield get_args(hint)[0]
    elif members_of(hint) != (hint,):
        yield from members_of(hint)
    else:
        yield get_origin(hint)
        for arg in get_args(hint):
            yield from cast("list[object]", arg) if isinstance(arg, list) else [arg]


def _of_class(kind: type, names: Mapping[str, Any]) -> Iterator[object]:
    """List what the fields of a class mention, and what it is made of if it is generic."""
    some: Any = kind
    if is_pydantic(kind):
        yield from (field.annotation for field in some.model_fields.values())
        generic = some.__pydantic_generic_metadata__
        yield from (generic["origin"], *generic["args"])
    elif kind.__module__ not in BUILTIN:
        yield from _hints(kind, names).values()
        for base in getattr(kind, "__orig_bases__", ()):  # `class Orders(Box[Order])`
            yield from get_args(base)


def _hints(kind: type, names: Mapping[str, Any]) -> Mapping[str, object]:
    """Resolve the annotations of a class, each by itself: one that fails takes no other along."""
    found: dict[str, object] = {}
    for base in reversed(kind.__mro__):
        module = vars(sys.modules.get(base.__module__, typing))
        local = {**names, **vars(base), base.__name__: base}
        for name, hint in inspect.get_annotations(base).items():
            holder = types.SimpleNamespace(__annotations__={name: hint})
            try:
                found |= typing.get_type_hints(holder, module, local)
            except Exception:  # noqa: BLE001 - whatever evaluating somebody's annotation raises
                found[name] = None
    if attrs.has(kind):  # `attrs.field(type=...)`, `attrs.make_class`
        for field in attrs.fields(kind):
            if isinstance(field.type, type):
                found.setdefault(field.name, field.type)
    return found
