"""What is in the picture of a workflow, a flow and durable functions: the plan, and nothing else."""

import sys
import types
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from plait import (
    Collect,
    Context,
    Event,
    HumanResponseEvent,
    InputRequiredEvent,
    Resource,
    ResourceConfig,
    StartEvent,
    StopEvent,
    Take,
    Workflow,
    step,
    viz,
)
from plait import durable as d
from plait._viz.plans.durable import draw_app, draw_function
from plait._viz.plans.events import draw_workflow
from plait._viz.plans.flows import draw_flow
from plait.errors import MissingExtra, WorkflowConfigurationError
from plait.events import catch_error
from plait.flows import load
from plait.retry import retry_policy, stop_after_attempt, stop_after_delay, stop_never


class Part(Event):
    pass


class Done(Event):
    pass


class Other(Event):
    pass


class Ask(InputRequiredEvent):
    pass


class Say(HumanResponseEvent):
    pass


def marks(drawing, name):
    [node] = [node for node in drawing.nodes if node.name == name]
    return set(node.marks)


def ways(drawing):
    return {(arrow.source, arrow.label, arrow.target) for arrow in drawing.arrows}


# ---------------------------------------------------------------- events


class Marked(Workflow):
    @step(num_workers=1, timeout=90)
    async def start(self, ctx: Context, ev: StartEvent) -> list[Part] | Other | None:
        ctx.send_event(Other())

    @step(
        num_workers=3, retry_policy=retry_policy(stop=stop_after_attempt(5) | stop_after_delay(9))
    )
    def work(self, ev: Part) -> Done: ...

    @step(limiter=trio.CapacityLimiter(2), accept_event_subclasses=True)
    async def first(
        self, evs: Annotated[list[Done], Collect(Take(2, cancel_rest=True))]
    ) -> Other: ...

    @step(retry_policy=retry_policy(stop=stop_never))
    async def gather(self, ctx: Context, ev: Other) -> StopEvent | None:
        async def inner():
            await ctx.wait_for_event(Say)

        if ctx.collect_events(ev, [Other, Other]) is None:
            return None
        await inner()
        return StopEvent()

    @catch_error(max_recoveries=2)
    async def mend(self, ev: d.Event | None = None, *, failed: "StepFailed") -> StopEvent: ...


from plait.events import StepFailedEvent as StepFailed  # noqa: E402 - named before it is there


class Join(Workflow):
    @step
    async def start(self, ev: StartEvent) -> Part | Done: ...

    @step
    async def both(self, one: Part, two: Done) -> StopEvent: ...


def test_a_step_is_marked_with_what_limits_it_and_what_it_does():
    drawing = draw_workflow(Marked)
    assert marks(drawing, "start") == {"1 worker", "timeout 90 s", "fans out", "sends events"}
    assert marks(drawing, "work") == {"3 workers", "up to 5 attempts", "in a thread"}
    assert marks(drawing, "first") == {
        "4 workers", "shares a limiter", "and subclasses", "collects the first 2, cancels the rest",
    }  # fmt: skip
    assert marks(drawing, "gather") == {
        "4 workers", "retries", "collects events", "waits for events",
    }  # fmt: skip
    assert marks(drawing, "mend") == {"4 workers", "handles failures", "up to 2 times"}
    assert marks(draw_workflow(Join), "both") == {"4 workers", "joins Part + Done"}


def test_a_returned_list_is_written_on_its_arrow():
    assert ("start", "list[Part]", "work") in ways(draw_workflow(Marked))
    assert ("start", "Other", "gather") in ways(draw_workflow(Marked))


def test_a_class_is_drawn_as_its_object_is():
    class Needs(Join):
        def __init__(self, what):
            super().__init__(timeout=what)

    assert draw_workflow(Needs) == draw_workflow(Needs(3))
    named = draw_workflow(Join(workflow_name="corner"))
    assert named.title == "corner"


