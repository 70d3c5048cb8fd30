"""A drawing as SVG: a picture that is sharp at any size, in light and in dark, and can be read aloud."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from plait._viz.drawing import Arrow, Drawing, Node
from plait._viz.placing.layout import LABEL_LINE, MARK_LINE, PADDING, Box, Cable, Layout, place
from plait._viz.placing.placers import Point

STYLE: Final = Path(__file__).with_name("picture.css").read_text(encoding="utf-8")
#: How round the corners of lines are, and how large their heads.
CORNER: Final = 7.0
HEAD: Final = (8.0, 4.0)
#: What XML has no place for.
_NO_XML: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
#: What markup is made of, and what an attribute would take for a space. `xml.sax.saxutils` knows that as
#: well, and loads half of the library for HTTP and mail.
_MARKUP: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"})
_SPACES: Final = str.maketrans({"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})
#: So many arrows are told in the description; a reader of more wants the table.
TOLD: Final = 60


def svg(drawing: Drawing, *, key: str | None = None) -> str:
    """Draw a drawing.

    Args:
        drawing: What.
        key: For a picture in a page, which has `STYLE` itself: it begins the ids, and each picture
            needs its own. `None`: a file by itself.

    Raises:
        MissingExtra: Neither graphlay nor Graphviz is installed.
        PlaitError: It is too large for a picture.
    """
    return "\n".join(_picture(place(drawing), key)) + "\n"


def _picture(layout: Layout, key: str | None) -> Iterator[str]:
    space = ' xmlns="http://www.w3.org/2000/svg"' if key is None else ""
    wide, high = math.ceil(layout.width), math.ceil(layout.height)
    drawing, alone = layout.drawing, key is None
    key = key or "plait"
    yield (
        f'<svg{space} class="plait" role="img" width="{wide}" '
        f'height="{high}" viewBox="0 0 {wide} {high}" '
        f'aria-labelledby="{key}-title {key}-about">'
    )
    yield f'<title id="{key}-title">{text(drawing.title)}</title>'
    yield f'<desc id="{key}-about">{text(told(drawing))}</desc>'
    if alone:
        yield f"<style>{STYLE}</style>"
    yield f'<rect class="paper" width="{wide}" height="{high}"/>'
    # Lines, then what is written on them, then boxes: nothing crosses a text.
    for cable in layout.cables:
        yield from _line(cable)
    for cable in layout.cables:
        yield from _labels(cable)
    for box in layout.boxes:
        yield from _box(box)
    yield "</svg>"


def told(drawing: Drawing) -> str:
    """Tell a drawing in words."""
    labels = {node.name: node.whole for node in drawing.nodes}
    ways = [
        f"{labels[arrow.source]} to {labels[arrow.target]}"
        + (f" ({arrow.whole})" if arrow.whole else "")
        for arrow in drawing.arrows[:TOLD]
    ]
    if len(drawing.arrows) > TOLD:
        ways.append(f"and {len(drawing.arrows) - TOLD} more")
    nodes, arrows = _several(len(drawing.nodes), "node"), _several(len(drawing.arrows), "arrow")
    parts = [f"{nodes}, {arrows}", *drawing.about, *(["; ".join(ways)] if ways else [])]
    return ". ".join(parts) + "."


def _several(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def text(given: str) -> str:
    """Write a text so that it is a text and nothing else."""
    return plain(given).translate(_MARKUP)


def plain(given: str) -> str:
    """Show what XML has no place for by its number."""
    return _NO_XML.sub(lambda sign: f"\\x{ord(sign[0]):02x}", given)


def attribute(given: str) -> str:
    """Write a text as an attribute, with its quotes."""
    return f'"{plain(given).translate(_MARKUP).translate(_SPACES)}"'


# ---------------------------------------------------------------- boxes


def _box(box: Box) -> Iterator[str]:
    node = box.node
    kind = f"node {node.shape} {node.tone}".rstrip()
    yield f'<g class="{kind}" data-name={attribute(node.name)}>'
    yield f"<title>{text(about(node))}</title>"
    yield _outline(box)
    top = box.y - box.height / 2 + PADDING[1]
    yield f'<text class="label" x="{_n(box.x)}" y="{_n(top + 14)}">{text(node.label)}</text>'
    for number, line in enumerate(box.marks):
        y = top + LABEL_LINE + MARK_LINE * number + 11
        yield f'<text class="marks" x="{_n(box.x)}" y="{_n(y)}">{text(line)}</text>'
    yield "</g>"


def about(node: Node) -> str:
    """Tell a node in one line."""
    return ": ".join([node.whole, *([", ".join(node.marks)] if node.marks else [])])


def _outline(box: Box) -> str:
    x, y, wide, high = box.x - box.width / 2, box.y - box.height / 2, box.width, box.height
    match box.node.shape:
        case "step" | "function":
            return _rect(x, y, wide, high, 7)
        case "start" | "stop" | "event":
            return _rect(x, y, wide, high, min(high / 2, 19))
        case "resource":
            return _rect(x, y, wide, high, 2)
        case "workflow":
            return _rect(x, y, wide, high, 7) + _rect(
                x + 4, y + 4, wide - 8, high - 8, 4, kind="inner"
            )
        case "outside" | "time":
            lean = 9.0 if box.node.shape == "outside" else -9.0
            corners = [
                (x + max(lean, 0), y),
                (x + wide + min(lean, 0), y),
                (x + wide - max(lean, 0), y + high),
                (x - min(lean, 0), y + high),
            ]
            if lean < 0:  # a time has a point on each side
                middle = y + high / 2
                corners = [
                    (x + 9, y), (x + wide - 9, y), (x + wide, middle),
                    (x + wide - 9, y + high), (x + 9, y + high), (x, middle),
                ]  # fmt: skip
            points = " ".join(f"{_n(left)},{_n(top)}" for left, top in corners)
            return f'<polygon class="box" points="{points}"/>'


def _rect(x: float, y: float, wide: float, high: float, corner: float, *, kind: str = "box") -> str:
    return (
        f'<rect class="{kind}" x="{_n(x)}" y="{_n(y)}" width="{_n(wide)}" height="{_n(high)}" '
        f'rx="{_n(corner)}"/>'
    )


# ---------------------------------------------------------------- arrows


def _line(cable: Cable) -> Iterator[str]:
    first = cable.arrows[0]
    kind = "cable dashed" if first.dashed else "cable"
    yield (
        f'<g class="{kind}" data-from={attribute(first.source)} data-to={attribute(first.target)}>'
    )
    yield f"<title>{text(tooltip(cable.arrows))}</title>"
    *before, last = cable.ways
    for way in before:
        yield f'<path class="line" d="{_way(way)}"/>'
    yield f'<path class="line" d="{_way(last, HEAD[0] * 0.8)}"/>'
    yield f'<path class="head" d="{_head(*last[-2:])}"/>'
    yield "</g>"


def tooltip(arrows: tuple[Arrow, ...]) -> str:
    """Tell arrows between the same two nodes, a line each."""
    return "\n".join(
        f"{arrow.source} → {arrow.target}" + (f": {arrow.whole}" if arrow.whole else "")
        for arrow in arrows
    )


def _labels(cable: Cable) -> Iterator[str]:
    if not cable.labels:
        return
    (x, y), high = cable.at, cable.height
    first = cable.arrows[0]
    yield (
        f'<g class="cable" data-from={attribute(first.source)} data-to={attribute(first.target)}>'
    )
    written: list[Arrow] = [arrow for arrow in cable.arrows if arrow.label]
    for number, arrow in enumerate(written):
        line = y - high / 2 + MARK_LINE * number + 11
        more = f"<title>{text(arrow.whole)}</title>" if arrow.full is not None else ""
        yield f'<text x="{_n(x)}" y="{_n(line)}">{more}{text(arrow.label)}</text>'
    yield "</g>"


def _way(points: tuple[Point, ...], short: float = 0.0) -> str:
    """Go from point to point, around corners in a curve; stop so many pixels before the last."""
    *before, (x, y), last = points
    across, down = _direction((x, y), last)
    end = (last[0] - across * short, last[1] - down * short)
    way = [*before, (x, y), end]
    parts = [f"M{_n(way[0][0])} {_n(way[0][1])}"]
    for one, corner, two in zip(way, way[1:], way[2:], strict=False):
        room = min(CORNER, math.dist(one, corner) / 2, math.dist(corner, two) / 2)
        (a, b), (c, d) = _direction(one, corner), _direction(corner, two)
        parts.append(f"L{_n(corner[0] - a * room)} {_n(corner[1] - b * room)}")
        parts.append(
            f"Q{_n(corner[0])} {_n(corner[1])} "
            f"{_n(corner[0] + c * room)} {_n(corner[1] + d * room)}"
        )
    return " ".join([*parts, f"L{_n(end[0])} {_n(end[1])}"])


def _head(before: Point, at: Point) -> str:
    across, down = _direction(before, at)
    back, side = HEAD
    x, y = at[0] - across * back, at[1] - down * back
    one, two = (x - down * side, y + across * side), (x + down * side, y - across * side)
    return f"M{_n(at[0])} {_n(at[1])} L{_n(one[0])} {_n(one[1])} L{_n(two[0])} {_n(two[1])} Z"


def _direction(one: Point, two: Point) -> Point:
    far = math.dist(one, two) or 1.0
    return (two[0] - one[0]) / far, (two[1] - one[1]) / far


def _n(number: float) -> str:
    """Write a number, in tenths of a pixel."""
    written = f"{number:.1f}".removesuffix(".0")
    return "0" if written == "-0" else written
