"""The end of a scope: context managers are left, and what becomes of their failures."""

import gc
import weakref
from contextlib import (
    asynccontextmanager,
    contextmanager,
)
from functools import partial
from typing import Annotated, Any

import pytest
import trio

import plait.testing
from plait import Context, Resource, StartEvent, StopEvent, Workflow, step
from plait.events import WorkflowFailedEvent
from plait.retry import retry_policy, wait_none
from tests.strands.events.lending import Ask, Next, noted, one_step, run

# ---------------------------------------------------------------- the end of a run


def test_a_run_closes_what_it_opened_the_newest_first():
    log = []

    def second(first: Annotated[str, Resource(noted("first", log))]):
        return noted("second", log, seconds=1)()

    class Flow(Workflow):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> StopEvent | Ask:
            ctx.send_event(Ask())
            await trio.sleep(1)
            return StopEvent(result="done")

        @step
        async def use(
            self,
            ev: Ask,
            it: Annotated[str, Resource(second)],
            other: Annotated[str, Resource(noted("third", log))],
        ) -> None:
            try:
                await trio.sleep_forever()
            finally:
                with trio.CancelScope(shield=True):
                    await trio.sleep(1)
                log.append("clean-up of the step")

    async def main():
        run = Flow(skip_graph_checks=["dead_end"]).run()
        async with run:
            async for _ in run.stream_events():
                log.append("terminal event")
        assert trio.current_time() == 3

    plait.testing.run(main)
    assert log == [
        "open first",
        "open second",
        "open third",
        "clean-up of the step",
        "close third",
        "close second",
        "close first",
        "terminal event",
    ]


def test_nothing_is_left_of_a_run():
    class Thing:
        pass

    died = []

    @asynccontextmanager
    async def make():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            thing = Thing()
            weakref.finalize(thing, died.append, "thing")
            yield thing
            nursery.cancel_scope.cancel()

    class Flow(Workflow):
        @step
        async def start(self, ev: StartEvent, it: Annotated[Thing, Resource(make)]) -> StopEvent:
            assert "resource make" in plait.testing.task_tree()
            return StopEvent()

    async def main():
        before = plait.testing.task_tree()
        run = Flow().run()
        await run
        assert plait.testing.task_tree() == before
        gc.collect()
        assert died == ["thing"]

    plait.testing.run(main)


def test_a_run_without_resources_has_nothing_around_its_steps():
    class Flow(Workflow):
        @step
        async def start(self, ev: StartEvent) -> StopEvent:
            return StopEvent(result=plait.testing.task_tree())

    [tree], _ = run(Flow)
    assert tree.count("\n") == 2


def test_what_closing_raises_fails_the_run():
    a, b = (Resource(noted(name, [], error=OSError(name))) for name in "ab")

    async def main():
        run = one_step(a, b)().run()
        with pytest.raises(ExceptionGroup) as caught:
            await run
        assert [str(error) for error in caught.value.exceptions] == ["b", "a"]
        notes = caught.value.exceptions[0].__notes__
        assert notes[0] == "while closing resource 'b'"
        assert "the run had stopped with StopEvent(result=['a', 'b'])" in notes[1]
        assert isinstance([event async for event in run.stream_events()][-1], WorkflowFailedEvent)

    plait.testing.run(main)


def test_what_closing_raises_comes_beside_the_steps_failure():
    class Flow(Workflow):
        @step
        async def start(
            self, ev: StartEvent, it: Annotated[str, Resource(noted("a", [], error=OSError("a")))]
        ) -> StopEvent:
            raise ValueError("step")

    with pytest.raises(ExceptionGroup) as caught:
        run(Flow)
    assert [str(error) for error in caught.value.exceptions] == ["step", "a"]


def failing(when):
    """Make a context manager that raises when it is opened, while it is used, or when it is closed."""

    @asynccontextmanager
    async def make():
        await trio.sleep(1)
        if when == "opened":
            raise OSError(when)
        try:
            async with trio.open_nursery() as nursery:
                if when == "used":
                    nursery.start_soon(fail)
                yield
                nursery.cancel_scope.cancel()
        finally:
            if when == "closed":
                raise OSError(when)

    async def fail():
        await trio.sleep(1)
        raise OSError(when)

    return make


@pytest.mark.parametrize("scope", ["run", "step"])
@pytest.mark.parametrize("when", ["opened", "used", "closed"])
def test_the_run_has_failed_whenever_its_resource_fails(when, scope):
    marker = Resource(failing(when), scope=scope)

    class Flow(Workflow):
        @step
        async def start(self, ev: StartEvent, it: Annotated[None, marker]) -> StopEvent:
            await trio.sleep(2)
            return StopEvent(result="done")

    async def main():
        run = Flow().run()
        with pytest.raises((OSError, ExceptionGroup)) as caught:
            await run
        assert ExceptionGroup("one or more", [caught.value]).subgroup(OSError)
        last = [event async for event in run.stream_events()][-1]
        assert (type(last), last.exception, run.state) == (
            WorkflowFailedEvent,
            caught.value,
            "failed",
        )

    plait.testing.run(main)


