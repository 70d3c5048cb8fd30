"""The form of an event: which fields it has, for people to fill in, and the event made of what they sent.

What is sent is JSON. It is read by the types that the class says, and nothing is coerced: `"7"` is no
number. A field of a type that has no place in a form of its own is asked for as JSON.
"""

from __future__ import annotations

import enum
import types
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, Literal, TypeAlias, Union, cast, get_args, get_origin, get_type_hints

import attrs
import cattrs
from cattrs.preconf.json import make_converter
from typing_extensions import TypeIs

from plait._errors import PlaitError
from plait._event import UNDECLARED, Event, HumanResponseEvent

from .payloads import said, sounds_secret

Asks: TypeAlias = Literal["text", "integer", "number", "check", "choice", "json"]

#: What a field of a type is asked for as.
SIMPLE: Final[Mapping[object, Asks]] = {str: "text", int: "integer", float: "number", bool: "check"}
#: In words, for what is wrong.
WORDS: Final[Mapping[object, str]] = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "an object",
    types.NoneType: "null",
}
#: What people answer with, where a class takes any field.
CUSTOMARY: Final = '{"response": ""}'

_CONVERTER: Final = make_converter(forbid_extra_keys=True)


class Unfit(PlaitError):  # noqa: N818 - says what it is
    """What was filled in makes no event.

    Attributes:
        fields: What is wrong with each field, by its name.
    """

    def __init__(self, text: str, fields: Mapping[str, str]) -> None:
        super().__init__(text)
        self.fields: Mapping[str, str] = fields


class _Wrong(Exception):  # noqa: N818 - says what the value is not
    """A value is none of its type."""


@attrs.frozen
class Field:
    """One field of a form.

    Attributes:
        name: What it is called.
        hint: Its type; `None`: any JSON.
        asks: What people are asked for.
        required: Must it be given?
        options: Of a choice, what there is to choose.
        optional: May it be null?
        default: What it is if nobody fills it in, for a form; `None`: it is not shown.
        secret: Is it not to be seen while it is typed?
    """

    name: str
    hint: Any
    asks: Asks
    required: bool
    options: tuple[str, ...] = ()
    optional: bool = False
    default: object = None
    secret: bool = False

    def as_json(self) -> dict[str, Any]:
        """Write it, without what says nothing."""
        fields: dict[str, Any] = {"name": self.name, "asks": self.asks, "required": self.required}
        for name in ("options", "optional", "default", "secret"):
            if value := getattr(self, name):
                fields[name] = value
        return fields


@attrs.frozen
class Form:
    """The form of a class.

    Attributes:
        kind: The class.
        fields: Those that it declares.
        free: Does it take others as well?
    """

    kind: type[Event]
    fields: tuple[Field, ...]
    free: bool

    def as_json(self, fields: Iterable[Field]) -> dict[str, Any]:
        """Write it, with some of its fields."""
        found: dict[str, Any] = {
            "kind": self.kind.__plait_name__,
            "label": self.kind.__name__,
            "fields": [one.as_json() for one in fields],
        }
        if self.free:
            customary = issubclass(self.kind, HumanResponseEvent) and not self.fields
            found["free"] = CUSTOMARY if customary else "{}"
        return found


def form_of(kind: type[Event]) -> Form:
    """Give the form of an event class."""
    hashed: Any = kind
    return _form_of(hashed)


@lru_cache(maxsize=256)
def _form_of(kind: Any) -> Form:
    try:
        hints = get_type_hints(kind)
    except Exception:  # noqa: BLE001 - a user's annotations, which need not mean anything at run time
        hints = {}
    fields = [
        _field(one, hints.get(one.name))
        for one in attrs.fields(kind)
        if one.init and one.name != UNDECLARED
    ]
    return Form(kind, tuple(fields), kind.__plait_open__)


def _field(one: attrs.Attribute[Any], hint: Any) -> Field:
    asks, options, optional = _asked(hint)
    default: object = one.default
    shown = type(default) in SIMPLE and default is not attrs.NOTHING
    secret = one.repr is False or sounds_secret(one.name)
    return Field(
        name=one.alias or one.name,
        hint=hint,
        asks=asks,
        required=default is attrs.NOTHING,
        options=options,
        optional=optional,
        default=default if shown and not secret else None,
        secret=secret and asks == "text",
    )


