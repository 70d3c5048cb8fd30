"""Rows 99 to 104 and 106: checkpoints, where a run may begin again.

Row 105, checkpoints that survive the process, is in `test_events_checkpoints_kept.py`.
"""

import json
from datetime import UTC, datetime

import anyio
import attrs
import pytest

import plait
from plait import (
    Checkpoint,
    Context,
    Event,
    HumanResponseEvent,
    InputRequiredEvent,
    JsonSerializer,
    StartEvent,
    StopEvent,
    Workflow,
    WorkflowCheckpointer,
    step,
)
from plait.errors import (
    ContextSerdeError,
    ContextStateError,
    WorkflowRuntimeError,
    WorkflowStepDoesNotExistError,
)
from plait.events import PickleSerializer, StepFailedEvent, catch_error
from plait.retry import ConstantDelayRetryPolicy
from tests.parity.clocks import in_virtual_time
from tests.parity.letters import A, B

FOUR = ["process_data", "process_data", "process_data", "combine_results"]


class ProcessEvent(Event):
    data: str


class ResultEvent(Event):
    result: str


class ParallelWorkflow(Workflow):
    """The contract's 1.3, with the delays in the event: A takes 1 second, B 2, C 3."""

    @step
    async def start(self, ctx: Context, ev: StartEvent) -> ProcessEvent | None:
        data_list = ["A", "B", "C"]
        await ctx.store.set("num_to_collect", len(data_list))
        for item in data_list:
            ctx.send_event(ProcessEvent(data=item))

    @step(num_workers=3)
    async def process_data(self, ev: ProcessEvent) -> ResultEvent:
        await anyio.sleep("ABC".index(ev.data) + 1)
        return ResultEvent(result=f"Processed: {ev.data}")

    @step
    async def combine_results(self, ctx: Context, ev: ResultEvent) -> StopEvent | None:
        num_to_collect = await ctx.store.get("num_to_collect")
        results = ctx.collect_events(ev, [ResultEvent] * num_to_collect)
        if results is None:
            return None
        return StopEvent(result=", ".join(event.result for event in results))


def steps_of(checkpoints):
    return [checkpoint.last_completed_step for checkpoint in checkpoints]


async def checkpointed(**options):
    """Run it once with a checkpointer."""
    checkpointer = WorkflowCheckpointer(workflow=ParallelWorkflow(), **options)
    run = checkpointer.run()
    await run
    return checkpointer, run


# ---------------------------------------------------------------- row 99


@in_virtual_time
async def test_row_099_a_checkpointed_run():
    checkpointer, run = await checkpointed()
    assert {name: steps_of(kept) for name, kept in checkpointer.checkpoints.items()} == {
        run.run_id: FOUR
    }
    assert run.state == "completed"


@in_virtual_time
async def test_row_099_the_entry_is_there_from_the_first_checkpoint_on():
    checkpointer = WorkflowCheckpointer(workflow=ParallelWorkflow())
    async with checkpointer.run() as run:
        await anyio.sleep(0.5)
        assert checkpointer.checkpoints == {}
        await anyio.sleep(1)
        assert steps_of(checkpointer.checkpoints[run.run_id]) == ["process_data"]


@in_virtual_time
async def test_row_099_a_run_that_the_open_runtime_has_started_is_checkpointed():
    checkpointer = WorkflowCheckpointer(workflow=ParallelWorkflow())
    async with plait.open_runtime():
        handler = checkpointer.run()
        await handler
        again = checkpointer.run_from(checkpointer.checkpoints[handler.run_id][1])
        await again
    assert steps_of(checkpointer.checkpoints[handler.run_id]) == FOUR
    assert steps_of(checkpointer.checkpoints[again.run_id]) == FOUR[2:]


