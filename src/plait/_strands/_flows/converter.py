"""What each value of a flow file must be: cattrs with hooks that are strict, and say what they expected.

cattrs walks the classes of the grammar and collects what the hooks raise. Null for an optional key means
that it was not given.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final, TypeAlias, cast, get_args

import attrs
import cattrs
from cattrs.gen import make_dict_structure_fn, override

from . import durations
from .grammar import (
    Concurrency,
    Document,
    Foreach,
    Matrix,
    Merge,
    Out,
    OutputFrom,
    Override,
    Param,
    ParamType,
    Policy,
    Retry,
    Runner,
    Secret,
    SourceDef,
    SourceRef,
    Step,
)
from .problems import Path, spell
from .shapes import expected, is_list, is_mapping

_Hook: TypeAlias = Callable[[Any, Any], Any]

NEGATIVE_WORKERS: Final = "max_workers must be greater than 0"


#: Names that `foreach` may not give to its items.
RESERVED: Final = frozenset(
    {"env", "flows", "index", "matrix", "params", "run", "secrets", "sources"}
)
CONDITIONS: Final = ("4xx", "5xx", "timeout", "connect", "exit", "signal", "source", "any")

_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_EXIT: Final = re.compile(r"exit:-?[0-9]{1,4}")
_STATUS: Final = re.compile(r"[1-5][0-9]{2}")
_MOST_ATTEMPTS: Final = 100


class Wrong(ValueError):  # noqa: N818 - says what the value is
    """A value is not what the grammar says.

    Attributes:
        code: The kind of problem.
        say: Makes the message for a path.
    """

    def __init__(self, say: Callable[[Path], str], code: str = "shape") -> None:
        super().__init__()
        self.say = say
        self.code = code


def _expected(what: str, value: object) -> Wrong:
    return Wrong(lambda path: expected(path, what, value))


# -- values


def _strict(kind: type, what: str) -> _Hook:
    """Take only this very type: `true` is no int, and text is no number."""

    def hook(value: object, _: object) -> object:
        if type(value) is not kind:
            raise _expected(what, value)
        return value

    return hook


def _anything(value: object, _: object) -> object:
    return value


def _words(words: tuple[str, ...], what: str | None = None) -> _Hook:
    said = what or f"{', '.join(words[:-1])} or {words[-1]}"

    def hook(value: object, _: object) -> object:
        if value not in words:
            raise _expected(said, value)
        return value

    return hook


def _name(value: object, _: object) -> str:
    if not isinstance(value, str) or not value:
        raise _expected("text", value)
    if _CONTROL.search(value):
        raise _expected("text without control characters", value)
    return value


def _item_name(value: object, _: object) -> str:
    if not isinstance(value, str) or not value.isidentifier() or not value.isascii():
        raise _expected("a name such as user", value)
    if value in RESERVED:
        raise Wrong(lambda path: f"{spell(path)}: {value!r} already means something in templates")
    return value


def _policy(value: object, _: object) -> str:
    word = value.lower() if isinstance(value, str) else value
    if word not in get_args(Policy):
        raise Wrong(
            lambda _: f"unknown on_error {_show(value)}; use fail, skip or continue", "policy"
        )
    return str(word)


def _duration(*, least: float = 0.0) -> _Hook:
    def hook(value: object, _: object) -> float:
        seconds = durations.duration(value)
        if seconds is None:
            raise _expected(durations.DURATION, value)
        if not seconds and least:
            raise _expected("more than 0 seconds", value)
        return seconds

    return hook


def _number(low: float, high: float, what: str) -> _Hook:
    def hook(value: object, _: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _expected(what, value)
        if not low <= value <= high:
            raise _expected(what, value)
        return float(value)

    return hook


def _count(what: str, *, least: int = 1, most: int | None = None) -> _Hook:
    def hook(value: object, _: object) -> int:
        if type(value) is not int or value < least or (most is not None and value > most):
            raise _expected(what, value)
        return value

    return hook


def _workers(value: object, _: object) -> int:
    if type(value) is not int:
        raise _expected("a number of workers", value)
    if value < 0:
        raise Wrong(lambda _: NEGATIVE_WORKERS, "runner")
    return value


def _condition(value: object, _: object) -> str | int:
    if type(value) is int and 100 <= value <= 599:
        return value
    if isinstance(value, str):
        if value in CONDITIONS or _EXIT.fullmatch(value):
            return value
        if _STATUS.fullmatch(value):
            return int(value)
    known = ", ".join(["a status", *CONDITIONS[:5], "exit:N", *CONDITIONS[5:-1]])
    raise Wrong(lambda _: f"unknown retry condition {_show(value)}; use {known} or any", "retry")


def _show(value: object) -> str:
    text = repr(value) if isinstance(value, str | int | float) else "of another type"
    return text if len(text) <= 80 else f"{text[:80]}..."


def _when(value: object, _: object) -> bool | str:
    if not isinstance(value, bool | str):
        raise _expected("true, false or an expression", value)
    return value


def _is_template(value: object) -> bool:
    return isinstance(value, str) and "{{" in value


def _items(value: object, _: object) -> object:
    if not (is_list(value) or is_mapping(value) or _is_template(value)):
        raise _expected("a list, a mapping or a template", value)
    return value


def _axis(value: object, _: object) -> object:
    if not (is_list(value) or _is_template(value)):
        raise _expected("a list or a template", value)
    return value


def _mapping(value: object, _: object = None, what: str = "a mapping") -> dict[str, object]:
    if not is_mapping(value):
        raise _expected(what, value)
    return value


def _list(value: object, _: object = None, what: str = "a list") -> list[object]:
    if not is_list(value):
        raise _expected(what, value)
    return value


def _given(value: Mapping[str, object]) -> dict[str, object]:
    """Leave out what is null: it was not given."""
    return {key: one for key, one in value.items() if one is not None}


#: What the types of the fields do not say.
_FIELDS: Final[Mapping[type, Mapping[str, _Hook]]] = {
    Param: {
        "type": _words(get_args(ParamType)),
        "default": _anything,
        "choices": _list,
    },
    SourceDef: {"configuration": _mapping},
    Override: {"configuration": _mapping},
    SourceRef: {"merge": _words(get_args(Merge))},
    Out: {
        "name": _name,
        "from_": _words(get_args(OutputFrom)),
        "default": _anything,
    },
    Foreach: {
        "items": _items,
        "as_": _item_name,
        "max_parallel": _count("a number from 1 up"),
    },
    Matrix: {"max_parallel": _count("a number from 1 up")},
    Retry: {
        "attempts": _count(f"a number from 1 to {_MOST_ATTEMPTS}", most=_MOST_ATTEMPTS),
        "delay": _duration(),
        "factor": _number(0.0, 1e6, "a number from 0 to 1000000"),
        "max_delay": _duration(),
        "jitter": _number(0.0, 1.0, "a number from 0 to 1"),
    },
    Concurrency: {"group": _name, "limit": _count("a number from 1 up")},
    Runner: {
        "on_error": _policy,
        "max_workers": _workers,
        "timeout": _duration(least=1.0),
    },
    Step: {
        "name": _name,
        "input": _anything,
        "on_error": _policy,
        "when": _when,
        "timeout": _duration(least=1.0),
    },
}


# -- the converter


@cache
def converter(*, forgiving: bool) -> cattrs.Converter:
    """Make the converter; a forgiving one leaves out what the grammar does not know."""
    made = cattrs.Converter(forbid_extra_keys=not forgiving, detailed_validation=True)
    for kind, hook in (
        (str, _strict(str, "text")),
        (bool, _strict(bool, "true or false")),
        (int, _strict(int, "a whole number")),
        (Condition, _condition),
        (Axis, _axis),
        (Combination, _mapping),
    ):
        made.register_structure_hook(kind, hook)
    containers = _containers(made, forgiving=forgiving)

    def make(cls: type) -> _Hook:
        return _class_hook(cls, made, {**_FIELDS.get(cls, {}), **containers.get(cls, {})})

    made.register_structure_hook_factory(attrs.has, make)
    return made


class Condition:
    """Stands for a condition of a retry, as a type that has a hook of its own."""


class Axis:
    """The same for an axis of a matrix."""


class Combination:
    """The same for a combination that a matrix includes or excludes."""


def _containers(made: cattrs.Converter, *, forgiving: bool) -> Mapping[type, Mapping[str, _Hook]]:
    """Make the hooks of fields that hold lists, mappings and alternatives."""

    def steps(value: object, _: object) -> object:
        if not forgiving:
            return made.structure(_list(value), list[Step])
        # What has no name leaves a gap: the others keep their numbers, and so their places.
        return [
            made.structure(one, Step) if _mapping(one).get("name") else None for one in _list(value)
        ]

    def many(kind: Any, what: str = "a list") -> _Hook:
        def hook(value: object, _: object) -> object:
            return made.structure(_list(value, what=what), kind)

        return hook

    def named(kind: Any) -> _Hook:
        def hook(value: object, _: object) -> object:
            return made.structure(_given(_mapping(value)), kind)

        return hook

    def short(kind: Any, key: str, what: str, *types: type) -> _Hook:
        """Let a value of one of these types stand for a mapping that has only this key."""

        def hook(value: object, _: object) -> object:
            given = {key: value} if type(value) in types else _mapping(value, what=what)
            return made.structure(given, kind)

        return hook

    def names(value: object, _: object) -> object:
        if isinstance(value, str):
            return [value]
        return made.structure(_list(value, what="a list of names, or a name"), list[str])

    def source(value: object, _: object) -> object:
        if isinstance(value, str):
            return value
        given = _mapping(value, what="a name or a mapping")
        kind = SourceRef if "base" in given else SourceDef
        return made.structure(given, kind)

    def conditions(value: object, _: object) -> object:
        return (*made.structure(_list(value), list[Condition]),)

    combinations = many(list[Combination])
    items = "a list, a template or a mapping"
    attempts = "a number of attempts or a mapping"
    return {
        Document: {
            "params": named(dict[str, Param]),
            "secrets": named(dict[str, Secret]),
            "sources": named(dict[str, SourceDef]),
            "flow": steps,
        },
        Matrix: {
            "axes": named(dict[str, Axis]),
            "include": combinations,
            "exclude": combinations,
        },
        Retry: {"on": conditions},
        Runner: {"allow_hosts": many(list[str], "a list of host names")},
        Step: {
            "source": source,
            "output": many(list[Out]),
            "depends_on": names,
            "foreach": short(Foreach, "items", items, str, list),
            "retry": short(Retry, "attempts", attempts, int),
        },
    }


def _class_hook(cls: type, made: cattrs.Converter, hooks: Mapping[str, _Hook]) -> _Hook:
    overrides: dict[str, Any] = {"path": override(omit=True)}
    for field in attrs.fields(cls):
        if field.name != "path":
            key = field.metadata.get("key", field.name)
            overrides[field.name] = override(rename=key, struct_hook=hooks.get(field.name))
    inner = cast("_Hook", make_dict_structure_fn(cls, made, **overrides))
    what = "a type or a mapping" if cls is Param else "a mapping"

    def hook(value: object, kind: object) -> object:
        short = cls is Param and isinstance(value, str)
        given = _given({"type": value} if short else _mapping(value, what=what))
        if cls is Document:
            given = {key: one for key, one in given.items() if not key.startswith("x-")}
        elif given.get("name") == "":
            del given["name"]
        return inner(given, kind)

    return hook
