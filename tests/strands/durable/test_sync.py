"""Plain functions: a thread each, whose calls are made by the run's own task."""

import threading
from datetime import timedelta

import pytest

from plait._engine import native
from plait._engine.bodies.body import Raised, Returned, Suspended
from plait._kernel.calls.records import CallCancelled, CallCompleted
from plait._steps.attempt import current_step
from plait._steps.branches import Failed, LoopVariableWarning, Ok, Winner
from plait._strands._durable.event import Event
from plait.errors import NestedStepError, StepError, UntrackedTaskError
from tests.strands.durable.holding import Hosted, World, as_read, function, handled, lives
from tests.strands.durable.patience import counting, in_patient_time


@pytest.fixture
def threads_counted():
    with counting():
        yield


async def host(handler, *besides, records=(), **options):
    return await Hosted(World(), records, **options).host(function(handler), *besides)


def of(life, kind):
    return [record for _, record in life.records if isinstance(record, kind)]


@in_patient_time
async def test_a_plain_function_runs_in_a_thread_and_its_steps_are_recorded():
    def program(world):
        async def add(a, b):
            return a + b

        def fn(ctx):
            one = ctx.step.run("one", handled(world, add), 1, 2)
            two = ctx.step.run("two", lambda: one + 1)
            return one, two, threading.current_thread() is threading.main_thread()

        return fn

    life = await lives(program)
    assert life.result == (3, 4, False)
    assert [record.key.path for record in of(life, CallCompleted)] == [(), ()]


@in_patient_time
async def test_all_its_calls():
    async def beside(life):
        await life.nap(1)
        life.bring(Event(name="paid", data={"id": 1}))
        await life.nap(100)
        for key in [*life.invoked]:
            life.calls.child_ended(key, 5)

    child = function(program_free)

    def fn(ctx):
        found = ctx.step.wait_for_event("wait", event="paid", timeout=60)
        ctx.step.sleep("sleep", timedelta(seconds=1))
        ctx.step.sleep_until("until", ctx.now())
        sent = ctx.step.send_event("send", Event(name="a", id="e1"))
        one = ctx.step.invoke("child", function=child)
        two = ctx.step.invoke_by_id("no", function_id="shop-fn", timeout=1) if one is None else 0
        return found.data, sent, one, two, ctx.patched("new"), ctx.attempt, ctx.replaying

    life = await host(fn, beside)
    assert life.result == ({"id": 1}, ["e1"], 5, 0, True, 0, False)


async def program_free(ctx):
    return 1


@in_patient_time
async def test_branches_have_threads_and_places_of_their_own():
    def program(world):
        def fn(ctx):
            def branch(k):
                first = ctx.step.run("a", handled(world, lambda: k))
                return first, ctx.step.run("b", handled(world, lambda: k * 10))

            both = ctx.group.parallel((lambda: branch(1), lambda: branch(2)))
            return both, ctx.group.map("m", handled(world, lambda x: -x), [1, 2, 3], limit=2)

        return fn

    life = await lives(program)
    assert life.result == (((1, 10), (2, 20)), (-1, -2, -3))
    paths = {record.key.path for record in of(life, CallCompleted)}
    assert paths == {(("g", 0, 0),), (("g", 0, 1),), *((("m", "m", 0, k),) for k in range(3))}


@in_patient_time
async def test_branches_in_each_mode():
    async def fails():
        raise OSError("no")

    def fn(ctx):
        def good():
            return ctx.step.run("good", lambda: 1)

        def bad():
            return ctx.step.run("bad", fails)

        settled = ctx.group.parallel((good, bad), mode="settled")
        won = ctx.group.parallel((bad, good), mode="any")
        slow = ctx.step.sleep
        first = ctx.group.parallel((good, lambda: slow("slow", 9)), mode="race")
        try:
            ctx.group.parallel((good, bad))
        except StepError as error:
            return settled[0], type(settled[1]), won, first, error.message

    life = await lives(lambda world: fn)
    assert life.result == (Ok(1), Failed, Winner(1, 1), Winner(0, 1), "no")


