"""What each feature does beside the others: streams, joins, waits, retries, handlers, children."""

import contextvars
from contextlib import asynccontextmanager
from typing import Annotated

import anyio
import anyio.lowlevel
import pytest
import trio

from plait import (
    Collect,
    Context,
    Event,
    HumanResponseEvent,
    InputRequiredEvent,
    Resource,
    StartEvent,
    StopEvent,
    Take,
    Workflow,
    catch_error,
    step,
)
from plait.errors import ContextStateError, StepTimeoutError, WorkflowRuntimeError
from plait.events import (
    ChildEvent,
    StepFailedEvent,
    StepState,
    StepStateChanged,
    WorkflowFailedEvent,
)
from plait.retry import retry_policy, stop_after_attempt, wait_chain, wait_fixed
from tests.parity.clocks import in_virtual_time


class A(Event):
    n: int = 0


class B(Event):
    n: int = 0


class C(Event):
    n: int = 0


class Answer(HumanResponseEvent):
    n: int = 0


class Boom(Exception):  # noqa: N818 - it is one
    pass


class Free(Workflow):
    """A workflow whose graph is not looked at."""

    def __init__(self, **options):
        super().__init__(disable_validation=True, **options)


# ---------------------------------------------------------------- streams inside streams


class Part(Event):
    n: int


class Left(Event):
    n: int
    k: int


class Right(Event):
    n: int
    k: int


class Pair(Event):
    n: int
    k: int


class Sub(Event):
    n: int
    ks: list


@pytest.mark.anyio
async def test_a_join_that_retries_and_waits_in_a_stream_inside_a_stream():
    runs = []

    class Flow(Workflow):
        @step
        async def start(self, ev: StartEvent) -> list[Part]:
            return [Part(n=n) for n in range(3)]

        @step
        async def split(self, ev: Part) -> list[Left | Right]:
            return [kind(n=ev.n, k=k) for k in range(2) for kind in (Left, Right)]

        @step(num_workers=2, retry_policy=retry_policy(wait=wait_fixed(0)))
        async def join(self, ctx: Context, left: Left, right: Right) -> Pair:
            assert (left.n, left.k) == (right.n, right.k)
            runs.append((left.n, left.k))
            if ctx.retry_info().retry_number == 0:
                raise Boom
            code = left.n * 10 + left.k
            await ctx.wait_for_event(Answer, InputRequiredEvent(code=code), None, {"n": code})
            return Pair(n=left.n, k=left.k)

        @step
        async def inner(self, evs: list[Pair]) -> Sub:
            assert len({pair.n for pair in evs}) == 1
            return Sub(n=evs[0].n, ks=sorted(pair.k for pair in evs))

        @step
        async def outer(self, evs: Annotated[list[Sub], Collect(order="input")]) -> StopEvent:
            return StopEvent(result=[(sub.n, sub.ks) for sub in evs])

    async with Flow().run() as run:
        async for event in run.stream_events():
            if isinstance(event, InputRequiredEvent):
                run.send_event(Answer(n=event["code"]))
    assert await run == [(n, [0, 1]) for n in range(3)]
    assert sorted(runs) == sorted([(n, k) for n in range(3) for k in range(2)] * 2)
    assert run.undelivered == ()


