"""Failures in the clean-up, section 3.8: whatever ended the run, none of them is lost."""

import anyio
import anyio.lowlevel
import pytest
import trio

from plait import Context, Event, StartEvent, StopEvent, Workflow, step
from plait.errors import WorkflowCancelledByUser, WorkflowTimeoutError
from plait.events import WorkflowCancelledEvent, WorkflowFailedEvent, WorkflowTimedOutEvent


class Go(Event):
    n: int


class Item(Event):
    n: int


class Flow(Workflow):
    """Two bodies that fail in their clean-up, and one that does what is tested."""

    def __init__(self, act, **options):
        super().__init__(**options)
        self.act = act
        self.errors = [KeyError(0), KeyError(1)]
        self.waiting = 0
        self.ready = anyio.Event()

    @step
    async def start(self, ctx: Context, ev: StartEvent) -> Item | Go | None:
        ctx.send_event(Item(n=0))
        ctx.send_event(Item(n=1))
        ctx.send_event(Go(n=0))

    @step
    async def wait(self, ev: Item) -> StopEvent:
        self.waiting += 1
        if self.waiting == 2:
            self.ready.set()
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True):
                for _ in range(ev.n):
                    await anyio.lowlevel.checkpoint()
            raise self.errors[ev.n] from None
        return StopEvent()

    @step
    async def go(self, ev: Go) -> StopEvent:
        await self.ready.wait()
        return await self.act()


async def terminal_event(run):
    return [event async for event in run.stream_events()][-1]


@pytest.mark.anyio
async def test_after_a_stop_event():
    async def act():
        return StopEvent(result="result")

    flow = Flow(act)
    run = flow.run()
    with pytest.raises(ExceptionGroup) as caught:
        await run
    assert caught.value.message == "2 steps of workflow 'Flow' failed"
    assert {*caught.value.exceptions} == {*flow.errors}
    for error in flow.errors:
        assert error.__notes__[0].startswith("in step 'wait' of workflow 'Flow'")
        assert error.__notes__[1] == f"input event: Item(n={error.args[0]})"
        assert "StopEvent(result='result')" in "\n".join(error.__notes__)
    assert run.state == "failed"
    last = await terminal_event(run)
    assert type(last) is WorkflowFailedEvent
    assert last.exception is caught.value


@pytest.mark.anyio
async def test_a_single_failure_after_a_stop_event_is_raised_as_it_is():
    async def act():
        return StopEvent(result="result")

    class Half(Flow):
        @step
        async def wait(self, ev: Item) -> StopEvent:
            if ev.n == 1:
                return await super().wait(ev)
            self.waiting += 1
            await anyio.sleep_forever()
            return StopEvent()

    half = Half(act)
    with pytest.raises(KeyError) as caught:
        await half.run()
    assert caught.value is half.errors[1]


@pytest.mark.anyio
async def test_after_a_failure():
    async def act():
        raise ValueError("first")

    flow = Flow(act)
    run = flow.run()
    with pytest.raises(ExceptionGroup) as caught:
        await run
    first, *others = caught.value.exceptions
    assert (type(first), {*others}) == (ValueError, {*flow.errors})
    assert caught.value.message == "3 steps of workflow 'Flow' failed"
    last = await terminal_event(run)
    assert (last.step_name, last.exception) == ("go", caught.value)


@pytest.mark.anyio
async def test_after_a_base_exception():
    class Abrupt(BaseException):
        pass

    async def act():
        raise Abrupt

    flow = Flow(act)
    with pytest.raises(BaseExceptionGroup) as caught:
        await flow.run()
    first, *others = caught.value.exceptions
    assert (type(first), {*others}) == (Abrupt, {*flow.errors})


async def test_after_a_timeout(autojump_clock):
    async def act():
        await trio.sleep_forever()

    flow = Flow(act, timeout=3)
    run = flow.run()
    with pytest.raises(ExceptionGroup) as caught:
        await run
    first, *others = caught.value.exceptions
    assert (type(first), {*others}) == (WorkflowTimeoutError, {*flow.errors})
    assert str(first).startswith(
        "Operation timed out after 3 seconds. Currently active steps: wait, go\n"
    )
    assert run.state == "failed"
    assert await terminal_event(run) == WorkflowTimedOutEvent(
        timeout=3, active_steps=["wait", "go"]
    )


