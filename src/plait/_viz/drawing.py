"""What a picture shows: nodes, and arrows between them. No format, no place on paper."""

from __future__ import annotations

from typing import Literal, TypeAlias

import attrs

Shape: TypeAlias = Literal["step", "start", "stop", "outside"]


@attrs.frozen
class Node:
    """One thing in a picture.

    Attributes:
        name: What arrows call it; unique in its drawing.
        label: What is written on it.
        shape: What kind of thing it is.
    """

    name: str
    label: str
    shape: Shape = "step"


@attrs.frozen
class Arrow:
    """From one node to another.

    Attributes:
        source: The name of the node that it comes from.
        target: The name of the one that it goes to.
        label: What is written on it.
        dashed: For what may come, and need not.
    """

    source: str
    target: str
    label: str = ""
    dashed: bool = False


@attrs.frozen
class Drawing:
    """A picture, before it has a format.

    Attributes:
        title: What it is of.
        nodes: In the order of the file or class.
        arrows: In the order of what they come from.
    """

    title: str
    nodes: tuple[Node, ...]
    arrows: tuple[Arrow, ...]
