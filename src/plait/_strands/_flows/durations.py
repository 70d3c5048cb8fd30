"""Lengths of time and sizes as people write them: `"1m30s"` is 90.0 seconds, `"64KiB"` 65536 bytes."""

from __future__ import annotations

import math
import re
from typing import Final

#: What a wrong one is told to be.
DURATION: Final = "a number of seconds or text such as 500ms, 2s, 1m30s, 1h or 1d"
SIZE: Final = "a number of bytes or text such as 64KiB, 1MiB or 1GiB"

_SECONDS: Final = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_BYTES: Final = {"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_NUMBER: Final = r"[0-9]{1,15}(?:\.[0-9]{1,15})?"
_PARTS: Final = re.compile("".join(rf"(?:({_NUMBER}){unit})?" for unit in _SECONDS))
_PLAIN: Final = re.compile(_NUMBER)
_SIZE: Final = re.compile(rf"({_NUMBER}) ?(B|KiB|MiB|GiB|)")

#: A length of time that no timer refuses: about 31 700 years.
_LONGEST: Final = 1e12


def duration(value: object) -> float | None:
    """Read a length of time, in seconds.

    Args:
        value: A number of seconds, or text: units from the longest to the shortest, each once.

    Returns:
        `None` if it is none: another type, negative, not finite, or not written so.
    """
    if isinstance(value, str):
        return _from_text(value.strip())
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value <= _LONGEST else None


def _from_text(text: str) -> float | None:
    if _PLAIN.fullmatch(text):
        return duration(float(text))
    match = _PARTS.fullmatch(text)
    if not text or match is None:
        return None
    pairs = zip(match.groups(), _SECONDS.items(), strict=True)
    return duration(math.fsum(float(number) * each for number, (_, each) in pairs if number))


def size(value: object) -> int | None:
    """Read a size, in bytes.

    Args:
        value: A number of bytes, or text with a unit.

    Returns:
        `None` if it is none: another type, negative, or not written so.
    """
    if isinstance(value, str):
        match = _SIZE.fullmatch(value.strip())
        if match is None:
            return None
        number = float(match[1]) * _BYTES[match[2]]
        return int(number) if number.is_integer() else None
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if value >= 0 else None