@in_virtual_time
async def test_a_fan_in_that_has_enough_cancels_whatever_the_rest_is_doing():
    ended = []

    class Child(Workflow):
        @step
        async def s(self, ev: StartEvent) -> StopEvent:
            try:
                await anyio.sleep(30)
            finally:
                ended.append("child")
            return StopEvent()

    class Flow(Free):
        @step
        async def start(self, ev: StartEvent) -> list[Part]:
            return [Part(n=n) for n in range(9)]

        @step(num_workers=5, retry_policy=retry_policy(wait=wait_fixed(50)))
        async def work(self, ctx: Context, ev: Part) -> C | A | list[B] | None:
            try:
                match ev.n:
                    case 0:
                        await anyio.sleep(1)
                        return C()
                    case 1:
                        await ctx.wait_for_event(Answer)
                    case 2:
                        raise Boom  # a retry is pending
                    case 3:
                        return A()  # half a join
                    case 4:
                        await ctx.run_child(Child(), forward_events=True)
                    case 5:
                        return [B(n=n) for n in range(3)]  # a stream inside
                    case _:
                        await anyio.sleep(30)  # the last of them is queued
            except anyio.get_cancelled_exc_class():
                ended.append(ev.n)
                raise

        @step
        async def pair(self, a: A, b: Left) -> C:
            return C(n=1)

        @step
        async def slow(self, ev: B) -> C:
            try:
                await anyio.sleep(30)
            finally:
                ended.append(f"B{ev.n}")
            return C(n=2)

        @step
        async def enough(
            self, evs: Annotated[list[C], Collect(Take(1, cancel_rest=True))]
        ) -> Right:
            return Right(n=len(evs), k=evs[0].n)

        @step
        async def end(self, ev: Right) -> StopEvent:
            await anyio.sleep(5)
            return StopEvent(result=(ev.n, ev.k))

    run = Flow().run()
    assert await run == (1, 0)
    assert anyio.current_time() == 6
    assert sorted(map(str, ended)) == ["1", "4", "6", "7", "8", "B0", "B1", "B2", "child"]
    assert run.undelivered == ()


@pytest.mark.anyio
async def test_a_handler_in_a_stream_may_open_one():
    class Flow(Workflow):
        @step
        async def start(self, ev: StartEvent) -> list[Part]:
            return [Part(n=n) for n in range(3)]

        @step
        async def work(self, ev: Part) -> A:
            if ev.n == 1:
                raise Boom
            return A(n=ev.n)

        @catch_error(for_steps=["work"])
        async def handle(self, ev: StepFailedEvent) -> list[B]:
            return [B(), B()]

        @step
        async def mend(self, evs: list[B]) -> A:
            return A(n=50 + len(evs))

        @step
        async def end(self, evs: list[A]) -> StopEvent:
            return StopEvent(result=sorted(ev.n for ev in evs))

    assert await Flow().run() == [0, 2, 52]


@pytest.mark.anyio
async def test_a_fan_in_is_given_what_its_handler_could_not_mend():
    class Flow(Workflow):
        @step
        async def start(self, ev: StartEvent) -> list[Part]:
            return [Part(n=n) for n in range(3)]

        @step
        async def work(self, ev: Part) -> A:
            if ev.n:
                raise Boom(ev.n)
            return A(n=ev.n)

        @catch_error(for_steps=["work"])
        async def handle(self, ev: StepFailedEvent) -> A:
            if ev.input_event.n == 2:
                raise Boom("handler")
            return A(n=50)

        @step
        async def end(self, evs: list[A | StepFailedEvent]) -> StopEvent:
            return StopEvent(result=evs)

    a, b, failed = sorted(await Flow().run(), key=lambda ev: isinstance(ev, StepFailedEvent))
    assert sorted([a.n, b.n]) == [0, 50]
    assert (failed.step_name, str(failed.exception)) == ("handle", "handler")
    assert failed.input_event.step_name == "work"


@pytest.mark.anyio
async def test_a_returned_list_is_the_runs_from_then_on():
    given = []

    class Flow(Workflow):
        @step
        async def start(self, ev: StartEvent) -> list[A]:
            given.extend(A(n=n) for n in range(3))
            return given

        @step
        async def work(self, ev: A) -> B:
            given.clear()
            return B(n=ev.n)

        @step
        async def end(self, evs: list[B]) -> StopEvent:
            return StopEvent(result=[ev.n for ev in evs])

    assert await Flow().run() == [0, 1, 2]


# ---------------------------------------------------------------- waits


@pytest.mark.anyio
async def test_two_waits_of_one_body_at_once():
    class Flow(Free):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
            async def wait(kind):
                got.append(await ctx.wait_for_event(kind))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait, Answer)
                tasks.start_soon(wait, B)
            return StopEvent(result=len(got))

    got = []
    async with Flow().run() as run:
        await run.wait_idle()
        run.send_event(B())
        run.send_event(Answer())
    assert await run == 2


