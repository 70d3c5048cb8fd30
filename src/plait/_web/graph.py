"""A drawing as the page has it: where each box is, and on which way each arrow goes.

The places are found here, once, for all windows; the browser draws, and colours the boxes by what happens.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from plait._errors import PlaitError
from plait._strands._durable.app import App
from plait._strands._flows.flow import Flow
from plait._viz.drawing import Drawing
from plait._viz.placing.layout import Layout, place
from plait._viz.plans.durable import draw_app
from plait._viz.plans.events import draw_workflow
from plait._viz.plans.flows import draw_flow

from .targets import Target

#: Of a larger plan nobody would read the picture: a part of it is drawn, around a step.
MOST_NODES: Final = 400
#: Boxes of such a part, and how many arrows the outermost are away.
MOST_AROUND: Final = 60
FARTHEST: Final = 2
#: Signs of a label.
LONGEST: Final = 48

Fields = Mapping[str, Any]


def drawing_of(target: Target | App) -> Drawing:
    """Draw a flow, a workflow or an app."""
    if isinstance(target, App):
        return draw_app(target)
    return draw_flow(target.checked) if isinstance(target, Flow) else draw_workflow(target)


def around(drawing: Drawing, name: str) -> Drawing:
    """Draw a node with what is at most two arrows away: the nearest first, up to sixty boxes.

    Raises:
        KeyError: There is no such node.
    """
    beside: dict[str, list[str]] = {node.name: [] for node in drawing.nodes}
    for arrow in drawing.arrows:
        beside[arrow.source].append(arrow.target)
        beside[arrow.target].append(arrow.source)
    beside[name]  # or there is none
    kept, edge = {name: None}, [name]
    reached = {name}
    for _ in range(FARTHEST):
        edge = [*dict.fromkeys(other for one in edge for other in beside[one])]
        edge = [one for one in edge if one not in reached]
        reached.update(edge)
        kept.update(dict.fromkeys(edge[: MOST_AROUND - len(kept)]))
    nodes = [node for node in drawing.nodes if node.name in kept]
    layers = sorted({node.layer for node in nodes if node.layer is not None})
    level = {layer: number for number, layer in enumerate(layers)}  # without the empty ones
    about = f"{name} and what is around it: {len(nodes)} of {len(drawing.nodes)} boxes"
    if left := len(reached) - len(kept):
        about += f"; {left} more are as near, and are not drawn"
    return Drawing(
        drawing.title,
        tuple(
            node if node.layer is None else attrs.evolve(node, layer=level[node.layer])
            for node in nodes
        ),
        tuple(one for one in drawing.arrows if one.source in kept and one.target in kept),
        (about,),
    )


def pictured(drawing: Drawing) -> Fields:
    """Find places for a drawing. `about` says why there is no picture, where there is none."""
    if len(drawing.nodes) > MOST_NODES:
        text = (
            f"{len(drawing.nodes)} steps are too many for a picture. "
            "Choose one in the table of steps: it is drawn with what is around it"
        )
        return {"title": drawing.title, "about": text, "large": True}
    try:
        return placed(place(drawing.shortened(LONGEST)))
    except PlaitError as error:  # nobody is here who could place it, or it is too large
        return {"title": drawing.title, "about": f"there is no picture: {error}"}


def placed(layout: Layout) -> Fields:
    """Write down where everything is, in pixels."""
    drawing: Drawing = layout.drawing
    return {
        "title": drawing.title,
        "width": layout.width,
        "height": layout.height,
        "boxes": [
            {
                "name": box.node.name,
                "label": box.node.label,
                "full": box.node.whole,
                "shape": box.node.shape,
                "marks": list(box.marks),
                "x": box.x,
                "y": box.y,
                "width": box.width,
                "height": box.height,
            }
            for box in layout.boxes
        ],
        "cables": [
            {
                "source": cable.arrows[0].source,
                "target": cable.arrows[0].target,
                "dashed": cable.arrows[0].dashed,
                "ways": [[list(point) for point in way] for way in cable.ways],
                "labels": list(cable.labels),
                "at": list(cable.at),
            }
            for cable in layout.cables
        ],
    }