@in_virtual_time
async def test_row_099_neither_none_nor_a_question_makes_a_checkpoint():
    class Asking(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> A | B | None:
            ctx.send_event(A(n=1))
            ctx.send_event(B(n=1))

        @step
        async def ask(self, ev: A) -> InputRequiredEvent:
            return InputRequiredEvent(text="?")

        @step
        async def end(self, ev: B) -> StopEvent:
            await anyio.sleep(1)
            return StopEvent(result=1)

    checkpointer = WorkflowCheckpointer(Asking())
    run = checkpointer.run()
    await run
    assert steps_of(checkpointer.checkpoints[run.run_id]) == ["end"]


@in_virtual_time
async def test_row_099_one_checkpointer_serves_several_workflows_at_once():
    class Other(Workflow):
        @step
        async def other(self, ev: StartEvent) -> StopEvent:
            await anyio.sleep(2.5)
            return StopEvent(result=ev.n)

    checkpointer = WorkflowCheckpointer(ParallelWorkflow())
    async with checkpointer.run() as first:
        checkpointer.workflow = Other()
        async with checkpointer.run(n=1) as second, checkpointer.run(n=2) as third:
            pass
    assert {name: steps_of(kept) for name, kept in checkpointer.checkpoints.items()} == {
        first.run_id: FOUR,
        second.run_id: ["other"],
        third.run_id: ["other"],
    }
    assert await third == 2


# ---------------------------------------------------------------- row 100


@in_virtual_time
async def test_row_100_run_from_each_of_four():
    checkpointer, run = await checkpointed()
    results, names = [], {run.run_id}
    for checkpoint in list(checkpointer.checkpoints[run.run_id]):
        again = checkpointer.run_from(checkpoint)
        results.append(await again)
        assert again.run_id not in names
        names.add(again.run_id)
    assert [steps_of(kept) for kept in checkpointer.checkpoints.values()] == [
        FOUR,
        FOUR[1:],
        FOUR[2:],
        FOUR[3:],
    ]
    assert {frozenset(result.split(", ")) for result in results} == {
        frozenset(f"Processed: {item}" for item in "ABC")
    }
    assert {name.partition(":")[0] for name in names} == names


@in_virtual_time
async def test_row_100_bodies_that_had_returned_do_not_run_again():
    bodies = []

    class Logged(ParallelWorkflow):
        @step(num_workers=3)
        async def process_data(self, ctx: Context, ev: ProcessEvent) -> ResultEvent:
            bodies.append((ev.data, ctx.idempotency_key.partition(":")[2]))
            return await super().process_data(ev)

    checkpointer = WorkflowCheckpointer(Logged())
    run = checkpointer.run()
    await run
    first = [*bodies]
    for index, kept in enumerate([*checkpointer.checkpoints[run.run_id]]):
        bodies.clear()
        await checkpointer.run_from(kept)
        assert bodies == first[index + 1 :]


@in_virtual_time
async def test_row_100_what_was_in_flight_goes_before_what_was_returned():
    order = []

    class Line(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> A | B:
            ctx.send_event(A(n=1))
            await anyio.sleep(1)
            return B(n=0)

        @step(num_workers=1)
        async def t(self, ev: A | B) -> StopEvent | None:
            order.append(ev)
            await anyio.sleep(2)
            return StopEvent(result="end") if isinstance(ev, B) else None

    checkpointer = WorkflowCheckpointer(Line())
    run = checkpointer.run()
    assert await run == "end"
    assert anyio.current_time() == 4
    order.clear()
    first, last = checkpointer.checkpoints[run.run_id]
    assert await checkpointer.run_from(first) == "end"
    assert order == [A(n=1), B(n=0)]
    order.clear()
    assert await checkpointer.run_from(last) == "end"
    assert order == []


@in_virtual_time
async def test_row_100_held_sends_are_part_of_the_run():
    class Held(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> A | B:
            ctx.send_event(B(n=1), on_success=True)
            return A(n=2)

        @step
        async def t(self, ctx: Context, ev: A | B) -> StopEvent | None:
            got = ctx.collect_events(ev, [B, A])
            return got and StopEvent(result=got)

    checkpointer = WorkflowCheckpointer(Held())
    run = checkpointer.run()
    assert await run == [B(n=1), A(n=2)]
    first = checkpointer.checkpoints[run.run_id][0]
    assert await checkpointer.run_from(first) == [B(n=1), A(n=2)]
    assert first.output_event == A(n=2)


@in_virtual_time
async def test_row_100_a_returned_list_and_a_fan_in():
    class Fan(Workflow):
        @step
        async def s(self, ev: StartEvent) -> list[A]:
            return [A(n=n) for n in range(3)]

        @step
        async def t(self, ev: A) -> B:
            await anyio.sleep(ev.n)
            return B(n=10 * ev.n)

        @step
        async def j(self, evs: list[B]) -> StopEvent:
            return StopEvent(result=[ev.n for ev in evs])

    checkpointer = WorkflowCheckpointer(Fan())
    run = checkpointer.run()
    assert await run == [0, 10, 20]
    kept = [*checkpointer.checkpoints[run.run_id]]
    assert steps_of(kept) == ["s", "t", "t", "t", "j"]
    assert kept[0].output_event == [A(n=0), A(n=1), A(n=2)]
    assert kept[4].input_event == [B(n=0), B(n=10), B(n=20)]
    for index, one in enumerate(kept):
        again = checkpointer.run_from(one)
        assert await again == [0, 10, 20]
        later = checkpointer.checkpoints.get(again.run_id, [])
        assert steps_of(later) == steps_of(kept[index + 1 :])


@in_virtual_time
async def test_row_100_an_answer_that_stood_in_line_for_the_slot_is_not_lost():
    class Line(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> A | None:
            ctx.send_event(A(n=0))
            ctx.send_event(A(n=1))

        @step(num_workers=1)
        async def t(self, ctx: Context, ev: A) -> B:
            if ev.n == 0:
                answer = await ctx.wait_for_event(HumanResponseEvent)
                return B(n=answer.n)
            await anyio.sleep(2)
            return B(n=1)

        @step
        async def end(self, ctx: Context, ev: B) -> StopEvent | None:
            both = ctx.collect_events(ev, [B] * 2)
            return both and StopEvent(result=sorted(b.n for b in both))

    checkpointer = WorkflowCheckpointer(Line())
    async with checkpointer.run() as run:
        await anyio.sleep(1)
        run.send_event(HumanResponseEvent(n=7))
    assert await run == [1, 7]
    first, *_ = checkpointer.checkpoints[run.run_id]
    assert first.output_event == B(n=1)
    assert first.ctx_state["steps"]["t"]["resuming"]
    assert await checkpointer.run_from(first) == [1, 7]


@in_virtual_time
async def test_row_100_a_run_may_begin_from_a_checkpoint_of_a_run_that_did():
    checkpointer, run = await checkpointed()
    again = checkpointer.run_from(checkpointer.checkpoints[run.run_id][0])
    first = await again
    third = checkpointer.run_from(checkpointer.checkpoints[again.run_id][0])
    assert await third == first
    assert steps_of(checkpointer.checkpoints[third.run_id]) == FOUR[2:]


@in_virtual_time
async def test_row_100_a_child_in_flight_goes_on_under_its_new_parent():
    bodies = []

    class Child(Workflow):
        @step
        async def c1(self, ev: StartEvent) -> A:
            bodies.append("c1")
            await anyio.sleep(1)
            return A(n=ev.n)

        @step
        async def c2(self, ev: A) -> StopEvent:
            bodies.append("c2")
            await anyio.sleep(2)
            return StopEvent(result=ev.n)

    class Middle(Workflow):
        @step
        async def m(self, ev: StartEvent) -> StopEvent:
            bodies.append("m")
            return StopEvent(result=await Child().run(n=ev.n))

    class Parent(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> A | B | None:
            ctx.send_event(A(n=7))
            ctx.send_event(B(n=7))

        @step
        async def ask(self, ev: A) -> StopEvent:
            return StopEvent(result=await Middle().run(n=ev.n))

        @step(skip_graph_checks=["dead_end"])
        async def other(self, ev: B) -> StepDone:
            await anyio.sleep(2)
            return StepDone()

        @step(skip_graph_checks=["dead_end"])
        async def done(self, ev: StepDone) -> None:
            pass

    checkpointer = WorkflowCheckpointer(Parent())
    run = checkpointer.run()
    assert await run == 7
    assert bodies == ["m", "c1", "c2"]
    first, last = checkpointer.checkpoints[run.run_id]
    assert steps_of([first, last]) == ["other", "ask"]
    bodies.clear()
    began = anyio.current_time()
    assert await checkpointer.run_from(first) == 7
    assert bodies == ["m", "c2"]  # what was interrupted, and not what had returned
    assert anyio.current_time() == began + 2


class StepDone(Event):
    pass


# ---------------------------------------------------------------- row 101


@in_virtual_time
async def test_row_101_disabled_steps():
    checkpointer, run = await checkpointed(disabled_steps=["process_data"])
    assert steps_of(checkpointer.checkpoints[run.run_id]) == ["combine_results"]
    assert checkpointer.enabled_checkpoints == {"start", "combine_results"}


@in_virtual_time
async def test_row_101_enable_and_disable():
    checkpointer, _ = await checkpointed()
    checkpointer.disable_checkpoint("process_data")
    checkpointer.disable_checkpoint("process_data")
    run = checkpointer.run()
    await run
    assert steps_of(checkpointer.checkpoints[run.run_id]) == ["combine_results"]
    checkpointer.enable_checkpoint("process_data")
    run = checkpointer.run()
    await run
    assert steps_of(checkpointer.checkpoints[run.run_id]) == FOUR


@in_virtual_time
async def test_row_101_it_may_be_changed_while_a_run_is_going():
    checkpointer = WorkflowCheckpointer(ParallelWorkflow())
    async with checkpointer.run() as run:
        await anyio.sleep(1.5)
        checkpointer.disable_checkpoint("process_data")
        await anyio.sleep(1)
        checkpointer.enable_checkpoint("process_data")
    assert steps_of(checkpointer.checkpoints[run.run_id]) == [*FOUR[:2], FOUR[3]]
    assert [kept.input_event.data for kept in checkpointer.checkpoints[run.run_id][:2]] == [
        "A",
        "C",
    ]


def test_row_101_an_unknown_step():
    checkpointer = WorkflowCheckpointer(ParallelWorkflow())
    calls = (
        lambda: checkpointer.enable_checkpoint("zzz"),
        lambda: checkpointer.disable_checkpoint("zzz"),
        lambda: WorkflowCheckpointer(ParallelWorkflow(), disabled_steps=["zzz"]),
    )
    for call in calls:
        with pytest.raises(WorkflowStepDoesNotExistError) as caught:
            call()
        assert str(caught.value) == "This workflow does not contain a step with name zzz"
    with pytest.raises(TypeError, match=r"Write disabled_steps=\['start'\]"):
        WorkflowCheckpointer(ParallelWorkflow(), disabled_steps="start")


# ---------------------------------------------------------------- row 102


@in_virtual_time
async def test_row_102_filters():
    checkpointer, run = await checkpointed()
    for checkpoint in list(checkpointer.checkpoints[run.run_id]):
        await checkpointer.run_from(checkpoint)
    find = checkpointer.filter_checkpoints
    assert len(find(last_completed_step="process_data")) == 6
    assert len(find(output_event_type=StopEvent)) == 4
    assert find(last_completed_step="process_data", output_event_type=StopEvent) == []
    assert find(run_id=run.run_id) == checkpointer.checkpoints[run.run_id]
    assert len(find(input_event_type=ResultEvent)) == 4
    assert find(output_event_type=Event) == []  # types are exact
    assert find(run_id="nobody's") == []
    assert len(find("process_data", run.run_id, ResultEvent, ProcessEvent)) == 3
    with pytest.raises(ValueError, match=r"^Please specify a filter\.$"):
        find()


# ---------------------------------------------------------------- row 103


@in_virtual_time
async def test_row_103_the_checkpointers_callback():
    workflow = ParallelWorkflow()
    checkpointer = WorkflowCheckpointer(workflow)
    run = workflow.run()
    assert run.on_checkpoint(checkpointer.new_checkpoint_callback_for_run()) is run
    await run
    assert steps_of(checkpointer.checkpoints[run.run_id]) == FOUR


@in_virtual_time
async def test_row_103_callbacks_of_ones_own_are_awaited_before_the_event_is_routed():
    log = []

    async def slow(*, run_id, last_completed_step, input_ev, output_ev, ctx):
        assert ctx.run_id == run_id
        await anyio.sleep(5)
        log.append((last_completed_step, input_ev, output_ev, ctx.to_dict()["workflow"]))

    class Flow(Workflow):
        @step(timeout=1)
        async def s(self, ev: StartEvent) -> A:
            return A(n=1)

        @step
        async def t(self, ev: A) -> StopEvent:
            log.append("t")
            return StopEvent(result=2)

    run = Flow().run(x=1).on_checkpoint(slow).on_checkpoint(lambda **_: log.append("plain"))
    assert await run == 2
    assert log == [
        ("s", StartEvent(x=1), A(n=1), "Flow"),
        "plain",
        "t",
        ("t", A(n=1), StopEvent(result=2), "Flow"),
        "plain",
    ]
    assert anyio.current_time() == 10


@in_virtual_time
async def test_row_103_an_error_of_a_callback_fails_the_run_and_is_no_failure_of_the_step():
    bodies, handled = [], []

    class Flow(Workflow):
        @step(retry_policy=ConstantDelayRetryPolicy(maximum_attempts=3, delay=0))
        async def s(self, ev: StartEvent) -> A:
            bodies.append(1)
            return A()

        @step
        async def t(self, ev: A) -> StopEvent:
            return StopEvent()

        @catch_error
        async def handle(self, ev: StepFailedEvent) -> StopEvent:
            handled.append(ev)
            return StopEvent()

    async def wrong(**_):
        raise KeyError("disk")

    run = Flow().run().on_checkpoint(wrong)
    with pytest.raises(KeyError, match="disk") as caught:
        await run
    assert (bodies, handled) == ([1], [])
    assert caught.value.__notes__[0] == "in a checkpoint callback: the step itself had returned"
    assert run.state == "failed"


@in_virtual_time
async def test_row_103_the_context_of_a_callback_works_until_it_returns():
    contexts = []

    def keep(*, ctx, **_):
        contexts.append(ctx)
        assert ctx.to_dict()["is_running"]

    run = ParallelWorkflow().run().on_checkpoint(keep)
    await run
    for ctx in contexts:
        with pytest.raises(ContextStateError, match="called after its callback"):
            ctx.to_dict()
        assert await ctx.store.get("num_to_collect") == 3


@in_virtual_time
async def test_row_103_not_after_the_start():
    async with ParallelWorkflow().run() as run:
        with pytest.raises(WorkflowRuntimeError) as caught:
            run.on_checkpoint(print)
    assert str(caught.value) == (
        f"Run {run.run_id} has already been started. Call on_checkpoint() before that."
    )


@in_virtual_time
async def test_row_103_none_after_the_decision():
    class Drain(Workflow):
        @step
        async def s(self, ev: StartEvent) -> list[A]:
            return [A(n=1), A(n=2)]

        @step
        async def t(self, ev: A) -> StopEvent:
            await anyio.sleep(ev.n)
            return StopEvent(result=ev.n)

    for on_stop in ("cancel", "drain"):
        checkpointer = WorkflowCheckpointer(Drain(on_stop=on_stop))
        run = checkpointer.run()
        assert await run == 1
        assert steps_of(checkpointer.checkpoints[run.run_id]) == ["s", "t"]


@in_virtual_time
async def test_row_103_of_a_delivery_that_is_cancelled_there_is_none():
    class Flow(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> A | B | None:
            ctx.send_event(A())
            ctx.send_event(B())

        @step
        async def t(self, ev: A) -> StopEvent:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(2)
            return StopEvent(result="not wanted")

        @step
        async def u(self, ctx: Context, ev: B) -> StopEvent:
            await anyio.sleep(1)
            ctx.cancel_step("t")
            await anyio.sleep(2)
            return StopEvent(result="u")

    checkpointer = WorkflowCheckpointer(Flow())
    run = checkpointer.run()
    assert await run == "u"
    assert steps_of(checkpointer.checkpoints[run.run_id]) == ["u"]


@in_virtual_time
async def test_row_103_plain_steps_too():
    class Plain(Workflow):
        @step
        def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
            ctx.store.sync.set("x", 1)
            return StopEvent(result=1)

    checkpointer = WorkflowCheckpointer(Plain())
    run = checkpointer.run()
    assert await run == 1
    (one,) = checkpointer.checkpoints[run.run_id]
    assert one.ctx_state["state"] == {"x": 1}
    assert await checkpointer.run_from(one) == 1


# ---------------------------------------------------------------- row 104


@in_virtual_time
async def test_row_104_five_fields_and_json():
    checkpointer, run = await checkpointed()
    kept = checkpointer.checkpoints[run.run_id]
    filled = 0
    for one in kept:
        text = one.to_json()
        again = Checkpoint.from_json(text, checkpointer.workflow)
        assert again == one
        assert again.to_json() == text
        assert json.loads(json.dumps(one.ctx_state)) == one.ctx_state
        filled += bool(one.ctx_state["steps"]["combine_results"]["buffers"])
    assert filled == 2
    first, last = kept[0], kept[-1]
    assert (first.last_completed_step, first.input_event, first.output_event) == (
        "process_data",
        ProcessEvent(data="A"),
        ResultEvent(result="Processed: A"),
    )
    assert last.output_event == StopEvent(result="Processed: A, Processed: B, Processed: C")
    assert first.ctx_state["run_id"] == run.run_id
    assert first != last
    assert repr(first) == (
        f"Checkpoint(id_='{run.run_id}:2', last_completed_step='process_data', "
        "input_event=ProcessEvent(data='A'), output_event=ResultEvent(result='Processed: A'))"
    )
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        first.id_ = "other"


@in_virtual_time
async def test_row_104_a_run_begins_from_what_was_read():
    checkpointer, run = await checkpointed()
    text = checkpointer.checkpoints[run.run_id][1].to_json()
    elsewhere = WorkflowCheckpointer(ParallelWorkflow())
    result = await elsewhere.run_from(Checkpoint.from_json(text, elsewhere.workflow))
    assert set(result.split(", ")) == {f"Processed: {item}" for item in "ABC"}
    assert [*map(steps_of, elsewhere.checkpoints.values())] == [FOUR[2:]]


@in_virtual_time
async def test_row_104_a_serializer_of_ones_own():
    class Dated(Event):
        at: object

    class Flow(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> Dated:
            await ctx.store.set("at", AT)
            return Dated(at=AT)

        @step
        async def t(self, ev: Dated) -> StopEvent:
            return StopEvent(result=ev.at)

    class Shouting:
        def serialize(self, value):
            return JsonSerializer().serialize(value).upper()

        def deserialize(self, value):
            return json.loads(value) if value[0] != "{" else AT

    checkpointer = WorkflowCheckpointer(Flow(), checkpoint_serializer=Shouting())
    run = checkpointer.run()
    assert await run == AT
    for one in [*checkpointer.checkpoints[run.run_id]]:
        assert await checkpointer.run_from(one) == AT
        read = Checkpoint.from_json(one.to_json(), checkpointer.workflow, serializer=Shouting())
        assert read == one


@in_virtual_time
async def test_row_104_the_serializer_writes_the_runs_inside_as_well():
    class Child(Workflow):
        @step
        async def c(self, ctx: Context, ev: StartEvent) -> StopEvent:
            await ctx.store.set("kept", complex(1, 2))
            await anyio.sleep(2)
            return StopEvent(result=(await ctx.store.get("kept")).real)

    class Parent(Workflow):
        @step
        async def s(self, ev: StartEvent) -> list[A | B]:
            return [A(), B()]

        @step
        async def child(self, ev: A) -> StopEvent:
            return StopEvent(result=await Child().run())

        @step(skip_graph_checks=["dead_end"])
        async def other(self, ev: B) -> StepDone:
            await anyio.sleep(1)
            return StepDone()

        @step(skip_graph_checks=["dead_end"])
        async def done(self, ev: StepDone) -> None:
            pass

    checkpointer = WorkflowCheckpointer(Parent(), checkpoint_serializer=PickleSerializer())
    run = checkpointer.run()
    assert await run == 1
    kept = checkpointer.checkpoints[run.run_id]
    assert steps_of(kept) == ["s", "other", "child"]
    assert len(kept[1].ctx_state["children"]) == 1
    assert await checkpointer.run_from(kept[1]) == 1


AT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "it is no JSON"),
        ("[]", "it is no JSON object"),
        ("{}", "7 faults"),
        (None, "it is no JSON"),
    ],
)
def test_row_104_garbage_is_refused(text, told):
    with pytest.raises(ContextSerdeError, match=told) as caught:
        Checkpoint.from_json(text, ParallelWorkflow())
    assert str(caught.value).startswith("Cannot load this checkpoint: ")


@in_virtual_time
async def test_row_104_every_key_is_checked():
    checkpointer, run = await checkpointed()
    good = json.loads(checkpointer.checkpoints[run.run_id][0].to_json())
    for key in good:
        for bad in ({k: v for k, v in good.items() if k != key}, good | {key: 3.5}):
            with pytest.raises(ContextSerdeError):
                Checkpoint.from_json(json.dumps(bad), checkpointer.workflow)
    for more in ({"nope": 1}, {"version": 99}, {"format": "plait.context"}, {"version": True}):
        with pytest.raises(ContextSerdeError):
            Checkpoint.from_json(json.dumps(good | more), checkpointer.workflow)


# ---------------------------------------------------------------- row 106


@in_virtual_time
async def test_row_106_checkpoints_do_not_change():
    checkpointer = WorkflowCheckpointer(ParallelWorkflow())
    async with checkpointer.run() as run:
        await anyio.sleep(1.5)
        first = checkpointer.checkpoints[run.run_id][0]
        before, state = first.to_json(), first.ctx_state
    assert checkpointer.checkpoints[run.run_id][0] is first
    assert (first.to_json(), first.ctx_state) == (before, state)
    mutated = first.ctx_state
    mutated["steps"].clear()
    mutated["state"]["num_to_collect"] = 77
    assert first.ctx_state == state
    assert first.to_json() == before
    assert await checkpointer.run_from(first) is not None


@in_virtual_time
async def test_row_106_lists_are_copies():
    class Fan(Workflow):
        @step
        async def s(self, ev: StartEvent) -> list[A]:
            return [A(n=1)]

        @step
        async def t(self, evs: list[A]) -> StopEvent:
            evs.append(A(n=9))
            return StopEvent(result=len(evs))

    checkpointer = WorkflowCheckpointer(Fan())
    run = checkpointer.run()
    assert await run == 2
    first, last = checkpointer.checkpoints[run.run_id]
    first.output_event.append(A(n=5))
    last.input_event.clear()
    assert (first.output_event, last.input_event) == ([A(n=1)], [A(n=1)])
    assert await checkpointer.run_from(first) == 2


# ---------------------------------------------------------------- refusals


@in_virtual_time
async def test_the_state_of_a_checkpoint_alone_is_not_run():
    checkpointer, run = await checkpointed()
    first = checkpointer.checkpoints[run.run_id][0]
    ctx = Context.from_dict(checkpointer.workflow, first.ctx_state)
    assert await ctx.store.get("num_to_collect") == 3
    with pytest.raises(ContextStateError, match=r"run_from\(checkpoint\)"):
        checkpointer.workflow.run(ctx=ctx)


@in_virtual_time
async def test_a_checkpoint_of_another_workflow_is_refused():
    class Other(Workflow):
        @step
        async def s(self, ev: StartEvent) -> StopEvent:
            return StopEvent()

    checkpointer, run = await checkpointed()
    other = WorkflowCheckpointer(Other())
    with pytest.raises(ContextSerdeError, match="it is of 'ParallelWorkflow', not of 'Other'"):
        other.run_from(checkpointer.checkpoints[run.run_id][0])
    with pytest.raises(TypeError, match="takes a Checkpoint"):
        other.run_from({})
    with pytest.raises(TypeError, match="takes a workflow object"):
        WorkflowCheckpointer(Other)


def test_the_option_of_older_frameworks_says_what_to_write():
    with pytest.raises(TypeError) as caught:
        ParallelWorkflow().run(checkpoint_callback=print)
    assert str(caught.value) == (
        "run() has no option 'checkpoint_callback'. "
        "Write run = wf.run(...); run.on_checkpoint(callback)"
    )
