"""The scope of a workflow object: what serves all its runs, and what takes a factory's place."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, MutableSet
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs

from .config import load
from .factory import Factory, full_names, name_of
from .marker import Marker, Resource, ResourceConfig, Scope
from .recipe import recipe_of

if TYPE_CHECKING:
    from plait._engine.native import Happening

#: A resource or config, its type, and those that need it, the last one directly.
Found: TypeAlias = tuple[Marker, object, tuple[Factory, ...]]


@attrs.frozen
class Made:
    """What a factory has made, and the scope at whose end it becomes unusable."""

    value: Any
    ends: Scope
    #: What it was made from that ends there, or itself.
    because_of: str = ""


class Shelf:
    """What has been made in one scope, and what is being made."""

    def __init__(self) -> None:
        self.made: dict[Factory, Made] = {}
        self.making: dict[Factory, Happening] = {}


class WorkflowScope:
    """The resources of a workflow object. They are values: nothing here is ever closed."""

    def __init__(self) -> None:
        self.shelf = Shelf()
        #: What takes the place of factories, by their qualified names.
        self.replaced: dict[str, Made] = {}
        #: The scopes that factories have by themselves, as far as they were called.
        self.natures: dict[Factory, Scope] = {}
        self._configs: dict[tuple[ResourceConfig, object], Made] = {}
        #: What has been looked through and needs nothing that needs it.
        self._sound: MutableSet[Marker] = set()

    def replace(self, name: str, value: object) -> None:
        """Put a value in the place of what a factory makes."""
        self.replaced[name] = Made(value, Scope.WORKFLOW)
        self._sound.clear()

    def given(self, marker: Marker, hint: object) -> Made | None:
        """Return what needs no making: what a factory was replaced by, or a config.

        Raises:
            ConfigFault: The config cannot be read, or does not fit.
        """
        if isinstance(marker, Resource):
            if not self.replaced:
                return None
            short, full = full_names(marker.factory)
            return self.replaced.get(full) or self.replaced.get(short)
        key = (marker, hint)
        if key not in self._configs:
            self._configs[key] = Made(load(marker, hint), Scope.WORKFLOW)
        return self._configs[key]

    def scope_of(self, wanted: Resource) -> Scope | None:
        """Return the scope of a resource; `None`: it will be known when it has been made once."""
        if wanted.declared is not None:
            return wanted.declared
        recipe = recipe_of(wanted)
        if not wanted.cache and not recipe.managed:
            return Scope.STEP
        if recipe.managed and not recipe.needs:
            return Scope.RUN
        return self.natures.get(wanted.factory)

    def refuse_a_cycle(self, marker: Marker, hint: object) -> None:
        """Look through what a resource needs, once.

        Raises:
            ValueError: It needs itself.
        """
        if marker not in self._sound:
            deque(self.walk(marker, hint), maxlen=0)
            self._sound.add(marker)

    def walk(self, marker: Marker, hint: object) -> Iterator[Found]:
        """Go through a resource and all that it needs.

        Raises:
            ValueError: It needs itself.
        """
        return self._walk(marker, hint, (), set())

    def _walk(
        self, marker: Marker, hint: object, above: tuple[Factory, ...], seen: MutableSet[Factory]
    ) -> Iterator[Found]:
        if isinstance(marker, ResourceConfig):
            yield marker, hint, above
            return
        factory = marker.factory
        if factory in above:
            names = " -> ".join(map(name_of, [*above[above.index(factory) :], factory]))
            raise ValueError(f"Circular resource dependency detected: {names}")
        if factory not in seen and self.given(marker, hint) is None:
            seen.add(factory)
            yield marker, hint, above
            for _, below, its_hint in recipe_of(marker).needs:
                yield from self._walk(below, its_hint, (*above, factory), seen)
