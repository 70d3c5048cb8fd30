"""Rows 112 to 114: what steps are lent beside their events."""

import json
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Annotated

import anyio
import anyio.lowlevel
import pytest

from plait import Context, Resource, ResourceConfig, StartEvent, StopEvent, Workflow, step
from plait.errors import WorkflowCancelledByUser, WorkflowValidationError
from plait.events import ResourceManager, WorkflowFailedEvent
from tests.parity.letters import A, B

# ---------------------------------------------------------------- row 112


@pytest.mark.anyio
async def test_row_112_cached_resources_are_made_once():
    calls = []

    def cached():
        calls.append("cached")
        return object()

    def fresh():
        calls.append("fresh")
        return object()

    class Flow(Workflow):
        @step
        async def start(
            self,
            ev: StartEvent,
            one: Annotated[object, Resource(cached)],
            two: Annotated[object, Resource(fresh, cache=False)],
        ) -> A:
            self.seen = [one, two]
            return A()

        @step
        async def end(
            self,
            ev: A,
            one: Annotated[object, Resource(cached)],
            two: Annotated[object, Resource(fresh, cache=False)],
        ) -> StopEvent:
            return StopEvent(result=(one is self.seen[0], two is self.seen[1]))

    flow = Flow()
    assert await flow.run() == await flow.run() == (True, False)
    assert sorted(calls) == ["cached"] + ["fresh"] * 4


@dataclass
class Settings:
    url: str
    retries: int


@pytest.mark.anyio
async def test_row_112_resources_and_configs_nest(tmp_path):
    file = tmp_path / "app.json"
    file.write_text(json.dumps({"db": {"main": {"url": "db://x", "retries": 3}}, "name": "app"}))

    async def connect(
        settings: Annotated[Settings, ResourceConfig(str(file), "db.main", label="Database")],
    ):
        return f"{settings.url} {settings.retries}"

    def repository(db: Annotated[str, Resource(connect)]):
        return [db]

    class Flow(Workflow):
        @step
        async def start(
            self,
            repo: Annotated[list, Resource(repository)],
            db: Annotated[str, Resource(connect)],
            name: Annotated[str, ResourceConfig(str(file), path_selector="name")],
            ev: StartEvent,
        ) -> StopEvent:
            return StopEvent(result=(repo[0] is db, db, name))

    assert await Flow().run() == (True, "db://x 3", "app")


def a(b: "Annotated[int, Resource(b)]"):
    raise AssertionError


def b(a: "Annotated[int, Resource(a)]"):
    raise AssertionError


class Circular(Workflow):
    @step
    async def start(self, ev: StartEvent, it: Annotated[int, Resource(a)]) -> StopEvent:
        raise AssertionError


@pytest.mark.anyio
async def test_row_112_a_cycle_is_an_error():
    with pytest.raises(ValueError, match="Circular resource dependency detected: a -> b -> a"):
        await Circular().run()


def test_row_112_a_cycle_is_found_without_running_if_asked_for():
    assert Circular().validate() is False
    with pytest.raises(WorkflowValidationError, match="dependency detected: a -> b -> a"):
        Circular().validate(validate_resources=True)


def test_row_112_a_missing_file_is_a_fault():
    class Flow(Workflow):
        @step
        async def s(
            self, ev: StartEvent, c: Annotated[dict, ResourceConfig("x.json")]
        ) -> StopEvent:
            raise AssertionError

    text = (
        r"Resource config validation failed:\n  - In step 's', parameter 'c': No such file: x.json"
    )
    for ask in (Flow().run, Flow().validate):
        with pytest.raises(WorkflowValidationError, match=text) as caught:
            ask()
        [fault] = caught.value.faults
        assert (fault.file, fault.step) == (__file__, "s")


@pytest.mark.anyio
async def test_row_112_a_manager_replaces_a_factory():
    manager = ResourceManager()
    await manager.set("a", 7)
    assert manager.get_all() == {"a": 7}

    class Flow(Circular):
        @step
        async def start(self, ev: StartEvent, it: Annotated[int, Resource(b)]) -> StopEvent:
            raise AssertionError

    class Direct(Circular):
        @step
        async def start(self, ev: StartEvent, it: Annotated[int, Resource(a)]) -> StopEvent:
            return StopEvent(result=it)

    assert await Direct(resource_manager=manager).run() == 7
    assert Flow(resource_manager=manager).validate(validate_resources=True) is False


# ---------------------------------------------------------------- row 113