class Shielded(Free):
    """A wait under a shield, pending when the run is decided, or begun after that."""

    def __init__(self, *, late):
        super().__init__()
        self.late = late
        self.ended = []

    @step
    async def s(self, ctx: Context, ev: StartEvent) -> A | None:
        ctx.send_event(A())
        if self.late:
            try:
                await anyio.sleep_forever()
            finally:
                await self.wait(ctx)
        await self.wait(ctx)

    async def wait(self, ctx):
        with anyio.move_on_after(50, shield=True):  # so that the test has an end
            try:
                await ctx.wait_for_event(Answer, timeout=5)
            except TimeoutError as error:
                self.ended.append(error)
            except WorkflowRuntimeError as error:
                self.ended.append(error)
                raise

    @step
    async def t(self, ev: A) -> StopEvent:
        await anyio.sleep(1)
        return StopEvent(result="r")


@in_virtual_time
@pytest.mark.parametrize("late", [False, True])
async def test_a_wait_under_a_shield_ends_with_its_run(late):
    flow = Shielded(late=late)
    assert await flow.run() == "r"
    assert anyio.current_time() <= 6
    assert len(flow.ended) == 1


@pytest.mark.anyio
@pytest.mark.parametrize(
    "arguments",
    [("Answer",), (Answer(),), (int,), (Answer, "question"), (Answer, InputRequiredEvent)],
    ids=str,
)
async def test_a_wait_looks_at_its_arguments(arguments):
    class Flow(Free):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
            with pytest.raises(TypeError, match=r"wait_for_event\(\) takes an Event"):
                await ctx.wait_for_event(*arguments, timeout=0.001)
            assert run.waiting() == ()
            return StopEvent(result="r")

    run = Flow().run()
    assert await run == "r"


@pytest.mark.anyio
async def test_a_wait_of_a_step_that_has_ended_is_refused():
    class Flow(Free):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
            kept.append(ctx)
            return StopEvent()

    kept = []
    await Flow().run()
    with pytest.raises((ContextStateError, WorkflowRuntimeError)):
        await kept[0].wait_for_event(Answer, timeout=1)


@in_virtual_time
async def test_the_state_of_a_resumed_delivery_names_the_worker_it_has_now():
    class Flow(Free):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> A | None:
            for n in range(4):
                ctx.send_event(A(n=n))

        @step(num_workers=2)
        async def a(self, ctx: Context, ev: A) -> StopEvent | None:
            if ev.n < 2:
                await ctx.wait_for_event(Answer, requirements={"n": ev.n})
            await anyio.sleep(3 + ev.n)
            return StopEvent() if ev.n == 1 else None

    ended = []
    async with Flow().run() as run, anyio.create_task_group() as nursery:
        states = run.stream_events(expose_internal=True)

        @nursery.start_soon
        async def answer():
            await anyio.sleep(1)
            run.send_event(Answer(n=0))
            run.send_event(Answer(n=1))

        async for event in states:
            if not isinstance(event, StepStateChanged) or event.name != "a":
                continue
            if event.step_state is StepState.NOT_RUNNING:
                ended.append((anyio.current_time(), event.worker_id))
    # Worker 0 is free at 5, and 1 at 6: the answered ones end at 8 on "0" and at 10 on "1".
    assert ended == [(5, "0"), (6, "1"), (8, "0"), (10, "1")]


# ---------------------------------------------------------------- cancelling one step


class Cancelling(Free):
    """Step `a` is cancelled at 1 and makes something else of it; the run goes on until 5."""

    def __init__(self, act):
        super().__init__()
        self.act = act
        self.log = []

    @step
    async def s(self, ctx: Context, ev: StartEvent) -> A | B | None:
        ctx.send_event(A())
        ctx.send_event(B())

    @step(retry_policy=retry_policy(wait=wait_fixed(1)))
    async def a(self, ctx: Context, ev: A) -> C | None:
        self.log.append("a")
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            return self.act()

    @step
    async def c(self, ev: C) -> None:
        self.log.append("c")

    @catch_error
    async def handle(self, ev: StepFailedEvent) -> None:
        self.log.append("handler")

    @step
    async def b(self, ctx: Context, ev: B) -> StopEvent:
        await anyio.sleep(1)
        assert ctx.cancel_step("a") == 1
        await anyio.sleep(4)
        return StopEvent(result="r")


@in_virtual_time
async def test_a_cancelled_delivery_ends_without_event():
    flow = Cancelling(C)
    assert await flow.run() == "r"
    assert flow.log == ["a"]


