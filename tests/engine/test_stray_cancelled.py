"""`Cancelled` that nobody asked for, cancellation of a body's own making, and Ctrl-C."""

import os
import signal
import threading

import anyio
import anyio.lowlevel
import pytest

import plait
from plait import Context, Event, StartEvent, StopEvent, Workflow, step
from plait.errors import WorkflowRuntimeError


class Item(Event):
    n: int = 0


async def a_cancelled():
    """Get hold of a real `Cancelled` of the running backend."""
    with anyio.CancelScope() as scope:
        scope.cancel()
        try:
            await anyio.lowlevel.checkpoint()
        except anyio.get_cancelled_exc_class() as error:
            saved = error
            raise
    return saved


def everything_in(error):
    """List an exception with all that it holds and comes from."""
    seen, todo = [], [error]
    while todo:
        error = todo.pop()
        if error is not None and error not in seen:
            seen.append(error)
            todo += [error.__context__, error.__cause__, *getattr(error, "exceptions", ())]
    return seen


class Flow(Workflow):
    def __init__(self, body):
        super().__init__()
        self.body = body
        self.log = []
        self.began = anyio.Event()

    @step
    async def start(self, ctx: Context, ev: StartEvent) -> Item | None:
        ctx.send_event(Item(n=0))
        ctx.send_event(Item(n=1))

    @step
    async def work(self, ctx: Context, ev: Item) -> StopEvent:
        if ev.n == 0:
            self.began.set()
            try:
                await anyio.sleep_forever()
            finally:
                self.log.append("cleaned up")
        await self.began.wait()
        return StopEvent(result=await self.body())


@pytest.mark.anyio
async def test_a_saved_cancelled_that_is_raised_again_is_a_failure():
    saved = await a_cancelled()

    async def body():
        raise saved

    flow = Flow(body)
    with pytest.raises(
        WorkflowRuntimeError, match=r"Step 'work' raised Cancelled, but nobody cancelled it\."
    ) as caught:
        await flow.run()
    assert caught.value.__cause__ is saved
    assert flow.log == ["cleaned up"]


@pytest.mark.anyio
async def test_a_saved_cancelled_in_a_group_is_a_failure():
    saved = await a_cancelled()

    async def body():
        raise BaseExceptionGroup("mine", [saved])

    with pytest.raises(WorkflowRuntimeError, match="raised Cancelled, but nobody cancelled it"):
        await Flow(body).run()


@pytest.mark.anyio
async def test_a_saved_cancelled_beside_a_failure_does_not_hide_it():
    saved = await a_cancelled()

    async def body():
        raise BaseExceptionGroup("mine", [saved, ValueError("x")])

    with pytest.raises(BaseException) as caught:
        await Flow(body).run()
    assert any(isinstance(error, ValueError) for error in everything_in(caught.value))


@pytest.mark.anyio
async def test_a_stray_cancelled_does_not_cancel_who_awaits_the_run():
    saved = await a_cancelled()

    async def body():
        raise saved

    with anyio.CancelScope() as scope:
        with pytest.raises(WorkflowRuntimeError):
            await Flow(body).run()
        await anyio.lowlevel.checkpoint()
        reached = True
    assert reached
    assert not scope.cancelled_caught


@pytest.mark.anyio
async def test_a_body_may_use_cancel_scopes_of_its_own():
    async def body():
        with anyio.CancelScope() as scope:
            scope.cancel()
            await anyio.sleep_forever()
        with anyio.move_on_after(-1):
            await anyio.sleep_forever()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.sleep_forever)
            tasks.cancel_scope.cancel()
        return scope.cancelled_caught

    assert await Flow(body).run() is True


@pytest.mark.anyio
async def test_a_body_that_gives_up_by_fail_after_is_a_plain_failure():
    async def body():
        with anyio.fail_after(-1):
            await anyio.sleep_forever()

    with pytest.raises(TimeoutError):
        await Flow(body).run()


@pytest.mark.anyio
async def test_a_shielded_body_that_raises_a_stray_cancelled_while_it_is_cancelled():
    saved = await a_cancelled()

    async def body():
        run.cancel()
        with anyio.CancelScope(shield=True):
            await anyio.lowlevel.checkpoint()
            raise saved

    flow = Flow(body)
    run = flow.run()
    with pytest.raises(plait.errors.WorkflowCancelledByUser):
        await run


@pytest.mark.anyio
async def test_a_body_that_swallows_its_cancellation_is_awaited_all_the_same():
    log = []

    async def body():
        run.cancel()
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            log.append("swallowed")
        return "late"

    run = Flow(body).run()
    with pytest.raises(plait.errors.WorkflowCancelledByUser):
        await run
    assert log == ["swallowed"]
    assert run.get_stop_event() is None


# Ctrl-C


class Interrupted(Workflow):
    """One step sleeps for ever; another sends SIGINT to the process, from a thread."""

    def __init__(self):
        super().__init__(skip_graph_checks=["dead_end"])
        self.log = []

    @step
    async def wait(self, ctx: Context, ev: StartEvent) -> Item | StopEvent:
        ctx.send_event(Item())
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()
            self.log.append("cleaned up")
        return StopEvent()

    @step
    def interrupt(self, ev: Item) -> None:
        os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_ctrl_c_cancels_the_run_and_waits_for_its_clean_up(backend):
    before = threading.active_count()
    flow = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        plait.run(flow, backend=backend)
    assert flow.log == ["cleaned up"]
    assert threading.active_count() <= before + 1
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_ctrl_c_in_the_middle_of_a_body(backend):
    class Body(Workflow):
        @step
        async def s(self, ev: StartEvent) -> StopEvent:
            try:
                signal.raise_signal(signal.SIGINT)
                await anyio.sleep_forever()
            finally:
                log.append("cleaned up")
            return StopEvent()

    log = []
    with pytest.raises(KeyboardInterrupt):
        plait.run(Body(), backend=backend)
    assert log == ["cleaned up"]


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_ctrl_c_and_a_failure_in_clean_up(backend):
    class Failing(Interrupted):
        @step
        async def wait(self, ctx: Context, ev: StartEvent) -> Item | StopEvent:
            try:
                return await super().wait(ctx, ev)
            finally:
                raise ValueError("cleaning")

    with pytest.raises((BaseExceptionGroup, KeyboardInterrupt, ValueError)) as caught:
        plait.run(Failing(), backend=backend)
    kinds = {type(error) for error in everything_in(caught.value)}
    assert {ValueError, KeyboardInterrupt} <= kinds
