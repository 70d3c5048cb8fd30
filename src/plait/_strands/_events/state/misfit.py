"""What does not fit in a state, and where: each value against the annotation of its place.

Rule 1: What is checked is what an annotation says of builtins and classes, unions, `Literal`,
    `type`, the containers of the standard library with all that is in them, and `TypedDict`. As for
    type checkers, `int` fits `float`, and `bool` fits `int`.
Rule 2: What has fields of its own is checked by its class alone; its fields are checked when a path
    leads to one of them. Somebody else's class need not keep its own annotations.
Rule 3: What plait cannot judge, it lets pass: a name that cannot be resolved, a type variable
    without a bound, a protocol that is not `runtime_checkable`, the elements of somebody else's
    container, the signature of a callable.
Rule 4: Nothing is coerced. A field with an attrs converter, and a pydantic model that validates
    assignments, see to a `set` themselves.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import (
    Annotated,
    Any,
    ClassVar,
    Final,
    Literal,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
)

import attrs

from .state_class import class_of, declared_fields, hints_of

#: Containers of these modules say in their arguments what is in them.
CONTAINERS: Final = frozenset({"builtins", "collections", "collections.abc"})

#: Forms that say something about a field, and nothing about what fits it.
QUALIFIERS: Final = frozenset((Annotated, ClassVar, Final, typing.Required, typing.NotRequired))

#: What a reader of an error needs to see of a value.
LONGEST: Final = 200


@attrs.frozen
class Misfit:
    """A value that does not fit where it is."""

    path: str
    takes: object
    value: object

    def __str__(self) -> str:
        seen = repr(self.value)
        if len(seen) > LONGEST:
            seen = seen[: LONGEST - 1] + "…"
        return (
            f"Path {self.path!r} takes {name_of(self.takes)}, "
            f"not {seen} of type {type(self.value).__name__}"
        )


def name_of(hint: object) -> str:
    """Write a type as an annotation has it."""
    if isinstance(hint, type) and not get_args(hint):
        return hint.__name__
    return str(hint).replace("typing.", "")


def misfits(state: object, before: object) -> Iterator[Misfit]:
    """Find what does not fit in a state's fields; what was there before is nobody's fault now."""
    kind = class_of(state)
    if isinstance(state, Mapping):
        return
    fields = declared_fields(kind)
    for name, hint in (hints_of(kind) if fields is None else fields).items():
        if not hasattr(state, name):
            continue
        value = getattr(state, name)
        wrong = misfit(value, hint, name)
        if wrong is not None and not _same(value, getattr(before, name, state)):
            yield wrong


def _same(a: object, b: object) -> bool:
    try:
        return a is b or bool(a == b)
    except Exception:  # noqa: BLE001 - as arrays do
        return False


def misfit(
    value: object, hint: Any, path: str, above: frozenset[tuple[int, int]] = frozenset()
) -> Misfit | None:
    """Say what in a value does not fit a type, and where it is.

    `above` are the containers in which the value lies: one may contain itself.
    """
    if type(value) is hint:
        return None
    hint = _plain(hint)
    origin, args = get_origin(hint), get_args(hint)
    wrong = Misfit(path, hint, value)
    if origin in (Union, types.UnionType):
        return None if any(misfit(value, arg, path, above) is None for arg in args) else wrong
    if origin is Literal:
        fits = any(type(value) is type(arg) and value == arg for arg in args)
        return None if fits else wrong
    if origin is type:
        return None if isinstance(value, type) and _is_class_of(value, args[0]) else wrong
    kind = origin or hint
    if not isinstance(kind, type) or kind is Any:
        return None
    if not (isinstance(value, dict) if _is_typed_dict(kind) else _is_a(value, kind)):
        return wrong
    step = (id(value), id(hint))
    if step in above:
        return None
    parts = _parts(cast("Any", value), kind, args)
    if parts is None:
        return wrong
    for segment, part, takes in parts:
        if type(part) is takes:  # the usual case, at a tenth of the price
            continue
        if found := misfit(part, takes, f"{path}.{segment}", above | {step}):
            return found
    return None


def _plain(hint: Any) -> Any:
    """Strip a type of its names and of what says nothing about the values that fit it."""
    while True:
        if hint is None:
            return types.NoneType
        if get_origin(hint) in QUALIFIERS:
            hint = get_args(hint)[0]
        elif isinstance(hint, typing.NewType):
            hint = hint.__supertype__
        elif isinstance(hint, TypeVar):
            some = hint.__constraints__
            hint = Union[some] if some else hint.__bound__ or Any  # noqa: UP007 - of so many
        elif type(hint).__name__ == "TypeAliasType":
            hint = hint.__value__
        else:
            return hint


def _is_typed_dict(kind: object) -> bool:
    """Say whether a class is a `TypedDict`, of `typing` or of `typing_extensions`."""
    return hasattr(kind, "__required_keys__") and hasattr(kind, "__total__")


def _is_a(value: object, kind: type) -> bool:
    if kind is float:
        return isinstance(value, float | int)
    if kind is complex:
        return isinstance(value, complex | float | int)
    try:
        return isinstance(value, kind)
    except TypeError:  # a protocol that is not runtime_checkable
        return True


def _is_class_of(value: type, hint: Any) -> bool:
    members = [_plain(m) for m in _members_of(hint)]
    return any(not isinstance(m, type) or m is Any or issubclass(value, m) for m in members)


def _members_of(hint: Any) -> tuple[Any, ...]:
    """List the members of a union, and of the unions in it; a type that is none by itself."""
    hint = _plain(hint)
    if get_origin(hint) in (Union, types.UnionType):
        return tuple(member for arg in get_args(hint) for member in _members_of(arg))
    return (hint,)


def _parts(
    value: Any, kind: type, args: tuple[Any, ...]
) -> Iterable[tuple[object, object, Any]] | None:
    """List what lies in a container, and what each part must be; `None` if the parts are wrong."""
    if _is_typed_dict(kind):
        hints, required = hints_of(kind), cast("Any", kind).__required_keys__
        if not required <= value.keys() <= hints.keys():
            return None
        return [(key, item, hints[key]) for key, item in value.items()]
    if not args or kind.__module__ not in CONTAINERS:
        return ()
    if issubclass(kind, tuple):
        if len(args) == 2 and args[1] is Ellipsis:
            return [(n, part, args[0]) for n, part in enumerate(value)]
        if any(
            get_origin(arg) is typing.Unpack or getattr(arg, "__unpacked__", False) for arg in args
        ):
            return ()
        if len(args) != len(value):
            return None
        return [(n, part, arg) for n, (part, arg) in enumerate(zip(value, args, strict=True))]
    if issubclass(kind, Mapping) and len(args) == 2:
        keys = [(key, key, args[0]) for key in value]
        return [*keys, *((key, item, args[1]) for key, item in value.items())]
    if len(args) != 1 or not issubclass(class_of(value), Collection):
        return ()
    return [(n, part, args[0]) for n, part in enumerate(value)]


def places_in(place: object, hint: Any, segment: str) -> list[tuple[Any, Any]]:
    """Say what may be at a segment of a container: what the key must be, and what the value.

    None, if nothing is known: then anything may.
    """
    if not isinstance(place, Mapping | list | tuple):
        kind = class_of(place)
        fields = declared_fields(kind)
        hints = hints_of(kind) if fields is None else fields
        return [(Any, hints[segment])] if segment in hints else []
    found: list[tuple[Any, Any]] = []
    if hint is Any:
        return found
    for member in _members_of(hint):
        kind, args = get_origin(member) or member, get_args(member)
        if _is_typed_dict(kind) and isinstance(place, dict):
            hints = hints_of(kind)
            found.append((Literal[tuple(hints)], hints.get(segment, Any)))
        elif kind is Any or not isinstance(kind, type):
            return []
        elif not _is_a(cast("object", place), kind):
            continue
        elif kind.__module__ in CONTAINERS and len(args) == (2 if _maps(kind) else 1):
            found.append((args[0], args[1]) if _maps(kind) else (Any, args[0]))
        else:
            return []
    return found


def _maps(kind: type) -> bool:
    return issubclass(kind, Mapping)
