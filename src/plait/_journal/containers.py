"""Writers and readers of the containers of the standard library.

Rule: each is written of a copy of what it holds, made in one go: another thread may be at work on it.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from json import JSONEncoder
from typing import Any, Final, TypeAlias

from plait._show import show

from .arguments import is_int, is_list
from .leaves import has_surrogates
from .objects import ATOMS, DEEPEST, Read, ReadParts, Write, too_deep
from .refused import Refused

Pairs: TypeAlias = list[list[object]]

_to_text: Final = JSONEncoder(sort_keys=True).encode


# ---------------------------------------------------------------- written


def container_writers(writers: Mapping[type, Write]) -> dict[type, Write]:
    """Make a writer for each class of containers."""

    def write_items(items: Iterable[Any], depth: int) -> list[object]:
        if depth >= DEEPEST:
            raise too_deep()
        depth += 1
        out: list[object] = []
        try:
            for part in items:
                if type(part) is str and part.isascii():
                    out.append(part)
                else:
                    out.append(writers[type(part)](part, depth))
        except Refused as refused:
            refused.at(len(out))
            raise
        return out

    def write_pairs(pairs: Iterable[tuple[Any, Any]], depth: int) -> Pairs:
        if depth >= DEEPEST:
            raise too_deep()
        depth += 1
        out: Pairs = []
        key: object = None
        try:
            for key, part in pairs:
                out.append([writers[type(key)](key, depth), writers[type(part)](part, depth)])
        except Refused as refused:
            refused.inside(key)
            raise
        return out

    def write_dict(value: dict[Any, Any], depth: int) -> object:
        if depth >= DEEPEST:
            raise too_deep()
        items = [*value.items()]
        last = ""
        for key, _ in items:
            if type(key) is not str or key < last or not (key.isascii() or not has_surrogates(key)):
                return {"$": ["dict", write_pairs(items, depth)]}
            last = key
        if "$" in value:
            return {"$": ["dict", write_pairs(items, depth)]}
        depth += 1
        out: dict[str, object] = {}
        key = ""
        try:
            for key, part in items:
                if type(part) is str and part.isascii():
                    out[key] = part
                else:
                    out[key] = writers[type(part)](part, depth)
        except Refused as refused:
            refused.inside(key)
            raise
        return out

    def write_set(value: Iterable[Any], depth: int) -> list[object]:
        return sorted(write_items([*value], depth), key=_to_text)

    return {
        list: write_items,
        dict: write_dict,
        tuple: lambda value, depth: {"$": ["tuple", write_items(value, depth)]},
        set: lambda value, depth: {"$": ["set", write_set(value, depth)]},
        frozenset: lambda value, depth: {"$": ["frozenset", write_set(value, depth)]},
        deque: lambda v, depth: {"$": ["deque", write_items([*v], depth), v.maxlen]},
        OrderedDict: lambda v, depth: {"$": ["ordered-dict", write_pairs([*v.items()], depth)]},
        Counter: lambda v, depth: {"$": ["counter", write_pairs([*v.items()], depth)]},
        defaultdict: lambda v, depth: {
            "$": [
                "default-dict",
                write_pairs([*v.items()], depth),
                writers[type(v.default_factory)](v.default_factory, depth + 1),
            ]
        },
        complex: lambda v, depth: {"$": ["complex", write_items([v.real, v.imag], depth)]},
    }


# ---------------------------------------------------------------- read


def read_items(data: object, depth: int, read: Read) -> list[Any]:
    """Read a list."""
    if depth >= DEEPEST:
        raise too_deep()
    depth += 1
    out: list[Any] = []
    try:
        for part in is_list(data):
            out.append(part if type(part) in ATOMS else read(part, depth))  # noqa: PERF401 - its length
    except Refused as refused:
        refused.at(len(out))
        raise
    return out


def read_mapping(data: dict[Any, Any], depth: int, read: Read) -> dict[str, Any]:
    """Read an object of JSON that has no tag."""
    if depth >= DEEPEST:
        raise too_deep()
    depth += 1
    out: dict[str, Any] = {}
    key: object = ""
    try:
        for key, part in data.items():
            if type(key) is not str:
                raise Refused("not JSON: a key that is no text")  # noqa: TRY301 - as below
            out[key] = part if type(part) in ATOMS else read(part, depth)
    except Refused as refused:
        refused.inside(key)
        raise
    return out


def container_readers(read: Read) -> dict[str, ReadParts]:
    """Make a reader for each tag. It is given what follows the tag."""

    def pairs_of(data: object, depth: int) -> dict[Any, Any]:
        if depth >= DEEPEST:
            raise too_deep()
        found: dict[Any, Any] = {}
        for n, pair in enumerate(is_list(data)):
            try:
                key, part = is_list(pair)
                key = read(key, depth + 1)
                found[key] = read(part, depth + 1)
                if len(found) == n:
                    raise Refused("a key that was there already")  # noqa: TRY301 - to learn its place, as the others do
            except Refused as refused:
                refused.at(n)
                raise
            except Exception as error:  # a pair of three; a key that has no hash
                raise Refused(f"no pair of a key and a value: {error}").at(n) from error
        return found

    def set_of(data: object, depth: int) -> set[Any]:
        items = read_items(data, depth, read)
        try:
            found = set(items)
        except Exception as error:  # one has no hash
            raise Refused(f"no item of a set: {error}") from error
        if len(found) != len(items):
            raise Refused("an item that was there already")
        return found

    def read_deque(data: object, most: object, depth: int) -> deque[Any]:
        found = deque(read_items(data, depth, read))
        if most is None:
            return found
        if is_int(most) < len(found):
            raise Refused("more items than a deque may have")
        return deque(found, is_int(most))

    def read_default_dict(data: object, factory: object, depth: int) -> defaultdict[Any, Any]:
        maker: Any = read(factory, depth + 1)
        if maker is not None and not isinstance(maker, type):
            raise Refused(f"not a class: {show(maker, 80)}")
        return defaultdict(maker, pairs_of(data, depth))

    def read_complex(data: object, depth: int) -> complex:
        real, imag = read_items(data, depth, read)
        if type(real) is not float or type(imag) is not float:
            raise Refused("not two numbers")
        return complex(real, imag)

    one: dict[str, Callable[[object, int], Any]] = {
        "dict": pairs_of,
        "tuple": lambda data, depth: tuple(read_items(data, depth, read)),
        "set": set_of,
        "frozenset": lambda data, depth: frozenset(set_of(data, depth)),
        "ordered-dict": lambda data, depth: OrderedDict(pairs_of(data, depth)),
        "counter": lambda data, depth: Counter(pairs_of(data, depth)),
        "complex": read_complex,
    }
    two: dict[str, Callable[[object, object, int], Any]] = {
        "deque": read_deque,
        "default-dict": read_default_dict,
    }
    return {
        **{tag: _taking_one(fn) for tag, fn in one.items()},
        **{tag: _taking_two(fn) for tag, fn in two.items()},
    }


def _taking_one(fn: Callable[[object, int], Any]) -> ReadParts:
    def read(parts: list[Any], depth: int) -> Any:
        (data,) = parts
        return fn(data, depth)

    return read


def _taking_two(fn: Callable[[object, object, int], Any]) -> ReadParts:
    def read(parts: list[Any], depth: int) -> Any:
        first, second = parts
        return fn(first, second, depth)

    return read
