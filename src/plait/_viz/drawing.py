"""What a picture shows: nodes, and arrows between them. No format, no place on paper."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import attrs

Shape: TypeAlias = Literal[
    "step", "start", "stop", "outside", "resource", "workflow", "event", "time", "function"
]

#: So many signs a mark has at most.
LONGEST: Final = 48


@attrs.frozen
class Node:
    """One thing in a picture.

    Attributes:
        name: What arrows call it; unique in its drawing.
        label: What is written on it.
        shape: What kind of thing it is.
        marks: What is to be known of it, in small letters below the label: limits, retries.
        layer: How many others are before it in a row, if that is told; else whoever places it
            finds out.
        full: All of the label, where what is written is a part of it.
        tone: How it went, of what has happened: `"failed"`, `"cancelled"`, `"open"`; else `""`.
    """

    name: str
    label: str
    shape: Shape = "step"
    marks: tuple[str, ...] = ()
    layer: int | None = None
    full: str | None = None
    tone: str = ""

    @property
    def whole(self) -> str:
        """The label, uncut."""
        return self.label if self.full is None else self.full


@attrs.frozen
class Arrow:
    """From one node to another.

    Attributes:
        source: The name of the node that it comes from.
        target: The name of the one that it goes to.
        label: What is written on it.
        dashed: For what may come, and need not; and for what is lent.
        full: All of the label, where what is written is a part of it.
    """

    source: str
    target: str
    label: str = ""
    dashed: bool = False
    full: str | None = None

    @property
    def whole(self) -> str:
        """The label, uncut."""
        return self.label if self.full is None else self.full


@attrs.frozen
class Drawing:
    """A picture, before it has a format.

    Attributes:
        title: What it is of.
        nodes: In the order of the file or class.
        arrows: In the order of what they come from.
        about: What holds for the whole of it, in a few words each.
    """

    title: str
    nodes: tuple[Node, ...]
    arrows: tuple[Arrow, ...]
    about: tuple[str, ...] = ()

    def shortened(self, most: int | None) -> Drawing:
        """Cut each label that has more than `most` signs; `None` cuts nothing."""
        if most is None:
            return self
        nodes = tuple(
            attrs.evolve(node, label=cut(node.label, most), full=node.whole) for node in self.nodes
        )
        arrows = tuple(
            attrs.evolve(arrow, label=cut(arrow.label, most), full=arrow.whole)
            for arrow in self.arrows
        )
        return attrs.evolve(self, nodes=nodes, arrows=arrows)


def cut(text: str, most: int) -> str:
    """Cut a text to so many signs, the last of which says that it was cut."""
    return text if len(text) <= most else text[: most - 1] + "…"


def mark(text: str) -> str:
    """Make a mark of a text of any length, with line breaks or without."""
    return cut(" ".join(text.split()), LONGEST)