@in_virtual_time
async def test_a_cancelled_delivery_ends_without_retry_or_handler():
    def act():
        raise Boom("clean-up")

    flow = Cancelling(act)
    with pytest.raises(Boom):
        await flow.run()
    assert flow.log == ["a"]


@in_virtual_time
async def test_waiting_running_and_queued_deliveries_and_those_whose_retry_is_due():
    ended = []

    class Flow(Free):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> A | B | None:
            for n in range(4):
                ctx.send_event(A(n=n))
            ctx.send_event(B())

        @step(num_workers=1, retry_policy=retry_policy(wait=wait_fixed(10)))
        async def a(self, ctx: Context, ev: A) -> None:
            try:
                if ev.n == 0:
                    await ctx.wait_for_event(Answer)
                if ev.n == 1 and ctx.retry_info().retry_number == 0:
                    raise Boom
                await anyio.sleep(5)
            except anyio.get_cancelled_exc_class():
                ended.append(("cancelled", ev.n, anyio.current_time()))
                raise
            ended.append(("done", ev.n, anyio.current_time()))

        @step
        async def b(self, ctx: Context, ev: B) -> StopEvent:
            await anyio.sleep(1)
            assert ctx.cancel_step("a") == 2  # 0 waits and 2 runs; 1 is due, 3 is queued
            await anyio.sleep(29)
            return StopEvent()

    await Flow().run()
    assert sorted(ended) == [
        ("cancelled", 0, 1),
        ("cancelled", 2, 1),
        ("done", 1, 15),
        ("done", 3, 6),
    ]


@in_virtual_time
async def test_a_clean_up_that_fails_does_not_hide_the_timeout_of_its_step():
    class Flow(Workflow):
        @step(timeout=1)
        async def s(self, ev: StartEvent) -> StopEvent:
            try:
                await anyio.sleep_forever()
            finally:
                raise Boom

    with pytest.raises(BaseException) as caught:
        await Flow().run()
    parts = [caught.value, caught.value.__cause__, *getattr(caught.value, "exceptions", ())]
    assert {type(part) for part in parts} >= {StepTimeoutError, Boom}


# ---------------------------------------------------------------- the end


@in_virtual_time
async def test_a_drain_lets_bodies_finish_and_nothing_else():
    class Child(Workflow):
        @step
        async def s(self, ev: StartEvent) -> StopEvent:
            await anyio.sleep(2)
            done.append(("child", anyio.current_time()))
            return StopEvent()

    class Flow(Free):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
            for n in range(6):
                ctx.send_event(A(n=n))
            await anyio.sleep(1)
            return StopEvent(result="r")

        @step(num_workers=6, retry_policy=retry_policy(wait=wait_fixed(10)))
        async def a(self, ctx: Context, ev: A) -> B | list[C] | StopEvent | None:
            if ev.n == 0:
                try:
                    await ctx.wait_for_event(Answer)
                except anyio.get_cancelled_exc_class():
                    done.append(("waiting", anyio.current_time()))
                    raise
            if ev.n == 1:
                raise Boom
            await anyio.sleep(3)
            if ev.n == 5:
                await ctx.run_child(Child())
            if ev.n == 3:
                ctx.send_event(B(n=30), on_success=True)
            return [None, None, [C(n=1), C(n=2)], B(n=31), StopEvent(result="late"), None][ev.n]

        @step
        async def b(self, ev: B) -> None:
            done.append("b")

        @step
        async def c(self, evs: list[C]) -> None:
            done.append("c")

    done = []
    run = Flow(on_stop="drain").run()
    trace = run.trace()
    assert await run == "r"
    assert done == [("child", 5), ("waiting", 5)]
    # The first is the one whose retry was due.
    assert sorted(map(repr, run.undelivered)) == sorted(
        map(repr, [A(n=1), B(n=30), B(n=31), C(n=1), C(n=2)])
    )
    assert "ends, returns a list of 2" in str(trace)


