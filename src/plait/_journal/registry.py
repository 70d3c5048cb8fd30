"""Tables of kinds: which records a stream may hold, under which tags, and how their fields are written.

Rule 1: a tag, once used, means the same for ever. A class may be renamed; its tag may not.
Rule 2: fields that change are a new version, with an upgrade from the one before. The files of
    `tests/conformance/golden` hold each version to its word.
Rule 3: a kind that is not in the table is refused. Nothing is imported by a name in a journal.

How a field is written follows from what it is annotated with; each table says how, and names the
exceptions. There are three registries: `kinds` of event workflows and flows, `app_kinds`, and `life_kinds` of
functions' runs. With the first and the last are the `call_kinds`, of durable calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, TypeAlias, get_type_hints

import attrs

from . import forms
from .forms import Form, Misfit
from .pens import Pen, pen_for

Body: TypeAlias = dict[str, Any]
#: From a version of a tag to the next one: a body as it was written, yours to change and return.
Upgrade: TypeAlias = Callable[[Body], Body]


@attrs.frozen
class Kind:
    """One kind of record: its tag, the version of its fields, and its class.

    `keyed`: its field `key` is written as the key of the entry, and not into the body. So a journal
    sees which step it is of, and there is one truth about that. `on_wall`: its time is Unix time, whatever
    the clock of the other records is.
    """

    tag: str
    version: int
    cls: type
    keyed: bool = False
    on_wall: bool = False


@attrs.frozen
class Forms:
    """How the fields of a table's classes are written.

    Args:
        by_annotation: By what a field is annotated with.
        exceptions: Of single fields. `None`: it is not written, and read as `None`.
    """

    by_annotation: Mapping[object, Form]
    exceptions: Mapping[tuple[type, str], Form | None]

    def of(self, cls: type) -> Form:
        """Make the form of a class, of its fields."""
        found, left_out = self._fields_of(cls)
        return forms.fields(partial(cls, **left_out) if left_out else cls, **found)

    def pen_of(self, cls: type, *, keyed: bool) -> Pen | None:
        """Make the pen of a class, if it can have one. `keyed`: its key is not for the body."""
        found, _ = self._fields_of(cls)
        if keyed:
            del found["key"]
        return pen_for(found)

    def _fields_of(self, cls: type) -> tuple[dict[str, Form], dict[str, None]]:
        hints = get_type_hints(cls)
        found: dict[str, Form] = {}
        for field in attrs.fields(cls):
            place = cls, field.name
            known = place in self.exceptions
            form = self.exceptions[place] if known else self.by_annotation[hints[field.name]]
            if form is not None:
                found[field.name] = form
        left_out = dict.fromkeys(hints.keys() - found.keys())
        return found, left_out


class UnknownKind(LookupError):  # noqa: N818 - says what it is
    """There is no such kind, or no such version of it."""


class Registry:
    """Which kinds there are, by class and by tag. Closed once it is made.

    Args:
        kinds: All there are.
        upgrades: From each version of a tag but the newest to the next one.
        written: How the fields of their classes are written.

    Raises:
        ValueError: A tag or a class is there twice, or a version cannot be upgraded to today's.
    """

    def __init__(
        self, kinds: Iterable[Kind], upgrades: Mapping[tuple[str, int], Upgrade], written: Forms
    ) -> None:
        self.kinds: tuple[Kind, ...] = tuple(kinds)
        self._by_tag = {kind.tag: kind for kind in self.kinds}
        self.by_class: dict[type, tuple[Kind, Form]] = {
            kind.cls: (kind, written.of(kind.cls)) for kind in self.kinds
        }
        self._known = {
            (kind.tag, version): self.by_class[kind.cls]
            for kind in self.kinds
            for version in range(1, kind.version + 1)
        }
        pens = {kind.cls: written.pen_of(kind.cls, keyed=kind.keyed) for kind in self.kinds}
        #: Of those classes whose bodies can be written as text at once.
        self.pens: dict[type, Pen] = {cls: pen for cls, pen in pens.items() if pen is not None}
        self._upgrades = dict(upgrades)
        if len(self._by_tag) < len(self.kinds) or len(self.by_class) < len(self.kinds):
            raise ValueError("a tag or a class is registered twice")
        needed = {(k.tag, version) for k in self.kinds for version in range(1, k.version)}
        if needed != self._upgrades.keys():
            raise ValueError(f"upgrades: {sorted(needed ^ self._upgrades.keys())}")

    def of(self, tag: str, version: int) -> tuple[Kind, Form]:
        """Find a kind.

        Raises:
            UnknownKind: There is none; the message says why.
        """
        found = self._known.get((tag, version))
        if found is not None:
            return found
        kind = self._by_tag.get(tag)
        if kind is None:
            raise UnknownKind(f"no record of this kind is known; known are {self.known}")
        raise UnknownKind(f"version {version} is not known, the newest known is {kind.version}")

    def beside(self, other: Registry) -> Registry:
        """Make one of two: what either knows.

        Raises:
            ValueError: A tag or a class is in both.
        """
        if self._by_tag.keys() & other._by_tag.keys() or self.by_class.keys() & other.by_class:
            raise ValueError("a tag or a class is in both")
        both = Registry((), {}, Forms({}, {}))
        both.kinds = (*self.kinds, *other.kinds)
        both._by_tag = {**self._by_tag, **other._by_tag}
        both.by_class = {**self.by_class, **other.by_class}
        both._known = {**self._known, **other._known}
        both.pens = {**self.pens, **other.pens}
        both._upgrades = {**self._upgrades, **other._upgrades}
        return both

    @property
    def known(self) -> str:
        """The tags, as a text."""
        return ", ".join(sorted(self._by_tag))

    def upgraded(self, tag: str, version: int, body: Body) -> Body:
        """Turn a body of any known version into one of today's.

        Raises:
            Misfit: It is not a body of its version.
        """
        for older in range(version, self._by_tag[tag].version):
            try:
                body = self._upgrades[tag, older](body)
            except (LookupError, TypeError, ValueError, AttributeError) as error:
                raise Misfit(f"it is not of version {older}: {error!r}") from error
        return body
