"""What a template refers to: read from its syntax tree, and held against what there is."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Final, Protocol

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
_METHODS: Final = frozenset({"get", "items", "keys", "values"})


class Found(Protocol):
    """What the syntax tree of a template tells."""

    @property
    def uses(self) -> tuple[Use, ...]:
        """The names that it looks up."""
        ...

    @property
    def free(self) -> frozenset[str]:
        """Those that come from outside."""
        ...

    @property
    def assigned(self) -> frozenset[str]:
        """Those that it assigns to."""
        ...


def find(
    template: Found, *, path: Path, place: Place, scope: Scope, problems: Problems
) -> Iterator[Reference]:
    """Find what a template refers to, and report what is not there.

    Steps that are missing are not reported: whoever knows `depends_on` as well does that.
    """
    known = ALWAYS | scope.extra
    for name in sorted(template.free - known):
        names = ", ".join(sorted(known))
        problems.add("reference", f"{name!r} is undefined; templates know: {names}", place)
    for use in template.uses:
        if use.root not in template.free or use.root not in known:
            continue
        if use.root == "flows":
            # After `{% set flows = ... %}` the same word may mean either.
            mixed = "flows" in template.assigned
            yield _step(Use("flows") if mixed else use, path, place, scope, problems)
        else:
            yield _other(use, path, place, scope, problems)


def _step(use: Use, path: Path, place: Place, scope: Scope, problems: Problems) -> Reference:
    name: str | None = use.keys[0] if use.keys else None
    output: str | None = use.keys[1] if len(use.keys) > 1 else None
    called = use.keys[-1] if use.called and use.keys else None
    called = called if called in _METHODS else None
    if len(use.keys) == 1 and called and called not in scope.outputs:
        name = None  # a method of `flows` itself: `flows.items()`
    if name is None:
        if not scope.ordered:
            text = "cannot tell which steps this template means; add depends_on"
            problems.add("reference", text, place)
        return Reference(
            kind="flows", name="", output=None, path=path, place=place, text="flows", vague=True
        )
    declared = scope.outputs.get(name)
    if len(use.keys) == 2 and called and called not in (declared or ()):
        output = None  # a method of the outputs: `flows.a.items()`
    if output is not None and declared is not None and output not in {*declared, "error"}:
        names = ", ".join(declared) or "none"
        text = f"step {name!r} has no output {output!r}; it declares: {names}"
        problems.add("reference", text, place)
    text = _spelled("flows", name, *(() if output is None else (output,)))
    return Reference(kind="flows", name=name, output=output, path=path, place=place, text=text)


def _other(use: Use, path: Path, place: Place, scope: Scope, problems: Problems) -> Reference:
    name = use.keys[0] if use.keys else ""
    if len(use.keys) == 1 and use.called and name in _METHODS:
        name = ""
    kinds = {"params": scope.params, "secrets": scope.secrets, "sources": scope.sources}
    declared = kinds.get(use.root)
    if name and declared is not None and name not in declared:
        kind = use.root.removesuffix("s")
        text = f"{kind} {name!r} is not declared{did_you_mean(name, declared)}"
        problems.add("reference", text, place)
    text = _spelled(use.root, *((name,) if name else ()))
    return Reference(kind=use.root, name=name, output=None, path=path, place=place, text=text)


def _spelled(root: str, *keys: str) -> str:
    """Write a look-up as one would: `flows.a.o`, `flows['a-b'].o`."""
    return root + "".join(f".{key}" if key.isidentifier() else f"[{key!r}]" for key in keys)
