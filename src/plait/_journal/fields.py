"""Objects with declared fields: how they are taken apart and put together again.

Here are events, attrs classes, dataclasses and named tuples; `foreign` has those of two libraries.

Rule 1: An object comes back as it was, not as it would be made. Its class's `__init__` is not
    called, nor are converters, validators and `__post_init__`: they have had their say, and a
    converter need not take what it gave.
Rule 2: What has been put beside the fields of an object that has a `__dict__` comes back as well. A
    `cached_property` does not, since it can be computed again.
Rule 3: A field that is not stored gets its default, so that a field with a default can be added
    without a new version. A stored field that the class has not is refused.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias, cast

import attrs

from plait._event import UNDECLARED, give_undeclared

from .arguments import is_dict, is_list, is_str
from .refused import Refused

#: Makes the value of a field that is not stored; it is given the half-made object.
Default: TypeAlias = Callable[[Any], Any]


def left_unset(_object: object) -> object:
    """Stand for the default of a field that `__init__` does not set. Never called."""
    raise AssertionError


#: Where attrs keeps a hash that it has computed: it is another one in another process.
CACHED_HASH: Final = "_attrs_cached_hash"


class Fields:
    """How objects of one class are taken apart. This one is for attrs classes and dataclasses.

    Args:
        kind: The class.
        defaults: Its fields in order, each with its default, if it has one.

    Attributes:
        names: The fields, in order.
        flat: Whether the fields lie in the object's `__dict__`, all of them under their names.
        hashes: Whether the object keeps its hash.
    """

    #: What else an object may have: keys of the second result of `take`.
    extras: frozenset[str] = frozenset({"beside"})

    def __init__(self, kind: type, defaults: Mapping[str, Default | None]) -> None:
        self.kind: Any = kind
        self.defaults = defaults
        self.names: tuple[str, ...] = tuple(defaults)
        self.has_dict: bool = bool(self.kind.__dictoffset__)
        self.flat: bool = self.has_dict and not any(
            inspect.isdatadescriptor(inspect.getattr_static(kind, name, None)) for name in defaults
        )
        self.hashes: bool = attrs.has(kind) and keeps_hash(kind)

    def take(self, value: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Take an object apart: its fields as far as they are set, and what else it has."""
        fields: dict[str, Any] = {}
        for name in self.names:
            try:
                fields[name] = object.__getattribute__(value, name)
            except AttributeError:  # nobody has set it
                continue
        self.check(fields)
        beside = self.beside(value)
        return fields, {"beside": beside} if beside else {}

    def check(self, fields: Mapping[str, Any]) -> None:
        """Refuse an object that could not be put together again."""
        for name, default in self.defaults.items():
            if name not in fields and default is None:
                raise Refused(f"{self.kind.__name__} has no value for its field {name!r}")

    def beside(self, value: Any) -> dict[str, Any]:
        """List what lies in an object beside its fields."""
        state: dict[str, Any] = value.__dict__ if self.has_dict else {}
        return {
            name: part
            for name, part in state.items()
            if name not in self.defaults
            and name != CACHED_HASH
            and not isinstance(self._static(name), functools.cached_property)
        }

    def make(self, fields: dict[str, Any], more: Mapping[str, Any]) -> Any:
        """Put an object together.

        Raises:
            Refused: There is a field too many, or one too few.
        """
        for name in fields:
            if name not in self.defaults:
                raise Refused(self.strange(name))
        value = self.blank(fields)
        for name, part in fields.items():
            self.put(value, name, part)
        if self.hashes:
            self.put(value, CACHED_HASH, None)
        self.add_defaults(value, fields)
        for name, part in is_dict(more.get("beside", {})).items():
            hidden = self._static(name)
            if (
                not self.has_dict
                or name in self.defaults
                # Data must not stand in for a method, nor get past a property.
                or callable(hidden)
                or inspect.isdatadescriptor(hidden)
            ):
                raise Refused(self.strange(name))
            vars(value)[name] = part
        return value

    def blank(self, fields: Mapping[str, Any]) -> Any:
        """Make an object that has no fields yet."""
        del fields
        return object.__new__(self.kind)

    def put(self, value: Any, name: str, part: Any) -> None:
        """Give a half-made object a field, frozen or not."""
        object.__setattr__(value, name, part)

    def add_defaults(self, value: Any, fields: Mapping[str, Any]) -> None:
        """Give a half-made object the fields that are not stored."""
        for name, default in self.defaults.items():
            if name not in fields and default is not left_unset:
                self.put(value, name, self.made(name, default, value))

    def made(self, name: str, default: Default | None, value: Any) -> Any:
        """Make the value of a field that is not stored."""
        if default is None:
            raise Refused(f"{self.kind.__name__} needs a field {name!r}, and there is none")
        return default(value)

    def strange(self, name: str) -> str:
        """Say that there is no such field."""
        return f"{self.kind.__name__} has no field {name!r:.80}"

    def _static(self, name: str) -> object:
        return inspect.getattr_static(self.kind, name, None)


