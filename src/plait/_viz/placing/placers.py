"""Who places boxes in layers and leads lines around them: graphlay, or else Graphviz.

graphlay is asked here and nowhere else, and imported when the first picture needs it. Where it is not
installed and `dot` is, that does it, with a warning: its lines are not as tidy. Both give the same
place to the same drawing each time.
"""

from __future__ import annotations

import importlib
import shutil
import subprocess
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias, cast

import attrs

from plait._errors import MissingExtra, PlaitError

Point: TypeAlias = tuple[float, float]
Direction: TypeAlias = Literal["down", "right"]
DIRECTIONS: Final[tuple[Direction, ...]] = ("down", "right")

MISSING: Final = (
    "SVG pictures need graphlay. Type: pip install 'plait[viz]'. "
    "The formats mermaid, dot and text need nothing"
)
BY_DOT: Final = "graphlay is not installed, so Graphviz's dot places the picture. Type: pip install 'plait[viz]'"
#: Of more boxes, labels included, the first good place is taken: the best one would take minutes.
MANY: Final = 300
#: And of more than so many, lines come in where they come in, and branches are not kept apart: both take
#: the cube of how many boxes stand side by side.
SEVERAL: Final = 100
PLAIN: Final[Mapping[str, Any]] = {
    "coords": {"branch_bands": False},
    "tuning": {"routing": {"port_relax_rounds": 0, "overlap_repair_rounds": 0}},
}
#: So many boxes, labels included, and lines can be placed in a few seconds. Nobody can read so many.
MOST: Final = (2000, 6000)
#: Between boxes of one layer, in pixels.
BESIDE: Final = 26.0


@attrs.frozen
class Request:
    """What is to be placed; all in pixels.

    Attributes:
        direction: Where the layers go on.
        sizes: Of the boxes: width and height.
        lines: From which box to which, by their numbers. There is no loop, but for lines from a box to
            itself.
        layers: Of the boxes; `None`: find it out.
        gap: Between layers.
    """

    direction: Direction
    sizes: Sequence[tuple[float, float]]
    lines: Sequence[tuple[int, int]]
    layers: Sequence[int | None]
    gap: float


@attrs.frozen
class Laid:
    """Where everything is; the vertical axis goes down.

    Attributes:
        middles: Of the boxes.
        lines: The points of each, from border to border.
    """

    middles: Sequence[Point]
    lines: Sequence[tuple[Point, ...]]


Placer: TypeAlias = Callable[[Request], Laid]


def find_placer() -> Placer:
    """Find who places pictures here.

    Raises:
        MissingExtra: Neither graphlay nor Graphviz is installed.
    """
    try:
        graphlay: Any = importlib.import_module("graphlay")
    except ModuleNotFoundError as error:
        if error.name != "graphlay":
            raise
        if shutil.which("dot") is None:
            raise MissingExtra(MISSING) from error
        warnings.warn(BY_DOT, stacklevel=2)
        return by_dot
    return lambda request: by_graphlay(graphlay.layout, request)


# ---------------------------------------------------------------- graphlay


def by_graphlay(layout: Callable[..., Any], request: Request) -> Laid:
    """Have graphlay place it."""
    nodes = [
        {
            "size": {"width": wide, "height": high},
            "rank": "free" if layer is None else {"fixed": layer},
        }
        for (wide, high), layer in zip(request.sizes, request.layers, strict=True)
    ]
    edges = [{"source": source, "target": target} for source, target in request.lines]
    options = {
        "direction": {"down": "topbottom", "right": "leftright"}[request.direction],
        "spacing": {"layer_gap": request.gap, "node_gap": BESIDE},
        "routing": {"style": "orthogonal"},
        "effort": "fast" if len(nodes) > MANY else "balanced",
        **(PLAIN if len(nodes) > SEVERAL else {}),
    }
    laid = layout({"nodes": nodes, "edges": edges}, options=options)
    given = cast("list[Mapping[str, Any]]", laid.edges)
    return Laid(
        [_point(node["center"]) for node in laid.nodes],
        [tuple(map(_point, edge["points"])) for edge in given],
    )


def _point(given: Mapping[str, float]) -> Point:
    return given["x"], given["y"]


# ---------------------------------------------------------------- Graphviz

#: It has so many seconds.
PATIENCE: Final = 60
#: Pixels in an inch, which Graphviz measures in.
INCH: Final = 72.0


def by_dot(request: Request) -> Laid:
    """Have Graphviz place it.

    Raises:
        PlaitError: It refused to, or it takes too long.
    """
    # No shell, and nothing of the user's in it: numbers only.
    try:
        done = subprocess.run(
            ["dot", "-Tplain"],  # noqa: S607
            input="\n".join(_in_dot(request)),
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
    except subprocess.TimeoutExpired:
        text = f"Graphviz's dot has not placed the picture in {PATIENCE} s. Type: pip install 'plait[viz]'"
        raise PlaitError(text) from None
    if done.returncode:
        raise PlaitError(f"Graphviz's dot could not place the picture: {done.stderr.strip()}")
    return _from_plain(request, done.stdout)


def _in_dot(request: Request) -> list[str]:
    turn = {"down": "TB", "right": "LR"}[request.direction]
    gaps = f"ranksep={request.gap / INCH}, nodesep={BESIDE / INCH}"
    lines = [f"digraph {{ graph [rankdir={turn}, splines=polyline, {gaps}];"]
    lines.append('node [shape=box, fixedsize=true, label=""]; edge [arrowhead=none];')
    for number, (wide, high) in enumerate(request.sizes):
        lines.append(f"{number} [width={wide / INCH}, height={high / INCH}];")
    lines += (f"{one} -> {two} [id={n}];" for n, (one, two) in enumerate(request.lines))
    rows: dict[int, list[int]] = {}
    for number, layer in enumerate(request.layers):
        if layer is not None:
            rows.setdefault(layer, []).append(number)
    lines += (f"{{ rank=same; {'; '.join(map(str, row))} }}" for row in rows.values())
    return [*lines, "}"]


def _from_plain(request: Request, text: str) -> Laid:
    middles: list[Point] = [(0.0, 0.0)] * len(request.sizes)
    found: dict[tuple[int, int], list[tuple[Point, ...]]] = {}
    for line in text.splitlines():
        match line.split():
            case ["node", number, x, y, *_]:
                middles[int(number)] = (float(x) * INCH, -float(y) * INCH)
            case ["edge", one, two, many, *rest]:
                numbers = [float(each) * INCH for each in rest[: 2 * int(many)]]
                points = [*zip(numbers[::2], (-y for y in numbers[1::2]), strict=True)]
                # Curves of three points each, which are straight here.
                found.setdefault((int(one), int(two)), []).append(tuple(points[::3]))
            case _:
                continue
    return Laid(middles, [found[line].pop(0) for line in request.lines])
