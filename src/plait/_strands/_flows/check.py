"""Everything that can be known about flow files before they run, all at once.

First what was read must be YAML, then it must have the shapes of the grammar: each of the two ends the
checks if it finds anything, since whatever is found after that would only follow from it. Then come the
rules: steps, sources, templates, dependencies.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Final, Literal

import attrs

from .checked import CheckedFlow, CheckedSource
from .checked import CheckedStep as CheckedStep
from .checked import Need as Need
from .converter import NEGATIVE_WORKERS
from .documents import Given, read
from .effective import Providers
from .grammar import Document, Step
from .marks import Marked
from .params import check_params
from .problems import Place, Problems
from .references import Scope
from .step_checks import Draft, StepChecks
from .structuring import structure
from .templates import compile_tree
from .waves import cycles, waves

#: Steps that run at once if nobody says how many.
WORKERS: Final = 4


def check(
    files: Given | Sequence[Given],
    *,
    compat: Literal["flowtoy"] | None = None,
    max_workers: int | None = None,
) -> CheckedFlow:
    """Read flow files and check them.

    Args:
        files: One or several, merged from left to right; a mapping is as good as a file.
        compat: `"flowtoy"`: what it let pass in silence is a warning.
        max_workers: How many steps run at once; 0 and `None` leave it to the files.

    Raises:
        FlowConfigError: With every problem that was found.
        MissingExtra: A library is not installed.
    """
    problems = Problems()
    given = [files] if isinstance(files, str | os.PathLike | Mapping) else [*files]
    marked = read(given, problems)
    if any(one.code != "duplicate" for one in problems.errors):
        problems.raise_if_any()
    document = structure(marked, problems, compat=compat is not None)
    problems.raise_if_any()
    assert document is not None
    return _Checks(marked, document, problems, compat=compat is not None).run(given, max_workers)


class _Checks:
    """The rules, after the shapes."""

    def __init__(
        self, marked: Marked, document: Document, problems: Problems, *, compat: bool
    ) -> None:
        self._marked = marked
        self._problems = problems
        self._compat = compat
        self._document = attrs.evolve(document, flow=self._distinct(document.flow))
        self._providers = Providers(self._document, marked, problems)
        self._scope = Scope(
            outputs={
                step.name: [out.name for out in step.output if out.name is not None]
                for step in self._document.flow
            },
            params=self._document.params,
            secrets=self._document.secrets,
            sources=self._document.sources,
        )

    def run(self, given: Sequence[Given], max_workers: int | None) -> CheckedFlow:
        document = self._document
        workers = self._workers(max_workers)
        check_params(document.params, place=self._marked.place, problems=self._problems)
        self._check_secrets()
        checks = StepChecks(
            document=document,
            marked=self._marked,
            providers=self._providers,
            scope=self._scope,
            problems=self._problems,
            compat=self._compat,
        )
        drafts = [checks.check(number, step) for number, step in enumerate(document.flow)]
        graph = {draft.step.name: draft.after for draft in drafts}
        self._check_cycles(graph, {draft.step.name: draft for draft in drafts})
        self._check_groups()
        sources = self._sources()
        self._problems.raise_if_any()
        return CheckedFlow(
            name=document.name or self._marked.name,
            files=tuple("" if isinstance(one, Mapping) else os.fspath(one) for one in given),
            document=document,
            marked=self._marked,
            steps={draft.step.name: draft.checked for draft in drafts if draft.checked},
            sources=sources,
            workers=workers,
            warnings=self._problems.warnings,
            waves=waves(graph),
            compat=self._compat,
        )

    # -- steps

    def _distinct(self, steps: Sequence[Step]) -> list[Step]:
        """Refuse a name that is given twice; with flowtoy the last of them is taken."""
        chosen: dict[str, Step] = {}
        for step in steps:
            first = chosen.get(step.name)
            if first is None:
                chosen[step.name] = step
                continue
            message = f"duplicate step name {step.name!r}, first at {self._line(first)}"
            if self._compat:
                self._problems.warn("duplicate", message, self._marked.place(step.path))
                chosen[step.name] = step
            else:
                self._problems.add("duplicate", message, self._marked.place(step.path))
        return sorted(chosen.values(), key=lambda step: step.path)

    def _line(self, step: Step) -> str:
        place = self._marked.place(step.path)
        return f"{place.line}:{place.column}" if place.line else str(place)

    def _check_cycles(
        self, graph: Mapping[str, Sequence[str]], drafts: Mapping[str, Draft]
    ) -> None:
        for circle in cycles(graph):
            # Of the step that the line begins with: what makes it wait for the one before it.
            needs = drafts[circle[0]].needs
            place = next(need.place for need in needs if need.step == circle[-2])
            self._problems.add("cycle", f"dependency cycle: {' -> '.join(circle)}", place)

    # -- the rest of the document

    def _workers(self, wanted: int | None) -> int:
        if wanted is not None and wanted < 0:
            self._problems.add("runner", NEGATIVE_WORKERS, Place())
        return wanted or self._document.runner.max_workers or WORKERS

    def _check_secrets(self) -> None:
        for name, secret in self._document.secrets.items():
            if (secret.env is None) == (secret.file is None):
                message = f"secret {name!r}: give it either env or file"
                self._problems.add("secret", message, self._marked.place(secret.path))

    def _check_groups(self) -> None:
        limits: dict[str, set[int]] = {}
        for step in self._document.flow:
            if step.concurrency is None:
                continue
            group, limit = step.concurrency.group, step.concurrency.limit
            known = limits.setdefault(group, {limit})
            for other in known - {limit}:
                low, high = sorted((other, limit))
                message = f"concurrency group {group!r} has limits {low} and {high}"
                place = self._marked.place((*step.concurrency.path, "limit"))
                self._problems.add("group", message, place)

    def _sources(self) -> dict[str, CheckedSource]:
        found: dict[str, CheckedSource] = {}
        for name, source in self._document.sources.items():
            path = ("sources", name)
            definition = self._marked.at(path)
            # Steps report what is wrong with it, each for itself: here it is only got ready.
            found[name] = CheckedSource(
                name=name,
                provider=self._providers.named(name),
                definition=definition.value if definition else {},  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
                configuration=compile_tree(
                    source.configuration,
                    path=("configuration",),
                    place=lambda rest, path=path: self._marked.place((*path, *rest)),  # type: ignore[misc]
                    style=lambda _: "native",
                    problems=Problems(),
                    scope=self._scope,
                ),
            )
        return found
