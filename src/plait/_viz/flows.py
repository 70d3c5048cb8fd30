"""A flow as a drawing: its steps, and who needs whom."""

from __future__ import annotations

from plait._strands._flows.checked import CheckedFlow

from .drawing import Arrow, Drawing, Node


def draw_flow(flow: CheckedFlow) -> Drawing:
    """Draw a flow: a node for each step, in file order, and an arrow for each dependency."""
    nodes = tuple(Node(name, name) for name in flow.steps)
    arrows = tuple(
        Arrow(needed, name) for name, step in flow.steps.items() for needed in step.after
    )
    return Drawing(flow.name, nodes, arrows)
