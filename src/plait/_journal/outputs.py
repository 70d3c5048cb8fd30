"""Users' values: written for a journal, and read again with the type that the running code declares.

Rule 1: the body gets what recovery would give it: a value is written when its handler ends, and read
    again for the live body. Changing a list changes no memo.
Rule 2: with a type, everything that plait's journals know: classes that the type mentions, and what
    Python has. Without one, JSON alone; a tuple becomes a list.
Rule 3: what is written says of itself what it is. So an annotation may be added or made narrower while
    a run sleeps: what it has recorded is read all the same.
"""

from __future__ import annotations

import functools
import math
from typing import Any, Final, cast

from plait._annotations import NOT_GIVEN
from plait._errors import ContextSerdeError

from .canonical import to_bytes
from .closed_set import short_name
from .known_classes import known_classes
from .leaves import LARGEST, SMALLEST
from .objects import Write
from .refused import Refused
from .values import Values

#: The largest value, in bytes of JSON.
MAX_VALUE: Final = 16 * 2**20

#: How many bytes of JSON a character takes at most, written as an escape; and what is around a text.
WIDEST: Final = 6
FRAME: Final = len('{"$":["str",""]}')

ANNOTATE: Final = "Annotate what is returned, as in `-> {}`, or pass output_type={}."
ANNOTATE_DATA: Final = "Annotate the function that takes it, as in `ctx: Context[{}]`."


class OutputRefused(Exception):  # noqa: N818 - a signal, which ends as a StepOutputError
    """A value cannot be recorded. Its text says why, and what to annotate."""


class Output:
    """Writes and reads what a call returns, or what a function takes.

    Args:
        hint: The type of the value, as an annotation has it; `NOT_GIVEN` for JSON alone.
        max_value: The largest value, in bytes of JSON.

    Example:
        >>> Output(tuple[int, ...]).settle((1, 2))
        ({'$': ['tuple', [1, 2]]}, (1, 2))
        >>> Output().settle((1, 2))
        ([1, 2], [1, 2])
    """

    def __init__(self, hint: object = NOT_GIVEN, *, max_value: int = MAX_VALUE) -> None:
        self.hint: object = hint
        self._max = max_value
        self._values = _JsonAlone() if hint is NOT_GIVEN else _of_types(hint)

    @classmethod
    def of_events(cls, *hints: object, max_value: int = MAX_VALUE) -> Output:
        """Make one for the data of events: it knows every typed event, and what these types mention.

        Args:
            hints: Types of data beside typed events.
            max_value: As for the class.
        """
        output = cls(max_value=max_value)
        output.hint = hints
        output._values = _of_types(*hints, advice=ANNOTATE_DATA)
        output._values.open_to_events(known_classes)
        return output

    def write(self, value: object) -> object:
        """Write a value as JSON values.

        Raises:
            OutputRefused: It cannot be written, or is too large.
        """
        try:
            data = self._values.encode(value)
        except ContextSerdeError as error:
            raise OutputRefused(f"It cannot be recorded. {error}") from error
        if not self._is_small(value):
            size = len(to_bytes(data))
            if size > self._max:
                raise OutputRefused(
                    f"It takes {size} bytes, and at most {self._max} are recorded. "
                    "Keep it elsewhere, in a file for example, and return where."
                )
        return data

    def read(self, data: object) -> Any:
        """Read a value of what `write` made of it.

        Raises:
            ContextSerdeError: It does not fit the type.
        """
        return self._values.decode(data)

    def settle(self, value: object) -> tuple[object, Any]:
        """Write a value, and give it as recovery would: rule 1.

        Raises:
            OutputRefused: As for `write`.
        """
        kind, number = type(value), cast("Any", value)
        if value is None or kind is bool or (kind is int and SMALLEST <= number <= LARGEST):
            return value, value  # these are written as they are, whatever the type
        data = self.write(value)
        if is_plain(value):
            return data, value
        try:
            return data, self.read(data)
        except ContextSerdeError as error:  # its class has a default that raises, for example
            raise OutputRefused(f"It can be recorded, and not be read again. {error}") from error

    def _is_small(self, value: object) -> bool:
        if type(value) is str:
            return len(value) * WIDEST + FRAME <= self._max
        if type(value) is int:
            return SMALLEST <= value <= LARGEST
        return is_plain(value)


def output_of(hint: object) -> Output:
    """Make what writes and reads values of a type, once for each type."""
    try:
        return _cached_output(hint)
    except TypeError:  # it has no hash, as `Annotated[int, []]`
        return Output(hint)


_cached_output: Final = functools.lru_cache(256)(Output)


def is_plain(value: object) -> bool:
    """Say whether a value is the same when it is read again, whatever its type is said to be."""
    kind = type(value)
    if kind is float:
        return math.isfinite(value)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    return value is None or kind is bool or kind is int or kind is str


def _of_types(*hints: object, advice: str = ANNOTATE) -> Values:
    return Values(known_classes(hints), advice=advice.replace("{}", "{0}"))


class _JsonAlone(Values):
    """Writes what JSON has, and nothing that would be something else when it is read."""

    def _first_writers(self) -> dict[type, Write]:
        writers = super()._first_writers()
        write_dict, write_float = writers[dict], writers[float]

        def write_mapping(value: dict[Any, Any], depth: int) -> object:
            for key in [*value]:
                if type(key) is not str:
                    raise _untyped(f"A dict with the key {key!r:.80}", "dict[int, str]")
            return write_dict(value, depth)

        def write_number(value: float, depth: int) -> object:
            if not math.isfinite(value):
                raise _untyped(f"The number {value}", "float")
            return write_float(value, depth)

        plain = {kind: writers[kind] for kind in (type(None), bool, int, str, list)}
        return {**plain, tuple: writers[list], dict: write_mapping, float: write_number}

    def _writer_of(self, kind: type[Any]) -> Write:
        name = kind.__qualname__
        raise _untyped(f"A value of type {short_name(kind)}", name)


def _untyped(what: str, hint: str) -> Refused:
    return Refused(
        f"{what} is no JSON, and nothing says of which type it is. " + ANNOTATE.format(hint, hint)
    )
