"""Text of users' and servers' as it may stand on a terminal: in one line, and with no tricks."""

from __future__ import annotations

import re
from typing import Final

#: Controls, halves of surrogate pairs, line separators, and what turns the direction of writing.
_UNFIT: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_SHORT: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def printable(text: str) -> str:
    r"""Escape what is no plain text, line ends too.

    Example:
        >>> printable("a\tb\x1b[2J")
        'a\\tb\\x1b[2J'
    """
    return _UNFIT.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    sign = found[0]
    if sign in _SHORT:
        return _SHORT[sign]
    number = ord(sign)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"


def cut(text: str, width: int) -> str:
    """Cut a text to so many characters, with a sign that it goes on."""
    return text if len(text) <= width else text[: max(width - 1, 0)] + "…"
