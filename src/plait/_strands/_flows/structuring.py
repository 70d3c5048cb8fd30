"""From the plain document to the classes of the grammar, with every wrong shape found in one pass.

cattrs walks the classes; what stands here says what each value must be, and turns the errors that
cattrs collects into problems with places. Null for an optional key means that it was not given.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, Final, TypeAlias, get_args

import attrs
import cattrs
from cattrs.errors import ForbiddenExtraKeysError
from cattrs.gen import AttributeOverride, make_dict_structure_fn, override

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
from .marks import Marked
from .problems import Path, Problems, did_you_mean, spell
from .shapes import expected

_Hook: TypeAlias = Callable[[Any, Any], Any]

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


NEGATIVE_WORKERS: Final = "max_workers must be greater than 0"


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
    if not isinstance(value, list | dict) and not _is_template(value):
        raise _expected("a list, a mapping or a template", value)
    return value


def _axis(value: object, _: object) -> object:
    if not isinstance(value, list) and not _is_template(value):
        raise _expected("a list or a template", value)
    return value


def _mapping(value: object, _: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise _expected("a mapping", value)
    return value  # pyright: ignore[reportUnknownVariableType] - keys are text: `yaml` has seen to it


def _list(value: object, _: object) -> list[object]:
    if not isinstance(value, list):
        raise _expected("a list", value)
    return value  # pyright: ignore[reportUnknownVariableType]


_TEXT: Final = _strict(str, "text")
_BOOL: Final = _strict(bool, "true or false")

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
def _converter(*, forgiving: bool) -> cattrs.Converter:
    """Make the converter; a forgiving one leaves out what the grammar does not know."""
    converter = cattrs.Converter(forbid_extra_keys=not forgiving, detailed_validation=True)
    converter.register_structure_hook(str, _TEXT)
    converter.register_structure_hook(bool, _BOOL)
    converter.register_structure_hook(int, _strict(int, "a whole number"))
    lists = _containers(converter, forgiving=forgiving)

    def make(cls: type) -> _Hook:
        return _class_hook(cls, converter, lists)

    converter.register_structure_hook_factory(attrs.has, make)
    return converter


def _containers(
    converter: cattrs.Converter, *, forgiving: bool
) -> Mapping[type, Mapping[str, _Hook]]:
    """Make the hooks of fields that hold lists, mappings and alternatives."""

    def steps(value: object, _: object) -> object:
        if not isinstance(value, list):
            raise _expected("a list", value)
        if not forgiving:
            return converter.structure(value, list[Step])
        # What has no name leaves a gap: the others keep their numbers, and so their places.
        return [converter.structure(one, Step) if one.get("name") else None for one in value]

    def many(kind: Any, what: str = "a list") -> _Hook:
        def hook(value: object, _: object) -> object:
            if not isinstance(value, list):
                raise _expected(what, value)
            return converter.structure(value, kind)

        return hook

    def named(kind: Any) -> _Hook:
        def hook(value: object, _: object) -> object:
            if not isinstance(value, dict):
                raise _expected("a mapping", value)
            given = {key: one for key, one in value.items() if one is not None}
            return converter.structure(given, kind)

        return hook

    def short(kind: type, key: str, what: str, *types: type) -> _Hook:
        """Let a value of one of these types stand for a mapping that has only this key."""

        def hook(value: object, _: object) -> object:
            given = {key: value} if type(value) in types else value
            if not isinstance(given, dict):
                raise _expected(what, value)
            return converter.structure(given, kind)

        return hook

    def names(value: object, _: object) -> object:
        if isinstance(value, str):
            return [value]
        if not isinstance(value, list):
            raise _expected("a list of names, or a name", value)
        return converter.structure(value, list[str])

    def source(value: object, _: object) -> object:
        if isinstance(value, str):
            return value
        if not isinstance(value, dict):
            raise _expected("a name or a mapping", value)
        kind: type = SourceRef if "base" in value else SourceDef
        return converter.structure(value, kind)

    def conditions(value: object, _: object) -> object:
        if not isinstance(value, list):
            raise _expected("a list", value)
        return tuple(converter.structure(value, list[Condition]))

    converter.register_structure_hook(Condition, _condition)
    converter.register_structure_hook(Axis, _axis)
    converter.register_structure_hook(Combination, _mapping)
    mappings = many(list[Combination])
    return {
        Document: {
            "params": named(dict[str, Param]),
            "secrets": named(dict[str, Secret]),
            "sources": named(dict[str, SourceDef]),
            "flow": steps,
        },
        Matrix: {"axes": named(dict[str, Axis]), "include": mappings, "exclude": mappings},
        Retry: {"on": conditions},
        Runner: {"allow_hosts": many(list[str], "a list of host names")},
        Step: {
            "source": source,
            "output": many(list[Out]),
            "depends_on": names,
            "foreach": short(Foreach, "items", "a list, a template or a mapping", str, list),
            "retry": short(Retry, "attempts", "a number of attempts or a mapping", int),
        },
    }


class Condition:
    """Stands for a condition of a retry, as a type that has a hook of its own."""


class Axis:
    """The same for an axis of a matrix."""


class Combination:
    """The same for a combination that a matrix includes or excludes."""


def _class_hook(
    cls: type, converter: cattrs.Converter, containers: Mapping[type, Mapping[str, _Hook]]
) -> _Hook:
    hooks = {**_FIELDS.get(cls, {}), **containers.get(cls, {})}
    overrides: dict[str, AttributeOverride] = {"path": override(omit=True)}
    for field in attrs.fields(cls):
        if field.name != "path":
            key = field.metadata.get("key", field.name)
            overrides[field.name] = override(rename=key, struct_hook=hooks.get(field.name))
    inner: _Hook = make_dict_structure_fn(cls, converter, **overrides)  # type: ignore[arg-type]

    def hook(value: object, kind: object) -> object:
        if cls is Param and isinstance(value, str):
            value = {"type": value}
        if not isinstance(value, dict):
            raise _expected("a type or a mapping" if cls is Param else "a mapping", value)
        given = {key: one for key, one in value.items() if one is not None}
        if cls is Document:
            given = {key: one for key, one in given.items() if not key.startswith("x-")}
        elif given.get("name") == "":
            del given["name"]
        return inner(given, kind)

    return hook


# -- the document


def structure(marked: Marked, problems: Problems, *, compat: bool = False) -> Document | None:
    """Make the document of what was read.

    Args:
        marked: What was read.
        problems: Takes every value that is not what the grammar says, and every key it does not know.
        compat: Whether unknown keys and steps without a name are only warned of, and left out.

    Returns:
        `None` if there is a problem.
    """
    try:
        document = _converter(forgiving=False).structure(marked.value, Document)
    except cattrs.BaseValidationError as error:
        found = [*_problems(error, (), marked)]
    else:
        _locate(document, ())
        return document
    tolerated = [one for one in found if compat and one.tolerable]
    for one in found:
        note = problems.warn if one in tolerated else problems.add
        place = marked.key_place(one.path) if one.is_key else marked.place(one.path)
        note(one.code, one.message, place)
    if len(tolerated) < len(found):
        return None
    document = _converter(forgiving=True).structure(marked.value, Document)
    _locate(document, ())
    document.flow[:] = [step for step in document.flow if step is not None]
    return document


@attrs.frozen(eq=False)
class _Found:
    """A problem whose place is still a path; a tolerable one keeps nothing from running with flowtoy."""

    code: str
    message: str
    path: Path
    is_key: bool = False
    tolerable: bool = False


def _problems(error: BaseException, path: Path, marked: Marked) -> Iterator[_Found]:
    """Read what cattrs has collected: its groups are as deep as the grammar, not as the document."""
    if isinstance(error, cattrs.BaseValidationError):
        for one in error.exceptions:
            yield from _problems(one, (*path, *_part(one)), marked)
    elif isinstance(error, Wrong):
        yield _Found(error.code, error.say(path), path)
    elif isinstance(error, ForbiddenExtraKeysError):
        known = [_KEYS.get(f.name, f.name) for f in attrs.fields(error.cl) if f.name != "path"]
        for key in error.extra_fields:
            message = f"unknown key {key[:60]!r} {_inside(path, marked)}{did_you_mean(key, known)}"
            yield _Found("unknown-key", message, (*path, key), is_key=True, tolerable=True)
    elif isinstance(error, KeyError):
        yield _missing(path[:-1], str(path[-1]), marked)
    else:
        raise error


def _part(error: BaseException) -> Path:
    """Say which attribute or item an error is of: cattrs leaves a note."""
    for note in getattr(error, "__notes__", ()):
        if isinstance(note, cattrs.AttributeValidationNote):
            return (_KEYS.get(note.name, note.name),)
        if isinstance(note, cattrs.IterableValidationNote):
            return (note.index,)
    return ()


def _missing(path: Path, key: str, marked: Marked) -> _Found:
    match path, key:
        case ("flow", int()), "name":
            return _Found("name", "step needs a name", path, tolerable=True)
        case ("flow", int()), "source":
            return _Found("source", f"{_step(path, marked)} needs a source", path)
        case ("flow", int(), "source"), "type":
            return _Found("source", f"{_step(path[:2], marked)}: its source needs a type", path)
        case ("sources", str(name)), "type":
            return _Found("source", f"source {name[:60]!r} needs a type", path)
        case _:
            return _Found("shape", f"{spell(path)}: {key} is missing", path)


def _inside(path: Path, marked: Marked) -> str:
    match path:
        case ():
            return "at the top level"
        case ("flow", int()):
            return f"in {_step(path, marked)}"
        case ("flow", int(), "output", int()):
            output = marked.at((*path, "name"))
            named = output is not None and isinstance(output.value, str)
            what = f"output {output.value[:60]!r}" if named else spell(path[2:])
            return f"in {what} of {_step(path[:2], marked)}"
        case ("flow", int(), *rest):
            return f"in {spell(tuple(rest))} of {_step(path[:2], marked)}"
        case ("params" | "secrets" | "sources", str(name)):
            return f"in {path[0][:-1]} {name[:60]!r}"
        case _:
            return f"in {spell(path)}"


def _step(path: Path, marked: Marked) -> str:
    node = marked.at((*path, "name"))
    named = node is not None and isinstance(node.value, str) and node.value
    return f"step {node.value[:60]!r}" if named else spell(path)


_KINDS: Final = frozenset(
    {
        *(Concurrency, Document, Foreach, Matrix, Out, Override, Param, Retry, Runner, Secret),
        *(SourceDef, SourceRef, Step),
    }
)

#: The key of a field whose name is another one, for Python's sake.
_KEYS: Final = {
    field.name: field.metadata["key"]
    for cls in (Out, Foreach)
    for field in attrs.fields(cls)
    if "key" in field.metadata
}

#: Which fields hold instances: where to go down.
_NESTED: Final[Mapping[type, tuple[str, ...]]] = {
    Document: ("params", "secrets", "sources", "flow", "runner"),
    Step: ("source", "output", "foreach", "matrix", "retry", "concurrency"),
    SourceRef: ("override",),
}


def _locate(part: Any, path: Path) -> None:
    """Tell each instance where it stands: nobody has seen it yet, and a copy would cost as much again."""
    if isinstance(part, list):
        for number, one in enumerate(part):
            _locate(one, (*path, number))
    elif isinstance(part, dict):
        for key, one in part.items():
            _locate(one, (*path, key))
    elif type(part) in _KINDS:
        object.__setattr__(part, "path", path)
        for field in _NESTED.get(type(part), ()):
            _locate(getattr(part, field), (*path, field))
