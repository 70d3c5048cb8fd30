"""Paths: `"users.0.name"` walks mappings by key, lists by index and objects by attribute.

A write looks before it touches anything: what is refused has changed nothing.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any, Final, Union, cast

from .misfit import misfit, places_in
from .state_class import changes_what_it_is_given, class_of, declared_fields

MOST_SEGMENTS: Final = 1000
INDEX: Final = re.compile(r"-?[0-9]{1,18}")


def look_up(state: object, path: str) -> Any:
    """Find the value at a path.

    Raises:
        LookupError: There is nothing.
        ValueError: It is no path.
    """
    place: Any = state
    for segment in _segments(path):
        place = _step_into(place, segment)
    return place


def nearest(state: object, path: str) -> str | None:
    """Find the path that may have been meant by one that leads nowhere, in one segment."""
    place: Any = state
    segments = _segments(path)
    for depth, segment in enumerate(segments):
        try:
            place = _step_into(place, segment)
        except LookupError:
            known = (
                cast("Mapping[object, object]", place)
                if isinstance(place, Mapping)
                else declared_fields(class_of(place)) or ()
            )
            names = [name for name in known if isinstance(name, str)]
            near = difflib.get_close_matches(segment, names, n=1)
            return ".".join([*segments[:depth], near[0], *segments[depth + 1 :]]) if near else None
    return None


def put(state: object, path: str, value: Any) -> None:
    """Put a value by one assignment, or change nothing.

    Raises:
        ValueError: It is no path, or leads to what does not take this value.
    """
    segments = _segments(path)
    last = len(segments) - 1
    place: Any = state
    takes: Any = Any
    for depth, segment in enumerate(segments[:-1]):
        places = places_in(place, takes, segment)
        try:
            place = _step_into(place, segment)
        except LookupError:
            last = depth
            break
        takes = Union[tuple(hint for _, hint in places)] if places else Any  # noqa: UP007 - of so many
    for segment in reversed(segments[last + 1 :]):
        value = {segment: value}
    at = ".".join(segments[: last + 1])
    _check(place, takes, segments[last], value, at)
    _assign(place, segments[last], value, path)


def _segments(path: str) -> list[str]:
    if not path:
        raise ValueError("Path cannot be empty")
    segments = path.split(".")
    if len(segments) > MOST_SEGMENTS:
        raise ValueError(f"Path length exceeds {MOST_SEGMENTS} segments")
    return segments


def _step_into(place: Any, segment: str) -> Any:
    """Go one segment down. Raises `LookupError` if there is nothing."""
    if isinstance(place, Mapping):
        if segment not in place:  # looking up what is missing changes a `defaultdict`
            raise LookupError(segment)
        return cast("Mapping[str, Any]", place)[segment]
    if isinstance(place, list | tuple):
        if not INDEX.fullmatch(segment):
            raise LookupError(segment)
        return cast("Sequence[Any]", place)[int(segment)]
    try:
        return getattr(place, segment)
    except AttributeError:
        raise LookupError(segment) from None


def _check(place: object, takes: Any, segment: str, value: object, at: str) -> None:
    """Refuse a value that does not fit, or a key of a mapping."""
    places = places_in(place, takes, segment)
    if not places or changes_what_it_is_given(class_of(place), segment):
        return
    wrong = None
    for key, hint in places:
        wrong = misfit(segment, key, at) or misfit(value, hint, at)
        if wrong is None:
            return
    if wrong is not None:
        raise ValueError(str(wrong))


def _assign(place: Any, segment: str, value: object, path: str) -> None:
    kind = class_of(place)
    refused: Exception | None = None
    try:
        if isinstance(place, MutableMapping):
            place[segment] = value
            return
        if isinstance(place, list):
            if INDEX.fullmatch(segment):
                place[int(segment)] = value
                return
        elif _has_place_for(place, segment):
            setattr(place, segment, value)
            return
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        refused = error
    near = difflib.get_close_matches(segment, declared_fields(kind) or (), 1)
    raise ValueError(
        f"Path {path!r} cannot be set: {kind.__name__} has no place for {segment!r}."
        + (f" Did you mean {near[0]!r}?" if near else "")
    ) from refused


def _has_place_for(place: Any, segment: str) -> bool:
    """Say whether an attribute may be set: a class that declares its fields has no others."""
    kind = class_of(place)
    fields = declared_fields(kind)
    return (
        fields is None
        or segment in fields
        or hasattr(getattr(kind, segment, None), "__set__")
        or segment in getattr(place, "__dict__", ())
        or getattr(kind, "model_config", {}).get("extra") == "allow"
    )