@in_patient_time
async def test_one_thread_of_a_run_is_at_work_at_a_time():
    def fn(ctx):
        two = threading.Barrier(2)

        def meets():
            try:
                two.wait(timeout=0.1)
            except threading.BrokenBarrierError:
                return "alone"
            return "two at a time"

        return ctx.group.parallel((meets, meets))

    assert (await host(fn)).result == ("alone", "alone")


@in_patient_time
async def test_no_thread_waits_for_ever_for_a_token_of_the_limiter():
    def fn(ctx):
        def branch(k):
            return ctx.group.parallel((lambda: ctx.step.run("a", lambda: k), lambda: k))

        return ctx.group.parallel((lambda: branch(1), lambda: branch(2)))

    hosted = Hosted()
    hosted.function_limiter = hosted.backend.limiter(1)
    hosted.handler_limiter = hosted.backend.limiter(1)
    assert (await hosted.host(function(fn))).result == ((1, 1), (2, 2))
    assert hosted.function_limiter.borrowed_tokens == 0


@in_patient_time
async def test_a_function_that_waits_keeps_no_other_from_its_work():
    """Scenario 49."""
    met = threading.Barrier(1)

    def sleeps(ctx):
        ctx.step.sleep("long", 1000)
        return "slept"

    def works(ctx):
        met.wait()
        return ctx.step.run("a", lambda: "worked")

    one, two = Hosted(), Hosted()
    one.function_limiter = two.function_limiter = one.backend.limiter(1)
    order = []

    async def run(life, fn):
        order.append((await life.host(function(fn))).result)

    async with native.current().open_nursery() as nursery:
        nursery.start_soon(run, one, sleeps)
        nursery.start_soon(run, two, works)
    assert order == ["worked", "slept"]


@in_patient_time
async def test_a_loser_hears_of_it_in_its_next_call():
    log = []

    def fn(ctx):
        def loser():
            try:
                ctx.step.sleep("long", 1000)
            finally:
                log.append("cleaned up")

        won = ctx.group.parallel((loser, lambda: ctx.step.run("a", lambda: 1)), mode="race")
        log.append("won")
        return won

    life = await host(fn)
    assert life.result == Winner(1, 1)
    assert log == ["cleaned up", "won"]
    assert len(of(life, CallCancelled)) == 1
    log.clear()
    again = await host(fn, records=as_read(life.records))
    assert again.result == life.result
    assert again.records == life.records


@in_patient_time
async def test_the_call_after_a_cancellation_raises_at_once():
    log = []

    def fn(ctx):
        def loser():
            cancelled = native_cancelled
            try:
                ctx.step.sleep("long", 1000)
            except cancelled:
                log.append("cancelled")
            try:
                ctx.step.run("never", log.append, "ran")
            except cancelled:
                log.append("again")
                raise

        return ctx.group.parallel((loser, lambda: ctx.step.run("a", lambda: 1)), mode="race")

    native_cancelled = native.current().cancelled
    life = await host(fn)
    assert life.result == Winner(1, 1)
    assert log == ["cancelled", "again"]


@in_patient_time
async def test_deadlines():
    def fn(ctx):
        with ctx.move_on_after(5) as scope:
            ctx.step.sleep("a", 100)
        cut = scope.cancelled_caught
        with ctx.move_on_after(timedelta(hours=1)) as scope:
            ctx.step.sleep("b", 1)
        try:
            with ctx.fail_after(5):
                ctx.step.sleep("c", 100)
        except TimeoutError:
            return cut, scope.cancelled_caught, scope.cancel_called
        return None

    assert (await lives(lambda world: fn)).result == (True, False, False)


@in_patient_time
async def test_a_scope_is_cancelled_by_hand():
    def fn(ctx):
        with ctx.move_on_after(1000) as scope:
            ctx.step.sleep("a", 1)
            scope.cancel()
            ctx.step.sleep("b", 1)
        return scope.cancelled_caught, ctx.step.run("c", lambda: 1)

    assert (await host(fn)).result == (True, 1)


@in_patient_time
async def test_an_error_goes_through_a_scope():
    def fn(ctx):
        with pytest.raises(ValueError, match="mine"), ctx.fail_after(10):
            raise ValueError("mine")
        return "on"

    assert (await host(fn)).result == "on"


