"""A drawing as Mermaid: what many sites and editors draw from a block of text."""

from __future__ import annotations

import re
from typing import Final

from plait._viz.drawing import Drawing, Shape

#: What is around a label.
SHAPES: Final[dict[Shape, tuple[str, str]]] = {
    "step": ("[", "]"),
    "start": ("([", "])"),
    "stop": ("([", "])"),
    "outside": ("[/", "/]"),
    "resource": ("[(", ")]"),
    "workflow": ("[[", "]]"),
    "event": ("([", "])"),
    "time": ("{{", "}}"),
    "function": ("[", "]"),
}
#: All that could end a label, begin another thing, or be taken for HTML or Markdown.
_UNSAFE: Final = re.compile(r"[^\w .,:()\[\]=+*/-]")


def mermaid(drawing: Drawing) -> str:
    """Write a drawing as a Mermaid flowchart."""
    ids = {node.name: f"n{place}" for place, node in enumerate(drawing.nodes, 1)}
    lines = ["flowchart TD"]
    if drawing.title:
        lines = ["---", f"title: {_quoted(drawing.title)}", "---", *lines]
    for node in drawing.nodes:
        left, right = SHAPES[node.shape]
        lines.append(f"    {ids[node.name]}{left}{_quoted(node.label, *node.marks)}{right}")
    for arrow in drawing.arrows:
        line = "-.->" if arrow.dashed else "-->"
        label = f"|{_quoted(arrow.label)}|" if arrow.label else ""
        lines.append(f"    {ids[arrow.source]} {line}{label} {ids[arrow.target]}")
    return "\n".join(lines) + "\n"


def _quoted(*texts: str) -> str:
    """Write texts, a line each, so that Mermaid shows them as they are."""
    lines = (_UNSAFE.sub(lambda sign: f"#{ord(sign[0])};", text) for text in texts)
    return '"' + "<br/>".join(lines) + '"'
