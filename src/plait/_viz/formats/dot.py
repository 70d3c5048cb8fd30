"""A drawing as DOT: what Graphviz draws."""

from __future__ import annotations

import re
from typing import Final

from plait._viz.drawing import Drawing, Shape

SHAPES: Final[dict[Shape, str]] = {
    "step": "box",
    "start": "oval",
    "stop": "oval",
    "outside": "parallelogram",
    "resource": "cylinder",
    "workflow": "box3d",
    "event": "oval",
    "time": "hexagon",
    "function": "box",
}
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def dot(drawing: Drawing) -> str:
    """Write a drawing as a directed graph in DOT."""
    ids = {node.name: f"n{place}" for place, node in enumerate(drawing.nodes, 1)}
    lines = [f"digraph {_quoted(drawing.title)} {{", "    node [style=rounded];"]
    for node in drawing.nodes:
        shape = SHAPES[node.shape]
        lines.append(
            f"    {ids[node.name]} [label={_quoted(node.label, *node.marks)}, shape={shape}];"
        )
    for arrow in drawing.arrows:
        options = [f"label={_quoted(arrow.label)}"] if arrow.label else []
        options += ["style=dashed"] if arrow.dashed else []
        more = f" [{', '.join(options)}]" if options else ""
        lines.append(f"    {ids[arrow.source]} -> {ids[arrow.target]}{more};")
    return "\n".join([*lines, "}"]) + "\n"


def _quoted(*texts: str) -> str:
    """Write texts, a line each, so that Graphviz shows them as they are: a backslash begins an escape."""
    plain = (_CONTROL.sub(lambda sign: f"\\x{ord(sign[0]):02x}", text) for text in texts)
    return '"' + "\\n".join(_escaped(text) for text in plain) + '"'


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
