"""A flow as a drawing: its steps, and who needs whom."""

from __future__ import annotations

from collections.abc import Iterator

from plait._strands._flows.checked import CheckedFlow, CheckedStep
from plait._strands._flows.compile import edges
from plait._viz.drawing import Arrow, Drawing, Node, mark

from .marks import attempts, count, seconds


def drawings_of(what: object) -> list[Drawing]:
    """Draw a flow, or one that has been checked only; anything else is nothing."""
    checked = getattr(what, "checked", what)
    return [draw_flow(checked)] if isinstance(checked, CheckedFlow) else []


def draw_flow(flow: CheckedFlow) -> Drawing:
    """Draw a flow: a node for each step, in file order, and an arrow for each dependency.

    On an arrow stands what the failure of the step means for the one that waits for it, where that
    is not what it means everywhere.
    """
    layers = {name: number for number, wave in enumerate(flow.waves) for name in wave}
    nodes = tuple(
        Node(name, name, marks=tuple(map(mark, _marks(flow, step))), layer=layers[name])
        for name, step in flow.steps.items()
    )
    usual, words = flow.document.runner.on_error or "fail", edges(flow)
    arrows = tuple(
        Arrow(needed, name, "" if word == usual else f"on error: {word}")
        for name, needs in words.items()
        for needed, word in needs.items()
    )
    return Drawing(flow.name, nodes, arrows, tuple(_about(flow)))


def _about(flow: CheckedFlow) -> Iterator[str]:
    yield f"{count(len(flow.waves), 'wave')}, {count(flow.workers, 'worker')}"
    runner = flow.document.runner
    if runner.on_error is not None:
        yield f"on error: {runner.on_error}"
    if runner.timeout is not None:
        yield f"timeout {seconds(runner.timeout)}"


def _marks(flow: CheckedFlow, step: CheckedStep) -> Iterator[str]:
    spec = step.spec
    yield step.provider.name
    if spec.when is not None:
        yield f"when {spec.when if isinstance(spec.when, str) else str(spec.when).lower()}"
    if spec.foreach is not None:
        yield f"foreach {spec.foreach.as_}"
    if spec.matrix is not None:
        yield "matrix " + " × ".join(spec.matrix.axes)
    several = spec.foreach or spec.matrix
    if several is not None and several.max_parallel is not None:
        yield f"{several.max_parallel} at once"
    if spec.retry is not None:
        yield attempts(spec.retry.attempts)
    if spec.timeout is not None:
        yield f"timeout {seconds(spec.timeout)}"
    if spec.concurrency is not None:
        yield f"group {spec.concurrency.group}: {spec.concurrency.limit}"
    if spec.on_error not in (None, flow.document.runner.on_error):
        yield f"on error: {spec.on_error}"
