"""How much a template may make. It is the author's program, but the data that it works on is not.

A text has at most 16 MiB. What would be longer is refused before it is made, where that can be told
from the operands: `'a' * 10**9` costs no memory. One rendering makes at most 256 MiB of text on its way,
and takes at most ten million turns of loops, calls and filters. So no template runs for ever.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from typing_extensions import TypeIs

from .failures import TooMuch

TEXT: Final = 16 * 1024 * 1024
"""Characters of one text."""
WORK: Final = 16 * TEXT
"""Characters of all texts that one rendering makes."""
TURNS: Final = 10_000_000
"""Loops, calls and filters of one rendering."""
ITEMS: Final = 1_000_000
"""Values of one list, and of a rendered value."""
BITS: Final = 1_000_000
"""Binary digits of one number."""


class _Spent(threading.local):
    """What the rendering that goes on in this thread has made: rendering never waits."""

    work: int = 0
    turns: int = 0


_spent: Final = _Spent()


def is_list(value: object) -> TypeIs[list[Any] | tuple[Any, ...]]:
    """Say whether a value is a list, or what a template makes of one."""
    return isinstance(value, list | tuple)


def is_mapping(value: object) -> TypeIs[Mapping[Any, Any]]:
    """Say whether a value is a mapping."""
    return isinstance(value, Mapping)


def begin() -> None:
    """Begin a rendering."""
    _spent.work = _spent.turns = 0


def turn() -> None:
    """Count a turn of a loop, or a call."""
    _spent.turns += 1
    if _spent.turns > TURNS:
        raise TooMuch(f"template takes more than {TURNS} turns")


def charge(size: int) -> None:
    """Count a text of this size, if it may be that large."""
    limit(size)
    _spent.work += size
    if _spent.work > WORK:
        raise TooMuch("template makes more than 256 MiB of text")


def limit(size: int) -> None:
    """Refuse a text of this size if it is too large."""
    if size > TEXT:
        raise TooMuch("template result is larger than 16 MiB")


def limit_items(count: int) -> None:
    """Refuse a list of so many values if it is too long."""
    if count > ITEMS:
        raise TooMuch(f"template makes a list of more than {ITEMS} values")


def made(value: Any) -> Any:
    """Count what an operation has made."""
    if isinstance(value, str | bytes):
        charge(len(value))
    elif is_list(value):
        limit_items(len(value))
        _spent.work += 8 * len(value)
    return value


def listed(values: Iterable[Any]) -> list[Any]:
    """Make a list of what may be a generator."""
    found: list[Any] = []
    for value in values:
        if len(found) >= ITEMS:
            limit_items(ITEMS + 1)
        found.append(value)
    return found


def size_of(value: object) -> int:
    """Estimate how long the text of a value will be.

    A value may hold another one many times, and its text has it as often: each is looked at once.
    """
    if isinstance(value, str | bytes):
        return len(value)
    if is_list(value) or is_mapping(value):
        return _size_of_nested(value, {})
    return 8


def _size_of_nested(value: Iterable[Any], known: dict[int, int]) -> int:
    size = 2
    if is_mapping(value):
        size += sum(len(key) + 4 if isinstance(key, str) else 8 for key in value)
        value = value.values()
    for one in value:
        if isinstance(one, str | bytes):
            size += len(one) + 4
        elif is_list(one) or is_mapping(one):
            key = id(one)
            if key not in known:
                known[key] = _size_of_nested(one, known)
            size += known[key]
        else:
            size += 8
    return size


def limit_text_of(value: object) -> None:
    """Refuse a value whose text would be too large."""
    limit(size_of(value))


# ------------------------------------------------------------------------------ operators


def limit_operation(operator: str, left: Any, right: Any) -> None:
    """Refuse `left operator right` if it makes too much."""
    match operator:
        case "*":
            _limit_product(left, right)
            _limit_product(right, left)
        case "**" if isinstance(left, int) and isinstance(right, int):
            if left.bit_length() > 1:
                _limit_bits(left.bit_length() * right)
        case "%" if isinstance(left, str | bytes):
            limit_format(left, right)
        case "+" if isinstance(left, str | bytes) and isinstance(right, str | bytes):
            limit(len(left) + len(right))
        case "+" if is_list(left) and is_list(right):
            limit_items(len(left) + len(right))
        case _:
            pass


def _limit_product(one: Any, times: Any) -> None:
    if not isinstance(times, int):
        return
    if isinstance(one, str | bytes):
        limit(len(one) * times)
    elif is_list(one):
        limit_items(len(one) * times)
    elif isinstance(one, int):
        _limit_bits(one.bit_length() + times.bit_length())


def _limit_bits(bits: int) -> None:
    if bits > BITS:
        raise TooMuch("template makes a number that is too large")


# A conversion of `%`: its key, width, precision and letter.
_CONVERSION: Final = re.compile(
    r"%(?:\(([^)]*)\))?[-+ #0]*(\*|\d+)?(?:\.(\*|\d+)?)?[hlL]?(.)", re.DOTALL
)


def limit_format(text: str | bytes, values: Any) -> None:
    """Refuse `text % values` if it makes too much."""
    if isinstance(text, bytes):
        text = text.decode("latin-1")
    mapping: Mapping[Any, Any] = values if is_mapping(values) else {}
    given: Sequence[Any] = [*values] if is_list(values) and isinstance(values, tuple) else [values]
    numbers = sum(abs(one) for one in given if isinstance(one, int) and "*" in text)
    size = len(text) + numbers
    positional = 0
    for match in _CONVERSION.finditer(text):
        key, width, precision, letter = match.groups()
        size += _number(width) + _number(precision)
        if letter == "%":
            continue
        if key is None:
            size += size_of(given[positional]) if positional < len(given) else 0
            positional += 1
        else:
            size += size_of(mapping.get(key))
        if size > TEXT:
            limit(size)
    limit(size)


def limit_specification(specification: str) -> None:
    """Refuse a format specification, `>10`, with a number that is too large."""
    for number in re.findall(r"\d+", specification):
        limit(_number(number))


def _number(digits: str | None) -> int:
    if not digits or digits == "*":
        return 0
    return int(digits) if len(digits) < 10 else TEXT + 1


# ------------------------------------------------------------------------------ methods


def _replaced(text: Any, old: Any, new: Any, *_: Any) -> int:
    return int(len(text) + text.count(old) * len(new))


def _translated(text: Any, table: Any, *_: Any) -> int:
    values: Iterable[Any] = table.values() if is_mapping(table) else ()
    return len(text) * max((len(one) for one in values if isinstance(one, str)), default=1)


def _expanded(text: Any, tabsize: Any = 8, *_: Any) -> int:
    return int(len(text) + text.count("\t" if isinstance(text, str) else b"\t") * tabsize)


def _padded(text: Any, width: Any, *_: Any) -> int:
    return int(max(len(text), width))


def _as_bytes(_: Any, length: Any = 1, *__: Any) -> int:
    return int(length)


#: How large a text each of these methods makes. Others make none that is much larger than theirs.
_OF_TEXTS: Final[Mapping[str, Callable[..., int]]] = {
    "center": _padded,
    "expandtabs": _expanded,
    "ljust": _padded,
    "replace": _replaced,
    "rjust": _padded,
    "translate": _translated,
    "zfill": _padded,
}
_OF_NUMBERS: Final[Mapping[str, Callable[..., int]]] = {"to_bytes": _as_bytes}


def limit_call(owner: object, name: str, arguments: list[Any], keywords: Mapping[str, Any]) -> None:
    """Refuse a method of a builtin type if it makes too much. It may make lists of its arguments."""
    if not isinstance(owner, str | bytes | int):
        return
    if name == "join" and arguments:
        arguments[0] = parts = listed(arguments[0])
        limit_joined(owner, parts)
        return
    size = (_OF_NUMBERS if isinstance(owner, int) else _OF_TEXTS).get(name)
    if size is None:
        return
    try:
        most = size(owner, *arguments, *keywords.values())
    except (TypeError, AttributeError, ValueError):
        return  # what is wrong with the arguments, the method itself says better
    limit(most)


def limit_joined(separator: Any, parts: Sequence[Any]) -> None:
    """Refuse to join these if it makes too much."""
    limit(size_of(separator) * max(0, len(parts) - 1) + sum(map(size_of, parts)))