def test_a_class_without_a_start_is_refused():
    class Wrong(Workflow):
        @step
        async def work(self, ev: Part) -> StopEvent: ...

    with pytest.raises(WorkflowConfigurationError, match="StartEvent"):
        viz.draw(Wrong, "text")


# resources


@asynccontextmanager
async def connect(
    url: Annotated[str, ResourceConfig("app.json", "db.url", label="settings")],
) -> AsyncIterator[str]:
    yield url


class Lends(Workflow):
    @step
    async def one(self, ev: StartEvent, db: Annotated[str, Resource(connect)]) -> Part: ...

    @step
    async def two(self, ev: Part, base: Annotated[str, Resource(connect)]) -> StopEvent: ...


def test_a_resource_is_one_node_with_an_arrow_to_each_step():
    drawing = draw_workflow(Lends)
    assert {n.label: set(n.marks) for n in drawing.nodes if n.shape == "resource"} == {
        "connect": {"for each run"},
        "settings": {"db.url"},
    }
    lent = [arrow for arrow in drawing.arrows if arrow.dashed]
    assert {(a.source, a.label, a.target) for a in lent} == {
        ("one", "db", "(lent 1)"),
        ("two", "base", "(lent 1)"),
        ("(lent 1)", "url", "(lent 2)"),
    }


def many_users(count):
    async def body(self, ev: Part, db: Annotated[str, Resource(connect)]) -> StopEvent: ...

    steps = {}
    for number in range(count):
        copy = types.FunctionType(body.__code__, globals(), f"use_{number}")
        copy.__annotations__ = body.__annotations__
        copy.__qualname__ = f"Many.use_{number}"
        steps[copy.__name__] = step(copy)

    async def start(self, ev: StartEvent) -> Part: ...

    start.__qualname__ = "Many.start"
    return type("Many", (Workflow,), {"start": step(start), **steps})


def test_a_resource_of_many_steps_is_written_on_them():
    drawing = draw_workflow(many_users(4))
    assert sum(arrow.label == "db" for arrow in drawing.arrows) == 4
    drawing = draw_workflow(many_users(5))
    assert not [arrow for arrow in drawing.arrows if arrow.label == "db"]
    assert all("uses connect" in marks(drawing, f"use_{n}") for n in range(5))
    assert marks(drawing, "(lent 1)") == {"for each run", "used by 5 steps"}
    assert ("(lent 1)", "url", "(lent 2)") in ways(drawing)


# handlers of failures


def handled_by_one(count):
    async def body(self, ev: Part) -> StopEvent: ...

    async def start(self, ev: StartEvent) -> Part: ...

    async def mend(self, ev: StepFailed) -> StopEvent: ...

    steps = {}
    for number in range(1, count):
        copy = types.FunctionType(body.__code__, globals(), f"work_{number}")
        copy.__annotations__ = body.__annotations__
        copy.__qualname__ = f"Handled.work_{number}"
        steps[copy.__name__] = step(copy)
    start.__qualname__, mend.__qualname__ = "Handled.start", "Handled.mend"
    return type("Handled", (Workflow,), {"start": step(start), **steps, "mend": catch_error(mend)})


def test_a_handler_of_many_steps_is_written_on_them():
    drawing = draw_workflow(handled_by_one(4))
    assert sum(arrow.label == "StepFailedEvent" for arrow in drawing.arrows) == 4
    drawing = draw_workflow(handled_by_one(5))
    assert not [arrow for arrow in drawing.arrows if arrow.label == "StepFailedEvent"]
    assert all("failures go to mend" in marks(drawing, f"work_{n}") for n in range(1, 5))
    assert marks(drawing, "mend") == {"4 workers", "handles failures"}


# other workflows


class Child(Workflow):
    @step
    async def toil(self, ev: StartEvent) -> StopEvent: ...


class Field(Workflow):
    @step
    async def sweat(self, ev: StartEvent) -> StopEvent: ...


