"""A drawing as text, for a terminal: each node, and below it where its arrows lead."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import Final

from plait._viz.drawing import Arrow, Drawing, Node

#: Controls, what turns the direction of writing, halves of pairs, ends of lines.
_MOVING: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def text(drawing: Drawing) -> str:
    """Write a drawing as lines of text.

    A node stands at the left, with its marks; each of its arrows is a line below it. `⇢` is a
    dashed one.
    """
    labels = _labels(drawing)
    lines = [", ".join([_plain(drawing.title), *drawing.about])]
    layer: int | None = None
    for node in _ordered(drawing):
        if node.layer is not None and node.layer != layer:
            layer = node.layer
            lines += ["", f"wave {layer + 1}"]
        lines += _node(node, labels)
        lines += (_arrow(arrow, labels) for arrow in drawing.arrows if arrow.source == node.name)
    return "\n".join(lines) + "\n"


def _ordered(drawing: Drawing) -> list[Node]:
    return sorted(drawing.nodes, key=lambda node: node.layer or 0)


def _labels(drawing: Drawing) -> dict[str, str]:
    """What each node is called: its label, and what kind it is where that is no step."""
    return {
        node.name: _plain(node.label)
        if node.shape in ("step", "function")
        else f"({_plain(node.label)})"
        for node in drawing.nodes
    }


def _node(node: Node, labels: dict[str, str]) -> Iterator[str]:
    marks = f"  {_plain(' · '.join(node.marks))}" if node.marks else ""
    yield f"  {labels[node.name]}{marks}"


def _arrow(arrow: Arrow, labels: dict[str, str]) -> str:
    sign = "⇢" if arrow.dashed else "→"
    label = f"  {_plain(arrow.label)}" if arrow.label else ""
    return f"      {sign} {labels[arrow.target]}{label}"


def _plain(text: str) -> str:
    """Show what would move the cursor, or turn the line round, by its number."""
    return "".join(
        sign.encode("unicode_escape").decode("ascii")
        if unicodedata.category(sign) in _MOVING
        else sign
        for sign in text
    )