@pytest.mark.anyio
async def test_after_cancel():
    async def act():
        run.cancel()
        await anyio.sleep_forever()

    flow = Flow(act)
    run = flow.run()
    with pytest.raises(ExceptionGroup) as caught:
        await run
    first, *others = caught.value.exceptions
    assert (type(first), {*others}) == (WorkflowCancelledByUser, {*flow.errors})
    assert await terminal_event(run) == WorkflowCancelledEvent()


@pytest.mark.anyio
async def test_after_the_owners_scope_is_cancelled():
    async def act():
        scope.cancel()
        await anyio.sleep_forever()

    flow, raised = Flow(act), []
    with anyio.CancelScope() as scope:
        try:
            await flow.run()
        except ExceptionGroup as group:
            raised.extend(group.exceptions)
    assert {*raised} == {*flow.errors}


@pytest.mark.anyio
async def test_after_the_owners_scope_is_cancelled_other_awaiters_get_the_failures_too():
    async def act():
        tasks.cancel_scope.cancel()
        await anyio.sleep_forever()

    async def awaiter(run):
        try:
            await run
        except BaseException as error:
            told.append(error)
            if isinstance(error, anyio.get_cancelled_exc_class()):
                raise

    flow, told = Flow(act), []
    async with anyio.create_task_group() as outer:
        with pytest.raises(ExceptionGroup) as caught:
            async with anyio.create_task_group() as tasks:
                run = flow.run().start_soon(getattr(tasks, "_nursery", tasks))
                outer.start_soon(awaiter, run)
    for error in flow.errors:
        assert caught.group_contains(KeyError, match=str(error))
    (error,) = told
    assert isinstance(error, ExceptionGroup)
    assert {*flow.errors} <= {*error.exceptions}


@pytest.mark.anyio
async def test_after_a_failure_while_draining():
    class Draining(Flow):
        @step
        async def wait(self, ev: Item) -> StopEvent:
            self.waiting += 1
            if self.waiting == 2:
                self.ready.set()
            await stopped.wait()
            raise self.errors[ev.n]

    async def act():
        stopped.set()
        return StopEvent(result="result")

    stopped = anyio.Event()
    flow = Draining(act, on_stop="drain")
    with pytest.raises(ExceptionGroup) as caught:
        await flow.run()
    assert {*caught.value.exceptions} == {*flow.errors}


@pytest.mark.anyio
@pytest.mark.parametrize("kinds", [(ValueError, KeyError), (ValueError,)], ids=["two", "one"])
async def test_a_group_raised_by_a_step_is_raised_as_it_is(kinds):
    group = ExceptionGroup("mine", [kind() for kind in kinds])

    class Single(Workflow):
        @step
        async def s(self, ev: StartEvent) -> StopEvent:
            raise group

    with pytest.raises(ExceptionGroup) as caught:
        await Single().run()
    assert caught.value is group


@pytest.mark.anyio
async def test_a_nursery_in_a_step_that_is_cancelled_and_fails():
    """The group holds a `Cancelled` beside the failure: only the failure comes out."""

    class Nursery(Flow):
        @step
        async def wait(self, ev: Item) -> StopEvent:
            self.waiting += 1
            if self.waiting == 2:
                self.ready.set()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(anyio.sleep_forever)
                try:
                    await anyio.sleep_forever()
                finally:
                    raise self.errors[ev.n]
            return StopEvent()

    async def act():
        raise ValueError("first")

    flow = Nursery(act)
    with pytest.raises(ExceptionGroup) as caught:
        await flow.run()
    first, *others = caught.value.exceptions
    assert type(first) is ValueError
    assert len(others) == 2
    for error in flow.errors:
        assert caught.group_contains(KeyError, match=str(error))
    assert not caught.group_contains(anyio.get_cancelled_exc_class())


@pytest.mark.anyio
async def test_a_child_that_fails_in_its_clean_up():
    class Parent(Workflow):
        @step
        async def nest(self, ev: StartEvent) -> StopEvent:
            return StopEvent(result=await flow.run())

        @step
        async def stop(self, ev: StartEvent) -> StopEvent:
            await flow.ready.wait()
            return StopEvent(result="parent")

    async def act():
        await anyio.sleep_forever()

    flow = Flow(act)
    with pytest.raises(ExceptionGroup) as caught:
        await Parent().run()
    assert {*caught.value.exceptions} == {*flow.errors}
    assert "StopEvent(result='parent')" in "\n".join(caught.value.__notes__)
