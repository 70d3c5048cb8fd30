"""The class of a workflow's state: which one it is, what its fields are, and what fits them.

A state class is an attrs class, a dataclass, a pydantic model or a msgspec struct. The last two are
looked up in `sys.modules`: whoever has such a class has imported its library. Without a class of its
own a workflow has a `DictState`, which takes anything.

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

import copy
import dataclasses
import functools
import inspect
import sys
import types
import typing
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, MutableMapping
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

S = TypeVar("S")

#: Containers of these modules say in their arguments what is in them.
CONTAINERS: Final = frozenset({"builtins", "collections", "collections.abc"})

#: Forms that say something about a field, and nothing about what fits it.
QUALIFIERS: Final = frozenset((Annotated, ClassVar, Final, typing.Required, typing.NotRequired))

#: What a reader of an error needs to see of a value.
LONGEST: Final = 200


class DictState(MutableMapping[str, Any]):
    """The state of a workflow that declares no class for it: a mapping with attributes.

    A key that is the name of a method, as `items`, is no attribute: write `state["items"]`.

    Args:
        values: Values to begin with.
        **more: More of them.

    Raises:
        AttributeError: There is no such key, or it is the name of a method.

    Example:
        >>> state = DictState(count=1)
        >>> state.count += 1
        >>> state["name"] = "x"
        >>> state
        DictState({'count': 2, 'name': 'x'})
    """

    __slots__ = ("__weakref__", "_values")

    #: The values lie beside the attributes: none of them can hide a method.
    _values: dict[str, Any]

    def __init__(self, values: Mapping[str, Any] | None = None, /, **more: Any) -> None:
        object.__setattr__(self, "_values", {**(values or {}), **more})

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._values[key] = value

    def __delitem__(self, key: str) -> None:
        del self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __getattr__(self, name: str) -> Any:
        if name != "_values" and name in self._values:
            return self._values[name]
        raise AttributeError(f"the state has no {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        if hasattr(type(self), name):
            owner = type(self).__name__
            raise AttributeError(f"{owner} has {name!r} itself. Write state[{name!r}] = ...")
        self._values[name] = value

    def __delattr__(self, name: str) -> None:
        if name not in self._values:
            raise AttributeError(f"the state has no {name!r}")
        del self._values[name]

    def __dir__(self) -> Iterable[str]:
        return [*super().__dir__(), *self._values]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._values!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Be copied item by item, so that a state that contains itself can be copied as well."""
        return type(self), (), None, None, iter([*self._values.items()])


# ---------------------------------------------------------------- which class


def choose_state_class(classes: Iterable[object]) -> type:
    """Choose the class of a workflow's state: the most derived of those that its steps name.

    Args:
        classes: What the steps' annotations have in `Context[...]`, in any order and number. `Any`
            and `DictState` ask for nothing.

    Returns:
        `DictState`, if nothing is asked for.

    Raises:
        ValueError: None of the classes is a subclass of all others.

    Example:
        >>> class Base: ...
        >>> class Derived(Base): ...
        >>> choose_state_class([Base, Derived, Base]).__name__
        'Derived'
    """
    named = (get_origin(c) or c for c in classes)
    found = dict.fromkeys(c for c in named if isinstance(c, type) and c not in (Any, DictState))
    if not found:
        return DictState
    for candidate in found:
        if all(issubclass(candidate, other) for other in found):
            return candidate
    names = ", ".join(c.__name__ for c in found)
    raise ValueError(
        "Multiple state types are not in a compatible inheritance hierarchy. "
        f"All state types must share a common inheritance chain. Found: {names}"
    )


def new_state(kind: type[S]) -> S:
    """Make a state of a class, with all its defaults.

    Raises:
        ValueError: A field has no default.
    """
    if missing := _without_default(cast("type", kind)):
        raise ValueError(
            "State must have defaults for all fields. "
            f"{kind.__name__} has none for {', '.join(missing)}."
        )
    return kind()


@functools.lru_cache(256)
def _without_default(kind: type) -> tuple[str, ...]:
    try:
        parameters = inspect.signature(kind).parameters.values()
    except ValueError:  # a builtin
        return ()
    return tuple(
        p.name
        for p in parameters
        if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    )


# ---------------------------------------------------------------- its fields


def class_of(value: object) -> type:
    """Return the class of a value; type checkers make too much of `type(value)`."""
    return type(value)


@functools.lru_cache(256)
def declared_fields(kind: type) -> Mapping[str, Any] | None:
    """Find the fields of a class and what each of them takes; `None` if it declares none.

    An attrs class, a dataclass, a pydantic model and a msgspec struct do.
    """
    some: Any = kind
    names: list[str]
    if _is_pydantic(kind):
        return {name: field.annotation for name, field in some.model_fields.items()}
    if attrs.has(some):
        names = [a.name for a in attrs.fields(some)]
    elif dataclasses.is_dataclass(some):
        names = [f.name for f in dataclasses.fields(some)]
    elif _is_struct(kind):
        names = [*some.__struct_fields__]
    else:
        return None
    hints = hints_of(kind)
    return {name: hints.get(name, Any) for name in names}


@functools.lru_cache(256)
def hints_of(kind: type) -> Mapping[str, Any]:
    """Resolve the annotations of a class; `Any` for one that cannot be resolved."""
    try:
        return typing.get_type_hints(kind)
    except Exception:  # noqa: BLE001 - whatever evaluating somebody's annotation raises
        found: dict[str, Any] = {}
    for base in reversed(kind.__mro__):
        names = {**vars(base), base.__name__: base}
        module = vars(sys.modules.get(base.__module__, typing))
        for name, hint in inspect.get_annotations(base).items():
            holder = types.SimpleNamespace(__annotations__={name: hint})
            try:
                found |= typing.get_type_hints(holder, module, names)
            except Exception:  # noqa: BLE001 - as above
                found[name] = Any
    return found