class Parent(Workflow):
    def __init__(self):
        super().__init__()
        self.field = Field()

    @step
    async def start(self, ctx: Context, ev: StartEvent) -> Part:
        await ctx.run_child(Child())
        return Part()

    @step
    async def next(self, ctx: Context, ev: Part) -> StopEvent:
        await ctx.run_child(self.field)
        return StopEvent()

    @step
    async def looks(self, ev: Part) -> StopEvent:
        return StopEvent(result=Child.__name__)


def test_a_workflow_that_a_step_runs_is_a_node():
    drawing = draw_workflow(Parent())
    assert {n.label for n in drawing.nodes if n.shape == "workflow"} == {"Child", "Field"}
    assert {w for w in ways(drawing) if w[1] == "runs"} == {
        ("start", "runs", "[Child]"),
        ("next", "runs", "[Field]"),
    }


def test_and_the_page_has_its_picture_too():
    found = viz.draw(Parent(), "html")
    assert [found.count(f">{name}</h") for name in ("Parent", "Child", "Field")] == [1, 1, 1]
    assert found.count("<svg") == 3
    assert ">toil</th>" in found
    assert viz.draw(Parent(), "svg").count("<svg") == 1


# any workflow


@st.composite
def workflows(draw):
    """A class whose steps each take one event and return some: as a plan, not to be run."""
    count = draw(st.integers(1, 6))
    events = [StartEvent, *(type(f"E{n}", (Event,), {}) for n in range(1, count))]
    members = {}
    for number, event in enumerate(events):
        returned = draw(st.lists(st.sampled_from([*events[1:], StopEvent]), unique=True))

        async def body(self, ev): ...

        kinds = [*returned, type(None)]
        if number == 0:
            kinds.append(StopEvent)
        hint = kinds[0]
        for kind in kinds[1:]:
            hint = hint | kind
        body.__annotations__ = {"ev": event, "return": hint}
        body.__name__, body.__qualname__ = f"s{number}", f"W.s{number}"
        members[body.__name__] = step(num_workers=number + 1)(body)
    return type("W", (Workflow,), members), events


@given(workflows())
def test_every_step_and_every_way_of_an_event_is_drawn_once(made):
    cls, events = made
    drawing = draw_workflow(cls)
    steps = [node for node in drawing.nodes if node.shape == "step"]
    assert [node.label for node in steps] == [f"s{n}" for n in range(len(events))]
    graph, _ = cls()._compile()
    wanted = {("(start)", "", "s0")}
    for spec, signature in graph.steps:
        for event in signature.returned_events:
            target = "(stop)" if event is StopEvent else f"s{events.index(event)}"
            wanted.add((spec.name, event.__name__, target))
    assert len(drawing.arrows) == len(wanted)
    assert ways(drawing) == wanted


# ---------------------------------------------------------------- flows

FLOW = {
    "runner": {"max_workers": 2, "timeout": 90},
    "flow": [
        {"name": "a", "source": "env", "retry": 5},
        {
            "name": "b",
            "source": "env",
            "depends_on": ["a"],
            "when": "{{ 1 == 1 }}",
            "matrix": {"axes": {"os": ["x", "y"], "py": [1, 2]}, "max_parallel": 3},
        },
        {
            "name": "c",
            "source": "env",
            "depends_on": ["a"],
            "foreach": [1, 2],
            "on_error": "skip",
            "concurrency": {"group": "db", "limit": 2},
        },
        {"name": "d", "source": "env", "depends_on": ["b", "c"], "timeout": 5},
    ],
}