class AtOnce(Workflow):
    @step
    async def start(self, ctx: Context, ev: StartEvent) -> A | None:
        for n in range(4):
            ctx.send_event(A(n=n))


@pytest.mark.anyio
@pytest.mark.parametrize("scope", [None, "run", "workflow"])
async def test_row_113_a_factory_is_called_once_for_all_who_ask_at_once(scope):
    calls = []

    async def root():
        calls.append("root")
        await anyio.sleep(0.01)
        return "root"

    async def left(root: Annotated[str, Resource(root)]):
        calls.append("left")
        await anyio.sleep(0.01)
        return f"left of {root}"

    async def tip(left: Annotated[str, Resource(left)], root: Annotated[str, Resource(root)]):
        calls.append("tip")
        return [left, root]

    class Flow(AtOnce):
        @step(num_workers=4)
        async def ask(
            self, ctx: Context, ev: A, it: Annotated[list, Resource(tip, scope=scope)]
        ) -> B | None:
            return B() if ctx.collect_events(ev, [A] * 4) else None

        @step
        async def end(self, ev: B, it: Annotated[list, Resource(tip, scope=scope)]) -> StopEvent:
            return StopEvent(result=it)

    assert await Flow().run() == ["left of root", "root"]
    assert calls == ["root", "left", "tip"]


@pytest.mark.anyio
async def test_row_113_a_context_manager_is_opened_once_for_all_who_ask_at_once():
    log = []

    @asynccontextmanager
    async def connect():
        await anyio.sleep(0.01)
        log.append("open")
        yield "db"
        log.append("close")

    class Flow(AtOnce):
        @step(num_workers=4)
        async def ask(
            self, ctx: Context, ev: A, db: Annotated[str, Resource(connect)]
        ) -> StopEvent | None:
            return StopEvent(result=db) if ctx.collect_events(ev, [A] * 4) else None

    assert await Flow().run() == "db"
    assert log == ["open", "close"]


@pytest.mark.anyio
@pytest.mark.parametrize("managed", [True, False])
async def test_row_113_if_who_makes_it_is_cancelled_the_next_one_makes_it(managed):
    log = []

    @asynccontextmanager
    async def manager():
        log.append("begin")
        await (anyio.sleep_forever if len(log) == 1 else anyio.lowlevel.checkpoint)()
        log.append("open")
        yield "it"
        log.append("close")

    async def value():
        async with manager() as it:
            return it

    class Flow(AtOnce):
        @step(num_workers=4)
        async def ask(
            self,
            ctx: Context,
            ev: A,
            it: Annotated[str, Resource(manager if managed else value, scope="run")],
        ) -> B:
            log.append(f"lent to {ev.n}")
            return B()

        @step
        async def cancel(self, ctx: Context, ev: StartEvent) -> None:
            while log != ["begin"]:
                await anyio.lowlevel.checkpoint()
            assert ctx.cancel_step("ask", lambda ev: ev.n == 0) == 1

        @step
        async def end(self, ctx: Context, ev: B) -> StopEvent | None:
            return StopEvent(result=log[:]) if ctx.collect_events(ev, [B] * 3) else None

    seen = await Flow(skip_graph_checks=["dead_end"]).run()
    made = ["begin", "begin", "open"] if managed else ["begin", "begin", "open", "close"]
    assert seen[: len(made)] == made
    assert sorted(seen[len(made) :]) == ["lent to 1", "lent to 2", "lent to 3"]
    assert log == [*seen, "close"] if managed else log == seen


# ---------------------------------------------------------------- row 114


class Lender:
    """A workflow with two context managers, which note when they are opened and closed."""

    def __init__(self, scope=None):
        log = self.log = []

        @asynccontextmanager
        async def pool():
            log.append("open pool")
            try:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(anyio.sleep_forever)
                    yield "pool"
                    tasks.cancel_scope.cancel()
            finally:
                await anyio.sleep(0.01)
                log.append("close pool")

        @contextmanager
        def cursor(pool: Annotated[str, Resource(pool, scope=scope)], ctx: Context):
            log.append(f"open cursor of {ctx.run_id}")
            try:
                yield f"cursor of {pool}"
            finally:
                log.append("close cursor")

        class Flow(Workflow):
            @step
            async def start(
                self, ev: StartEvent, it: Annotated[str, Resource(cursor, scope=scope)]
            ) -> StopEvent:
                log.append(f"step with {it}")
                if ev.end == "failure":
                    raise OSError("broken")
                if ev.end == "cancellation":
                    await anyio.sleep_forever()
                return StopEvent(result="done")

        self.flow = Flow()

    expected = (
        "open pool",
        "open cursor of r",
        "step with cursor of pool",
        "close cursor",
        "close pool",
    )