@in_virtual_time
async def test_a_run_whose_resource_breaks_down_has_failed():
    @asynccontextmanager
    async def pool():
        async with anyio.create_task_group() as nursery:

            @nursery.start_soon
            async def breaks():
                await anyio.sleep(1)
                raise Boom

            yield 1

    class Flow(Workflow):
        @step
        async def s(self, ev: StartEvent, p: Annotated[int, Resource(pool)]) -> StopEvent:
            await anyio.sleep_forever()
            return StopEvent()

    run = Flow().run()
    with pytest.RaisesGroup(Boom):
        await run
    assert run.state == "failed"
    [last] = [event async for event in run.stream_events()]
    assert type(last) is WorkflowFailedEvent
    assert last.step_name is None


@in_virtual_time
async def test_what_is_no_failure_of_a_step_is_not_counted_as_one():
    @asynccontextmanager
    async def pool():
        try:
            yield 1
        finally:
            raise Boom

    class Flow(Workflow):
        @step
        async def s(self, ev: StartEvent, p: Annotated[int, Resource(pool)]) -> StopEvent:
            await anyio.sleep_forever()
            return StopEvent()

    with pytest.raises(ExceptionGroup) as caught:
        await Flow(timeout=1).run()
    assert caught.value.message == "2 failures in workflow 'Flow'"


async def test_a_send_while_the_owner_is_cancelled_is_heard_or_refused():
    class Flow(Free):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> StopEvent | None:
            await ctx.wait_for_event(Answer)

        @step
        async def b(self, ev: B) -> None:
            mark.set(1)  # its worker retires: the step has none

    async def cancelled(scope, run):
        with scope:
            await run

    mark = contextvars.ContextVar("mark")
    for _ in range(60):
        scope, run = trio.CancelScope(), Flow().run()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(cancelled, scope, run)
            await trio.testing.wait_all_tasks_blocked()
            run.send_event(B())
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()
            refused = None
            while refused is None:
                await trio.lowlevel.checkpoint()
                try:
                    run.send_event(B())
                except WorkflowRuntimeError as error:
                    refused = error
            assert "has ended; B was not sent" in str(refused)


async def test_a_send_from_a_thread_of_an_async_step_is_refused_with_advice():
    class Flow(Free):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
            with pytest.raises(WorkflowRuntimeError, match="from_thread"):
                await anyio.to_thread.run_sync(ctx.send_event, B())
            return StopEvent(result=run.explain())

        @step
        async def b(self, ev: B) -> None:
            pass

    run = Flow().run()
    assert "step 'b'" not in await run


# ---------------------------------------------------------------- stepwise


@in_virtual_time
async def test_stepwise_a_step_may_wait_for_another():
    class Flow(Free):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
            ctx.send_event(A())
            await ctx.wait_for_event(B)
            return StopEvent(result="r")

        @step
        async def a(self, ctx: Context, ev: A) -> B:
            return B()

    run = Flow().run().stepwise()
    with anyio.fail_after(10):
        async with run:
            steps = []
            while (events := await run.run_step()) is not None:
                steps += events
    assert steps == [A(n=0), B(n=0), StopEvent(result="r")]


@pytest.mark.anyio
async def test_stepwise_two_tasks_are_told_of_different_deliveries():
    class Flow(Free):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> A | None:
            for n in range(4):
                ctx.send_event(A(n=n))

        @step
        async def a(self, ev: A) -> B:
            await anyio.lowlevel.checkpoint()
            return B(n=ev.n)

        @step
        async def b(self, ev: B) -> StopEvent | None:
            return StopEvent() if ev.n == 3 else None

    told = []

    async def walk(run):
        while (events := await run.run_step()) is not None:
            told.extend(events)

    async with Flow().run().stepwise() as run, anyio.create_task_group() as tasks:
        await run.run_step()
        tasks.start_soon(walk, run)
        tasks.start_soon(walk, run)
    assert sorted(map(repr, told)) == sorted(map(repr, [*(B(n=n) for n in range(4)), StopEvent()]))


@pytest.mark.anyio
async def test_stepwise_what_nobody_asks_for_does_not_start():
    class Flow(Free):
        @step
        async def s(self, ev: StartEvent) -> None:
            pass

        @step
        async def a(self, ev: Answer) -> StopEvent:
            return StopEvent()

    async with Flow().run().stepwise() as run:
        assert await run.run_step() == []
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run.run_step)
            await run.wait_idle()
            tasks.cancel_scope.cancel()
        run.send_event(Answer())
        for _ in range(10):
            await anyio.lowlevel.checkpoint()
        assert run.state == "running"
        assert await run.run_step() == [StopEvent()]