def test_a_flow_has_its_steps_in_waves_with_their_marks():
    drawing = draw_flow(load(FLOW).checked)
    assert [(node.name, node.layer) for node in drawing.nodes] == [
        ("a", 0),
        ("b", 1),
        ("c", 1),
        ("d", 2),
    ]
    assert marks(drawing, "a") == {"env", "up to 5 attempts"}
    assert marks(drawing, "b") == {"env", "when {{ 1 == 1 }}", "matrix os × py", "3 at once"}
    assert marks(drawing, "c") == {"env", "foreach item", "group db: 2", "on error: skip"}
    assert marks(drawing, "d") == {"env", "timeout 5 s"}
    assert drawing.about == ("3 waves, 2 workers", "timeout 90 s")


def test_an_arrow_says_what_a_failure_means_if_that_is_unusual():
    assert ways(draw_flow(load(FLOW).checked)) == {
        ("a", "", "b"),
        ("a", "on error: skip", "c"),
        ("b", "", "d"),
        ("c", "on error: skip", "d"),
    }
    usual = {**FLOW, "runner": {"on_error": "skip"}}
    assert {label for _, label, _ in ways(draw_flow(load(usual).checked))} == {""}


# ---------------------------------------------------------------- durable functions


def make_app():
    app = d.App("shop")

    @app.create_function(fn_id="pay", trigger=d.TriggerEvent("order/paid"), retries=0)
    async def pay(ctx: d.Context) -> str:
        return await ctx.step.run("charge", str, 1)

    async def sorry(ctx: d.Context[d.FunctionFailed]) -> None: ...

    @app.create_function(
        fn_id="fulfil",
        name="Fulfil an order",
        trigger=[
            d.TriggerEvent("order/placed", expression=lambda e: True),
            d.TriggerEvent(Done),
        ],
        concurrency=[d.Concurrency(2, key=lambda e: "k"), d.Concurrency(7, of="runs")],
        throttle=d.Throttle(10, period=60),
        rate_limit=d.RateLimit(5, period=3600),
        priority=d.Priority(lambda e: 1),
        cancel=d.Cancel("order/cancelled"),
        timeouts=d.Timeouts(finish=86400),
        on_failure=sorry,
    )
    async def fulfil(ctx: d.Context) -> str:
        for n in range(3):
            await ctx.step.run(f"pack {n}", str, n)
        await ctx.step.invoke("payment", function=pay)
        await ctx.step.sleep("wait", 3)
        return await ctx.group.parallel((lambda: pay, lambda: pay))

    return app, fulfil, pay


def test_an_app_has_its_functions_with_what_starts_and_what_ends_them():
    app, *_ = make_app()
    drawing = draw_app(app)
    assert drawing.title == "shop"
    assert {(n.label, n.shape) for n in drawing.nodes} == {
        ("order/paid", "event"),
        ("order/placed", "event"),
        ("order/cancelled", "event"),
        ("Done", "event"),
        ("pay", "function"),
        ("Fulfil an order", "function"),
        ("sorry", "function"),
    }
    assert ways(drawing) == {
        ("event order/paid", "", "shop-pay"),
        ("event order/placed", "if", "shop-fulfil"),
        (f"event {Done.__plait_name__}", "", "shop-fulfil"),
        ("event order/cancelled", "cancels", "shop-fulfil"),
        ("shop-fulfil", "invokes", "shop-pay"),
        ("shop-fulfil", "fails", "shop-fulfil on_failure"),
    }


def test_a_function_is_marked_with_its_limits_and_the_calls_in_its_code():
    app, *_ = make_app()
    [node] = [node for node in draw_app(app).nodes if node.name == "shop-fulfil"]
    assert node.marks == (
        "up to 5 attempts",
        "2 steps per key at once",
        "7 runs at once",
        "throttle 10 per 1 min",
        "rate limit 5 per 1 h",
        "priority",
        "finish within 1 d",
        "run 'pack …'",
        "invoke 'payment'",
        "sleep 'wait'",
        "parallel",
    )


