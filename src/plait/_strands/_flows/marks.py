"""A document with the place of each value: a tree of nodes that stands beside the plain values.

Rule 1: a node is never changed once it is made, so that two places may share one: that is what an alias is.
Rule 2: laying one document over another makes new nodes only where both have a mapping. Every other
    node, and so its mark, is that of the value that won.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
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


#: What a scalar has below it: one for all, since a file may have a million of them.
_NOTHING: Final[tuple[Node, ...]] = ()
_NO_KEYS: Final[Mapping[str, Spot]] = MappingProxyType({})


@attrs.define(eq=False)  # not frozen: that makes each of them twice as slow to come by
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
    children: dict[str, Node] | Sequence[Node] = _NOTHING
    keys: Mapping[str, Spot] = _NO_KEYS
    count: int = 1
    depth: int = 0
    raw: bool = False

    def child(self, part: str | int) -> Node | None:
        """Step down to a child, if there is one."""
        children = self.children
        if isinstance(children, dict):
            return children.get(part) if isinstance(part, str) else None
        return children[part] if isinstance(part, int) and 0 <= part < len(children) else None


def mapping(children: dict[str, Node], keys: Mapping[str, Spot], spot: Spot) -> Node:
    """Make the node of a mapping."""
    value: dict[str, object] = {}
    count, depth, raw = 1, 0, False
    for key, node in children.items():
        value[key] = node.value
        count += node.count
        depth = max(depth, node.depth)
        raw = raw or node.raw
    return Node(value, spot, children, keys, count, depth + 1, raw)


def sequence(children: list[Node], spot: Spot) -> Node:
    """Make the node of a list."""
    value: list[object] = []
    count, depth, raw = 1, 0, False
    for node in children:
        value.append(node.value)
        count += node.count
        depth = max(depth, node.depth)
        raw = raw or node.raw
    return Node(value, spot, children, _NO_KEYS, count, depth + 1, raw)


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
        node = self.node
        for part in path[len(self._base) :]:
            below = node.child(part)
            if below is None:
                break
            node = below
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
        return os.path.dirname(self.place(path).file)  # noqa: PTH120 - "" for none, not "."

    def at(self, path: Path) -> Node | None:
        """Get the node at a path, if there is one."""
        node = self.node
        for part in path[len(self._base) :]:
            below = node.child(part)
            if below is None:
                return None
            node = below
        return node

    def _way(self, path: Path) -> Iterator[Node]:
        """Go down to the nearest value there is."""
        node = self.node
        yield node
        for part in path[len(self._base) :]:
            below = node.child(part)
            if below is None:
                return
            node = below
            yield node
