"""Values without parts, and how they are written: dates, numbers, names.

What JSON has, stays as it is. Everything else is a tag and its arguments, which `write` gives and
`read` takes.

Rule 1: `read` takes what `write` gives and nothing else: no other spelling, no other type. So each
    value is written in one way, and what was tampered with is seen.
Rule 2: A leaf goes by its exact class. A subclass may hold more than its base, and is refused.
"""

from __future__ import annotations

import re
import sys
import types
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from pathlib import Path, PosixPath, PurePath, PurePosixPath, PureWindowsPath, WindowsPath
from typing import Any, Final, cast
from uuid import UUID

import attrs

from plait._show import show

from .arguments import is_int, is_list, is_str, same
from .refused import Refused

#: Beyond 64 bits some readers of JSON lose digits, and Python refuses texts of some thousand.
SMALLEST: Final = -(2**63)
LARGEST: Final = 2**63 - 1

ZONE: Final = re.compile(r"[A-Za-z0-9_+\-]+(?:/[A-Za-z0-9_+\-]+)*")


@attrs.frozen
class Leaf:
    """How one class of values is written."""

    tag: str
    write: Callable[[Any], list[Any]]
    read: Callable[..., Any]


# ---------------------------------------------------------------- numbers, texts, bytes


def read_float(text: object) -> float:
    """Read what JSON has no number for."""
    if text not in ("nan", "inf", "-inf"):
        raise Refused(f"not as plait writes it: {show(text, 80)}")
    return float(text)  # a new one each time: in a set of NaNs each is another


def write_int(number: int) -> list[Any]:
    """Write in hexadecimal, which has no limit of digits."""
    return [hex(number)]


def read_int(text: object) -> int:
    """Read one that is too large for a number of JSON."""
    number = int(is_str(text), 16)
    return same(number, None if SMALLEST <= number <= LARGEST else hex(number), text)


def write_str(text: str) -> list[Any]:
    """Write a text with lone surrogates, which UTF-8 has not: file names are a source of them."""
    return write_bytes(text.encode("utf-8", "surrogatepass"))


def read_str(text: object) -> str:
    """Read such a text."""
    return read_bytes(text).decode("utf-8", "surrogatepass")


def write_bytes(data: bytes | bytearray) -> list[Any]:
    """Write base64."""
    return [b2a_base64(data, newline=False).decode("ascii")]


def read_bytes(text: object) -> bytes:
    """Read base64."""
    data = a2b_base64(is_str(text).encode("ascii"), strict_mode=True)
    return same(data, write_bytes(data)[0], text)


def read_decimal(text: object) -> Decimal:
    """Read a `Decimal`."""
    number = Decimal(is_str(text))
    return same(number, str(number), text)


def read_uuid(text: object) -> UUID:
    """Read a `UUID`."""
    uuid = UUID(is_str(text))
    return same(uuid, str(uuid), text)


def read_range(start: object, stop: object, step: object) -> range:
    """Read a `range`."""
    return range(is_int(start), is_int(stop), is_int(step))


def has_surrogates(text: str) -> bool:
    """Say whether a text has code points that UTF-8 has not."""
    if text.isascii():
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def write_path(path: PurePath) -> list[Any]:
    """Write a path; one that is no text, as the bytes that it stands for."""
    text = str(path)
    return [*write_str(text), "bytes"] if has_surrogates(text) else [text]


def path_reader(kind: Callable[[str], Any]) -> Callable[..., Any]:
    """Read a path of this class."""

    def read(text: object, how: object = None) -> Any:
        path = kind(is_str(text) if how is None else read_str(text))
        return same(path, write_path(path), [text] if how is None else [text, how])

    return read


# ---------------------------------------------------------------- times


def is_zone(kind: type) -> bool:
    """Say whether this is the class of the time zones that have a name."""
    zoneinfo = sys.modules.get("zoneinfo")
    return zoneinfo is not None and kind is zoneinfo.ZoneInfo


def write_zone(zone: tzinfo | None) -> Any:
    """Write a time zone: none, a name of the database, or an offset, which may have a name too."""
    if zone is None:
        return None
    if type(zone) is timezone:
        offset, *name = cast("Any", zone).__getinitargs__()
        if name and has_surrogates(name[0]):
            raise Refused(f"the name of a time zone is no text: {name[0]!r}")
        return [*write_timedelta(offset), *name]
    if is_zone(type(zone)):
        key: str | None = cast("Any", zone).key
        if key is not None:  # one that was made from an open file has none
            return key
    raise Refused(f"A time zone of type {type(zone).__qualname__} cannot be stored.")