def test_planned_times_start_functions_too():
    pytest.importorskip("cronsim")
    app = d.App("clock")

    @app.create_function(fn_id="tick", trigger=d.TriggerCron("30  9 * * MON", tz="Europe/Paris"))
    async def tick(ctx: d.Context) -> None: ...

    [time, function] = draw_app(app).nodes
    assert (time.label, time.shape, time.marks) == ("30 9 * * MON", "time", ("Europe/Paris",))
    assert ways(draw_app(app)) == {(time.name, "", function.name)}


def test_a_function_that_is_tried_once_says_so():
    _, _, pay = make_app()
    assert marks(draw_function(pay), "shop-pay") == {"no retries", "run 'charge'"}


def test_one_function_is_drawn_with_whom_it_invokes():
    _, fulfil, pay = make_app()
    assert {n.name for n in draw_function(pay).nodes} == {"event order/paid", "shop-pay"}
    drawn = {n.name for n in draw_function(fulfil).nodes}
    assert "shop-pay" in drawn
    assert "event order/paid" not in drawn


# ---------------------------------------------------------------- what users call


@pytest.mark.parametrize("form", ["html", "svg", "dot", "mermaid", "text"])
def test_everything_can_be_drawn_in_every_format(form):
    app, fulfil, _ = make_app()
    flow = load(FLOW)
    graph = viz.get_workflow_representation(Marked)
    for what in (Marked, Marked(), flow, flow.checked, app, fulfil, graph):
        found = viz.draw(what, form)
        assert found.endswith("\n")
        assert found == viz.draw(what, form)


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(TypeError, match=r"cannot be drawn: 7\n.*a workflow or its class"):
        viz.draw(7, "svg")
    with pytest.raises(ValueError, match=r"no format 'png'\. The formats are 'html', 'svg'"):
        viz.draw(Marked, "png")


def test_all_possible_flows_go_to_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert viz.draw_all_possible_flows(Marked) is None
    assert (tmp_path / "workflow_all_flows.html").read_text("utf-8") == viz.draw(Marked, "html")
    viz.draw_all_possible_flows(Marked, filename="x.html", max_label_length=4)
    found = (tmp_path / "x.html").read_text("utf-8")
    assert ">gat…</text>" in found
    assert '<th scope="row">gather</th>' in found, "the table has it in full"
    text = viz.draw_all_possible_flows_mermaid(Marked)
    assert (
        text
        == (tmp_path / "workflow_all_flows.mermaid").read_text("utf-8")
        == viz.draw(Marked, "mermaid")
    )
    short = viz.draw_all_possible_flows_mermaid(Marked, filename=tmp_path / "y", max_label_length=4)
    assert '["gat#8230;' in short
    with pytest.raises(ValueError, match="at least 1"):
        viz.draw_all_possible_flows(Marked, max_label_length=0)


