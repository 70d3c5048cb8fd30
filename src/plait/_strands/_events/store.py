"""`ctx.store`: values that the steps of a run share, by dotted path.

It begins before its run and outlives it: a context that is used for a second run carries it on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from typing import Any, Final, Generic, TypeVar, cast

from plait._engine import native
from plait._naming import publish

S = TypeVar("S")

MOST_SEGMENTS: Final = 1000


class DictState(MutableMapping[str, Any]):
    """The state of a workflow that declares no class for it: a mapping with attributes."""

    def __init__(self, values: Mapping[str, Any] | None = None, /, **more: Any) -> None:
        self.__dict__.update(values or {}, **more)

    def __getitem__(self, key: str) -> Any:
        return self.__dict__[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.__dict__[key] = value

    def __delitem__(self, key: str) -> None:
        del self.__dict__[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.__dict__)

    def __len__(self) -> int:
        return len(self.__dict__)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"the state has no {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        self.__dict__[name] = value

    def __repr__(self) -> str:
        return f"DictState({self.__dict__!r})"


class StateStore(Generic[S]):
    """The values that the steps of a run share.

    A path walks mappings by key, lists by index and objects by attribute: `"users.0.name"`.

    Example:
        ```python
        await ctx.store.set("todo", 3)
        left = await ctx.store.get("todo", default=0)
        ```
    """

    def __init__(self, state: S) -> None:
        self._state = state

    async def get(self, path: str, default: Any = ...) -> Any:
        """Look a value up.

        A checkpoint.

        Args:
            path: Where the value is.
            default: Returned if there is nothing; without it that is an error.

        Raises:
            ValueError: There is nothing at this path, or it is no path.
        """
        await native.current().checkpoint()
        place: Any = self._state
        try:
            for segment in _segments(path):
                place = _step_into(place, segment)
        except LookupError:
            if default is not ...:
                return default
            raise ValueError(f"Path {path!r} not found in state") from None
        return place

    async def set(self, path: str, value: Any) -> None:
        """Put a value; mappings that are missing on the way are made.

        A checkpoint. Cancelled, it has changed nothing.

        Args:
            path: Where to put it.
            value: What to put there. It is kept as it is, not copied.

        Raises:
            ValueError: It is no path, or leads through something that has no parts.
        """
        await native.current().checkpoint()
        *way, last = _segments(path)
        place: Any = self._state
        for segment in way:
            try:
                place = _step_into(place, segment)
            except LookupError:
                fresh: dict[str, Any] = {}
                _put(place, segment, fresh, path)
                place = fresh
        _put(place, last, value, path)


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
        return cast("Mapping[str, Any]", place)[segment]
    if isinstance(place, list | tuple):
        try:
            index = int(segment)
        except ValueError:
            raise LookupError(segment) from None
        return cast("Sequence[Any]", place)[index]
    try:
        return getattr(place, segment)
    except AttributeError:
        raise LookupError(segment) from None


def _put(place: Any, segment: str, value: Any, path: str) -> None:
    try:
        if isinstance(place, MutableMapping):
            cast("MutableMapping[str, Any]", place)[segment] = value
        elif isinstance(place, list):
            cast("Any", place)[int(segment)] = value
        else:
            setattr(place, segment, value)
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        kind = cast("object", place).__class__.__name__
        raise ValueError(
            f"Path {path!r} cannot be set: {kind} has no place for {segment!r}"
        ) from error


publish("plait.events", StateStore, DictState)