@pytest.mark.anyio
@pytest.mark.parametrize("scope", [None, "run", "step"])
async def test_row_114_resources_are_closed_newest_first_at_the_end(scope):
    lender = Lender(scope)
    assert await lender.flow.run(run_id="r", end="success") == "done"
    assert lender.log == [*lender.expected]


@pytest.mark.anyio
@pytest.mark.parametrize("scope", [None, "run", "step"])
async def test_row_114_resources_are_closed_after_a_failure(scope):
    lender = Lender(scope)
    with pytest.raises((OSError, ExceptionGroup)) as caught:
        await lender.flow.run(run_id="r", end="failure")
    # A task group around the body puts the body's failure in a group, as everywhere.
    error = caught.value
    assert str(error.exceptions[0] if isinstance(error, ExceptionGroup) else error) == "broken"
    assert lender.log == [*lender.expected]


@pytest.mark.anyio
@pytest.mark.parametrize("scope", [None, "run", "step"])
async def test_row_114_resources_are_closed_after_a_cancellation(scope):
    lender, owner = Lender(scope), anyio.CancelScope()

    async def caller():
        with owner:
            await lender.flow.run(run_id="r", end="cancellation")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(caller)
        while len(lender.log) < 3:
            await anyio.lowlevel.checkpoint()
        owner.cancel()
    assert owner.cancelled_caught
    assert lender.log == [*lender.expected]


@pytest.mark.anyio
@pytest.mark.parametrize("scope", [None, "run", "step"])
async def test_row_114_resources_are_closed_after_run_cancel(scope):
    lender = Lender(scope)
    async with lender.flow.run(run_id="r", end="cancellation") as run:
        while len(lender.log) < 3:
            await anyio.lowlevel.checkpoint()
        run.cancel()
        with pytest.raises(WorkflowCancelledByUser):
            await run
        assert lender.log == [*lender.expected]


@pytest.mark.anyio
@pytest.mark.parametrize("scope", [None, "run", "step"])
async def test_row_114_an_error_of_the_teardown_is_a_failure(scope):
    @asynccontextmanager
    async def connect():
        yield "db"
        raise OSError("not closed")

    class Flow(Workflow):
        @step
        async def start(
            self, ev: StartEvent, db: Annotated[str, Resource(connect, scope=scope)]
        ) -> StopEvent:
            return StopEvent(result="done")

    run = Flow().run()
    with pytest.raises(OSError, match="not closed") as caught:
        await run
    assert "while closing resource 'connect'" in caught.value.__notes__
    if scope != "step":
        assert any("StopEvent(result='done')" in note for note in caught.value.__notes__)
    last = [event async for event in run.stream_events()][-1]
    assert isinstance(last, WorkflowFailedEvent)
    assert (last.exception, run.state) == (caught.value, "failed")


@pytest.mark.anyio
async def test_row_114_a_resource_that_breaks_down_fails_the_run():
    cleaned = []

    async def fail(started):
        await started.wait()
        raise OSError("connection lost")

    @asynccontextmanager
    async def connect():
        started = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(fail, started)
            yield started

    class Flow(Workflow):
        @step
        async def start(
            self, ev: StartEvent, db: Annotated[anyio.Event, Resource(connect)]
        ) -> StopEvent:
            db.set()
            try:
                await anyio.sleep_forever()
            finally:
                cleaned.append("step")

    run = Flow().run()
    with pytest.raises(ExceptionGroup) as caught:
        await run
    assert caught.group_contains(OSError, match="connection lost")
    last = [event async for event in run.stream_events()][-1]
    assert (type(last), run.state, cleaned) == (WorkflowFailedEvent, "failed", ["step"])


@pytest.mark.anyio
async def test_row_114_a_factory_is_given_a_context():
    def of_run(ctx: Context):
        return ctx

    def of_step(context: Context):
        return context

    class Flow(Workflow):
        @step
        async def start(
            self,
            ctx: Context,
            ev: StartEvent,
            one: Annotated[Context, Resource(of_run, scope="run")],
            two: Annotated[Context, Resource(of_step, scope="step")],
        ) -> StopEvent:
            await one.store.set("n", 3)
            return StopEvent(result=(two is ctx, await ctx.store.get("n"), one.run_id))

    run = Flow().run()
    assert await run == (True, 3, run.run_id)
