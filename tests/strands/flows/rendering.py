"""A template as the tests see it: checked against some names, and rendered with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plait._strands._flows.names import Names, Outputs, Variables
from plait._strands._flows.problems import Path, Place, Problems
from plait._strands._flows.references import Scope
from plait._strands._flows.templates import Expression, Style, Tree, compile_tree, compile_when

#: What every template of the tests may look at, as `flows.a.v`.
DATA: Mapping[str, Any] = {
    "n": 5,
    "f": 1.5,
    "b": True,
    "z": None,
    "l": [1, "a"],
    "d": {"k": "v<&>"},
    "s": "text",
    "items": "a key, no method",
    "template": "{{ 1 + 1 }}",
}
SCOPE = Scope(
    outputs={"a": ["v", "items"], "failing": ["o"], "skipped": ["o"], "a-b": ["v"]},
    params=["region"],
    secrets=["key"],
    sources=["env", "api"],
)
NAMES = Names(
    flows={
        "a": Outputs("a", {"v": DATA, "items": "of the step"}),
        "a-b": Outputs("a-b", {"v": 7}),
        "failing": Outputs("failing", {}, state="failed", error={"message": "why"}),
        "skipped": Outputs("skipped", {}, state="skipped"),
    },
    sources={"env": Variables({"SET": "yes", "UNSET": None}), "api": {"type": "rest"}},
    env={"HOME": "/home"},
    params={"region": "eu"},
    secrets={"key": "s3cret"},
    run={"id": "r1", "started_at": "2030-01-01T00:00:00Z"},
    step="b",
)


def place_of(path: Path) -> Place:
    return Place(path=path)


def compiled(
    value: object,
    style: Style = "native",
    *,
    scope: Scope = SCOPE,
    always: bool = False,
    lenient: bool = False,
) -> tuple[Tree, list[str]]:
    """Compile a value: what it has become, and what is wrong with it."""
    problems = Problems()
    tree = compile_tree(
        value,
        path=("input",),
        place=place_of,
        style=lambda _: style,
        problems=problems,
        scope=scope,
        always=always,
        lenient=lenient,
    )
    return tree, [str(problem) for problem in problems.errors]


def problems_of(value: object, *, scope: Scope = SCOPE) -> list[str]:
    """What is wrong with a value, without its place."""
    return [one.removeprefix("input: ") for one in compiled(value, scope=scope)[1]]


def rendered(
    value: object,
    style: Style = "native",
    *,
    names: Names = NAMES,
    scope: Scope = SCOPE,
    always: bool = False,
    lenient: bool = False,
) -> Any:
    """Compile a value in which nothing is wrong, and render it."""
    tree, problems = compiled(value, style, scope=scope, always=always, lenient=lenient)
    assert not problems
    return tree.render(names)


def when(value: bool | str, *, names: Names = NAMES) -> bool:  # noqa: FBT001
    """Compile and evaluate a `when` in which nothing is wrong."""
    problems = Problems()
    found = compile_when(value, path=("when",), place=place_of, problems=problems, scope=SCOPE)
    assert not problems.errors
    return found.evaluate(names) if isinstance(found, Expression) else found


def problems_of_when(value: bool | str) -> list[str]:  # noqa: FBT001
    """What is wrong with a `when`, without its place."""
    problems = Problems()
    compile_when(value, path=("when",), place=place_of, problems=problems, scope=SCOPE)
    return [str(one).removeprefix("when: ") for one in problems.errors]