def test_a_notebook_shows_the_picture(tmp_path, monkeypatch):
    shown = []
    module = types.ModuleType("IPython.display")
    module.display = lambda data, raw: shown.append((data, raw))
    monkeypatch.setitem(sys.modules, "IPython", types.ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    viz.draw_all_possible_flows(Join, filename=tmp_path / "x.html", notebook=True)
    [(data, raw)] = shown
    assert raw is True
    assert data["image/svg+xml"] == viz.draw(Join, "svg")
    assert (tmp_path / "x.html").exists()


def test_elsewhere_that_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython", None)
    with pytest.raises(MissingExtra, match="notebook=True needs IPython"):
        viz.draw_all_possible_flows(Join, filename=tmp_path / "x.html", notebook=True)
    assert not (tmp_path / "x.html").exists()


# ---------------------------------------------------------------- as data


class Review(Workflow):
    """Reads, and asks.

    More of it.
    """

    @step
    async def read(self, ev: StartEvent, db: Annotated[str, Resource(connect)]) -> list[Part]:
        """Reads it."""

    @step
    async def ask(self, ev: list[Part]) -> Ask: ...

    @step
    async def hear(self, ev: Say) -> StopEvent: ...


def edges(graph):
    return {(edge.source, edge.label, edge.target) for edge in graph.edges}


def test_a_workflow_as_data():
    graph = viz.get_workflow_representation(Review)
    assert (graph.name, graph.description) == ("Review", "Reads, and asks.")
    assert [(n.id, n.type) for n in graph.nodes] == [
        ("read", "step"), ("ask", "step"), ("hear", "step"),
        ("StartEvent", "event"), ("Part", "event"), ("Ask", "event"), ("Say", "event"),
        ("StopEvent", "event"), ("(outside)", "external"),
        ("(lent 1)", "resource"), ("(lent 2)", "resource_config"),
    ]  # fmt: skip
    assert graph.nodes[0].description == "Reads it."
    assert graph.nodes[1].description is None
    assert edges(graph) == {
        ("StartEvent", None, "read"), ("read", "list[Part]", "Part"), ("Part", None, "ask"),
        ("ask", None, "Ask"), ("Ask", None, "(outside)"), ("(outside)", None, "Say"),
        ("Say", None, "hear"), ("hear", None, "StopEvent"),
        ("read", "db", "(lent 1)"), ("(lent 1)", "url", "(lent 2)"),
    }  # fmt: skip


def test_without_events_the_edges_go_from_step_to_step():
    graph = viz.get_workflow_representation(Review).filter_by_node_type("event")
    assert edges(graph) == {
        ("read", "list[Part]", "ask"), ("ask", "Ask", "(outside)"), ("(outside)", "Say", "hear"),
        ("read", "db", "(lent 1)"), ("(lent 1)", "url", "(lent 2)"),
    }  # fmt: skip
    steps = graph.filter_by_node_type("external", "resource", "resource_config")
    assert {node.type for node in steps.nodes} == {"step"}
    assert edges(steps) == {("read", "list[Part]", "ask"), ("ask", "Ask", "hear")}
    with pytest.raises(ValueError, match="no node type 'evnt'"):
        graph.filter_by_node_type("evnt")


@pytest.mark.parametrize("cls", [Review, Marked, Join, Lends, Parent])
def test_it_comes_back_from_a_dict(cls):
    import json

    graph = viz.get_workflow_representation(cls)
    assert viz.WorkflowGraph.from_dict(json.loads(json.dumps(graph.to_dict()))) == graph
    ids = [node.id for node in graph.nodes]
    assert len(ids) == len(set(ids))
    assert {end for edge in graph.edges for end in (edge.source, edge.target)} <= set(ids)


NODE = {"id": "a", "label": "a", "type": "step"}


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({}, "graph: 'name' must be a text"),
        ({"name": "x"}, "'nodes' must be a list"),
        ({"name": "x", "nodes": [3]}, "'nodes' must be a list of mappings"),
        (
            {"name": "x", "nodes": [{**NODE, "type": "stop"}], "edges": []},
            "there is no type 'stop'",
        ),
        ({"name": "x", "nodes": [NODE, NODE], "edges": []}, "two nodes have one id"),
        (
            {"name": "x", "nodes": [NODE], "edges": [{"source": "a", "target": "b"}]},
            "to or from 'b'",
        ),
        (
            {"name": "x", "nodes": [NODE], "edges": [{"source": "a", "target": "a", "label": 3}]},
            "label",
        ),
    ],
)
def test_what_is_no_graph_is_refused(data, text):
    with pytest.raises(ValueError, match=text):
        viz.WorkflowGraph.from_dict(data)


def test_a_step_that_is_called_as_an_event_is_another_node():
    async def start(self, ev: StartEvent) -> Part: ...

    async def take(self, ev: Part) -> StopEvent: ...

    start.__name__, start.__qualname__, take.__qualname__ = "Part", "Twice.Part", "Twice.take"
    twice = type("Twice", (Workflow,), {"Part": step(start), "take": step(take)})
    graph = viz.get_workflow_representation(twice)
    ids = [node.id for node in graph.nodes if node.label == "Part"]
    assert len(ids) == len(set(ids)) == 2