def test_a_run_ends_if_its_resource_breaks_down():
    cleaned = []

    @asynccontextmanager
    async def make():
        async def fail():
            await trio.sleep(1)
            raise OSError("connection lost")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail)
            yield

    class Flow(Workflow):
        @step
        async def start(
            self,
            ev: StartEvent,
            other: Annotated[str, Resource(noted("other", cleaned, seconds=1))],
            it: Annotated[None, Resource(make)],
        ) -> StopEvent:
            try:
                await trio.sleep_forever()
            finally:
                cleaned.append("step")

    async def main():
        with pytest.raises(ExceptionGroup) as caught:
            await Flow().run()
        assert caught.group_contains(OSError, match="connection lost")
        assert caught.value.__notes__ == ["while using resource 'make'"]
        assert trio.current_time() == 2

    plait.testing.run(main)
    assert cleaned == ["open other", "step", "close other"]


# ---------------------------------------------------------------- the end of an attempt


def in_a_step(factory, body):
    class Flow(Workflow):
        @step(retry_policy=retry_policy(wait=wait_none()))
        async def start(
            self, ctx: Context, ev: StartEvent, it: Annotated[Any, Resource(factory, scope="step")]
        ) -> StopEvent | None:
            return StopEvent(result=await body(ctx, it))

    return Flow


def test_an_attempts_context_manager_is_told_how_the_body_ended():
    log = []

    @asynccontextmanager
    async def transaction():
        try:
            yield
        except OSError as error:
            await trio.sleep(1)
            log.append(f"roll back: {error}")
            raise
        else:
            log.append("commit")

    attempts = iter([OSError("busy"), None])

    async def body(ctx, it):
        if error := next(attempts):
            raise error
        return "done"

    assert run(in_a_step(transaction, body)) == (["done"], 1)
    assert log == ["roll back: busy", "commit"]


def test_an_attempts_context_managers_are_awaited_when_it_is_cancelled():
    log = []

    def second(first: Annotated[str, Resource(noted("first", log, seconds=1), scope="step")]):
        return noted("second", log, seconds=1)()

    async def body(ctx, it):
        ctx.send_event(StopEvent(result="sent"))
        await trio.sleep_forever()

    assert run(in_a_step(second, body)) == (["sent"], 2)
    assert log == ["open first", "open second", "close second", "close first"]


def test_a_nursery_can_be_lent_to_an_attempt():
    log = []

    async def background():
        try:
            await trio.sleep_forever()
        finally:
            log.append("background ended")

    async def body(ctx, nursery):
        nursery.start_soon(background)
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
        return "done"

    assert run(in_a_step(trio.open_nursery, body)) == (["done"], 1)
    assert log == ["background ended"]


def test_a_cancel_scope_can_be_lent_to_an_attempt():
    class Flow(Workflow):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> Next | Ask | None:
            ctx.send_event(Next())
            ctx.send_event(Ask())

        @step
        async def slow(
            self,
            ev: Next,
            scope: Annotated[
                trio.CancelScope, Resource(partial(trio.move_on_after, 1), scope="step")
            ],
        ) -> None:
            await trio.sleep_forever()

        @step
        async def end(self, ev: Ask) -> StopEvent:
            await trio.sleep(2)
            return StopEvent(result="on")

    assert run(Flow, skip_graph_checks=["dead_end"]) == (["on"], 2)


def test_no_failure_of_an_attempt_hides_another():
    async def fails(ctx, it):
        raise ValueError("body")

    with pytest.raises(ExceptionGroup) as caught:
        run(in_a_step(noted("it", [], error=OSError("close")), fails))
    assert [str(error) for error in caught.value.exceptions] == ["body", "close"]
    assert "while closing resource 'it'" in caught.value.exceptions[1].__notes__

    @contextmanager
    def translated():
        try:
            yield
        except ValueError as error:
            raise LookupError("translated") from error

    with pytest.raises(LookupError, match="translated"):
        run(in_a_step(translated, fails))

    with pytest.raises(ExceptionGroup) as caught:
        run(in_a_step(trio.open_nursery, fails))
    assert [str(error) for error in caught.value.exceptions] == ["body"]


def test_a_failure_in_the_clean_up_of_a_cancelled_attempt_is_not_lost():
    async def body(ctx, it):
        ctx.send_event(StopEvent(result="sent"))
        await trio.sleep_forever()

    with pytest.raises(OSError, match="close") as caught:
        run(in_a_step(noted("it", [], error=OSError("close")), body))
    assert any("had stopped with StopEvent(result='sent')" in n for n in caught.value.__notes__)


def test_plain_steps_are_lent_resources_too():
    log = []

    class Flow(Workflow):
        @step
        def start(
            self,
            ev: StartEvent,
            it: Annotated[str, Resource(noted("it", log), scope="step")],
            ctx: Context,
        ) -> StopEvent:
            log.append(ctx.step_name)
            return StopEvent(result=it)

    async def main():
        return await Flow().run()

    assert trio.run(main) == "it"
    assert log == ["open it", "start", "close it"]
