"""The picture of a plan for the page: where each box is, and on which way each arrow goes.

The places are found here, once, for all windows; the browser draws, and colours the boxes by what happens.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from plait._errors import PlaitError
from plait._strands._events.workflow import Workflow
from plait._strands._flows.flow import Flow
from plait._viz.drawing import Drawing
from plait._viz.placing.layout import Layout, place
from plait._viz.plans.events import draw_workflow
from plait._viz.plans.flows import draw_flow

#: Of a larger plan nobody would read the picture: its steps are in the table.
MOST_NODES: Final = 400
#: Signs of a label.
LONGEST: Final = 48

Fields = Mapping[str, Any]


def picture_of(target: Flow | Workflow[Any]) -> Fields:
    """Draw a flow or a workflow. `about` says why there is no picture, where there is none."""
    drawing = draw_flow(target.checked) if isinstance(target, Flow) else draw_workflow(target)
    if len(drawing.nodes) > MOST_NODES:
        text = f"{len(drawing.nodes)} steps are too many for a picture: they are in the table"
        return {"title": drawing.title, "about": text}
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
