"""The graph of a flow: which steps wait for each other in a circle, and what `plan` shows.

All of it is loops, no recursion: a chain of 10 000 steps is fine.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TypeAlias

#: The steps in the order of the file, and which steps each waits for.
Graph: TypeAlias = Mapping[str, Collection[str]]


def waves(graph: Graph) -> tuple[tuple[str, ...], ...]:
    """Sort steps by the longest row of steps before them; in each wave they keep their order.

    Args:
        graph: Without a circle.
    """
    missing = {step: len(after) for step, after in graph.items()}
    followers: dict[str, list[str]] = {step: [] for step in graph}
    for step, after in graph.items():
        for other in after:
            followers[other].append(step)
    found: list[tuple[str, ...]] = []
    order = {step: number for number, step in enumerate(graph)}
    ready = [step for step, count in missing.items() if not count]
    while ready:
        found.append(tuple(ready))
        later: list[str] = []
        for step in ready:
            for follower in followers[step]:
                missing[follower] -= 1
                if not missing[follower]:
                    later.append(follower)
        ready = sorted(later, key=order.__getitem__)
    return tuple(found)


def cycles(graph: Graph) -> list[tuple[str, ...]]:
    """Find the circles: for each group of steps that wait for each other, a shortest one.

    Returns:
        Each as `("a", "b", "a")`, from the group's first step in the order of the file; the groups in
        the order of these. Each step waits for the one before it.
    """
    order = {step: number for number, step in enumerate(graph)}
    found: list[tuple[str, ...]] = []
    for group in _groups(graph):
        first = min(group, key=order.__getitem__)
        if len(group) > 1 or first in graph[first]:
            found.append(_circle(graph, {*group}, first))
    return sorted(found, key=lambda circle: order[circle[0]])


def _circle(graph: Graph, group: set[str], first: str) -> tuple[str, ...]:
    """Walk from a step through its group back to it, the shortest way."""
    came: dict[str, str] = {}
    now = [first]
    while first not in came:
        later: list[str] = []
        for step in now:
            for other in graph[step]:
                if other in group and other not in came:
                    came[other] = step
                    later.append(other)
        now = later
    way = [first, came[first]]
    while way[-1] != first:
        way.append(came[way[-1]])
    return tuple(way)


def _groups(graph: Graph) -> list[list[str]]:
    """Find the strongly connected components, by Tarjan's algorithm on a stack of its own."""
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    waiting: list[str] = []
    inside: set[str] = set()
    groups: list[list[str]] = []
    for root in graph:
        if root in number:
            continue
        number[root] = lowest[root] = len(number)
        waiting.append(root)
        inside.add(root)
        work = [(root, iter(graph[root]))]
        while work:
            step, others = work[-1]
            for other in others:
                if other not in number:
                    number[other] = lowest[other] = len(number)
                    waiting.append(other)
                    inside.add(other)
                    work.append((other, iter(graph[other])))
                    break
                if other in inside:
                    lowest[step] = min(lowest[step], number[other])
            else:
                work.pop()
                if work:
                    above = work[-1][0]
                    lowest[above] = min(lowest[above], lowest[step])
                if lowest[step] == number[step]:
                    at = _position(waiting, step)
                    group = waiting[at:]
                    del waiting[at:]
                    inside.difference_update(group)
                    groups.append(group)
    return groups


def _position(waiting: list[str], step: str) -> int:
    """Find a step from the end: the group that it closes is what comes after it."""
    at = len(waiting) - 1
    while waiting[at] != step:
        at -= 1
    return at
