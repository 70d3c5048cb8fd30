"""The codec of users' values: JSON with tags, and a closed set of classes.

Rule 1: What JSON has is written as it is. Everything else is `{"$": [tag, ...]}`. A dict of the
    user's that has a key `"$"`, keys that are no texts, or keys in an order that a writer of JSON
    need not keep, is a list of pairs with a tag: so nothing is taken for something else.
Rule 2: Nothing is coerced, and nothing is imported: a name leads to a class of the closed set, or
    nowhere. A value of another class is refused when it is written, not when it is needed again.
Rule 3: What is read shares nothing with what was written, nor with the data.
Rule 4: Whatever data there is, reading it gives a value or a `ContextSerdeError` with its place.
Rule 5: Equal values are written alike in every process: sets are sorted.

    closed_set  classes and their names     fields, foreign  objects, taken apart and put together
    leaves      dates, numbers, names       objects          writers and readers of these
    exceptions  built without their code    containers       those of lists, dicts, sets ...

Writers and readers are made once for each class, when its first object comes along. They are told
how deep they are, since JSON that is too deep can be written and not be read.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Iterable
from datetime import timezone
from typing import Any, Final, TypeAlias, cast

from plait._event import Event
from plait._show import show

from .arguments import is_int, is_list, is_str
from .closed_set import (
    BY_A_SERIALIZER,
    MADE_BY_PLAIT,
    PLAIN,
    ClosedSet,
    Mentioned,
    full_name,
    short_name,
)
from .containers import container_readers, container_writers, read_items, read_mapping
from .exceptions import StandIn, loaded_exception, read_exception, unreconstructed, write_exception
from .fields import Fields
from .foreign import is_unset, read_unset
from .leaves import LARGEST, LEAVES, SMALLEST, Leaf, has_surrogates, is_zone
from .objects import (
    DEEPEST,
    ReadParts,
    Write,
    fields_of,
    has_fields,
    made,
    object_writer,
    read_fields,
    reader_of,
    too_deep,
    upgraded,
    writer_of,
)
from .refused import Refused

#: A text that somebody else's serializer made of a value, and back.
ToText: TypeAlias = Callable[[Any], str]
FromText: TypeAlias = Callable[[str], Any]


#: What a user's serializer is never handed.
UNDERSTOOD: Final = (Event, BaseException, type)


class Values:
    """Writes values of users as JSON values, and reads them again.

    Args:
        classes: The classes whose objects may be written and read, beside those of Python, of plait
            and all exceptions.
        owner: Who knows them, for the texts of errors: `"workflow 'W'"`.
        advice: What to write if a class is not among them, with `{}` for its name.

    Example:
        >>> values = Values([])
        >>> values.encode({"when": (1, 2)})
        {'when': {'$': ['tuple', [1, 2]]}}
        >>> values.decode({"when": {"$": ["tuple", [1, 2]]}})
        {'when': (1, 2)}
    """

    #: Makes what an exception becomes that cannot be built again.
    stand_in: StandIn = staticmethod(unreconstructed)

    def __init__(
        self,
        classes: Iterable[type] = (),
        owner: str | None = None,
        advice: str = BY_A_SERIALIZER,
    ) -> None:
        self._set = ClosedSet(classes, owner, advice)
        self._writers = _Writers(self._writer_of)
        self._writers.update(self._first_writers())
        self._fields: dict[type, Fields] = {}
        self._events: dict[str, tuple[type[Event], ReadParts]] = {}
        self._objects: dict[str, ReadParts] = {}
        self._readers: dict[str, ReadParts] = {
            **{leaf.tag: _leaf_reader(leaf) for leaf in LEAVES.values()},
            **container_readers(self._read),
            "event": self._read_event,
            "object": self._read_object,
            "enum": self._read_enum,
            "class": self._read_class,
            "event-class": self._read_event_class,
            "error": self._read_error,
            "unset": _read_unset,
        }

    def open_to_events(self, mentioned: Mentioned) -> None:
        """Know every event class that has been defined, as well, with what its fields mention.

        Args:
            mentioned: Lists what the fields of a class mention.
        """
        self._set.open_to_events(mentioned)

    def open_to_all(self) -> None:
        """Write objects of every class that can be written: for whoever reads them with its own set."""
        self._set.open_to_all()

    def encode(self, value: object, /, at: str = "") -> object:
        """Write a value as JSON values.

        Args:
            value: The value. It is not changed, and nothing of it is shared.
            at: Its place, for the texts of errors.

        Raises:
            ContextSerdeError: It has a part that cannot be written; the text has its place.
        """
        try:
            return self._writers[type(value)](value, 0)
        except Refused as refused:
            raise refused.error(at) from refused.__cause__
        except RecursionError as error:
            raise Refused("too deep for what is left of the stack").error(at) from error

    def decode(self, data: object, /, at: str = "") -> Any:
        """Read a value of what `encode` made of it.

        Args:
            data: JSON values.
            at: Their place, for the texts of errors.

        Raises:
            ContextSerdeError: This is not what `encode` makes; the text has the place.
        """
        try:
            return self._read(data, 0)
        except Refused as refused:
            raise refused.error(at) from refused.__cause__
        except RecursionError as error:
            raise Refused("too deep for what is left of the stack").error(at) from error

    # ------------------------------------------------------------ written

    def _first_writers(self) -> dict[type, Write]:
        return {
            **{kind: _leaf_writer(leaf) for kind, leaf in LEAVES.items()},
            **container_writers(self._writers),
            type(None): _write_as_it_is,
            bool: _write_as_it_is,
            int: _write_int,
            float: _write_float,
            str: _write_str,
        }

    def _write(self, value: object, depth: int) -> object:
        return self._writers[type(value)](value, depth)

    def _writer_of(self, kind: type[Any]) -> Write:
        """Make the writer of a class whose first object has come along."""
        if issubclass(kind, type):
            return self._write_class
        if issubclass(kind, BaseException):
            return self._write_error
        if is_unset(kind):
            return _write_unset
        if is_zone(kind):
            return self._writers[timezone]
        if issubclass(kind, enum.Enum):
            return _enum_writer(kind, self._set.named(kind))
        if has_fields(kind):
            return writer_of(self._fields_of(kind), self._head(kind), self._writers)
        reason = "It is neither JSON nor of a class that declares fields, as attrs classes do."
        base = next((base for base in kind.__mro__ if base in self._writers), None)
        if base is not None:
            reason = f"It is more than the {base.__name__} that it would be when it is read."
        raise Refused(f"A value of type {short_name(kind)} cannot be stored. {reason}")

    def _head(self, kind: type[Any]) -> list[Any]:
        """Make the tag of an object, with what names its class."""
        name = self._set.named(kind)
        if issubclass(kind, Event):
            return ["event", name, kind.__plait_version__]
        return ["object", name]

    def _fields_of(self, kind: type[Any]) -> Fields:
        if kind not in self._fields:
            self._fields[kind] = fields_of(kind)
        return self._fields[kind]

    def _write_class(self, value: type, _depth: int) -> object:
        if issubclass(value, Event):
            return {"$": ["event-class", self._set.named(value)]}
        name = full_name(cast("Any", value))
        if PLAIN.get(name) is not value and loaded_exception(name) is not value:
            name = self._set.named(cast("Any", value))
        return {"$": ["class", name]}

    def _write_error(self, value: BaseException, depth: int) -> object:
        if depth >= DEEPEST:
            raise too_deep()
        return {"$": ["error", *write_exception(value, depth + 1, self._write)]}

    # ------------------------------------------------------------ read

    def _read(self, data: object, depth: int) -> Any:
        kind = type(data)
        if kind is str or kind is int or data is None or kind is bool:
            return data
        if kind is dict:
            mapping = cast("dict[Any, Any]", data)
            if "$" not in mapping:
                return read_mapping(mapping, depth, self._read)
            if len(mapping) == 1:
                return self._read_tagged(mapping["$"], depth)
            raise Refused("a tag has something beside it")
        if kind is list:
            return read_items(data, depth, self._read)
        if kind is float and math.isfinite(cast("float", data)):
            return data
        raise Refused(f"not JSON: {show(data, 80)}")

    def _read_tagged(self, data: object, depth: int) -> Any:
        tag, *parts = is_list(data) or [None]
        reader = self._readers.get(tag) if type(tag) is str else None
        if reader is None:
            raise Refused(f"an unknown tag: {show(tag, 80)}")
        try:
            return reader(parts, depth)
        except (Refused, RecursionError):
            raise
        except Exception as error:  # of parts that are too many, or too few, or no date
            raise Refused(f"no {tag}: {type(error).__name__}: {error!s:.200}") from error

    def _read_event(self, parts: list[Any], depth: int) -> Any:
        name, version, *rest = parts
        known = self._events.get(name)
        if known is None:
            kind = self._set.event(is_str(name))
            known = self._events[name] = kind, reader_of(self._fields_of(kind), self._read)
        kind, reader = known
        if version == kind.__plait_version__ and type(version) is int:
            return reader(rest, depth)
        found = read_fields(rest[0], depth + 1, self._read)
        return made(self._fields_of(kind), upgraded(kind, found, is_int(version)), {})

    def _read_object(self, parts: list[Any], depth: int) -> Any:
        name, *rest = parts
        reader = self._objects.get(name)
        if reader is None:
            kind: Any = self._set.other(is_str(name))
            if not has_fields(kind) or issubclass(kind, enum.Enum):
                raise Refused(f"Objects of class {name} are not stored by their fields.")
            reader = self._objects[name] = reader_of(self._fields_of(kind), self._read)
        return reader(rest, depth)

    def _read_enum(self, parts: list[Any], _depth: int) -> Any:
        name, member = parts
        kind: Any = self._set.other(is_str(name))
        if not issubclass(kind, enum.Enum):
            raise Refused(f"{kind.__qualname__} is no enum")
        if type(member) is int and issubclass(kind, enum.Flag):
            return kind(member)
        found = kind.__members__.get(is_str(member))
        if found is None:
            raise Refused(f"{kind.__qualname__} has no member {member!r:.80}")
        return found

    def _read_class(self, parts: list[Any], _depth: int) -> type:
        (name,) = parts
        return PLAIN.get(is_str(name)) or loaded_exception(name) or self._set.other(name)

    def _read_event_class(self, parts: list[Any], _depth: int) -> type[Event]:
        (name,) = parts
        return self._set.event(is_str(name))

    def _read_error(self, parts: list[Any], depth: int) -> BaseException:
        if depth > DEEPEST:  # the last of a chain is written without its parts
            raise too_deep()
        return read_exception(*parts, depth=depth + 1, read=self._read, stand_in=self.stand_in)


class TextValues(Values):
    """Writes values by somebody else's serializer: each is a text with a tag.

    What plait must understand it writes itself: events down to their fields, exceptions, and the
    fields of the events that plait makes. So classes are checked, older versions are upgraded, and
    a failure can be recorded.

    Args:
        classes: As for `Values`.
        owner: As for `Values`.
        to_text: Writes a value.
        from_text: Reads it again.
    """

    def __init__(
        self, classes: Iterable[type], owner: str | None, to_text: ToText, from_text: FromText
    ) -> None:
        classes = [*classes]
        super().__init__(classes, owner)
        self._to_text = to_text
        self._from_text = from_text
        self._readers["text"] = self._read_text
        plain = Values(classes, owner)
        plain._set = self._set
        self._of_plait = _Writers(
            lambda kind: (self if issubclass(kind, UNDERSTOOD) else plain)._writers[kind]
        )

    def _first_writers(self) -> dict[type, Write]:
        return {}

    def _writer_of(self, kind: type[Any]) -> Write:
        if not issubclass(kind, UNDERSTOOD):
            return self._write_text
        if not issubclass(kind, Event):
            return super()._writer_of(kind)
        some: Any = kind
        # Not the fast one: it writes texts and numbers as they are.
        writers = self._of_plait if some in MADE_BY_PLAIT else self._writers
        return object_writer(self._fields_of(some), self._head(some), writers)

    def _write_text(self, value: object, _depth: int) -> object:
        try:
            text: object = self._to_text(value)
        except Exception as error:
            text = f"serialize() raised {type(error).__name__}: {error}"
            raise Refused(
                f"A value of type {short_name(type(value))} cannot be stored: {text}"
            ) from error
        if type(text) is not str or has_surrogates(text):
            raise Refused(f"serialize() returned {show(text, 80)}, which is no text")
        return {"$": ["text", text]}

    def _read_text(self, parts: list[Any], _depth: int) -> Any:
        (text,) = parts
        try:
            return self._from_text(is_str(text))
        except Exception as error:
            raise Refused(f"deserialize() raised {type(error).__name__}: {error}") from error


class _Writers(dict[type, Write]):
    """The writer of each class; that of a new class is made when it is asked for."""

    def __init__(self, make: Callable[[type], Write]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, kind: type) -> Write:
        write = self[kind] = self._make(kind)
        return write


# ---------------------------------------------------------------- of single values


def _write_as_it_is(value: object, _depth: int) -> object:
    return value


def _write_int(value: int, depth: int) -> object:
    return value if SMALLEST <= value <= LARGEST else _LONG_INT(value, depth)


def _write_float(value: float, depth: int) -> object:
    return value if math.isfinite(value) else _ODD_FLOAT(value, depth)


def _write_str(value: str, depth: int) -> object:
    return _ODD_STR(value, depth) if has_surrogates(value) else value


def _leaf_writer(leaf: Leaf) -> Write:
    def write(value: object, _depth: int) -> object:
        return {"$": [leaf.tag, *leaf.write(value)]}

    return write


_LONG_INT: Final = _leaf_writer(LEAVES[int])
_ODD_FLOAT: Final = _leaf_writer(LEAVES[float])
_ODD_STR: Final = _leaf_writer(LEAVES[str])


def _leaf_reader(leaf: Leaf) -> ReadParts:
    def read(parts: list[Any], _depth: int) -> Any:
        return leaf.read(*parts)

    return read


def _write_unset(_value: object, _depth: int) -> object:
    return {"$": ["unset"]}


def _read_unset(parts: list[Any], _depth: int) -> Any:
    if parts:
        raise Refused("unset has no arguments")
    return read_unset()


def _enum_writer(kind: type[enum.Enum], name: str) -> Write:
    members = kind.__members__

    def write(value: Any, _depth: int) -> object:
        member = value._name_
        if members.get(member) is not value:
            if not isinstance(value, enum.Flag):
                raise Refused(f"{value!r} is no member of {kind.__qualname__}")
            member = value._value_
        return {"$": ["enum", name, member]}

    return write