@in_patient_time
async def test_a_nursery():
    def program(world):
        def fn(ctx):
            found = {}

            def one(k):
                found[k] = ctx.step.run("a", handled(world, lambda: k * k))

            def reports(k, *, task_status):
                task_status.started(ctx.step.run("b", handled(world, lambda: k)))
                one(k)

            with ctx.group.open() as tasks:
                for k in range(3):
                    tasks.start_soon(one, k)
                started = tasks.start(reports, 9)
            with ctx.group.open() as tasks:
                tasks.start_soon(ctx.step.sleep, "long", 1000)
                tasks.cancel()
            return started, found

        return fn

    life = await lives(program)
    assert life.result == (9, {0: 0, 1: 1, 2: 4, 9: 81})


@in_patient_time
async def test_no_step_inside_a_handler_whatever_its_thread():
    inner = []

    def program(world):
        def fn(ctx):
            def nests():
                try:
                    ctx.step.run("in", inner.append, 1)
                except NestedStepError:
                    return "swallowed"

            async def async_nests():
                return nests()

            failed = 0
            for handler in (nests, async_nests):
                try:
                    ctx.step.run("out", handler, retry=3)
                except NestedStepError as error:
                    failed += "'in' inside the handler" in str(error)
            return failed

        return fn

    assert (await lives(program)).result == 2
    assert inner == []


@in_patient_time
async def test_no_step_from_a_thread_of_the_users():
    def fn(ctx):
        errors = []

        def strange():
            try:
                ctx.step.sleep("a", 1)
            except UntrackedTaskError as error:
                errors.append(str(error))

        thread = threading.Thread(target=strange)
        thread.start()
        thread.join()
        return errors

    (text,) = (await host(fn)).result
    assert "from a thread that plait has not started" in text


@in_patient_time
async def test_chance_is_that_of_the_branch():
    def fn(ctx):
        def draw():
            return ctx.random.random(), str(ctx.uuid())

        return draw(), ctx.group.parallel((draw, draw))

    life = await lives(lambda world: fn)
    mine, (one, two) = life.result
    assert len({mine, one, two}) == 3


@in_patient_time
async def test_an_error_of_the_function_is_its_own():
    def fn(ctx):
        raise ZeroDivisionError("by nought")

    life = await host(fn)
    assert isinstance(life.ending, Raised)
    assert isinstance(life.ending.error, ZeroDivisionError)


@in_patient_time
async def test_suspension_waits_for_the_thread():
    log = []

    def program(world):
        def fn(ctx):
            try:
                ctx.step.sleep("long", 1000)
            finally:
                log.append("cleaned up")

        return fn

    async def stop(life):
        await life.nap(1)
        life.body.suspend()

    life = await host(program(None), stop)
    assert isinstance(life.ending, Suspended)
    assert log == ["cleaned up"]
    assert of(life, CallCancelled) == []


@in_patient_time
async def test_the_loop_variable():
    def fn(ctx):
        with pytest.warns(LoopVariableWarning, match="ctx.group.map"):
            return ctx.group.parallel(
                tuple([lambda: ctx.step.run("a", lambda: k) for k in range(2)])  # noqa: B023
            )

    assert (await host(fn)).result == (1, 1)


@in_patient_time
async def test_bad_input():
    def fn(ctx):
        with pytest.raises(TypeError, match="takes a tuple of functions"):
            ctx.group.parallel([lambda: 1])
        with pytest.raises(TypeError, match="step_id must be a str"):
            ctx.step.run(1, print)
        with pytest.raises(ValueError, match="limit must be at least 1"):
            ctx.group.map("a", print, [1], limit=0)
        with pytest.raises(TypeError, match="items must have an order"):
            ctx.group.map("a", print, {1})
        with pytest.raises(TypeError, match="seconds must be seconds"):
            ctx.move_on_after("1")
        return "on"

    life = await host(fn)
    assert isinstance(life.ending, Returned), life.ending
    assert life.records == []


@in_patient_time
async def test_the_attempt_inside_a_handler():
    attempts = []

    def fn(ctx):
        def fails_once():
            attempts.append((ctx.attempt, current_step().attempt))
            if len(attempts) == 1:
                raise OSError

        ctx.step.run("a", fails_once, retry=1)
        return ctx.attempt

    assert (await host(fn)).result == 0
    assert attempts == [(0, 0), (1, 1)]
