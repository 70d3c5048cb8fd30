"""How wide a text is, roughly: whoever shows the picture chooses the letters.

The figures are of wide letters such as DejaVu Sans; narrower ones leave some room, which is better
than a text that leaves its box.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from typing import Final

#: Parts of the size of the letters.
NARROW: Final = 0.42
USUAL: Final = 0.64
WIDE: Final = 0.92
SQUARE: Final = 1.05

_NARROW: Final = frozenset("iljtfrI.,:;'|!()[]{}/\\-` ")
_WIDE: Final = frozenset("mwMWQOG@%&→≤×…")
#: What is above or below another sign.
_ABOVE: Final = frozenset({"Mn", "Me", "Cf"})


def width(text: str, size: float, *, bold: bool = False) -> float:
    """Say how wide a text is at most, in the unit of `size`, the height of its letters."""
    return sum(map(_sign, text)) * size * (1.15 if bold else 1.0)


def _sign(sign: str) -> float:
    if sign in _NARROW:
        return NARROW
    if sign in _WIDE:
        return WIDE
    if sign.isascii():
        return 0.74 if sign.isupper() else USUAL
    if unicodedata.category(sign) in _ABOVE:
        return 0.0
    return SQUARE if unicodedata.east_asian_width(sign) in "WF" else WIDE


def lines(words: Iterable[str], size: float, most: float, join: str = " · ") -> Iterator[str]:
    """Put texts into lines that are at most so wide, unless one text alone is wider."""
    line = ""
    for word in words:
        longer = f"{line}{join}{word}" if line else word
        if line and width(longer, size) > most:
            yield line
            longer = word
        line = longer
    if line:
        yield line
