"""Recipes: what a factory needs and gives, as far as its signature tells."""

from __future__ import annotations

import typing
from collections.abc import Iterator
from typing import Final, cast

import attrs

from plait._strands._events.context import Context

from .factory import is_managed, name_of, resolve, signature_of
from .marker import Marker, Resource, find

MANAGED_BY_WORKFLOW: Final = (
    "A context manager resource cannot have scope 'workflow'. Use scope='run'."
)


@attrs.frozen
class Recipe:
    """A factory's signature, read."""

    #: Its parameters that are resources and configs, with their types.
    needs: tuple[tuple[str, Marker, object], ...]
    contexts: tuple[str, ...]
    #: Is it known to return a context manager?
    managed: bool
    faults: tuple[str, ...]


def recipe_of(resource: Resource) -> Recipe:
    """Read the signature of a resource's factory, once."""
    if resource._recipe is not None:
        return cast("Recipe", resource._recipe)
    recipe = _read(resource)
    if not recipe.faults:  # else: a name that does not exist may be defined further down
        resource._recipe = recipe
        resource._names = {}
    return recipe


def _read(resource: Resource) -> Recipe:
    factory, names, who = resource.factory, resource._names, name_of(resource.factory)
    needs: list[tuple[str, Marker, object]] = []
    contexts: list[str] = []
    faults: list[str] = []
    for name, parameter in signature_of(factory).parameters.items():
        optional = parameter.default is not parameter.empty or parameter.kind in (
            parameter.VAR_POSITIONAL,
            parameter.VAR_KEYWORD,
        )
        hint = resolve(parameter.annotation, factory, names)
        marker = find(hint)
        if marker is not None:
            needs.append((name, marker, typing.get_args(hint)[0]))
        elif (typing.get_origin(hint) or hint) is Context:
            contexts.append(name)
        elif hint is NameError and not optional:
            faults.append(
                f"Resource {who!r}: cannot resolve the annotation {parameter.annotation!r} "
                f"of parameter {name!r}."
            )
        elif not optional:
            faults.append(
                f"Resource {who!r} has a parameter {name!r} that is neither a Context "
                "nor a resource, and has no default."
            )
    return Recipe(tuple(needs), tuple(contexts), is_managed(factory, names), tuple(faults))


def faults_of(resource: Resource) -> Iterator[str]:
    """Say what is wrong with a resource, as far as that is known before it is made."""
    recipe = recipe_of(resource)
    yield from recipe.faults
    if resource.scope == "workflow" and recipe.managed:
        yield MANAGED_BY_WORKFLOW
    if resource.scope == "workflow" and recipe.contexts:
        yield (
            f"Resource {name_of(resource.factory)!r} of scope 'workflow' cannot be given a "
            "Context. Use scope='run'."
        )
