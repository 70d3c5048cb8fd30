"""Where things lead in a program, whatever happens: failures to handlers, lists to fan-ins."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from tests.model.program import Program, Step


def handler_of(program: Program, step: Step) -> Step | None:
    """The handler of a step's failures: its own comes before the one for all."""
    if step.handles is not None:
        return None
    handlers = [one for one in program.steps if one.handles is not None]
    own = [one for one in handlers if one.handles and step.name in one.handles]
    return next(iter([*own, *(one for one in handlers if one.handles == ())]), None)


def fan_ins(program: Program, opener: Step) -> list[str]:
    """The fan-ins that a step's streams end in: where its list leads, by what steps may return."""
    ends: dict[str, set[str]] = {step.name: set() for step in program.steps}
    while True:
        before = sum(map(len, ends.values()))
        for step in program.steps:
            ends[step.name] |= search(program, step, ends)[1]
        if before == sum(map(len, ends.values())):
            return [step.name for step in program.steps if step.name in ends[opener.name]]


def search(
    program: Program, opener: Step, ends: Mapping[str, Collection[str]]
) -> tuple[set[str], set[str]]:
    """The steps inside a step's streams, and the fan-ins at their end.

    What is fanned out inside comes back by way of its own fan-ins, which are in `ends`.
    """
    todo, inside, found = [*opener.listed], set[str](), set[str]()
    while todo:
        for step in program.takers(todo.pop()):
            if step.shape == "list":
                found.add(step.name)
            elif step.name not in inside:
                inside.add(step.name)
                todo += step.returned
                todo += [k for s in program.steps if s.name in ends[step.name] for k in s.returned]
    return inside, found
