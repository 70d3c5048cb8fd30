"""Pictures, as they are asked for. Checked, never run."""

from typing import Any, assert_type

from plait import StartEvent, StopEvent, Workflow, step, viz
from plait.durable import App, Context, MemoryJournal, SqliteJournal, TriggerEvent
from plait.flows import load


class Flow(Workflow):
    @step
    async def only(self, ev: StartEvent) -> StopEvent:
        return StopEvent()


app = App("shop", journal=MemoryJournal())


@app.create_function(fn_id="pay", trigger=TriggerEvent("order"))
async def pay(ctx: Context) -> int:
    return 1


flow = load(["flow.yaml"])

# ---------------------------------------------------------------- plans

assert_type(viz.draw(Flow, "html"), str)
assert_type(viz.draw(Flow(), "svg"), str)
assert_type(viz.draw(flow, "dot"), str)
assert_type(viz.draw(flow.checked, "mermaid"), str)
assert_type(viz.draw(app, "text"), str)
assert_type(viz.draw(pay, "text"), str)
viz.draw(Flow, "png")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
viz.draw(3, "svg")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

assert_type(viz.draw_all_possible_flows_mermaid(Flow, max_label_length=20), str)
viz.draw_all_possible_flows(Flow, "flow.html")
viz.draw_all_possible_flows(Flow, 3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

graph = viz.get_workflow_representation(Flow)
assert_type(graph, viz.WorkflowGraph)
assert_type(graph.to_dict(), dict[str, Any])
assert_type(viz.WorkflowGraph.from_dict(graph.to_dict()), viz.WorkflowGraph)
assert_type(viz.draw(graph, "svg"), str)
viz.get_workflow_representation(flow)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

# ---------------------------------------------------------------- runs


async def watched() -> None:
    run = Flow().run()
    trace = run.trace()
    execution = viz.Execution()
    run.observe(execution.feed)
    await run
    for seen in (run, trace, execution):
        viz.draw_most_recent_execution(seen, "run.html", max_label_length=20)
        assert_type(viz.draw_most_recent_execution_mermaid(seen), str)
        viz.draw_timeline(seen, "run.svg")
        assert_type(viz.timeline_text(seen, width=80), str)
        assert_type(viz.draw(seen, "html"), str)
    assert_type(execution.to_dict(), dict[str, Any])
    assert_type(execution.over, bool)
    assert_type(execution.feed(trace.records[0]), tuple[str, ...])
    viz.timeline_text("run")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    viz.draw_timeline(Flow)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def read() -> None:
    assert_type(await viz.read_execution("shop.db", "r"), viz.Execution)
    assert_type(await viz.read_execution(SqliteJournal("shop.db"), "r"), viz.Execution)
    await viz.read_execution(app, "r")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def of_a_flow() -> None:
    run = flow.start()
    trace = run.trace()
    async with run:
        pass
    viz.draw_most_recent_execution(run)
    assert_type(viz.timeline_text(trace), str)
