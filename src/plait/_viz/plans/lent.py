"""The resources of a workflow: which there are, and who is lent them."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Literal

import attrs

from plait._strands._events.graph import Graph
from plait._strands._events.resources.factory import name_of
from plait._strands._events.resources.marker import Marker, Resource
from plait._strands._events.resources.recipe import recipe_of


@attrs.frozen
class Lent:
    """One resource or part of a configuration.

    Attributes:
        name: Of its node; a resource's is no identifier, so it is no step's.
        label: The factory's, or the file's.
        kind: What it is.
        marks: How long it lasts, or which part of the file it is.
        users: The steps that are lent it, each with the name of its parameter.
        parts: The resources that are made of it, by their names, each with the name of the parameter.
        description: What a configuration is for.
    """

    name: str
    label: str
    kind: Literal["resource", "resource_config"]
    marks: tuple[str, ...]
    users: tuple[tuple[str, str], ...]
    parts: tuple[tuple[str, str], ...]
    description: str | None = None


def lent_in(graph: Graph) -> tuple[Lent, ...]:
    """Find all that steps and factories are lent, in the order in which they name it."""
    found: dict[Hashable, Lent] = {}
    for spec, signature in graph.steps:
        for parameter in signature.resources:
            assert parameter.resource is not None
            _add(found, parameter.resource, step=(spec.name, parameter.name))
    return tuple(found.values())


def _add(
    found: dict[Hashable, Lent],
    marker: Marker,
    *,
    step: tuple[str, str] | None = None,
    part: tuple[str, str] | None = None,
) -> None:
    key = _key(marker)
    is_new = key not in found
    if is_new:
        found[key] = _lent(marker, f"(lent {len(found) + 1})")
    one = found[key]
    found[key] = attrs.evolve(
        one,
        users=one.users if step is None or step in one.users else (*one.users, step),
        parts=one.parts if part is None or part in one.parts else (*one.parts, part),
    )
    if is_new and isinstance(marker, Resource):
        for name, needed, _ in recipe_of(marker).needs:
            _add(found, needed, part=(one.name, name))


def _key(marker: Marker) -> Hashable:
    if isinstance(marker, Resource):
        return marker.factory, marker.scope, marker.cache
    return marker.config_file, marker.path_selector


def _lent(marker: Marker, name: str) -> Lent:
    if isinstance(marker, Resource):
        return Lent(name, name_of(marker.factory), "resource", tuple(_scope(marker)), (), ())
    label = marker.label or marker.config_file
    where = () if marker.path_selector is None else (marker.path_selector,)
    return Lent(name, label, "resource_config", where, (), (), marker.description)


def _scope(marker: Resource) -> Iterator[str]:
    if marker.scope is not None:
        yield f"for each {marker.scope}"
    elif recipe_of(marker).managed:
        yield "for each run"