@in_virtual_time
async def test_stepwise_with_a_retry_a_timeout_a_wait_and_a_child():
    class Child(Workflow):
        @step
        async def s(self, ev: StartEvent) -> StopEvent:
            await anyio.sleep(1)
            return StopEvent()

    class Flow(Free):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> list[A]:
            ctx.send_event(C())
            return [A(n=n) for n in range(3)]

        @step
        async def c(self, ctx: Context, ev: C) -> None:
            await ctx.run_child(Child(), forward_events=True)

        @step(timeout=2, retry_policy=retry_policy(wait=wait_fixed(1)))
        async def a(self, ctx: Context, ev: A) -> B:
            first = ctx.retry_info().retry_number == 0
            if ev.n == 0 and first:
                await anyio.sleep(5)
            if ev.n == 1 and first:
                raise Boom
            if ev.n == 2:
                await ctx.wait_for_event(Answer, InputRequiredEvent())
            return B(n=ev.n)

        @step
        async def end(self, evs: list[B]) -> StopEvent:
            return StopEvent(result=[ev.n for ev in evs])

    steps = []
    async with Flow().run().stepwise() as run, anyio.create_task_group() as nursery:

        @nursery.start_soon
        async def answer():
            async for event in run.stream_events():
                if isinstance(event, InputRequiredEvent):
                    await anyio.sleep(3)
                    run.send_event(Answer())

        while (events := await run.run_step()) is not None:
            steps.append((anyio.current_time(), events))
    again = [events[0].n for _, events in steps[4:6]]
    assert steps == [
        (0, [C(), A(n=0), A(n=1), A(n=2)]),
        (1, []),  # the child
        (3, []),  # the timeout of the first
        (3, []),  # the failure of the second
        *((4, [B(n=n)]) for n in again),  # both retries, while the third waits
        (6, [B(n=2)]),
        (6, [StopEvent(result=[*again, 2])]),
    ]
    assert again == [0, 1]


# ---------------------------------------------------------------- children, streams, stores


