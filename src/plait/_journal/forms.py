"""Forms: how each kind of value in a record or a snapshot is written as JSON, and read back.

Rule 1: nothing is coerced. `"5"` is no number, `True` is no number, a key too many is a fault.
Rule 2: a reader finds every fault there is, each with its path: it raises one `Misfit` with all.
Rule 3: what users' values look like is the strand's business: `Values` writes and reads them.
Rule 4: what is written are JSON values and nothing else: lists, and no tuples.

A form is two functions, and no hook of a library: `import plait` must stay light, and what else they
need, the `Values`, differs from workflow to workflow.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from json.encoder import encode_basestring
from operator import attrgetter
from typing import Any, Final, Protocol, TypeAlias, cast

import attrs

from plait._errors import ContextSerdeError
from plait._kernel.collecting import Shape
from plait._show import show

from .canonical import to_text


class Values(Protocol):
    """Writes and reads what belongs to users: events, errors, keys, and the classes of all these."""

    def encode(self, value: object, /) -> object:
        """Turn a value into JSON values.

        Raises:
            ContextSerdeError: It cannot be written.
        """
        ...

    def decode(self, data: object, /) -> object:
        """Turn what `encode` made into an equal value.

        Raises:
            ContextSerdeError: It is not what `encode` makes.
        """
        ...


Write: TypeAlias = Callable[[Any, Values], object]
Read: TypeAlias = Callable[[object, Values], Any]
Faults: TypeAlias = list[tuple[str, str]]


class Misfit(Exception):  # noqa: N818 - says what it is
    """What was stored is not what is written here."""

    def __init__(self, text: str = "", faults: Iterable[tuple[str, str]] = ()) -> None:
        self.faults: tuple[tuple[str, str], ...] = tuple(faults) or (("", text),)
        super().__init__(*self.lines)

    @property
    def lines(self) -> tuple[str, ...]:
        """Each fault with its path, as `steps.work.queue[0].cause: 'x' is no whole number`."""
        return tuple(f"{path}: {text}" if path else text for path, text in self.faults)

    def under(self, path: str) -> Iterator[tuple[str, str]]:
        """The same faults, seen from further out."""
        for inner, text in self.faults:
            dot = "." if path and inner and not inner.startswith("[") else ""
            yield f"{path}{dot}{inner}", text


@contextmanager
def finding(faults: Faults, path: str) -> Generator[None]:
    """Put down what does not fit, and go on."""
    try:
        yield
    except Misfit as misfit:
        faults += misfit.under(path)


@attrs.frozen
class Form:
    """One kind of value."""

    read: Read
    #: `None`: it is written as it is.
    write: Write | None = None
    #: Writes the same as text at once, if nobody need be asked how. The JSON of it is one.
    text: Callable[[Any], str] | None = None


def write(form: Form, value: Any, values: Values) -> object:
    """Write a value."""
    return value if form.write is None else form.write(value, values)


# ---------------------------------------------------------------- single values


def _exactly(kind: type, what: str, text: Callable[[Any], str]) -> Form:
    def read(data: object, _: Values) -> object:
        if type(data) is kind:
            return data
        raise Misfit(f"{show(data, 40)} is no {what}")

    return Form(read, text=text)


def whole(least: int, most: int | None = None) -> Form:
    """A whole number from `least` to `most`."""

    def read(data: object, _: Values) -> int:
        if type(data) is not int:
            raise Misfit(f"{show(data, 40)} is no whole number")
        if data < least:
            raise Misfit(f"{show(data, 40)} is below {least}")
        if most is not None and data > most:
            raise Misfit(f"{show(data, 40)} is above {most}")
        return data

    return Form(read, text=int.__repr__)


def _read_seconds(data: object, _: Values) -> float:
    if type(data) is float and math.isfinite(data):
        return data
    if type(data) is int and abs(data) < 1 << 53:  # other writers of JSON leave `.0` out
        return float(data)
    raise Misfit(f"{show(data, 40)} is no number of seconds")


def _read_duration(data: object, values: Values) -> float:
    seconds = _read_seconds(data, values)
    return data if type(data) is int else seconds


def read_value(data: object, values: Values) -> object:
    """Read a value of a user's; nothing is nothing."""
    if data is None:
        return None
    try:
        return values.decode(data)
    except ContextSerdeError as error:
        raise Misfit(str(error)) from error
    except Exception as error:  # a user's class refuses what was stored
        raise Misfit(show(error, 200)) from error


