"""A timeline as text, for a terminal: a line a row, a character a moment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from plait._viz.drawing import cut

from .timeline import Bar, Row, Timeline, said, times

#: What a moment looks like, the more important the further on: what is later in this text is drawn over
#: what is earlier.
SIGNS: Final = {"wait": "·", "retry": "~", "run": "█", "open": "▒"}
#: What a bar is drawn with that begins where another one ends.
NEXT: Final = {"█": "▓", "▓": "█", "·": ":", ":": "·"}
ENDS: Final = {"cancelled": "/", "interrupted": "!", "failed": "x"}
#: The same for a terminal that has only ASCII.
PLAIN: Final = {"·": ".", "~": "~", "█": "=", "▓": "#", "▒": "-", "…": "~"}
#: Of a line, so much is for the name of the row, and so much for time at the least.
NAME: Final = 28
LEAST: Final = 20
#: So many rows are shown; the others are counted.
ROWS: Final = 60


def text(laid_out: Timeline, width: int = 100, *, ascii_only: bool = False) -> str:
    """Draw a timeline as lines of text.

    Args:
        laid_out: The timeline.
        width: How many characters a line may have, 40 at the least.
        ascii_only: Use no other characters than those of ASCII.
    """
    drawn = "".join(f"{line}\n" for line in _lines(laid_out, max(width, 40)))
    if not ascii_only:
        return drawn
    for sign, other in PLAIN.items():
        drawn = drawn.replace(sign, other)
    return drawn.encode("ascii", "backslashreplace").decode()


def _lines(laid_out: Timeline, width: int) -> Iterator[str]:
    if not laid_out.rows:
        return
    rows = laid_out.rows[:ROWS]
    wanted = max(len(f"{printable(row.group)} {row.name}") for row in rows)
    size = min(wanted, max(NAME, width // 3))
    names = [_name(rows, place, size) for place in range(len(rows))]
    room = max(width - size - 2, LEAST)
    yield f"{'':{size}}  {_axis(laid_out.length, room)}"
    for name, row in zip(names, rows, strict=True):
        yield f"{name:{size}} |{_drawn(row, laid_out.length, room)}".rstrip()
    if len(laid_out.rows) > len(rows):
        yield f"... and {len(laid_out.rows) - len(rows)} more rows"
    yield _legend(rows)


def _name(rows: tuple[Row, ...], place: int, size: int) -> str:
    """Name a row: its group is written once, and cut where there is no room for it."""
    row = rows[place]
    group = cut(printable(row.group), size - len(row.name) - bool(row.name))
    if place and rows[place - 1].group == row.group:
        group = " " * len(group)
    return f"{group} {row.name}".rstrip() if group else row.name


def printable(text: str) -> str:
    """Escape what is no plain text on a terminal: controls, and what turns the direction of writing."""
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text
    )


def _cell(at: float, length: float, room: int) -> int:
    return min(int(at / length * room), room - 1) if length > 0 else 0


def _axis(length: float, room: int) -> str:
    cells = [" "] * room
    for at in times(length):
        mark = said(at)
        place = min(_cell(at, length, room), room - len(mark))
        if all(cell == " " for cell in cells[max(place - 1, 0) : place + len(mark) + 1]):
            cells[place : place + len(mark)] = mark
    return "".join(cells).rstrip()


def _drawn(row: Row, length: float, room: int) -> str:
    if row.depth:
        return _counted(row, length, room)
    cells = [" "] * room
    for bar in row.bars:
        first, last = _cell(bar.began, length, room), _last(bar.ended, bar.began, length, room)
        sign = SIGNS["open" if bar.ending == "open" and bar.what == "run" else bar.what]
        if first and cells[first - 1] == sign:
            sign = NEXT.get(sign, sign)
        cells[first : last + 1] = [sign] * (last + 1 - first)
    for bar in row.bars:  # how one ended is never drawn over
        if bar.ending in ENDS:
            cells[_last(bar.ended, bar.began, length, room)] = ENDS[bar.ending]
    return "".join(cells).rstrip()


def _last(ended: float, began: float, length: float, room: int) -> int:
    """The last cell of a bar: one that ends where a cell begins does not reach into it."""
    exact = ended / length * room if length > 0 else 0.0
    last = int(exact) - (exact == int(exact))
    return min(max(last, _cell(began, length, room)), room - 1)


def _counted(row: Row, length: float, room: int) -> str:
    """Draw how many there were: the most of each moment, from 10 on as a plus."""
    cells = [0] * room
    following = [*row.depth[1:], (length, 0)]
    for (began, count), (ended, _) in zip(row.depth, following, strict=True):
        if count:
            first, last = _cell(began, length, room), _last(ended, began, length, room)
            for place in range(first, last + 1):
                cells[place] = max(cells[place], count)
    return "".join(
        " " if not count else str(count) if count < 10 else "+" for count in cells
    ).rstrip()


def _legend(rows: tuple[Row, ...]) -> str:
    seen: set[str] = set()
    for row in rows:
        for bar in row.bars:
            seen.add(_kind(bar))
            seen.add("run" if bar.what == "run" and bar.ending != "open" else bar.what)
    words = {
        "run": "█▓ running",
        "failed": "x failed",
        "cancelled": "/ cancelled",
        "interrupted": "! interrupted",
        "open": "▒ goes on",
        "wait": "·: waits",
        "retry": "~ next attempt is due later",
    }
    told = [word for name, word in words.items() if name in seen]
    if any(row.depth for row in rows):
        told.append("1-9+ how many")
    return "  ".join(told)


def _kind(bar: Bar) -> str:
    if bar.what != "run":
        return bar.what
    return bar.ending if bar.ending != "succeeded" else "run"