class EventFields(Fields):
    """An event: beside its declared fields it may have undeclared ones, which have an order."""

    extras = frozenset({"beside", "order"})

    def __init__(self, kind: Any) -> None:
        defaults = attrs_defaults(kind)
        self.open: bool = defaults.pop(UNDECLARED, None) is not None
        super().__init__(kind, defaults)

    def take(self, value: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Take an event apart, the declared fields first."""
        fields, more = super().take(value)
        undeclared = value.__plait_undeclared__
        if undeclared:
            fields.update(undeclared)
            names = [*undeclared]
            if names != sorted(names):  # as they come back from JSON with sorted keys
                more["order"] = names
        return fields, more

    def beside(self, value: Any) -> dict[str, Any]:
        """List what lies in an event beside its fields."""
        state = value.__dict__
        undeclared = value.__plait_undeclared__
        if len(state) == len(self.names) + len(undeclared) + self.open:  # the usual case
            return {}
        found = super().beside(value)
        return {n: p for n, p in found.items() if n not in undeclared and n != UNDECLARED}

    def make(self, fields: dict[str, Any], more: Mapping[str, Any]) -> Any:
        """Put an event together."""
        if not self.open:
            return super().make(fields, more)
        undeclared = {name: part for name, part in fields.items() if name not in self.defaults}
        if UNDECLARED in undeclared:
            raise Refused(self.strange(UNDECLARED))
        if "order" in more:
            order = [is_str(name) for name in is_list(more["order"])]
            if sorted(order) != sorted(undeclared):
                raise Refused("the order of the undeclared fields names others")
            undeclared = {name: undeclared[name] for name in order}
        declared = {name: part for name, part in fields.items() if name in self.defaults}
        event = super().make(declared, more)
        give_undeclared(event, undeclared)
        return event

    def strange(self, name: str) -> str:
        """Say that there is no such field, and what to do if there was one."""
        return (
            f"{super().strange(name)}. If it had one, give it a new version and an upgrade()"
            if name != UNDECLARED
            else super().strange(name)
        )


class NamedTuple(Fields):
    """A named tuple."""

    extras = frozenset()

    def __init__(self, kind: Any) -> None:
        given: dict[str, Any] = kind._field_defaults
        defaults = {n: as_given(given[n]) if n in given else None for n in kind._fields}
        super().__init__(kind, defaults)

    def take(self, value: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Take a tuple apart."""
        return dict(zip(self.names, value, strict=True)), {}

    def make(self, fields: dict[str, Any], more: Mapping[str, Any]) -> Any:
        """Put a tuple together."""
        del more
        for name in fields:
            if name not in self.defaults:
                raise Refused(self.strange(name))
        for name, default in self.defaults.items():
            if name not in fields:
                fields[name] = self.made(name, default, None)
        return _make_tuple(self.kind, [fields[name] for name in self.names])


_make_tuple: Final = cast("Callable[[Any, list[Any]], Any]", getattr(tuple, "__new__"))  # noqa: B009


# ---------------------------------------------------------------- defaults


def as_given(value: Any) -> Default:
    """Make a default of a value."""
    return lambda _object: value


def as_made(factory: Callable[[], Any]) -> Default:
    """Make a default of a factory."""
    return lambda _object: factory()


def attrs_defaults(kind: Any) -> dict[str, Default | None]:
    """List the fields of an attrs class, with their defaults as its `__init__` would give them."""
    found: dict[str, Default | None] = {}
    for field in attrs.fields(kind):
        given: Any = field.default
        default: Default | None = as_given(given)
        if given is attrs.NOTHING:
            default = None if field.init else left_unset
        elif hasattr(given, "takes_self"):
            default = given.factory if given.takes_self else as_made(given.factory)
        if default not in (None, left_unset) and field.converter is not None:
            default = _converted(field, default)
        found[field.name] = default
    return found


def _converted(field: Any, default: Default) -> Default:
    """Convert a default, as attrs does."""
    convert = field.converter
    takes_more = hasattr(convert, "takes_field")  # an `attrs.Converter`
    if not takes_more:
        return lambda half_made: convert(default(half_made))

    def make(half_made: Any) -> Any:
        more = [half_made] * convert.takes_self + [field] * convert.takes_field
        return convert.converter(default(half_made), *more)

    return make


def dataclass_defaults(kind: Any) -> dict[str, Default | None]:
    """List the fields of a dataclass, with their defaults."""
    found: dict[str, Default | None] = {}
    for field in dataclasses.fields(kind):
        found[field.name] = None if field.init else left_unset
        if field.default is not dataclasses.MISSING:
            found[field.name] = as_given(field.default)
        elif field.default_factory is not dataclasses.MISSING:
            found[field.name] = as_made(field.default_factory)
    return found


def keeps_hash(kind: type) -> bool:
    """Say whether objects of an attrs class keep their hash."""
    return str(attrs.inspect(kind).hashability.name) == "HASHABLE_CACHED"