def write_value(value: object, values: Values) -> object:
    """Write a value of a user's."""
    return None if value is None else values.encode(value)


def instance(kind: type) -> Form:
    """A value of a user's that must be of a certain class."""

    def read(data: object, values: Values) -> object:
        value = read_value(data, values)
        if isinstance(value, kind):
            return value
        raise Misfit(f"{show(value, 40)} is no {kind.__name__}")

    return Form(read, write_value)


def _read_key(data: object, values: Values) -> object:
    key = read_value(data, values)
    try:
        hash(key)
    except TypeError:
        raise Misfit(f"{show(key, 40)} cannot be a key") from None
    return key


def word(*words: str) -> Form:
    """One of these texts."""

    def read(data: object, _: Values) -> str:
        if type(data) is str and data in words:
            return data
        raise Misfit(f"{show(data, 40)} is none of {', '.join(words)}")

    return Form(read, text=encode_basestring)


def _seconds_text(value: float) -> str:
    value = float(value)
    if not math.isfinite(value):
        raise ValueError("Out of range float values are not JSON compliant")
    return float.__repr__(value)


TEXT: Final = _exactly(str, "text", encode_basestring)
FLAG: Final = _exactly(bool, "true or false", {False: "false", True: "true"}.__getitem__)
COUNT: Final = whole(0)
#: Ids are counted from 1.
NUMBER: Final = whole(1)
INTEGER: Final = _exactly(int, "whole number", int.__repr__)
#: Also a time on a run's clock, which may have begun later.
SECONDS: Final = Form(_read_seconds, lambda value, _: float(value), _seconds_text)
#: As it was given: 5 seconds are not told as 5.0.
DURATION: Final = Form(_read_duration, lambda value, _: value)
VALUE: Final = Form(read_value, write_value)
#: A JSON value already, and nobody else's business here.
AS_IT_COMES: Final = Form(lambda data, _: data, lambda value, _: value, to_text)
KIND: Final = instance(type)
KEY: Final = Form(_read_key, write_value)


# ---------------------------------------------------------------- several values


def a_list(data: object) -> list[object]:
    """Take a list, and nothing else."""
    if type(data) is list:
        return cast("list[object]", data)
    raise Misfit(f"{show(data, 40)} is no list")


def a_mapping(data: object) -> dict[str, object]:
    """Take a mapping, and nothing else."""
    if type(data) is dict:
        return cast("dict[str, object]", data)
    raise Misfit(f"{show(data, 40)} is no mapping")


def read_list(read: Read, data: object, values: Values) -> list[Any]:
    """Read a list whose members have one form."""
    found: list[Any] = []
    faults: Faults = []
    for place, member in enumerate(a_list(data)):
        try:
            found.append(read(member, values))
        except Misfit as misfit:
            faults += misfit.under(f"[{place}]")
    if faults:
        raise Misfit(faults=faults)
    return found


def listing(form: Form) -> Form:
    """A list whose members have one form: a tuple, in memory."""
    one = form.write

    def read(data: object, values: Values) -> tuple[object, ...]:
        return tuple(read_list(form.read, data, values))

    def write(value: Iterable[object], values: Values) -> list[object]:
        return [*value] if one is None else [one(member, values) for member in value]

    text = form.text
    if text is None:
        return Form(read, write)
    return Form(read, write, lambda value: f"[{','.join(map(text, value))}]")


def row(*forms: Form) -> Form:
    """A list of just so many members, each of a form of its own: a tuple, in memory."""

    def read(data: object, values: Values) -> tuple[object, ...]:
        members = a_list(data)
        if len(members) != len(forms):
            raise Misfit(f"{len(members)} members instead of {len(forms)}")
        faults: Faults = []
        found: list[object] = []
        for place, (form, member) in enumerate(zip(forms, members, strict=True)):
            with finding(faults, f"[{place}]"):
                found.append(form.read(member, values))
        if faults:
            raise Misfit(faults=faults)
        return tuple(found)

    def write(value: Iterable[object], values: Values) -> list[object]:
        return [
            member if form.write is None else form.write(member, values)
            for form, member in zip(forms, value, strict=True)
        ]

    return Form(read, write)


