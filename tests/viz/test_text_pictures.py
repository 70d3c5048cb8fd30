"""Pictures as text: pure functions of a plan, and safe for any name."""

import re

import pytest

from plait import (
    Context,
    Event,
    HumanResponseEvent,
    InputRequiredEvent,
    StartEvent,
    StopEvent,
    Workflow,
    catch_error,
    step,
)
from plait._viz.drawing import Arrow, Drawing, Node
from plait._viz.formats.dot import dot
from plait._viz.formats.mermaid import mermaid
from plait._viz.plans.events import draw_workflow
from plait.events import StepFailedEvent

DRAWING = Drawing(
    "two.yaml",
    (Node("a", "a"), Node("b", "b"), Node("end", "stop", "stop")),
    (Arrow("a", "b", "Part"), Arrow("b", "end"), Arrow("a", "end", "Lost", dashed=True)),
)


def test_mermaid():
    assert mermaid(DRAWING) == (
        "---\n"
        'title: "two.yaml"\n'
        "---\n"
        "flowchart TD\n"
        '    n1["a"]\n'
        '    n2["b"]\n'
        '    n3(["stop"])\n'
        '    n1 -->|"Part"| n2\n'
        "    n2 --> n3\n"
        '    n1 -.->|"Lost"| n3\n'
    )


def test_dot():
    assert dot(DRAWING) == (
        'digraph "two.yaml" {\n'
        "    node [style=rounded];\n"
        '    n1 [label="a", shape=box];\n'
        '    n2 [label="b", shape=box];\n'
        '    n3 [label="stop", shape=oval];\n'
        '    n1 -> n2 [label="Part"];\n'
        "    n2 -> n3;\n"
        '    n1 -> n3 [label="Lost", style=dashed];\n'
        "}\n"
    )


ODD = ['a"b', "<script>alert(1)</script>", "a\\", "end", "x]; y --> z", "#35;", "a|b", "`*_", "é漢"]


@pytest.mark.parametrize("name", ODD)
def test_no_name_ends_a_mermaid_label(name):
    drawing = Drawing(name, (Node(name, name), Node("t", "t")), (Arrow(name, "t", name),))
    lines = mermaid(drawing).splitlines()
    assert lines[0] == lines[2] == "---"
    assert len(lines) == 7
    [label] = re.findall(r'^    n1\["([^"]*)"\]$', lines[4])
    assert not set("<>|`\\") & set(label)
    plain = re.sub(r"#(\d+);", lambda found: chr(int(found[1])), label)
    assert plain == name
    assert re.fullmatch(r'    n1 -->\|"[^"|]*"\| n2', lines[6])


@pytest.mark.parametrize("name", ODD)
def test_no_name_ends_a_dot_label(name):
    drawing = Drawing(name, (Node(name, name),), ())
    line = dot(drawing).splitlines()[2]
    [label] = re.findall(r'^    n1 \[label="((?:[^"\\]|\\.)*)", shape=box\];$', line)
    assert re.sub(r"\\(.)", r"\1", label) == name


class Ask(InputRequiredEvent):
    pass


class Say(HumanResponseEvent):
    pass


class Part(Event):
    pass


class Flow(Workflow):
    @step
    async def start(self, ev: StartEvent) -> Part | Ask: ...

    @step
    async def work(self, ev: Part) -> StopEvent: ...

    @step
    async def hear(self, ev: Say) -> StopEvent: ...

    @catch_error(for_steps=["work"])
    async def mend(self, ctx: Context, ev: StepFailedEvent) -> StopEvent: ...


def test_a_workflow_has_its_steps_and_the_ways_of_its_events():
    drawing = draw_workflow(Flow())
    names = {node.name: node.shape for node in drawing.nodes}
    assert names == {
        "(start)": "start",
        "start": "step",
        "work": "step",
        "hear": "step",
        "mend": "step",
        "(outside)": "outside",
        "(stop)": "stop",
    }
    assert {(arrow.source, arrow.label, arrow.target) for arrow in drawing.arrows} == {
        ("(start)", "", "start"),
        ("start", "Part", "work"),
        ("start", "Ask", "(outside)"),
        ("(outside)", "Say", "hear"),
        ("work", "StopEvent", "(stop)"),
        ("hear", "StopEvent", "(stop)"),
        ("mend", "StopEvent", "(stop)"),
        ("work", "StepFailedEvent", "mend"),
    }
    assert mermaid(drawing).count("-->") + mermaid(drawing).count("-.->") == 8
    assert dot(drawing).count(" -> ") == 8