def _is_pydantic(kind: type) -> bool:
    pydantic = sys.modules.get("pydantic")
    return pydantic is not None and issubclass(kind, pydantic.BaseModel)


def _is_struct(kind: type) -> bool:
    msgspec = sys.modules.get("msgspec")
    return msgspec is not None and issubclass(kind, msgspec.Struct)


def changes_what_it_is_given(kind: type, name: str) -> bool:
    """Say whether an assignment to a field may put something else there than what is assigned."""
    if _is_pydantic(kind):
        config: Mapping[str, Any] = cast("Any", kind).model_config
        return bool(config.get("validate_assignment"))
    if not attrs.has(kind) or kind.__setattr__ is object.__setattr__:
        return False
    return any(a.name == name and a.converter is not None for a in attrs.fields(kind))


def with_values(state: S, values: Mapping[str, Any]) -> S:
    """Copy a state, frozen or not, and give some of its fields other values."""
    kind = class_of(state)
    if _is_pydantic(kind):
        return cast("S", cast("Any", state).model_copy(update=values))
    if _is_struct(kind):
        return cast("S", sys.modules["msgspec"].structs.replace(state, **values))
    fresh = copy.copy(state)
    for name, value in values.items():
        object.__setattr__(fresh, name, value)
    return fresh


def merged(current: S, state: object) -> S:
    """Put a state in the place of another, or its fields into it if it is of a base class.

    Raises:
        ValueError: It is neither of the current class nor of a base of it.
    """
    kind = type(current)
    if isinstance(state, kind):
        return copied(state)
    if not isinstance(current, type(state)):
        raise ValueError(  # noqa: TRY004 - as for every value that does not fit
            f"State must be of type {kind.__name__} or a parent type, got {type(state).__name__}"
        )
    return with_values(current, copied(_values(state)))


def _values(state: object) -> Mapping[str, Any]:
    """List the values of a state's fields; the attributes of an object that declares none."""
    names = declared_fields(class_of(state))
    if names is None:
        return getattr(state, "__dict__", {})
    return {name: getattr(state, name) for name in names if hasattr(state, name)}


# ---------------------------------------------------------------- copies


def copied(value: S) -> S:
    """Make a deep copy. What cannot be copied, as a lock, is shared."""
    try:
        return copy.deepcopy(value)
    except Exception:  # noqa: BLE001 - whatever somebody's class raises when it is copied
        return cast("S", _copied_where_possible(value, {}, whole=True))


def _copied_where_possible(value: Any, memo: dict[int, Any], *, whole: bool = False) -> Any:
    """Copy what can be copied, part by part; the `whole`, whatever it is.

    `memo` is that of `copy.deepcopy`.
    """
    if id(value) in memo:
        return memo[id(value)]
    known = len(memo)
    try:
        return copy.deepcopy(value, memo)
    except Exception:  # noqa: BLE001 - as above
        for key in [*memo][known:]:  # copies of parts, that belong to no whole
            del memo[key]
    try:
        return _copied_by_parts(value, memo, whole=whole)
    except Exception:
        if whole:
            raise
        memo[id(value)] = value
        return value


def _copied_by_parts(value: Any, memo: dict[int, Any], *, whole: bool) -> Any:
    again = functools.partial(_copied_where_possible, memo=memo)
    kind, place = class_of(value), id(value)
    fresh: Any = value
    if isinstance(value, list | deque):
        fresh = memo[place] = copy.copy(cast("Any", value))
        fresh.clear()
        fresh.extend(map(again, cast("Any", value)))
    elif isinstance(value, dict | DictState):
        fresh = memo[place] = copy.copy(cast("Any", value))
        for key, item in cast("Any", value).items():
            fresh[key] = again(item)
    elif kind in (tuple, set, frozenset):
        fresh = cast("Callable[..., Any]", kind)(map(again, value))
    elif whole or declared_fields(kind):
        fresh = with_values(value, {name: again(part) for name, part in _values(value).items()})
    memo[place] = fresh
    return fresh


# ---------------------------------------------------------------- what fits them


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
    hint = plain(hint)
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
    if not (isinstance(value, dict) if is_typed_dict(kind) else _is_a(value, kind)):
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


def plain(hint: Any) -> Any:
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


def is_typed_dict(kind: object) -> bool:
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
    members = [plain(m) for m in members_of(hint)]
    return any(not isinstance(m, type) or m is Any or issubclass(value, m) for m in members)


def members_of(hint: Any) -> tuple[Any, ...]:
    """List the members of a union, and of the unions in it; a type that is none by itself."""
    hint = plain(hint)
    if get_origin(hint) in (Union, types.UnionType):
        return tuple(member for arg in get_args(hint) for member in members_of(arg))
    return (hint,)


def _parts(
    value: Any, kind: type, args: tuple[Any, ...]
) -> Iterable[tuple[object, object, Any]] | None:
    """List what lies in a container, and what each part must be; `None` if the parts are wrong."""
    if is_typed_dict(kind):
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
    for member in members_of(hint):
        kind, args = get_origin(member) or member, get_args(member)
        if is_typed_dict(kind) and isinstance(place, dict):
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