def optional(form: Form) -> Form:
    """Something or nothing."""
    one = form.write

    def read(data: object, values: Values) -> object:
        return None if data is None else form.read(data, values)

    def write(value: object, values: Values) -> object:
        return value if value is None or one is None else one(value, values)

    text = form.text
    if text is None:
        return Form(read, write)
    return Form(read, write, lambda value: "null" if value is None else text(value))


def table(form: Form) -> Form:
    """Values by name."""

    def read(data: object, values: Values) -> dict[str, object]:
        return read_fields(a_mapping(data), dict.fromkeys(a_mapping(data), form), values)

    def write(value: Mapping[str, object], values: Values) -> dict[str, object]:
        one = form.write
        return {name: held if one is None else one(held, values) for name, held in value.items()}

    return Form(read, write)


# ---------------------------------------------------------------- fields


def read_fields(
    data: object,
    forms: Mapping[str, Form],
    values: Values,
    more: Mapping[str, Form] | None = None,
) -> dict[str, Any]:
    """Read a mapping with just these keys; those of `more` may be missing."""
    given = a_mapping(data)
    found: dict[str, Any] = {}
    faults: Faults = []
    for name, form in forms.items():
        try:
            found[name] = form.read(given[name], values)
        except Misfit as misfit:
            faults += misfit.under(name)
        except KeyError:
            if name in given:
                raise
            faults.append((name, "is missing"))
    if len(found) + len(faults) < len(given) or faults:
        for name in given.keys() - forms.keys():
            if more is not None and name in more:
                with finding(faults, name):
                    found[name] = more[name].read(given[name], values)
            else:
                faults.append((show(name, 40)[1:-1], "is not known here"))
    if faults:
        raise Misfit(faults=sorted(faults))
    return found


def fields(make: Callable[..., object], **forms: Form) -> Form:
    """A mapping, and in memory an object with attributes of the same names."""
    special = [(name, form.write) for name, form in forms.items() if form.write is not None]
    look = attrgetter(*forms) if len(forms) > 1 else None
    names = tuple(forms)
    reads = tuple((name, form.read) for name, form in forms.items())
    expected = forms.keys()

    def read(data: object, values: Values) -> object:
        kind: type = type(data)
        given: Any = data
        if kind is dict and given.keys() == expected:  # as a rule
            try:
                return make(**{name: one(given[name], values) for name, one in reads})
            except Misfit:
                pass  # all that is wrong is found below
        return make(**read_fields(data, forms, values))

    def write(value: object, values: Values) -> dict[str, object]:
        seen = look(value) if look is not None else [getattr(value, name) for name in names]
        written: dict[str, object] = dict(zip(names, seen, strict=True))
        for name, one in special:
            written[name] = one(written[name], values)
        return written

    return Form(read, write)


def choice(**forms: tuple[type, Form]) -> Form:
    """One of several classes: a mapping whose one key says which."""
    by_class = {kind: (name, form.write) for name, (kind, form) in forms.items()}

    def read(data: object, values: Values) -> object:
        given = a_mapping(data)
        if len(given) != 1 or (name := next(iter(given))) not in forms:
            raise Misfit(f"{show(data, 40)} is none of {', '.join(forms)}")
        try:
            return forms[name][1].read(given[name], values)
        except Misfit as misfit:
            raise Misfit(faults=misfit.under(name)) from None

    def write(value: object, values: Values) -> dict[str, object]:
        name, one = by_class[type(value)]
        return {name: value if one is None else one(value, values)}

    return Form(read, write)


# ---------------------------------------------------------------- what records and snapshots share


def _read_shape(data: object, values: Values) -> Shape:
    """A shape is its runs; the rest follows."""
    runs = RUNS.read(data, values)
    need: dict[type, int] = {}
    for kind, count in runs:
        need[kind] = need.get(kind, 0) + count
    return Shape(runs, frozenset(need.items()), need)


def _write_shape(shape: Shape, values: Values) -> object:
    return write(RUNS, shape.runs, values)


RUNS: Final = listing(row(KIND, NUMBER))
SHAPE: Final = Form(_read_shape, _write_shape)
