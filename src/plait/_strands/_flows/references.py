"""What a template refers to: read from its syntax tree, and held against what there is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Final

import attrs

from .names import ALWAYS
from .problems import Path, Place, Problems, did_you_mean


@attrs.frozen
class Use:
    """A name in a template, and the fixed keys that follow it.

    Attributes:
        root: The name: `flows`.
        keys: What is looked up in it, as far as it is written out: `("authenticate", "token")`.
        called: Whether the last of the keys is called: `flows.a.items()`.
    """

    root: str
    keys: tuple[str, ...] = ()
    called: bool = False


@attrs.frozen(kw_only=True)
class Reference:
    """One thing that a template refers to.

    Attributes:
        kind: The name it begins with: `"flows"`, `"params"`, `"env"`.
        name: What is looked up in it: of `flows` the step; `""` if it is not written out.
        output: Of `flows`: which output, if it is written out.
        path: Where the template is.
        place: The same, in the file.
        text: It, as it is shown: `flows.authenticate.token`.
        vague: Whether it is `flows` used otherwise than by a step's name.
    """

    kind: str
    name: str
    output: str | None
    path: Path
    place: Place
    text: str
    vague: bool = False


@attrs.frozen(eq=False, kw_only=True)
class Scope:
    """What the templates of one step can name, as far as the file tells.

    Attributes:
        outputs: The steps of the file, and the names of the outputs of each.
        params: The names of params.
        secrets: The names of secrets.
        sources: The names of sources.
        extra: Names that only some templates have: `item`, `index`, `matrix`, `input`, `json`,
            `jmespath`.
        ordered: Whether the step has a `depends_on`: then `flows` may be used in any way.
    """

    outputs: Mapping[str, Collection[str]] = attrs.field(factory=dict[str, Collection[str]])
    params: Collection[str] = ()
    secrets: Collection[str] = ()
    sources: Collection[str] = ()
    extra: frozenset[str] = frozenset()
    ordered: bool = False

    def with_names(self, *names: str) -> Scope:
        """Make a scope that has these names too."""
        return attrs.evolve(self, extra=self.extra | {*names})


#: Methods of mappings: a template may call them on `flows` and on a step's outputs.
_METHODS: Final = frozenset({"items", "keys", "values", "get"})