@pytest.mark.anyio
async def test_answers_reach_grandchildren_in_a_stream_one_each():
    class Grandchild(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
            answer = await ctx.wait_for_event(Answer, InputRequiredEvent())
            return StopEvent(result=answer.n)

    class Child(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
            first = await ctx.run_child(Grandchild(), forward_events=True)
            second = await ctx.wait_for_event(Answer, InputRequiredEvent())
            return StopEvent(result=[first, second.n])

    class Flow(Workflow):
        @step
        async def s(self, ev: StartEvent) -> list[A]:
            return [A(), A()]

        @step
        async def a(self, ctx: Context, ev: A) -> StopEvent | B:
            results.extend(await ctx.run_child(Child(), forward_events=True))
            return B()

        @step
        async def end(self, evs: list[B]) -> StopEvent:
            return StopEvent()

    results, paths, number = [], [], 0
    async with Flow(stream_buffer=1).run() as run:
        async for event in run.stream_events():
            if isinstance(event, ChildEvent) and isinstance(event.event, InputRequiredEvent):
                paths.append(event.path)
                run.send_event(Answer(n=number))
                number += 1
    assert sorted(results) == [0, 1, 2, 3]
    assert paths.count(("Flow", "a", "Child")) == 2
    assert paths.count(("Flow", "a", "Child", "s", "Grandchild")) == 2
    assert run.undelivered == ()


@pytest.mark.anyio
async def test_a_bound_on_the_stream_of_a_child_that_only_its_parent_reads():
    class Child(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
            for n in range(3):
                await ctx.emit(A(n=n))
                ctx.write_event_to_stream(A(n=n))
            return StopEvent()

    class Flow(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
            await ctx.run_child(Child(stream_buffer=1), forward_events=True)
            return StopEvent()

    run = Flow().run()
    await run
    shown = [event.event async for event in run.stream_events() if isinstance(event, ChildEvent)]
    assert shown == [A(n=n) for n in range(3) for _ in range(2)] + [StopEvent()]


@in_virtual_time
async def test_a_writer_that_is_cancelled_in_the_line_lets_the_next_one_in():
    class Flow(Free):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> A | B | None:
            for n in range(4):
                ctx.send_event(A(n=n))
            ctx.send_event(B())

        @step(num_workers=4)
        async def a(self, ctx: Context, ev: A) -> C:
            async with ctx.store.edit_state() as state:
                await anyio.sleep(2)
                state[f"k{ev.n}"] = anyio.current_time()
            return C()

        @step
        async def b(self, ctx: Context, ev: B) -> None:
            await anyio.sleep(1)
            assert ctx.cancel_step("a", where=lambda ev: ev.n in {0, 2}) == 2

        @step
        async def c(self, ctx: Context, ev: C) -> StopEvent | None:
            if ctx.collect_events(ev, {C: 2}) is None:
                return None
            return StopEvent(result=dict(await ctx.store.get_state()))

    # The first was at it and the third in the line.
    assert await Flow().run() in ({"k1": 3, "k3": 5}, {"k3": 3, "k1": 5})


# ---------------------------------------------------------------- what is told


@in_virtual_time
async def test_a_trace_counts_all_its_times_from_the_start():
    class Flow(Free):
        @step(retry_policy=retry_policy(wait=wait_fixed(2)))
        async def s(self, ctx: Context, ev: StartEvent) -> Answer:
            if ctx.retry_info().retry_number == 0:
                raise Boom
            ctx.send_event(Answer(n=1))
            ctx.send_event(A())
            with pytest.raises(TimeoutError):
                await ctx.wait_for_event(B, timeout=1)
            raise KeyError

        @step
        async def a(self, ctx: Context, ev: A) -> None:
            await ctx.wait_for_event(Answer)

        @catch_error
        async def handle(self, ev: StepFailedEvent) -> StopEvent:
            return StopEvent()

    await anyio.sleep(100)
    run = Flow().run()
    trace = run.trace()
    with anyio.move_on_after(3.5):
        await run
    story = str(trace)
    assert "s#1 fails: Boom(); again at 2.000 s" in story
    assert "a#3 finds Answer in the mailbox" in story
    assert "s#1 waits no longer" in story
    assert "s#1 fails: KeyError(); again at 5.000 s" in story


@pytest.mark.anyio
async def test_a_trace_says_who_is_given_a_failure_and_what_will_not_start():
    class Flow(Free):
        @step
        async def start(self, ev: StartEvent) -> list[A]:
            return [A(n=n) for n in range(4)]

        @step(num_workers=1)
        async def a(self, ev: A) -> B:
            raise Boom

        @catch_error
        async def handle(self, ev: StepFailedEvent) -> B:
            return B()

        @step
        async def end(
            self, evs: Annotated[list[B], Collect(Take(1, cancel_rest=True))]
        ) -> StopEvent:
            return StopEvent()

    run = Flow().run()
    trace = run.trace()
    await run
    assert "a#2 fails: Boom(); goes to handle" in str(trace)
    assert " will not start" in str(trace)


@in_virtual_time
async def test_verbose_tells_the_delay_as_it_is(capsys):
    class Flow(Workflow):
        @step(
            retry_policy=retry_policy(
                wait=wait_chain(wait_fixed(0.25), wait_fixed(0.04), wait_fixed(5)),
                stop=stop_after_attempt(4),
            )
        )
        async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
            if ctx.retry_info().retry_number < 3:
                raise Boom
            return StopEvent()

    await Flow(verbose=True).run()
    told = [line for line in capsys.readouterr().out.splitlines() if "retry" in line]
    assert told == [f"[s:0] retry in {delay} s" for delay in ("0.25", "0.04", "5.0")]


@pytest.mark.anyio
async def test_a_run_inside_as_many_runs_as_may_live_is_refused():
    class Flow(Workflow):
        @step
        async def s(self, ev: StartEvent) -> StopEvent:
            return StopEvent(result=await self.run(depth=ev.depth - 1) if ev.depth else "deep")

    assert await Flow(num_concurrent_runs=3).run(depth=2) == "deep"
    with pytest.raises(WorkflowRuntimeError, match=r"num_concurrent_runs=3.*could never begin"):
        await Flow(num_concurrent_runs=3).run(depth=3)
