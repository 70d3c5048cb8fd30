"""What comes out of a template: a text, or data."""

from __future__ import annotations

import json
from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from typing import Any, Final

import jinja2

from plait._show import show

from . import caps
from .failures import NullInText, TemplateError, TooMuch

#: Blanks before a line of JSON, for each level.
_WIDEST: Final = 100


def to_json(value: object, **options: Any) -> str:
    """Write a value of a template as JSON, with the options of `json.dumps`."""
    caps.limit_text_of(value := to_data(value))
    indent = options.get("indent")
    if indent is None:
        return json.dumps(value, **options)
    if (indent if isinstance(indent, int) else len(indent)) > _WIDEST:
        raise TooMuch(f"tojson: the indent is more than {_WIDEST}")
    # With an indent it is written bit by bit, and each bit may be mostly blanks.
    text: list[str] = []
    size = 0
    for bit in json.JSONEncoder(**options).iterencode(value):
        size += len(bit)
        caps.limit(size)
        text.append(bit)
    return "".join(text)


def to_text(value: object) -> str:
    """Turn an object into the text that it is among text: null is no text, the rest is as in JSON.

    Raises:
        NullInText: It is null.
    """
    match value:
        case None:
            raise NullInText
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case int() | float() | jinja2.Undefined():
            return str(value)  # of an undefined one this raises what it has to say
        case _ if _is_data(value):
            return to_json(value)
        case _:
            return str(value)


def _is_data(value: object) -> bool:
    return isinstance(value, _DATA)


_SCALARS: Final = frozenset({str, bool, int, float})
_DATA: Final = (Mapping, list, tuple, range, Iterator, KeysView, ValuesView, ItemsView)


def result_of(value: Any) -> Any:
    """Make the result of a template of what its one expression gave.

    It is data, and if it is a text, one that is not too large.
    """
    data = to_data(value)
    if isinstance(data, str):
        caps.limit(len(data))
    return data


def to_data(value: Any) -> Any:
    """Make JSON-like data of what an expression gave: the very object, where it is that already.

    A `Markup` becomes plain text, a view a `dict`; a tuple, a range and what a filter yields a list.
    """
    if value is None or type(value) in _SCALARS:
        return value
    return _Plain().made_of(value)


class _Plain:
    """Makes plain data of one value. What a value has many times is looked at once."""

    def __init__(self) -> None:
        # By identity. The values are kept, so that no other object gets the same one.
        self._known: dict[int, tuple[Any, Any, int]] = {}
        self._count = 0

    def made_of(self, value: Any) -> Any:
        match value:
            case None | bool() | int() | float():
                return value
            case str():
                return value if type(value) is str else str.__str__(value)
            case jinja2.Undefined():
                str(value)  # raises what it has to say, unless undefined names give nothing
                return ""
            case _ if not _is_data(value):
                raise TemplateError(f"template gave {_kind(value)}, which is no data")
            case _:
                return self._nested(value)

    def _nested(self, value: Any) -> Any:
        before = self._count
        if (known := self._known.get(id(value))) is not None:
            self._add(known[2])
            return known[1]
        made = self._mapping(value) if caps.is_mapping(value) else self._list(value)
        self._known[id(value)] = (value, made, self._count - before)
        return made

    def _mapping(self, value: Mapping[Any, Any]) -> Any:
        self._add(len(value) + 1)
        made: dict[str, Any] = {}
        same = type(value) is dict
        for key, one in value.items():
            if not isinstance(key, str):
                raise TemplateError(
                    f"template gave a mapping with a key that is no text: {show(key, 60)}"
                )
            name, plain = str.__str__(key), self.made_of(one)
            same = same and plain is one and type(key) is str
            made[name] = plain
        return value if same else made

    def _list(self, value: Iterable[Any]) -> Any:
        made: list[Any] = []
        same = type(value) is list
        for one in value:
            self._add(1)
            plain = self.made_of(one)
            same = same and plain is one
            made.append(plain)
        return value if same else made

    def _add(self, count: int) -> None:
        self._count += count
        caps.limit_items(self._count)


def _kind(value: object) -> str:
    if callable(value):
        return f"the function {getattr(value, '__name__', type(value).__name__)!r}"
    return f"a {type(value).__name__}"
