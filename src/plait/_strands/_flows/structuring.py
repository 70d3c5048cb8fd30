"""From the plain document to the classes of the grammar, with every wrong shape found in one pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, cast

import attrs
import cattrs
from cattrs.errors import ForbiddenExtraKeysError

from .converter import Wrong, converter
from .grammar import (
    Concurrency,
    Document,
    Foreach,
    Matrix,
    Out,
    Override,
    Param,
    Retry,
    Runner,
    Secret,
    SourceDef,
    SourceRef,
    Step,
)
from .marks import Marked
from .problems import Path, Problems, did_you_mean, spell


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
        document = converter(forgiving=False).structure(marked.value, Document)
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
    document = converter(forgiving=True).structure(marked.value, Document)
    _locate(document, ())
    document.flow[:] = filter(None, document.flow)
    return document


#: What other programs call a list of steps.
_OF_OTHERS: Final[Mapping[str, str]] = dict.fromkeys(
    ("jobs", "steps", "tasks"), "; did you mean 'flow'?"
)
#: Keys that are written in a step and belong elsewhere.
_ELSEWHERE: Final[Mapping[str, str]] = {
    **dict.fromkeys(("command", "headers", "method", "url"), "; write it below 'input'"),
    "needs": "; did you mean 'depends_on'?",
    "vars": "; write it below 'configuration' of the source",
}


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
            cure = _belongs(path, key) or did_you_mean(key, known)
            message = f"unknown key {key[:60]!r} {_inside(path, marked)}{cure}"
            yield _Found("unknown-key", message, (*path, key), is_key=True, tolerable=True)
    elif isinstance(error, KeyError):
        yield _missing(path[:-1], str(path[-1]), marked)
    else:
        raise error


def _belongs(path: Path, key: str) -> str:
    """Say where a key belongs that is right in another place, or is another program's word."""
    match path:
        case ():
            return _OF_OTHERS.get(key, "")
        case ("flow", int()):
            return _ELSEWHERE.get(key, "")
        case _:
            return ""


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
            name = _name(path, marked)
            what = f"output {name!r}" if name else spell(path[2:])
            return f"in {what} of {_step(path[:2], marked)}"
        case ("flow", int(), *rest):
            return f"in {spell((*rest,))} of {_step(path[:2], marked)}"
        case ("params" | "secrets" | "sources" as kind, str(name)):
            return f"in {kind.removesuffix('s')} {name[:60]!r}"
        case _:
            return f"in {spell(path)}"


def _step(path: Path, marked: Marked) -> str:
    name = _name(path, marked)
    return f"step {name!r}" if name else spell(path)


def _name(path: Path, marked: Marked) -> str:
    """Look for the name of a step or output; `""` if it has none."""
    node = marked.at((*path, "name"))
    return node.value[:60] if node is not None and isinstance(node.value, str) else ""


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


def _locate(part: object, path: Path) -> None:
    """Tell each instance where it stands: nobody has seen it yet, and a copy would cost as much again."""
    if isinstance(part, list):
        for number, one in enumerate(cast("list[object]", part)):
            _locate(one, (*path, number))
    elif isinstance(part, dict):
        for key, one in cast("dict[str, object]", part).items():
            _locate(one, (*path, key))
    elif (kind := type(part)) in _KINDS:
        object.__setattr__(part, "path", path)
        for field in _NESTED.get(kind, ()):
            _locate(getattr(part, field), (*path, field))
