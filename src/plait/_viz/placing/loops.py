"""Which arrows lead back: they close a loop, and are placed as if they went the other way.

The way on is that of a walk in the order of the drawing, from what nothing leads to: who reads a
picture from the top sees the steps in the order in which they are written, wherever a loop allows it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence


def leading_back(nodes: Sequence[str], arrows: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """Find the arrows without which there is no loop; one from a node to itself is not among them.

    Args:
        nodes: In their order.
        arrows: Each from one node to another.
    """
    after: dict[str, dict[str, None]] = {node: {} for node in nodes}
    for source, target in arrows:
        if source != target:
            after[source][target] = None
    led_to = {target for targets in after.values() for target in targets}
    back: set[tuple[str, str]] = set()
    open_: dict[str, None] = {}
    done: set[str] = set()
    # No recursion: a chain may have any length.
    for root in (*(node for node in nodes if node not in led_to), *nodes):
        if root in done:
            continue
        open_[root] = None
        work: list[tuple[str, Iterator[str]]] = [(root, iter(after[root]))]
        while work:
            node, targets = work[-1]
            for target in targets:
                if target in open_:
                    back.add((node, target))
                elif target not in done:
                    open_[target] = None
                    work.append((target, iter(after[target])))
                    break
            else:
                work.pop()
                del open_[node]
                done.add(node)
    return back
