"""Rows 71 to 73 and 80: what comes out of a run that fails."""

import traceback

import anyio
import anyio.lowlevel
import pytest

from plait import Context, Event, StartEvent, StopEvent, Workflow, step
from plait.errors import WorkflowRuntimeError, WorkflowTimeoutError
from tests.parity.clocks import in_virtual_time
from tests.parity.letters import A, B


@pytest.mark.anyio
async def test_row_071_a_failure_is_raised_unwrapped():
    def deep():
        raise error

    class Flow(Workflow):
        @step
        async def start(self, ev: StartEvent) -> A:
            return A(n=1)

        @step
        async def work(self, ev: A) -> StopEvent:
            await anyio.lowlevel.checkpoint()
            deep()
            return StopEvent()

    error = ValueError("x")
    with pytest.raises(ValueError, match="x") as caught:
        await Flow().run(run_id="R")
    assert caught.value is error
    assert error.args == ("x",)
    names = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
    assert names[-2:] == ["work", "deep"]
    assert error.__notes__ == [
        "in step 'work' of workflow 'Flow' (run R, delivery 2, attempt 1)",
        "input event: A(n=1)",
    ]


@pytest.mark.anyio
async def test_row_071_a_long_input_event_is_cut_in_the_note():
    class Flow(Workflow):
        @step
        async def s(self, ev: StartEvent) -> StopEvent:
            raise ValueError

    with pytest.raises(ValueError) as caught:
        await Flow().run(text="x" * 1000)
    note = caught.value.__notes__[1]
    assert note.startswith("input event: StartEvent(text='xxx")
    assert len(note) == len("input event: ") + 200


@pytest.mark.anyio
async def test_row_071_a_childs_failure_gets_the_parents_notes_too():
    class Child(Workflow):
        @step
        async def inner(self, ev: StartEvent) -> StopEvent:
            raise ValueError

    class Parent(Workflow):
        @step
        async def outer(self, ev: StartEvent) -> StopEvent:
            return StopEvent(result=await Child().run(run_id="C"))

    with pytest.raises(ValueError) as caught:
        await Parent().run(run_id="P")
    assert caught.value.__notes__ == [
        "in step 'inner' of workflow 'Child' (run C, delivery 1, attempt 1)",
        "input event: StartEvent()",
        "in step 'outer' of workflow 'Parent' (run P, delivery 1, attempt 1)",
        "input event: StartEvent()",
    ]


class Go(Event):
    n: int


class Workers(Workflow):
    """Three workers that stand ready at the same time."""

    def __init__(self):
        super().__init__()
        self.ready = 0
        self.go = anyio.Event()

    @step
    async def s(self, ctx: Context, ev: StartEvent) -> Go | None:
        for n in range(3):
            ctx.send_event(Go(n=n))

    @step(num_workers=3)
    async def work(self, ev: Go) -> StopEvent:
        self.ready += 1
        if self.ready == 3:
            self.go.set()
        await self.body(ev.n)
        return StopEvent()


@pytest.mark.anyio
async def test_row_072_failures_of_one_instant_are_all_reported():
    class Flow(Workers):
        async def body(self, n):
            await self.go.wait()
            raise ValueError(n)

    with pytest.raises(ExceptionGroup) as caught:
        await Flow().run()
    assert caught.value.message == "3 steps of workflow 'Flow' failed"
    assert {type(error) for error in caught.value.exceptions} == {ValueError}
    assert {error.args for error in caught.value.exceptions} == {(0,), (1,), (2,)}
    for error in caught.value.exceptions:
        assert error.__notes__[1] == f"input event: Go(n={error.args[0]})"


@pytest.mark.anyio
async def test_row_072_failures_in_clean_up_are_all_reported():
    class Flow(Workers):
        async def body(self, n):
            await self.go.wait()
            if n == 1:
                raise ValueError(n)
            try:
                await anyio.sleep_forever()
            finally:
                raise KeyError(n)

    with pytest.raises(ExceptionGroup) as caught:
        await Flow().run()
    first, *others = caught.value.exceptions
    assert (type(first), first.args) == (ValueError, (1,))
    assert [type(error) for error in others] == [KeyError, KeyError]
    assert {error.args for error in others} == {(0,), (2,)}