def _asked(hint: Any) -> tuple[Asks, tuple[str, ...], bool]:
    origin: Any = get_origin(hint)
    if origin in {Union, types.UnionType}:
        members = [one for one in get_args(hint) if one is not types.NoneType]
        if len(members) == 1:
            asks, options, _ = _asked(members[0])
            return asks, options, True
        return "json", (), False
    if origin is Literal and all(isinstance(one, str) for one in get_args(hint)):
        return "choice", get_args(hint), False
    if _is_enum(hint):
        return "choice", tuple(hint.__members__), False
    try:
        return SIMPLE.get(hint, "json"), (), False
    except TypeError:  # an annotation that has no hash
        return "json", (), False


def _is_enum(hint: Any) -> TypeIs[type[enum.Enum]]:
    return isinstance(hint, type) and issubclass(hint, enum.Enum)


# ---------------------------------------------------------------- made of what was sent


def made(kind: type[Event], given: Mapping[str, Any], fixed: Mapping[str, object]) -> Event:
    """Make an event of what was filled in.

    Args:
        kind: Its class.
        given: The fields, as JSON has them.
        fixed: Fields that it must have with these values.

    Raises:
        Unfit: With all that is wrong.
    """
    form = form_of(kind)
    known = {one.name: one for one in form.fields}
    wrong: dict[str, str] = {}
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name in fixed:
            continue
        if name not in known:
            if not form.free or not name.isidentifier() or name.startswith("__"):
                wrong[name] = f"{kind.__name__} has no field of that name"
            values[name] = value
            continue
        try:
            values[name] = _value(known[name].hint, value)
        except _Wrong as error:
            wrong[name] = str(error)
    for name, one in known.items():
        if one.required and name not in given and name not in fixed:
            wrong[name] = "is needed"
    if wrong:
        raise Unfit("; ".join(f"{name}: {text}" for name, text in wrong.items())[:1_000], wrong)
    try:
        return kind(**values, **fixed)
    except Exception as error:  # a user's validators may raise anything
        raise Unfit(said(error), {}) from error


def _value(hint: Any, value: Any) -> Any:
    """Read JSON as a type. Nothing is coerced, but a whole number to one that need not be."""
    origin: Any = get_origin(hint)
    if hint is None or hint is Any or hint is object:
        return value
    if origin in {Union, types.UnionType}:
        return _one_of(get_args(hint), value)
    if origin is Literal:
        return _literal(get_args(hint), value)
    if _is_enum(hint):
        return _member(hint, value)
    kind: Any = origin or hint
    if any(kind is one for one in WORDS):
        return _plain(kind, get_args(hint), value)
    try:
        return _CONVERTER.structure(value, hint)
    except Exception as error:  # a user's class may raise anything while it is made
        raise _Wrong(_why(error)) from error


def _one_of(members: Sequence[Any], value: Any) -> Any:
    texts: list[str] = []
    for member in members:
        try:
            return _value(member, value)
        except _Wrong as error:
            texts.append(str(error))
    raise _Wrong(" or ".join(dict.fromkeys(texts)))


def _literal(members: Sequence[object], value: object) -> object:
    for member in members:
        if type(member) is type(value) and member == value:
            return member
    raise _Wrong("must be one of " + ", ".join(map(repr, members)))


def _member(kind: type[enum.Enum], value: object) -> enum.Enum:
    found = kind.__members__.get(value) if isinstance(value, str) else None
    if found is None:
        raise _Wrong("must be one of " + ", ".join(kind.__members__))
    return found


def _plain(kind: Any, members: Sequence[Any], value: Any) -> Any:
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        raise _Wrong(f"must be {WORDS[kind]}")
    if kind is float and value - value != 0:
        raise _Wrong("must be a finite number")
    if kind is list and members:
        return [_value(members[0], one) for one in cast("list[Any]", value)]
    if kind is dict and len(members) == 2:
        return {
            _value(members[0], key): _value(members[1], one)
            for key, one in cast("dict[str, Any]", value).items()
        }
    return value


def _why(error: Exception) -> str:
    if isinstance(error, cattrs.BaseValidationError):
        return "; ".join(cattrs.transform_error(error))[:500]
    return said(error)[:500]
