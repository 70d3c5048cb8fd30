"""What writes users' values as text: JSON as a rule, pickle for those who ask for it, their own.

The codec, and pickle, are imported when they are needed: that is an eighth of `import plait`, and
a program without snapshots and journals never needs them.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, Protocol, cast, runtime_checkable

from plait._errors import ContextSerdeError
from plait._journal.known_classes import known_classes
from plait._naming import publish

if TYPE_CHECKING:
    from plait._journal.values import Values

_to_text: Final = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False
).encode


@runtime_checkable
class BaseSerializer(Protocol):
    """Writes values as text, and reads them again: a class of yours with these two methods.

    plait hands it values of the state, of events' fields and of exceptions' arguments, one by one.
    Events and exceptions it takes apart itself: so their classes are checked, older versions are
    upgraded, and a failure can always be recorded. A value for which `serialize()` raises is refused.

    Example:
        >>> class Shouting:
        ...     def serialize(self, value):
        ...         return JsonSerializer().serialize(value).upper()
        ...
        ...     def deserialize(self, value):
        ...         return JsonSerializer().deserialize(value.lower())
        >>> isinstance(Shouting(), BaseSerializer)
        True
    """

    def serialize(self, value: Any, /) -> str:
        """Write a value as text."""
        ...

    def deserialize(self, value: str, /) -> Any:
        """Read a value of the text that `serialize` made of it."""
        ...


class JsonSerializer:
    """Writes values as JSON, and reads them strictly: the default.

    Beside what JSON has it takes events, attrs classes, dataclasses, pydantic models, msgspec
    structs, named tuples, enums, dates and times, `Decimal`, `UUID`, `Path`, `bytes`, tuples, sets,
    the containers of `collections`, exceptions, and classes as values. An object comes back as it
    was: neither `__init__` nor converters and validators are called again.

    Only objects of known classes are written and read: those that the annotations of a workflow's
    steps mention, directly or in fields, and `allowed_types`. By itself, without a workflow, it knows
    the events of plait and `allowed_types`. Nothing is imported by a name in a text.

    Args:
        allowed_types: More classes. What their fields mention is allowed as well.

    Raises:
        ContextSerdeError: By both methods: this value cannot be written, or this is not what
            `serialize()` writes. The text has the place in the value.

    Example:
        >>> class Query(Event):
        ...     text: str
        >>> serializer = JsonSerializer([Query])
        >>> text = serializer.serialize([Query(text="trio"), (1, 2)])
        >>> serializer.deserialize(text)
        [Query(text='trio'), (1, 2)]
    """

    def __init__(self, allowed_types: Iterable[type] | None = None) -> None:
        self._allowed = tuple(allowed_types or ())
        for kind in cast("tuple[object, ...]", self._allowed):
            if not isinstance(kind, type):
                raise TypeError(f"allowed_types takes classes, not {kind!r}")
        self._values: Values | None = None

    def serialize(self, value: Any) -> str:
        """Write a value as text. Not a checkpoint.

        Raises:
            ContextSerdeError: It has a part that cannot be written.
        """
        return _to_text(self._by_itself().encode(value))

    def deserialize(self, value: str) -> Any:
        """Read a value of the text that `serialize()` made of it. Not a checkpoint.

        Raises:
            ContextSerdeError: This is not what `serialize()` writes.
        """
        try:
            data = json.loads(value)
        except (ValueError, TypeError, RecursionError) as error:
            raise ContextSerdeError(f"This is not JSON: {error}") from error
        return self._by_itself().decode(data)

    def _by_itself(self) -> Values:
        if self._values is None:
            self._values = _new_values(known_classes(self._allowed), None)
        return self._values

    def _for(self, classes: Iterable[type], owner: str) -> Values:
        """Make a codec that knows these classes as well."""
        values = _new_values([*classes, *known_classes(self._allowed)], owner)
        kind = type(self)
        own = kind.serialize, kind.deserialize
        if own == (JsonSerializer.serialize, JsonSerializer.deserialize):
            return values
        bound = copy.copy(self)  # a subclass that makes something of what `super()` gives it
        bound._values = values
        return _new_text_values(classes, owner, bound)


class PickleSerializer:
    """Writes values with `pickle`, as text. Never a default: reading runs what the text says.

    Whoever can change a stored text can run any code with it, in the process that reads it. Use it
    only where nobody else can write, and only for what `JsonSerializer` cannot take. A text is read
    by the code that wrote it: classes that have moved or changed since may not come back.

    Example:
        >>> serializer = PickleSerializer()
        >>> serializer.deserialize(serializer.serialize(range(3)))
        range(0, 3)
    """

    def serialize(self, value: Any) -> str:
        """Write a value as text. Not a checkpoint.

        Raises:
            ContextSerdeError: It cannot be pickled, as a lambda, a lock or an open file.
        """
        import base64  # noqa: PLC0415 - see above
        import pickle  # noqa: PLC0415

        try:
            return base64.b64encode(pickle.dumps(value)).decode("ascii")
        except Exception as error:
            raise ContextSerdeError(f"This cannot be pickled: {error}") from error

    def deserialize(self, value: str) -> Any:
        """Read a value of the text that `serialize()` made of it. Not a checkpoint.

        Raises:
            ContextSerdeError: It cannot be read.
        """
        import base64  # noqa: PLC0415 - see above
        import pickle  # noqa: PLC0415

        try:
            return pickle.loads(base64.b64decode(value, validate=True))  # noqa: S301 - its users know
        except Exception as error:
            raise ContextSerdeError(f"This cannot be unpickled: {error}") from error


def are_alike(one: BaseSerializer | None, other: BaseSerializer | None) -> bool:
    """Does each of them read what the other one writes?"""
    return one == other or type(one) is type(other) is PickleSerializer


def values_for(serializer: BaseSerializer | None, classes: Iterable[type], workflow: str) -> Values:
    """Make the codec of a workflow's values.

    Args:
        serializer: The user's, if there is one.
        classes: The classes that the workflow knows, as `known_classes` finds them.
        workflow: Its name.
    """
    owner = f"workflow {workflow!r}"
    if serializer is None:
        return _new_values(classes, owner)
    if isinstance(serializer, JsonSerializer):
        return serializer._for([*classes], owner)
    return _new_text_values(classes, owner, serializer)


def _new_values(classes: Iterable[type], owner: str | None) -> Values:
    from plait._journal.values import Values  # noqa: PLC0415 - see above

    return Values(classes, owner)


def _new_text_values(classes: Iterable[type], owner: str, serializer: BaseSerializer) -> Values:
    from plait._journal.values import TextValues  # noqa: PLC0415 - see above

    return TextValues(classes, owner, serializer.serialize, serializer.deserialize)


publish("plait.events", BaseSerializer, PickleSerializer)
publish("plait", JsonSerializer)
