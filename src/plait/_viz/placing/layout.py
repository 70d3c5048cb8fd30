"""A drawing on paper: where each box is, and on which way each arrow goes.

A label is a box of its own for whoever places it, with a line to it and one from it: so there is room
for each, and none is far from its line.

Arrows of one kind from one node to another are one *cable*: a line with their labels one below the
other. Drawn apart they would be lines side by side, and nobody could tell whose label is whose.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Final

import attrs

from plait._errors import PlaitError
from plait._viz.drawing import Arrow, Drawing, Node

from .loops import leading_back
from .measure import lines as lines_of
from .measure import width
from .placers import DIRECTIONS, MANY, MOST, Direction, Laid, Point, Request, find_placer

#: Heights of letters, in pixels, and of their lines.
LABEL, MARK = 13.0, 11.0
LABEL_LINE, MARK_LINE = 19.0, 15.0
#: Around what is written in a box.
PADDING: Final = (14.0, 9.0)
#: Marks are put into lines of this width, or of that of the label.
MARKS: Final = 170.0
#: Around the whole picture.
MARGIN: Final = 20.0
LEAST: Final = 56.0


@attrs.frozen
class Box:
    """A node on paper.

    Attributes:
        node: The node.
        marks: Its marks, in lines.
        x: Of its middle, in pixels from the left.
        y: Of its middle, from above.
        width: In pixels.
        height: In pixels.
    """

    node: Node
    marks: tuple[str, ...]
    x: float
    y: float
    width: float
    height: float


@attrs.frozen
class Cable:
    """All arrows of one kind from one node to another.

    Attributes:
        arrows: In the order of the drawing.
        ways: From border to border, in straight lines: one, or two with the labels between them.
        at: The middle of their labels.
        width: Of the labels, in pixels.
        height: Of the labels.
    """

    arrows: tuple[Arrow, ...]
    ways: tuple[tuple[Point, ...], ...]
    at: Point
    width: float
    height: float

    @property
    def labels(self) -> tuple[str, ...]:
        """What is written on them, a line each."""
        return tuple(arrow.label for arrow in self.arrows if arrow.label)


@attrs.frozen
class Layout:
    """A drawing on paper, from (0, 0) on."""

    drawing: Drawing
    boxes: tuple[Box, ...]
    cables: tuple[Cable, ...]
    width: float
    height: float


def place(drawing: Drawing) -> Layout:
    """Find a place for everything: from the top down, or to the right if that fits a page better.

    Raises:
        MissingExtra: Neither graphlay nor Graphviz is installed.
        PlaitError: It is too large, see `too_large`.
    """
    if (why := too_large(drawing)) is not None:
        raise PlaitError(f"{why}. The formats mermaid, dot and text have no limit")
    asked = _Asked(_middle_first(drawing))
    placer = find_placer()
    requests = [asked.request(direction) for direction in DIRECTIONS]
    if len(requests[0].sizes) > MANY:
        del requests[1:]
    laid = [placer(request) for request in requests]
    layout = asked.placed(min(laid, key=_misfit))
    order = {node.name: place for place, node in enumerate(drawing.nodes)}
    boxes = sorted(layout.boxes, key=lambda box: order[box.node.name])
    return attrs.evolve(layout, drawing=drawing, boxes=tuple(boxes))


def too_large(drawing: Drawing) -> str | None:
    """Say in which way a drawing is too large for a picture; `None`: it is not."""
    cables = {(one.source, one.target, one.dashed) for one in drawing.arrows}
    labels = {(one.source, one.target, one.dashed) for one in drawing.arrows if one.label}
    boxes, lines = len(drawing.nodes) + len(labels), len(cables) + len(labels)
    if boxes <= MOST[0] and lines <= MOST[1]:
        return None
    count = f"{len(drawing.nodes)} nodes and {len(drawing.arrows)} arrows"
    return f"{count} are too many for a picture that anybody could read"


def _middle_first(drawing: Drawing) -> Drawing:
    """Name the middle one first of nodes that follow the same ones and lead to the same ones.

    graphlay has the first in the middle, and the others around it in their order. So they come to
    stand as they are written.
    """
    before: dict[str, set[str]] = {node.name: set() for node in drawing.nodes}
    after: dict[str, set[str]] = {node.name: set() for node in drawing.nodes}
    for arrow in drawing.arrows:
        before[arrow.target].add(arrow.source)
        after[arrow.source].add(arrow.target)
    twins: dict[tuple[frozenset[str], frozenset[str]], list[Node]] = {}
    for node in drawing.nodes:
        ends = frozenset(before[node.name]), frozenset(after[node.name])
        twins.setdefault(ends, []).append(node)
    for group in twins.values():
        group.insert(0, group.pop((len(group) - 1) // 2))
    iterators = [(group, iter(group)) for group in twins.values()]
    next_of = {node.name: nodes for group, nodes in iterators for node in group}
    nodes = tuple(next(next_of[node.name]) for node in drawing.nodes)
    number = {node.name: place for place, node in enumerate(nodes)}
    arrows = sorted(drawing.arrows, key=lambda arrow: (number[arrow.source], number[arrow.target]))
    return attrs.evolve(drawing, nodes=nodes, arrows=tuple(arrows))


def _misfit(laid: Laid) -> float:
    """How far it is from the form of a page; small differences leave it as it is read best."""
    xs, ys = [x for x, _ in laid.middles] or [0.0], [y for _, y in laid.middles] or [0.0]
    wide, high = max(xs) - min(xs) + 150, max(ys) - min(ys) + 60
    return round(abs(math.log(wide / high / 1.4)) / 0.7)


class _Asked:
    """A drawing in the words of whoever places it, and his answer in those of the drawing."""

    def __init__(self, drawing: Drawing) -> None:
        self._drawing = drawing
        self._marks = [tuple(_lines(node)) for node in drawing.nodes]
        self._sizes = [
            _size(node, marks) for node, marks in zip(drawing.nodes, self._marks, strict=True)
        ]
        cables: dict[tuple[str, str, bool], list[Arrow]] = {}
        for arrow in drawing.arrows:
            cables.setdefault((arrow.source, arrow.target, arrow.dashed), []).append(arrow)
        self._cables = [*cables.values()]
        self._labels = [_label_size(arrows) for arrows in self._cables]
        ends = [(source, target) for source, target, _ in cables]
        back = leading_back([node.name for node in drawing.nodes], ends)
        self._back = [each in back for each in ends]

    def request(self, direction: Direction) -> Request:
        """Ask for a place for each node, then for each label, and for the lines between them."""
        number = {node.name: place for place, node in enumerate(self._drawing.nodes)}
        sizes = [*self._sizes]
        lines: list[tuple[int, int]] = []
        for (first, *_), size, back in zip(self._cables, self._labels, self._back, strict=True):
            ends = [number[first.source], number[first.target]]
            if size[1]:
                ends.insert(1, len(sizes))
                sizes.append(size)
            lines += pairwise(reversed(ends) if back else ends)
        labelled = len(sizes) > len(number)
        layers = [None] * len(sizes) if labelled else [node.layer for node in self._drawing.nodes]
        return Request(direction, sizes, lines, layers, gap=28.0 if labelled else 44.0)

    def placed(self, laid: Laid) -> Layout:
        """Put together what belongs together."""
        count = len(self._drawing.nodes)
        boxes = [
            Box(node, marks, *middle, *size)
            for node, marks, size, middle in zip(
                self._drawing.nodes, self._marks, self._sizes, laid.middles[:count], strict=True
            )
        ]
        labels, lines = iter(laid.middles[count:]), iter(laid.lines)
        cables: list[Cable] = []
        for arrows, size, back in zip(self._cables, self._labels, self._back, strict=True):
            ways = [next(lines)]
            at = ways[0][0]
            if size[1]:
                at = next(labels)
                ways.append(next(lines))
            if back:
                ways = [way[::-1] for way in reversed(ways)]
            cables.append(Cable(tuple(arrows), tuple(ways), at, *size))
        return _framed(self._drawing, boxes, cables)


def _framed(drawing: Drawing, boxes: list[Box], cables: list[Cable]) -> Layout:
    """Move everything so that it begins at the margin."""
    spots = [
        (box.x + s * box.width / 2, box.y + s * box.height / 2) for box in boxes for s in (-1, 1)
    ]
    for cable in cables:
        spots += [point for way in cable.ways for point in way]
        (x, y), wide, high = cable.at, cable.width / 2, cable.height / 2
        spots += [(x - wide, y - high), (x + wide, y + high)]
    left = min((x for x, _ in spots), default=0.0) - MARGIN
    top = min((y for _, y in spots), default=0.0) - MARGIN
    right = max((x for x, _ in spots), default=0.0) + MARGIN
    bottom = max((y for _, y in spots), default=0.0) + MARGIN
    return Layout(
        drawing,
        tuple(attrs.evolve(box, x=box.x - left, y=box.y - top) for box in boxes),
        tuple(
            attrs.evolve(
                cable,
                ways=tuple(tuple((x - left, y - top) for x, y in way) for way in cable.ways),
                at=(cable.at[0] - left, cable.at[1] - top),
            )
            for cable in cables
        ),
        right - left,
        bottom - top,
    )


def _lines(node: Node) -> list[str]:
    return [*lines_of(node.marks, MARK, max(MARKS, width(node.label, LABEL, bold=True)))]


def _size(node: Node, marks: tuple[str, ...]) -> tuple[float, float]:
    across, above = PADDING
    wide = max([width(node.label, LABEL, bold=True), *(width(line, MARK) for line in marks)])
    round_ends = 10.0 if node.shape not in ("step", "function", "workflow", "resource") else 0.0
    high = LABEL_LINE + MARK_LINE * len(marks) + 2 * above
    return float(math.ceil(max(LEAST, wide + 2 * (across + round_ends)))), high


def _label_size(arrows: list[Arrow]) -> tuple[float, float]:
    labels = [arrow.label for arrow in arrows if arrow.label]
    if not labels:
        return 0.0, 0.0
    return float(math.ceil(max(width(label, MARK) for label in labels) + 6)), MARK_LINE * len(
        labels
    )
