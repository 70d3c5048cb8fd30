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


@attrs.frozen(eq=False, kw_only=True)
class Draft:
    """A step after its checks; one with a problem never becomes a checked step."""

    number: int
    place: Place
    step: Step
    provider: Provider | None
    reading: Reading | None
    configuration: Tree | None
    input: Tree | None
    when: bool | Expression | None
    items: Tree | None
    axes: Mapping[str, Tree] | None
    outputs: tuple[Output, ...]
    needs: tuple[Need, ...]
    after: tuple[str, ...]

    def finished(self) -> CheckedStep:
        """Make the checked step, once there is no problem left."""
        assert self.provider is not None
        assert self.reading is not None
        assert self.configuration is not None
        return CheckedStep(
            number=self.number,
            name=self.step.name,
            place=self.place,
            spec=self.step,
            provider=self.provider,
            configuration=self.configuration,
            folders=self.reading.folders,
            input=self.input,
            input_folders=self.reading.input_folders,
            options=self.reading.options,
            payload_names=self.reading.payload_names,
            when=self.when,
            items=self.items,
            axes=self.axes,
            outputs=self.outputs,
            needs=self.needs,
            after=self.after,
        )


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

    def check(self, number: int, step: Step) -> Draft:
        """Check a step."""
        place = self.marked.place(step.path)
        effective = self.providers.of(step)
        places = _Places(self.marked, step, effective)
        scope = attrs.evolve(self.scope, ordered=True) if step.depends_on else self.scope
        names = _item_names(step)
        inner = scope.with_names(*names) if names else scope

        reading, configuration, payload = None, None, None
        if effective is not None and effective.provider is not None:
            provider = effective.provider
            reading = provider.check(self._parts(step, place, effective, places))
            configuration, payload = self._compile(provider, reading, places, inner)
        when = self._when(step, places, scope)
        items, axes = self._items(step, places, scope)
        trees = [payload, configuration, when, items, *(axes or {}).values()]
        references = [one for tree in trees for one in _references(tree)]
        needs = tuple(self._needs(step, references))
        self._check_missing(step, needs)
        return Draft(
            number=number,
            place=place,
            step=step,
            provider=effective.provider if effective else None,
            reading=reading,
            configuration=configuration,
            input=payload,
            when=when,
            items=items,
            axes=axes,
            outputs=self._outputs(step, effective),
            needs=needs,
            after=self._after(needs),
        )

    # -- source and input

    def _parts(self, step: Step, place: Place, effective: Effective, places: _Places) -> Parts:
        return Parts(
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

    def _compile(
        self, provider: Provider, reading: Reading, places: _Places, scope: Scope
    ) -> tuple[Tree, Tree | None]:
        configuration = compile_tree(
            reading.configuration,
            path=("configuration",),
            place=places.of,
            style=provider.style,
            problems=self.problems,
            scope=scope.with_names(*_PAYLOAD_NAMES) if reading.payload_names else scope,
            lenient=reading.lenient,
        )
        if reading.input is None:
            return configuration, None
        at = reading.input_at
        payload = compile_tree(
            reading.input,
            path=("input",),
            place=lambda path: places.of((*at, *path[1:])),
            style=provider.style,
            problems=self.problems,
            scope=scope,
            always=True,
        )
        return configuration, payload

    def _outputs(self, step: Step, effective: Effective | None) -> tuple[Output, ...]:
        provider = effective.provider if effective else None
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


def _native(_: Path) -> Style:
    return "native"


def _item_names(step: Step) -> tuple[str, ...]:
    """Say what templates of an item can name besides."""
    if step.foreach is not None:
        return (step.foreach.as_, "index")
    return ("matrix", "index") if step.matrix is not None else ()


def _references(compiled: Tree | Expression | bool | None) -> tuple[Reference, ...]:  # noqa: FBT001
    return compiled.references if isinstance(compiled, Tree | Expression) else ()
