"""The checks of one step: what its provider says, its templates, its outputs, what it waits for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import prod
from typing import Final

import attrs

from .checked import CheckedStep, Need
from .effective import Effective, Providers, key_place_of, place_of
from .grammar import Document, Matrix, Step
from .marks import Marked
from .outputs import Output, compile_outputs
from .problems import Path, Place, Problems, did_you_mean, spell
from .references import Reference, Scope
from .shapes import is_list, is_mapping
from .sources.provider import Parts, Provider, Reading, Style
from .templates import Expression, Tree, compile_tree, compile_when

#: Of a `foreach` or a `matrix`.
MOST_ITEMS: Final = 100_000

#: What templates in a configuration may use of the payload, with `pass_to: template`.
_PAYLOAD_NAMES: Final = ("input", "json", "jmespath")


@attrs.frozen(eq=False)
class Draft:
    """A step after its checks.

    Attributes:
        step: As it was written.
        needs: Every reason to wait.
        after: Which steps it waits for: those that there are.
        checked: The checked step; `None`: it has no source, which is a problem.
    """

    step: Step
    needs: tuple[Need, ...]
    after: tuple[str, ...]
    checked: CheckedStep | None


@attrs.frozen(eq=False, kw_only=True)
class StepChecks:
    """Checks steps, one after the other.

    Attributes:
        document: All that was written.
        marked: The same, with places.
        providers: Finds the providers.
        scope: What every template of the document can name.
        problems: Takes what is found.
        compat: Whether the rules of flowtoy hold.
    """

    document: Document
    marked: Marked
    providers: Providers
    scope: Scope
    problems: Problems
    compat: bool
    #: Of each step by name, its number: the order of the file.
    _numbers: dict[str, int] = attrs.field(
        init=False,
        default=attrs.Factory(lambda self: _numbered(self.document.flow), takes_self=True),
    )
    # Steps without an input that use the same source are read once, and a configuration is compiled
    # once for all of them: thousands of steps may share a source.
    _scopes: dict[tuple[bool, tuple[str, ...]], Scope] = attrs.field(
        init=False, factory=dict[tuple[bool, tuple[str, ...]], Scope]
    )
    _readings: dict[Effective, Reading] = attrs.field(init=False, factory=dict[Effective, Reading])
    _trees: dict[tuple[Effective, Scope], tuple[Reading, Tree]] = attrs.field(
        init=False, factory=dict[tuple[Effective, Scope], tuple[Reading, Tree]]
    )

    def check(self, number: int, step: Step) -> Draft:
        """Check a step."""
        place = self.marked.place(step.path)
        effective = self.providers.of(step)
        provider = effective.provider if effective else None
        places = _Places(self.marked, step, effective)
        ordered = bool(step.depends_on)
        scope = self._scope(ordered, ())

        reading, configuration, payload = None, None, None
        if effective is not None and provider is not None:
            inner = self._scope(ordered, _item_names(step))
            reading = self._read(step, place, provider, effective, places)
            configuration = self._configuration(provider, reading, effective, places, inner)
            payload = self._payload(provider, reading, places, inner)
        when = self._when(step, places, scope)
        items, axes = self._items(step, places, scope)
        trees = [payload, configuration, when, items, *(axes or {}).values()]
        references = [one for tree in trees for one in _references(tree)]
        needs = tuple(self._needs(step, references))
        self._check_missing(step, needs)
        after = self._after(needs)
        outputs = self._outputs(step, provider)
        if provider is None or reading is None or configuration is None:
            return Draft(step, needs, after, None)
        checked = CheckedStep(
            number=number,
            name=step.name,
            place=place,
            spec=step,
            provider=provider,
            configuration=configuration,
            folders=reading.folders,
            input=payload,
            input_folders=reading.input_folders,
            options=reading.options,
            payload_names=reading.payload_names,
            when=when,
            items=items,
            axes=axes,
            outputs=outputs,
            needs=needs,
            after=after,
        )
        return Draft(step, needs, after, checked)

    def _scope(self, ordered: bool, names: tuple[str, ...]) -> Scope:  # noqa: FBT001
        found = self._scopes.get((ordered, names))
        if found is None:
            found = attrs.evolve(self.scope, ordered=ordered).with_names(*names)
            self._scopes[ordered, names] = found
        return found

    # -- source and input

    def _read(
        self, step: Step, place: Place, provider: Provider, effective: Effective, places: _Places
    ) -> Reading:
        reading = self._readings.get(effective) if step.input is None else None
        if reading is not None:
            return reading
        before = self.problems.count
        reading = provider.check(
            Parts(
                step=step.name,
                configuration=effective.configuration,
                input=step.input,
                place=places.of,
                key_place=places.of_key,
                step_place=place,
                problems=self.problems,
                deny_private=self.document.runner.deny_private,
                compat=self.compat,
            )
        )
        if step.input is None and self.problems.count == before:  # what is wrong names the step
            self._readings[effective] = reading
        return reading

    def _configuration(
        self,
        provider: Provider,
        reading: Reading,
        effective: Effective,
        places: _Places,
        scope: Scope,
    ) -> Tree:
        known = self._trees.get((effective, scope))
        if known is not None and _is_alike(known[0], reading):
            return known[1]
        tree = compile_tree(
            reading.configuration,
            path=("configuration",),
            place=places.of,
            style=provider.style,
            problems=self.problems,
            scope=scope.with_names(*_PAYLOAD_NAMES) if reading.payload_names else scope,
            lenient=reading.lenient,
        )
        self._trees[effective, scope] = reading, tree
        return tree

    def _payload(
        self, provider: Provider, reading: Reading, places: _Places, scope: Scope
    ) -> Tree | None:
        if reading.input is None:
            return None
        at = reading.input_at
        return compile_tree(
            reading.input,
            path=("input",),
            place=lambda path: places.of((*at, *path[1:])),
            style=provider.style,
            problems=self.problems,
            scope=scope,
            always=True,
        )

    def _outputs(self, step: Step, provider: Provider | None) -> tuple[Output, ...]:
        return compile_outputs(
            step.output,
            step=step.name,
            provider=provider.name if provider else "",
            place=self.marked.place,
            problems=self.problems,
            compat=self.compat,
        )

    # -- whether, and for which items

    def _when(self, step: Step, places: _Places, scope: Scope) -> bool | Expression | None:
        if step.when is None:
            return None
        return compile_when(
            step.when, path=("when",), place=places.of, problems=self.problems, scope=scope
        )

    def _items(
        self, step: Step, places: _Places, scope: Scope
    ) -> tuple[Tree | None, Mapping[str, Tree] | None]:
        if step.foreach is not None and step.matrix is not None:
            message = f"step {step.name!r}: use foreach or matrix, not both"
            self.problems.add("shape", message, self.marked.key_place((*step.path, "matrix")))
        items, axes = None, None
        if step.foreach is not None:
            values = step.foreach.items
            items = self._values(values, ("foreach", "items"), places, scope)
            if (is_list(values) or is_mapping(values)) and len(values) > MOST_ITEMS:
                self._too_many(step.foreach.path)
        if step.matrix is not None:
            axes = {
                name: self._values(values, ("matrix", "axes", name), places, scope)
                for name, values in step.matrix.axes.items()
            }
            self._check_matrix(step.matrix)
        return items, axes

    def _values(self, value: object, path: Path, places: _Places, scope: Scope) -> Tree:
        return compile_tree(
            value,
            path=path,
            place=places.of,
            style=_native,
            problems=self.problems,
            scope=scope,
        )

    def _check_matrix(self, matrix: Matrix) -> None:
        axes = matrix.axes
        if not axes:
            message = f"{spell((*matrix.path, 'axes'))}: expected one axis or more"
            self.problems.add("shape", message, self.marked.place((*matrix.path, "axes")))
        sizes = [len(values) for values in axes.values() if is_list(values)]
        if prod(sizes) > MOST_ITEMS:
            self._too_many(matrix.path)
        for number, entry in enumerate(matrix.exclude):
            assert isinstance(entry, dict)
            for name in entry.keys() - axes.keys():
                path = (*matrix.path, "exclude", number, name)
                message = f"{spell(path[:-1])}: {name!r} is no axis{did_you_mean(name, axes)}"
                self.problems.add("shape", message, self.marked.key_place(path))

    def _too_many(self, path: Path) -> None:
        message = f"{spell(path)}: more than {MOST_ITEMS} items"
        self.problems.add("shape", message, self.marked.place(path))

    # -- dependencies

    def _needs(self, step: Step, references: Iterable[Reference]) -> Iterator[Need]:
        seen: set[tuple[str, str]] = set()
        for number, name in enumerate(step.depends_on):
            if (name, "depends_on") not in seen:
                seen.add((name, "depends_on"))
                yield Need(name, "depends_on", self._depends_on(step, number))
        for one in references:
            if one.kind == "flows" and not one.vague:
                because = f"{one.text} in {spell(one.path)}"
                if (one.name, because) not in seen:
                    seen.add((one.name, because))
                    yield Need(one.name, because, one.place)

    def _depends_on(self, step: Step, number: int) -> Place:
        return self.marked.place((*step.path, "depends_on", number))

    def _check_missing(self, step: Step, needs: Iterable[Need]) -> None:
        missing = {need.step: need.place for need in needs if need.step not in self._numbers}
        if missing:
            names = ", ".join(map(repr, sorted(missing)))
            message = f"Step {step.name!r} depends on missing step(s): {names}"
            self.problems.add("dependency", message, next(iter(missing.values())))

    def _after(self, needs: Iterable[Need]) -> tuple[str, ...]:
        names = {need.step for need in needs} & self._numbers.keys()
        return tuple(sorted(names, key=self._numbers.__getitem__))


@attrs.frozen(eq=False)
class _Places:
    """Where the parts of a step were written, by paths that begin at the step."""

    marked: Marked
    step: Step
    effective: Effective | None

    def of(self, path: Path) -> Place:
        """Say where a value is."""
        if self.effective is not None and path[:1] == ("configuration",):
            source = (*self.step.path, "source")
            return place_of(self.marked, self.effective, source, path[1:])
        return self.marked.place((*self.step.path, *path))

    def of_key(self, path: Path) -> Place:
        """Say where a key is."""
        if self.effective is not None and path[:1] == ("configuration",):
            source = (*self.step.path, "source")
            return key_place_of(self.marked, self.effective, source, path[1:])
        return self.marked.key_place((*self.step.path, *path))


def _numbered(steps: Sequence[Step]) -> dict[str, int]:
    return {step.name: number for number, step in enumerate(steps)}


def _is_alike(one: Reading, other: Reading) -> bool:
    """Say whether two readings of the same source have the same configuration."""
    return one is other or (
        one.configuration == other.configuration
        and (one.lenient, one.payload_names) == (other.lenient, other.payload_names)
    )


def _native(_: Path) -> Style:
    return "native"


def _item_names(step: Step) -> tuple[str, ...]:
    """Say what templates of an item can name besides."""
    if step.foreach is not None:
        return (step.foreach.as_, "index")
    return ("matrix", "index") if step.matrix is not None else ()


def _references(compiled: Tree | Expression | bool | None) -> tuple[Reference, ...]:  # noqa: FBT001
    return compiled.references if isinstance(compiled, Tree | Expression) else ()
