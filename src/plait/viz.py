"""Pictures of workflows, durable functions and flows, and of what has happened in their runs: every name."""

from plait._viz.executions.execution import Execution as Execution
from plait._viz.executions.kept import read_execution as read_execution
from plait._viz.pictures.draw import draw as draw
from plait._viz.pictures.draw import draw_all_possible_flows as draw_all_possible_flows
from plait._viz.pictures.draw import (
    draw_all_possible_flows_mermaid as draw_all_possible_flows_mermaid,
)
from plait._viz.pictures.runs import draw_most_recent_execution as draw_most_recent_execution
from plait._viz.pictures.runs import (
    draw_most_recent_execution_mermaid as draw_most_recent_execution_mermaid,
)
from plait._viz.pictures.runs import draw_timeline as draw_timeline
from plait._viz.pictures.runs import timeline_text as timeline_text
from plait._viz.plans.representation import WorkflowGraph as WorkflowGraph
from plait._viz.plans.representation import WorkflowGraphEdge as WorkflowGraphEdge
from plait._viz.plans.representation import WorkflowGraphNode as WorkflowGraphNode
from plait._viz.plans.representation import (
    get_workflow_representation as get_workflow_representation,
)
