"""Rows 8 to 10, 93, 115: the start event, the result, and what a run is called."""

import re

import pytest

from plait import Context, StartEvent, StopEvent, Workflow, step
from plait.errors import WorkflowRuntimeError
from tests.parity.letters import A


class Greeting(StartEvent):
    text: str


class Greeter(Workflow):
    @step
    async def greet(self, ev: Greeting) -> StopEvent:
        return StopEvent(result=ev.text)


@pytest.mark.anyio
async def test_row_008_fields_or_a_start_event_start_a_typed_workflow():
    assert await Greeter().run(text="hi") == "hi"
    assert await Greeter().run(start_event=Greeting(text="hi")) == "hi"


def test_row_008_wrong_fields_are_refused_at_the_call():
    text = "Failed creating a start event of type 'Greeting' with the keyword arguments: {'x': 1}"
    with pytest.raises(WorkflowRuntimeError, match=re.escape(text)):
        Greeter().run(x=1)


def test_row_009_a_wrong_start_event_class_is_refused_at_the_call():
    text = "Workflow 'Greeter' starts with Greeting, not StartEvent."
    with pytest.raises(WorkflowRuntimeError, match=re.escape(text)):
        Greeter().run(start_event=StartEvent())


@pytest.mark.anyio
async def test_row_010_the_result_of_a_plain_and_of_a_custom_stop_event():
    class Report(StopEvent):
        total: int

    class Plain(Workflow):
        @step
        async def s(self, ev: StartEvent) -> StopEvent:
            return StopEvent(result=[1, 2])

    class Custom(Workflow):
        @step
        async def s(self, ev: StartEvent) -> Report:
            return Report(total=3)

    assert await Plain().run() == [1, 2]
    report = await Custom().run()
    assert type(report) is Report
    assert report.total == 3
    async with Custom().run() as run:
        assert await run.result() is await run
        assert run.get_stop_event() is await run.stop_event_result()


@pytest.mark.anyio
async def test_row_093_a_store_works_before_during_and_after_a_run():
    class Flow(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> A:
            await ctx.store.set("read", await ctx.store.get("seed"))
            return A()

        @step
        async def t(self, ctx: Context, ev: A) -> StopEvent:
            return StopEvent(result=await ctx.store.get("read"))

    flow = Flow()
    ctx = Context(flow)
    await ctx.store.set("seed", 7)
    run = flow.run(ctx=ctx)
    await run.ctx.store.set("late", 8)
    assert await run == 7
    assert await run.ctx.store.get("read") == 7
    assert await ctx.store.get("late") == 8


@pytest.mark.anyio
async def test_row_115_the_step_context_is_the_one_that_the_step_was_given():
    def deep_inside():
        return Context.get_step_context()

    class Flow(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> A:
            assert deep_inside() is ctx
            assert ctx.step_name == "s"
            return A()

        @step
        async def t(self, ev: A) -> StopEvent:
            ctx = deep_inside()
            assert ctx is deep_inside()
            return StopEvent(result=(ctx.step_name, ctx.run_id, ctx.is_running))

    run = Flow().run(run_id="mine")
    assert await run == ("t", "mine", True)
    assert (run.ctx.run_id, run.ctx.is_running) == ("mine", False)


@pytest.mark.anyio
async def test_row_115_outside_of_steps_there_is_no_step_context():
    text = "Context.get_step_context() may only be called from within a step function"
    with pytest.raises(WorkflowRuntimeError, match=re.escape(text)):
        Context.get_step_context()


@pytest.mark.anyio
async def test_row_115_a_live_run_id_is_refused_and_an_ended_one_is_not():
    flow = Greeter()
    async with flow.run(text="hi", run_id="dup") as run:
        with pytest.raises(WorkflowRuntimeError, match="run_id 'dup' already exists"):
            flow.run(text="ho", run_id="dup")
        assert run.run_id == "dup"
    async with Greeter().run(text="another instance", run_id="dup"):
        pass
    assert await flow.run(text="again", run_id="dup") == "again"


@pytest.mark.anyio
async def test_row_115_a_run_id_is_a_new_uuid_by_default():
    ids = set()
    for _ in range(3):
        async with Greeter().run(text="hi") as run:
            ids.add(run.run_id)
    assert len(ids) == 3
    assert all(re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", each) for each in ids)


@pytest.mark.parametrize("bad", ["a/b", "", "x" * 65, "a b", "ä", "a\n"])
def test_row_115_a_run_id_has_a_form(bad):
    text = re.escape(f"run_id must match [A-Za-z0-9_-]{{1,64}}, not {bad!r}")
    with pytest.raises(WorkflowRuntimeError, match=text):
        Greeter().run(text="hi", run_id=bad)


def test_row_115_the_workflow_name_is_module_and_qualname_by_default():
    class Local(Greeter):
        pass

    assert Greeter().workflow_name == f"{__name__}.Greeter"
    assert Local().workflow_name == f"{__name__}.{Local.__qualname__}"
    assert Greeter(workflow_name="shop").workflow_name == "shop"