def read_zone(data: object) -> tzinfo | None:
    """Read a time zone."""
    if data is None:
        return None
    if type(data) is str:
        if not ZONE.fullmatch(data):  # it becomes the name of a file
            raise Refused(f"no name of a time zone: {show(data, 80)}")
        import zoneinfo  # noqa: PLC0415 - few need it, and it looks for its files

        return zoneinfo.ZoneInfo(data)
    days, seconds, micros, *name = is_list(data)
    return timezone(read_timedelta(days, seconds, micros), *map(is_str, name))


def write_timezone(zone: tzinfo) -> list[Any]:
    """Write a time zone that is a value by itself."""
    return [write_zone(zone)]


def read_timezone(data: object) -> tzinfo:
    """Read one."""
    zone = read_zone(data)
    if zone is None:
        raise Refused("no time zone")
    return zone


def write_datetime(moment: datetime) -> list[Any]:
    """Write the local time, its zone, and which of two equal hours of an autumn night it is."""
    zone = moment.tzinfo
    if zone is None and not moment.fold:
        return [moment.isoformat()]
    if zone is UTC and not moment.fold:
        return [moment.isoformat()]
    return [moment.replace(tzinfo=None).isoformat(), write_zone(zone), moment.fold]


def read_datetime(text: object, zone: object = None, fold: object = 0) -> datetime:
    """Read a moment."""
    local = datetime.fromisoformat(is_str(text))
    same(local, local.isoformat(), text)
    if zone is None and not fold and local.tzinfo in (None, UTC):
        return local
    if local.tzinfo is not None:
        raise Refused(f"two time zones: {show(text, 80)}")
    return local.replace(tzinfo=read_zone(zone), fold=is_int(fold))


def write_time(clock: time) -> list[Any]:
    """Write a time of day."""
    return [clock.replace(tzinfo=None).isoformat(), write_zone(clock.tzinfo), clock.fold]


def read_time(text: object, zone: object, fold: object) -> time:
    """Read a time of day."""
    local = time.fromisoformat(is_str(text))
    if local.tzinfo is not None:
        raise Refused(f"two time zones: {show(text, 80)}")
    same(local, local.isoformat(), text)
    return local.replace(tzinfo=read_zone(zone), fold=is_int(fold))


def read_date(text: object) -> date:
    """Read a day."""
    day = date.fromisoformat(is_str(text))
    return same(day, day.isoformat(), text)


def write_timedelta(span: timedelta) -> list[Any]:
    """Write its three numbers."""
    return [span.days, span.seconds, span.microseconds]


def read_timedelta(days: object, seconds: object, micros: object) -> timedelta:
    """Read a span of time."""
    numbers = [is_int(days), is_int(seconds), is_int(micros)]
    span = timedelta(*numbers)
    return same(span, write_timedelta(span), numbers)


def as_text(value: object) -> list[Any]:
    """Write a value whose text says all."""
    return [str(value)]


def isoformat(value: date) -> list[Any]:
    """Write a day."""
    return [value.isoformat()]


def write_range(numbers: range) -> list[Any]:
    """Write its three numbers."""
    return [numbers.start, numbers.stop, numbers.step]


def read_bytearray(text: object) -> bytearray:
    """Read a `bytearray`."""
    return bytearray(read_bytes(text))


def write_nothing(_value: object) -> list[Any]:
    """Write a value that is the only one of its class."""
    return []


def read_ellipsis() -> types.EllipsisType:
    """Read `...`."""
    return ...


#: By class. `float`, `int` and `str` are for those that JSON has not.
LEAVES: Final[dict[type, Leaf]] = {
    float: Leaf("float", as_text, read_float),
    int: Leaf("int", write_int, read_int),
    str: Leaf("str", write_str, read_str),
    bytes: Leaf("bytes", write_bytes, read_bytes),
    bytearray: Leaf("bytearray", write_bytes, read_bytearray),
    Decimal: Leaf("decimal", as_text, read_decimal),
    UUID: Leaf("uuid", as_text, read_uuid),
    range: Leaf("range", write_range, read_range),
    datetime: Leaf("datetime", write_datetime, read_datetime),
    date: Leaf("date", isoformat, read_date),
    time: Leaf("time", write_time, read_time),
    timedelta: Leaf("timedelta", write_timedelta, read_timedelta),
    timezone: Leaf("timezone", write_timezone, read_timezone),
    # A path of this system is one of the other there, where the file may well have moved to.
    PosixPath: Leaf("path", write_path, path_reader(Path)),
    WindowsPath: Leaf("path", write_path, path_reader(Path)),
    PurePosixPath: Leaf("posix-path", write_path, path_reader(PurePosixPath)),
    PureWindowsPath: Leaf("windows-path", write_path, path_reader(PureWindowsPath)),
    types.EllipsisType: Leaf("...", write_nothing, read_ellipsis),
}