class Abrupt(BaseException):
    pass


class Siblings(Workflow):
    def __init__(self, error):
        super().__init__()
        self.error = error
        self.began = anyio.Event()
        self.log = []

    @step
    async def s(self, ctx: Context, ev: StartEvent) -> A | B | None:
        ctx.send_event(A())
        ctx.send_event(B())

    @step
    async def wait(self, ev: A) -> StopEvent:
        self.began.set()
        try:
            await anyio.sleep_forever()
        finally:
            self.log.append("cleaned up")
        return StopEvent()

    @step
    async def fail(self, ev: B) -> StopEvent:
        await self.began.wait()
        raise self.error


@pytest.mark.anyio
@pytest.mark.parametrize("error", [Abrupt(), KeyboardInterrupt(), SystemExit(3), GeneratorExit()])
async def test_row_073_a_base_exception_ends_the_run(error):
    flow = Siblings(error)
    with pytest.raises(type(error)) as caught:
        await flow.run()
    assert caught.value is error
    assert flow.log == ["cleaned up"]


@pytest.mark.anyio
async def test_row_073_a_stray_cancelled_ends_the_run():
    saved = None
    with anyio.CancelScope() as scope:
        scope.cancel()
        try:
            await anyio.lowlevel.checkpoint()
        except anyio.get_cancelled_exc_class() as error:
            saved = error
            raise
    assert saved is not None
    flow = Siblings(saved)
    with pytest.raises(
        WorkflowRuntimeError, match=r"^Step 'fail' raised Cancelled, but nobody cancelled it\.\n"
    ):
        await flow.run()
    assert flow.log == ["cleaned up"]


@in_virtual_time
async def test_row_073_without_delay():
    with anyio.CancelScope() as scope:
        scope.cancel()
        try:
            await anyio.lowlevel.checkpoint()
        except anyio.get_cancelled_exc_class() as error:
            saved = error
            raise
    for error, kind in ((Abrupt(), Abrupt), (saved, WorkflowRuntimeError)):
        with pytest.raises(kind):
            await Siblings(error).run()
    assert anyio.current_time() == 0


@in_virtual_time
async def test_row_080_a_workflow_timeout_lists_the_active_steps():
    class Flow(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> A | B | None:
            for n in range(6):
                ctx.send_event(A(n=n))
            ctx.send_event(B())

        @step
        async def p(self, ev: A) -> StopEvent:
            await anyio.sleep_forever()
            return StopEvent()

        @step
        async def q(self, ctx: Context, ev: B) -> StopEvent | None:
            return ctx.collect_events(ev, [B, B]) and StopEvent()

    with pytest.raises(WorkflowTimeoutError) as caught:
        await Flow(timeout=0.1).run()
    assert anyio.current_time() == 0.1
    assert isinstance(caught.value, TimeoutError)
    assert str(caught.value) == (
        "Operation timed out after 0.1 seconds. Currently active steps: p\n"
        "Workflow 'Flow' is running.\n"
        "  step 'p': 4 running, 2 queued\n"
        "  step 'q': collect_events(buffer 'default') has B 1/2\n"
        "  last returned None: step 's', step 'q'"
    )


@in_virtual_time
async def test_row_080_a_timeout_without_active_steps_says_so():
    from plait import HumanResponseEvent, InputRequiredEvent

    class Flow(Workflow):
        @step
        async def ask(self, ev: StartEvent) -> InputRequiredEvent:
            return InputRequiredEvent()

        @step
        async def end(self, ev: HumanResponseEvent) -> StopEvent:
            return StopEvent()

    with pytest.raises(WorkflowTimeoutError) as caught:
        await Flow(timeout=2).run()
    assert anyio.current_time() == 2
    assert str(caught.value) == (
        "Operation timed out after 2 seconds. No steps active\n"
        "Workflow 'Flow' is idle: it waits for an event from outside.\n"
        "  streamed only: InputRequiredEvent from step 'ask'; no step accepts it"
    )
