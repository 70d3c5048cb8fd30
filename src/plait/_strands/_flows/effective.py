"""The effective source of a step: its provider, its configuration, and where each part was written."""

from __future__ import annotations

from typing import cast

import attrs

from .grammar import Document, SourceDef, SourceRef, Step
from .marks import Marked, Node, overlay
from .problems import Path, Place, Problems, did_you_mean
from .sources import catalog
from .sources.provider import Provider


@attrs.frozen(eq=False)
class Effective:
    """What a step gets its data from.

    Attributes:
        provider: What its type stands for; `None` if there is no such thing.
        configuration: As it was written, with what the step overrides.
        origins: The paths that the configuration may have in the document, the one that wins first.
    """

    provider: Provider | None
    configuration: dict[str, object]
    origins: tuple[Path, ...]


class Providers:
    """Finds the providers of steps, and says what is wrong with their names.

    Args:
        document: What was structured.
        marked: The same, with places.
        problems: Takes types and sources that do not exist.
    """

    def __init__(self, document: Document, marked: Marked, problems: Problems) -> None:
        self._sources = document.sources
        self._marked = marked
        self._problems = problems
        #: The sources of steps that only name them: the same object for all of these.
        self._named: dict[str, Effective] = {}
        for name, source in document.sources.items():
            if source.type not in catalog.BUILT_IN and source.type not in catalog.names():
                self._unknown(source.type, ("sources", name, "type"))

    def named(self, name: str) -> Provider | None:
        """Get the provider of a named source if that loads no plugin."""
        return catalog.BUILT_IN.get(self._sources[name].type)

    def of(self, step: Step) -> Effective | None:
        """Find out where a step gets its data. `None`: from nowhere, which is a problem."""
        if isinstance(step.source, str):
            known = self._named.get(step.source)
            return known or self._name(step.source, step.path)
        here = (*step.path, "source")
        match step.source:
            case SourceDef() as source:
                return self._defined(source, here)
            case SourceRef() as reference:
                return self._overridden(reference, here)

    def _name(self, name: str, path: Path) -> Effective:
        source = self._sources.get(name)
        if source is not None:
            found = self._defined(source, ("sources", name))
        else:
            found = Effective(self._provider(name, (*path, "source")), {}, ())
        if found.provider is not None:
            self._named[name] = found
        return found

    def _defined(self, source: SourceDef, path: Path) -> Effective:
        provider = self._provider(source.type, (*path, "type"))
        return Effective(provider, source.configuration, ((*path, "configuration"),))

    def _overridden(self, reference: SourceRef, path: Path) -> Effective | None:
        base = self._sources.get(reference.base)
        if base is None:
            hint = did_you_mean(reference.base, self._sources)
            message = f"source {reference.base!r} is not declared{hint}"
            self._problems.add("reference", message, self._marked.place((*path, "base")))
            return None
        override = reference.override
        if override.type is None:
            provider = self._provider(base.type, ("sources", reference.base, "type"))
        else:
            provider = self._provider(override.type, (*path, "override", "type"))
        below = ("sources", reference.base, "configuration")
        above = (*path, "override", "configuration")
        if override.configuration is None:
            return Effective(provider, base.configuration, (below,))
        if reference.merge == "shallow":
            return Effective(provider, override.configuration, (above,))
        low, high = self._marked.at(below), self._marked.at(above)
        node = overlay(low, high) if low and high else high
        value = cast("dict[str, object]", cast("Node", node).value)
        return Effective(provider, value, (above, below))

    def _provider(self, name: str, path: Path) -> Provider | None:
        provider = catalog.find(name)
        if provider is None:
            self._unknown(name, path)
        return provider

    def _unknown(self, name: str, path: Path) -> None:
        known = catalog.names()
        hint = did_you_mean(name, [*known, *self._sources])
        message = f"Unknown provider type {name!r}. Available providers: {', '.join(known)}{hint}"
        self._problems.add("source", message, self._marked.place(path))


def place_of(marked: Marked, effective: Effective, fallback: Path, rest: Path) -> Place:
    """Say where a part of a configuration was written; what was not, where the nearest part was.

    Args:
        marked: The document.
        effective: The source.
        fallback: Where to go if nothing of it was written.
        rest: The path in the configuration.
    """
    for end in range(len(rest), -1, -1):
        for origin in effective.origins:
            if marked.at((*origin, *rest[:end])) is not None:
                return attrs.evolve(marked.place((*origin, *rest)))
    return marked.place(fallback)


def key_place_of(marked: Marked, effective: Effective, fallback: Path, rest: Path) -> Place:
    """Say where the key stands that a path in a configuration ends with; see `place_of`."""
    for origin in effective.origins:
        if marked.at((*origin, *rest)) is not None:
            return marked.key_place((*origin, *rest))
    return place_of(marked, effective, fallback, rest)
