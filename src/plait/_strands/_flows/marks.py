"""A document with the place of each value: a tree of nodes that stands beside the plain values.

Rule 1: a node is never changed once it is made, so that two places may share one: that is what an alias is.
Rule 2: laying one document over another makes new nodes only where both have a mapping. Every other
    node, and so its mark, is that of the value that won.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias

import attrs

from .problems import Path, Place

#: File, line and column, these from 1; a mapping that a program has made has no line.
Spot: TypeAlias = tuple[str, int, int]

NOWHERE: Final[Spot] = ("", 0, 0)


@attrs.frozen
class Raw:
    """What stands under `!raw`: it is never rendered, nor searched for references."""

    value: object


@attrs.frozen(eq=False)
class Node:
    """A value and where it stands.

    Attributes:
        value: The plain value; that of a mapping or list has the values of `children`.
        spot: Where it begins.
        children: Of a mapping by key, of a list by number; empty for anything else.
        keys: Where the keys of a mapping stand.
        count: How many values it is, itself and each alias below it expanded.
        depth: How many levels of mappings and lists it has.
        raw: Whether there is a `Raw` in it.
    """

    value: object
    spot: Spot
    children: Mapping[str, Node] | list[Node] = attrs.field(factory=list["Node"])
    keys: Mapping[str, Spot] = attrs.field(factory=dict[str, Spot])
    count: int = 1
    depth: int = 0
    raw: bool = False

    def child(self, part: str | int) -> Node | None:
        """Step down to a child, if there is one."""
        if isinstance(self.children, list):
            there = isinstance(part, int) and 0 <= part < len(self.children)
            return self.children[part] if there else None  # type: ignore[index]  # pyright: ignore[reportArgumentType, reportCallIssue]
        return self.children.get(part) if isinstance(part, str) else None


def mapping(children: dict[str, Node], keys: dict[str, Spot], spot: Spot) -> Node:
    """Make the node of a mapping."""
    nodes = children.values()
    return Node(
        {key: node.value for key, node in children.items()},
        spot,
        children,
        keys,
        1 + sum([node.count for node in nodes]),
        1 + max([node.depth for node in nodes], default=0),
        any([node.raw for node in nodes]),
    )


def sequence(children: list[Node], spot: Spot) -> Node:
    """Make the node of a list."""
    return Node(
        [node.value for node in children],
        spot,
        children,
        {},
        1 + sum([node.count for node in children]),
        1 + max([node.depth for node in children], default=0),
        any([node.raw for node in children]),
    )


def overlay(low: Node, high: Node, *, deep: bool = True) -> Node:
    """Lay one value over another: mappings key by key, anything else is replaced, also by null.

    Args:
        low: What is replaced.
        high: What wins.
        deep: Whether mappings inside are laid over each other too; if not, whole keys are replaced.
    """
    if not isinstance(low.value, dict) or not isinstance(high.value, dict):
        return high
    below, above = low.children, high.children
    assert isinstance(below, dict)
    assert isinstance(above, dict)
    children: dict[str, Node] = {**below}
    for key, node in above.items():
        under = below.get(key)
        children[key] = node if under is None or not deep else overlay(under, node)
    return mapping(children, {**low.keys, **high.keys}, high.spot)


class Marked:
    """A document, or a part of one, and where each value of it stands.

    Args:
        node: The tree.
        name: What to call it.
        base: The path that `node` has.

    Attributes:
        name: What to call it: `"2-mixed.yaml"`.
    """

    def __init__(self, node: Node, name: str, base: Path = ()) -> None:
        self.node = node
        self.name = name
        self._base = base

    @property
    def value(self) -> object:
        """The plain value: mappings, lists, text, numbers, bools, null and `Raw`."""
        return self.node.value

    def place(self, path: Path) -> Place:
        """Say where a value stands; of a path that is not there, where the nearest one above it does."""
        *_, node = self._way(path)
        return Place(*node.spot, path)

    def key_place(self, path: Path) -> Place:
        """Say where the key stands that a path ends with; if there is no such key, as `place`."""
        way = [*self._way(path)]
        if len(way) == len(path) - len(self._base) + 1 and len(way) > 1:
            spot = way[-2].keys.get(str(path[-1]))
            if spot is not None:
                return Place(*spot, path)
        return Place(*way[-1].spot, path)

    def folder(self, path: Path) -> str:
        """Say where a relative path starts that stands here: the folder of its file."""
        return os.path.dirname(self.place(path).file)

    def at(self, path: Path) -> Node | None:
        """Get the node at a path, if there is one."""
        way = [*self._way(path)]
        return way[-1] if len(way) == len(path) - len(self._base) + 1 else None

    def _way(self, path: Path) -> Iterator[Node]:
        """Go down to the nearest value there is."""
        node: Node | None = self.node
        yield self.node
        for part in path[len(self._base) :]:
            node = node.child(part)
            if node is None:
                return
            yield node
