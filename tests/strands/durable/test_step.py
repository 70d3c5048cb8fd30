"""`ctx.step`, alive and after a crash at any moment."""

import functools
import inspect
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest

import plait
from plait._engine import native
from plait._engine.bodies.body import Raised, Returned
from plait._kernel.calls.records import CallCompleted, CallFailed, CallRetrying
from plait._steps.attempt import current_step
from plait._strands._durable.event import Event
from plait._strands._durable.middleware import Middleware
from plait._strands._durable.step import child_run_id
from plait.errors import (
    ConfigError,
    InvokeTimeoutError,
    NestedStepError,
    NonRetriableError,
    NonRetriableStepError,
    RetryAfterError,
    StepError,
    StepOutputError,
)
from plait.retry import ConstantDelayRetryPolicy
from tests.parity.clocks import in_virtual_time
from tests.strands.durable.holding import Hosted, World, as_read, function, handled, lives


class OrderPlaced(plait.Event):
    id: int


@attrs.frozen
class Receipt:
    total: int


async def host(handler, *besides, records=(), **options):
    return await Hosted(World(), records, **options).host(function(handler), *besides)


def of(life, kind):
    return [record for _, record in life.records if isinstance(record, kind)]


# ------------------------------------------------------------------ run


@in_virtual_time
async def test_values_flow():
    def program(world):
        async def add(a, b):
            return a + b

        async def fn(ctx):
            one = await ctx.step.run("one", handled(world, add), 1, 2)
            return await ctx.step.run("two", handled(world, lambda: add(one, b=4)))

        return fn

    life = await lives(program)
    assert life.result == 7
    assert [*life.world.ran.values()] == [1, 1]


@in_virtual_time
async def test_keyword_arguments_through_partial():
    async def greet(name, *, greeting):
        return f"{greeting}, {name}"

    async def fn(ctx):
        return await ctx.step.run("greet", functools.partial(greet, greeting="Hello"), "Ann")

    life = await host(fn)
    assert life.result == "Hello, Ann"
    assert of(life, CallCompleted)[0].handler == greet.__qualname__


@in_virtual_time
async def test_a_plain_handler_runs_in_a_thread_and_does_not_block():
    main = threading.get_ident()
    seen = []

    def where():
        seen.append(threading.get_ident())
        return current_step().step_id

    async def fn(ctx):
        return await ctx.step.run("where", where)

    life = await host(fn)
    assert life.result == "where"
    assert seen != [main]
    assert life.handler_limiter.borrowed_tokens == 0


@in_virtual_time
async def test_an_async_handler_runs_in_the_callers_task():
    seen = []

    async def where():
        seen.append(native.current().current_task())
        return True

    async def fn(ctx):
        await ctx.step.run("where", where)
        return seen == [native.current().current_task()]

    assert (await host(fn)).result is True


@in_virtual_time
async def test_plain_handlers_have_a_limit():
    most = 0
    running = 0
    lock = threading.Lock()

    def work(k):
        nonlocal most, running
        with lock:
            running += 1
            most = max(most, running)
        with lock:
            running -= 1
        return k

    async def fn(ctx):
        return await ctx.group.map("work", work, range(8))

    hosted = Hosted()
    hosted.handler_limiter = hosted.backend.limiter(1)
    assert (await hosted.host(function(fn))).result == (*range(8),)
    assert most == 1


@in_virtual_time
async def test_the_same_id_several_times():
    def program(world):
        async def fn(ctx):
            return [await ctx.step.run("foo", handled(world, lambda k=k: k)) for k in range(3)]

        return fn

    life = await lives(program)
    assert life.result == [0, 1, 2]
    assert sorted(key.occurrence for key in life.world.ran) == [0, 1, 2]


@in_virtual_time
async def test_values_are_what_recovery_gives():
    async def pair() -> Any:
        return (1, [2])

    async def typed() -> tuple[int, list[int]]:
        return (1, [2])

    async def fn(ctx):
        plain = await ctx.step.run("plain", pair)
        annotated = await ctx.step.run("typed", typed)
        told = await ctx.step.run("told", pair, output_type=tuple[int, list[int]])
        annotated[1].append(3)
        return plain, annotated, told

    life = await lives(lambda world: fn)
    assert life.result == ([1, [2]], (1, [2, 3]), (1, [2]))
    again = await host(fn, records=as_read(life.records))
    assert again.result == life.result


@in_virtual_time
async def test_an_output_that_cannot_be_recorded_fails_the_call_at_once():
    def program(world):
        async def fn(ctx):
            try:
                await ctx.step.run("bad", handled(world, object), retry=5)
            except StepOutputError as error:
                return error.name, "annotate" in error.message.lower(), error.attempts
            return None

        return fn

    life = await lives(program)
    assert life.result == ("StepOutputError", True, 1)
    assert [*life.world.ran.values()] == [1]


@in_virtual_time
async def test_retries_of_the_call_and_of_the_function():
    def program(world):
        attempts = []

        async def flaky():
            attempts.append(current_step().attempt)
            if len(attempts) % 3:
                raise OSError("not yet")
            return attempts[-1]

        async def fn(ctx):
            of_call = await ctx.step.run("a", flaky, retry=2)
            policy = ConstantDelayRetryPolicy(maximum_attempts=3, delay=1)
            return of_call, await ctx.step.run("b", flaky, retry=policy)

        return fn

    assert (await host(program(None))).result == (2, 2)


@in_virtual_time
async def test_the_functions_policy_is_that_of_its_steps():
    async def fails():
        raise OSError("no disk")

    async def fn(ctx):
        await ctx.step.run("a", fails)

    life = await host(fn, policy=2)
    assert len(of(life, CallRetrying)) == 2
    error = life.ending.error
    assert isinstance(error, StepError)
    assert (error.attempts, error.name, error.message) == (3, "OSError", "no disk")
    assert isinstance(error.__cause__, OSError)
    assert "no disk" in error.stack


@in_virtual_time
async def test_a_failure_is_the_same_after_recovery():
    async def fails():
        raise ZeroDivisionError("by nought")

    async def fn(ctx):
        try:
            await ctx.step.run("a", fails)
        except StepError as error:
            cause = error.__cause__
            said = error.name, error.message, error.stack, error.key, error.attempts
            return type(error).__name__, said, type(cause).__name__, str(cause)

    life = await lives(lambda world: fn)
    assert life.result[0] == "StepError"
    assert life.result[2:] == ("ZeroDivisionError", "by nought")


@in_virtual_time
async def test_errors_that_are_not_retried():
    async def fails():
        raise NonRetriableError("for good")

    async def fn(ctx):
        with pytest.raises(NonRetriableStepError, match="for good"):
            await ctx.step.run("a", fails, retry=5)
        return len(ctx._parts.records)

    life = await host(fn)
    assert isinstance(life.ending, Returned)
    assert of(life, CallRetrying) == []


@in_virtual_time
async def test_retry_after_replaces_the_delay():
    times = []

    async def fails_once():
        times.append(native.current().clock()())
        if len(times) == 1:
            raise RetryAfterError("busy", 7)

    async def fn(ctx):
        await ctx.step.run("a", fails_once, retry=1)

    await host(fn)
    assert times[1] - times[0] == pytest.approx(7)


@in_virtual_time
async def test_arguments_that_do_not_fit_are_never_tried_again():
    async def takes_one(a):
        return a

    async def fn(ctx):
        with pytest.raises(NonRetriableStepError, match=r"takes_one cannot be called with the arg"):
            await ctx.step.run("a", takes_one, retry=3)
        with pytest.raises(NonRetriableStepError, match="cannot be called with the arguments"):
            await ctx.step.run("b", lambda: 1, 2, retry=3)

    life = await host(fn)
    assert isinstance(life.ending, Returned)


@in_virtual_time
async def test_a_type_error_of_the_handlers_own_is_tried_again():
    async def own():
        return len(5)

    async def fn(ctx):
        await ctx.step.run("a", own, retry=1)

    life = await host(fn)
    assert len(of(life, CallRetrying)) == 1


@in_virtual_time
async def test_no_step_inside_a_handler():
    inner = []

    def program(world):
        async def fn(ctx):
            async def nests(call):
                try:
                    await call()
                except NestedStepError:
                    return "swallowed"

            async def counted():
                inner.append(1)

            event = Event(name="a")
            calls = [
                lambda: ctx.step.run("in", counted),
                lambda: ctx.step.sleep("in", 1),
                lambda: ctx.step.wait_for_event("in", event="a", timeout=1),
                lambda: ctx.step.invoke_by_id("in", function_id="shop-fn"),
                lambda: ctx.step.send_event("in", event),
                lambda: ctx.step.run("in", counted, rollback=print),
                lambda: ctx.group.map("in", counted, []),
                lambda: ctx.group.parallel((counted,)),
            ]
            failed = 0
            for call in calls:
                try:
                    await ctx.step.run("out", nests, call, retry=3)
                except NestedStepError:
                    failed += 1
            return failed

        return fn

    life = await lives(program)
    assert life.result == 8
    assert inner == life.sent == life.children == []
    assert of(life, CallRetrying) == []


@in_virtual_time
async def test_a_call_that_a_plain_handler_returns_is_nested_too():
    async def fn(ctx):
        with pytest.raises(NestedStepError):
            await ctx.step.run("out", lambda: ctx.step.sleep("in", 1))
        return "ok"

    assert (await host(fn)).result == "ok"


@in_virtual_time
async def test_the_idempotency_key_of_each_attempt():
    keys = []

    async def fails_once():
        keys.append(current_step().idempotency_key)
        if len(keys) == 1:
            raise OSError

    async def fn(ctx):
        await ctx.step.run("a", fails_once, retry=1)
        await ctx.step.run("b", fails_once)

    await host(fn)
    assert keys[0] == keys[1] != keys[2]
    assert all(len(key) == 32 for key in keys)


async def test_the_current_step_outside_of_handlers():
    with pytest.raises(RuntimeError, match="is for handlers"):
        current_step()


# ------------------------------------------------------------------ bad input


def no_coroutine():
    async def made():
        """Nothing."""

    return made()


REFUSED = [
    (lambda s: s.run(1, print), TypeError, "step_id must be a str, not 1\n.*write ctx.step.run"),
    (lambda s: s.run("a", 5), TypeError, "handler must be a function, not 5"),
    (lambda s: s.run("a", no_coroutine()), TypeError, "has been called already\n.*without the"),
    (lambda s: s.run("a", generator), TypeError, "generator"),
    (lambda s: s.run("a", print, retry="2"), TypeError, "retry must be a whole number or a retry"),
    (lambda s: s.run("a", print, retry=-1), ValueError, "retry must be at least 0"),
    (lambda s: s.run("a", print, retry=True), TypeError, "retry must be at least 0"),
    (
        lambda s: s.run("a", print, retry=ConstantDelayRetryPolicy),
        TypeError,
        r"write Constant\w+\(",
    ),
    (lambda s: s.run("a", print, rollback=1), TypeError, "rollback must be a function"),
    (lambda s: s.run("a", print, output_type="int"), TypeError, "output_type must be a type"),
    (lambda s: s.sleep(None, 1), TypeError, "step_id must be a str"),
    (lambda s: s.sleep("a", "1"), TypeError, "duration must be seconds or a timedelta"),
    (lambda s: s.sleep("a", duration=True), TypeError, "duration must be seconds"),
    (lambda s: s.sleep("a", float("nan")), ValueError, "duration must be a finite number"),
    (lambda s: s.sleep("a", datetime.now(UTC)), TypeError, "write sleep_until"),
    (lambda s: s.sleep_until("a", 5), TypeError, "until must be a datetime.*\n.*write sleep()"),
    (lambda s: s.sleep_until("a", datetime(2030, 1, 1)), ValueError, "must have a time zone"),  # noqa: DTZ001
    (lambda s: s.wait_for_event("a", event=1, timeout=1), TypeError, "event takes the name or"),
    (lambda s: s.wait_for_event("a", event="", timeout=1), ValueError, "must not be empty"),
    (
        lambda s: s.wait_for_event("a", event="e", timeout=-1),
        ValueError,
        "timeout must be at least",
    ),
    (
        lambda s: s.wait_for_event("a", event="e", timeout=None),
        TypeError,
        "timeout must be seconds",
    ),
    (
        lambda s: s.wait_for_event("a", event="e", timeout=1, if_exp="event.paid"),
        ConfigError,
        "if_exp is 'event.paid': write a function",
    ),
    (
        lambda s: s.wait_for_event("a", event="e", timeout=1, buffer=1),
        TypeError,
        "buffer must be True or False",
    ),
    (lambda s: s.invoke("a", function="shop-fn"), TypeError, "write ctx.step.invoke_by_id"),
    (lambda s: s.invoke("a", function=print), TypeError, "write ctx.step.run"),
    (lambda s: s.invoke_by_id("a", function_id=1), TypeError, "function_id must be a str"),
    (lambda s: s.invoke_by_id("a", function_id=""), ValueError, "function_id must not be empty"),
    (lambda s: s.invoke_by_id("a", function_id="shop-no"), ValueError, "no function 'shop-no'"),
    (
        lambda s: s.invoke_by_id("a", function_id="shop-fn", timeout=0),
        ValueError,
        "timeout must be greater than 0",
    ),
    (lambda s: s.send_event("a", "paid"), TypeError, "write Event"),
    (lambda s: s.send_event("a", [1]), TypeError, "takes events, not 1"),
]


def generator():
    yield 1


@pytest.mark.parametrize(("call", "kind", "text"), REFUSED)
@in_virtual_time
async def test_bad_input_is_refused_before_anything_is_recorded(call, kind, text):
    async def fn(ctx):
        made = call(ctx.step)
        assert inspect.isawaitable(made)
        with pytest.raises(kind, match=f"(?s){text}"):
            await made

    life = await host(fn)
    assert isinstance(life.ending, Returned), life.ending
    assert life.records == []


# ------------------------------------------------------------------ sleep


@in_virtual_time
async def test_sleeps():
    async def fn(ctx):
        await ctx.step.sleep("a", 2)
        await ctx.step.sleep("b", timedelta(seconds=3))
        await ctx.step.sleep("c", -1)
        await ctx.step.sleep_until("d", datetime(1990, 1, 1, tzinfo=UTC))
        await ctx.step.sleep_until("e", ctx.now() + timedelta(seconds=5))
        return "awake"

    clock = native.current().clock()
    before = clock()
    assert (await host(fn)).result == "awake"
    assert clock() - before == pytest.approx(10)
    assert (await lives(lambda world: fn)).result == "awake"


# ------------------------------------------------------------------ events


def brings(*events):
    async def beside(life):
        for event in events:
            await life.nap(1)
            life.bring(event)

    return beside


@in_virtual_time
async def test_the_first_event_that_fits():
    async def fn(ctx):
        found = await ctx.step.wait_for_event(
            "paid", event="paid", timeout=60, if_exp=lambda e: e.data["id"] == 3
        )
        return found and (found.name, found.data, found.id, found.ts)

    events = [
        Event(name="other", data={"id": 3}, id="e0", ts=1),
        Event(name="paid", data={"id": 2}, id="e1", ts=2),
        Event(name="paid", data={"id": 3}, id="e2", ts=3),
        Event(name="paid", data={"id": 3}, id="e3", ts=4),
    ]
    life = await lives(lambda world: fn, brings(*events))
    assert life.result == ("paid", {"id": 3}, "e2", 3)


@in_virtual_time
async def test_an_event_that_does_not_come():
    async def fn(ctx):
        return await ctx.step.wait_for_event("paid", event="paid", timeout=timedelta(minutes=1))

    assert (await lives(lambda world: fn)).result is None


@in_virtual_time
async def test_a_typed_event():
    async def fn(ctx):
        found = await ctx.step.wait_for_event("placed", event=OrderPlaced, timeout=60, buffer=True)
        return found.data

    name = OrderPlaced.__plait_name__
    events = [Event(name=name, data={"id": 1}), Event(name=name, data=OrderPlaced(id=2))]
    life = await lives(lambda world: fn, brings(*events))
    assert life.result == OrderPlaced(id=2)


@in_virtual_time
async def test_the_hosts_lookout_is_told_of_the_buffer():
    buffers = []

    async def watch(life):
        await life.nap(1)
        buffers.extend(lookout.buffer for _, lookout in life.lookouts.values())

    async def fn(ctx):
        await ctx.step.wait_for_event("a", event="e", timeout=2, buffer=True)

    await host(fn, watch)
    assert buffers == [True]


@in_virtual_time
async def test_send_gives_ids_that_stay():
    async def fn(ctx):
        events = [Event(name="a"), Event(name="b", id="mine"), OrderPlaced(id=3)]
        first = await ctx.step.send_event("send", events)
        return first, await ctx.step.send_event("send", Event(name="a"))

    life = await lives(lambda world: fn)
    first, second = life.result
    assert first[1] == "mine"
    assert len({*first, *second}) == 4
    assert [[e.name for e in events] for _, events in life.sent] == [
        ["a", "b", OrderPlaced.__plait_name__],
        ["a"],
    ]
    assert (await host(fn)).result == life.result


@in_virtual_time
async def test_middleware_sees_what_is_sent():
    class Doubles(Middleware):
        def before_send(self, events):
            return [*events, *events]

    async def fn(ctx):
        return await ctx.step.send_event("send", Event(name="a"))

    life = await host(fn, middleware=[Doubles()])
    assert len({*life.result}) == 2


# ------------------------------------------------------------------ invoke


def ends(value=None, error=None):
    async def beside(life):
        await life.nap(1)
        for key in [*life.invoked]:
            life.calls.child_ended(key, value, error)

    return beside


@in_virtual_time
async def test_invoke_by_id_gives_what_the_function_returns():
    async def fn(ctx):
        return await ctx.step.invoke_by_id("child", function_id="shop-fn", data={"a": 1})

    life = await lives(lambda world: fn, ends({"b": 2}))
    assert life.result == {"b": 2}
    (function_id, data, child) = life.children[0]
    assert (function_id, data) == ("shop-fn", {"a": 1})
    assert child == child_run_id("r1", of(life, CallCompleted)[0].key, 0)


@in_virtual_time
async def test_invoke_takes_a_function():
    child = function(lambda_free)

    async def fn(ctx):
        return await ctx.step.invoke("child", function=child, data=Event(name="x", data=5))

    life = await host(fn, ends([1]))
    assert life.result == [1]
    assert life.children[0][:2] == ("shop-fn", Event(name="x", data=5))


async def lambda_free(ctx):
    return 1


@in_virtual_time
async def test_an_invoked_function_that_fails():
    from plait._journal.failures import Failure, timed_out

    error = Failure("MyError", "no luck", "", "failed").write()

    async def fn(ctx):
        await ctx.step.invoke_by_id("child", function_id="shop-fn")

    life = await host(fn, ends(error=error))
    assert isinstance(life.ending, Raised)
    assert (life.ending.error.name, life.ending.error.message) == ("MyError", "no luck")
    life = await host(fn, ends(error=timed_out("too slow").write()))
    assert isinstance(life.ending.error, InvokeTimeoutError)


# ------------------------------------------------------------------ rollback


@in_virtual_time
async def test_what_undoes_a_step_is_kept_for_the_host():
    undone = []

    async def pay() -> Receipt:
        return Receipt(3)

    def give_back(receipt):
        undone.append((receipt, current_step_or_none()))

    async def fn(ctx):
        await ctx.step.run("pay", pay, rollback=give_back, retry=2)
        await ctx.step.run("look", pay)

    life = await host(fn)
    (key,) = life.undoings
    assert life.state.to_undo == (key,)
    assert life.undoings[key].name == give_back.__qualname__
    await life.undo(key)
    assert undone == [(Receipt(3), None)]
    again = await host(fn, records=as_read(life.records))
    assert [*again.undoings] == [key]
    await again.undo(key)
    assert undone == [(Receipt(3), None)] * 2


def current_step_or_none():
    try:
        return current_step()
    except RuntimeError:
        return None


# ------------------------------------------------------------------ middleware


class Noted(Middleware):
    def __init__(self, name, log):
        self.name = name
        self.log = log

    async def around_run(self, ctx, call_next):
        self.log.append(f"{self.name} run {ctx.run_id}")
        return await call_next()

    async def around_step(self, step, call_next):
        self.log.append(f"{self.name} {step.step_id} {step.attempt}")
        try:
            return await call_next()
        finally:
            self.log.append(f"{step.step_id} {self.name}")


@in_virtual_time
async def test_middleware_is_around_each_attempt_and_no_memo():
    attempts = []

    async def flaky():
        attempts.append(1)
        if len(attempts) == 1:
            raise OSError
        return 1

    async def fn(ctx):
        return await ctx.step.run("a", flaky, retry=1)

    log = []
    life = await host(fn, middleware=[Noted("m1", log), Noted("m2", log)])
    assert log == [
        "m1 run r1",
        "m2 run r1",
        *("m1 a 0", "m2 a 0", "a m2", "a m1"),
        *("m1 a 1", "m2 a 1", "a m2", "a m1"),
    ]
    log.clear()
    await host(fn, records=as_read(life.records), middleware=[Noted("m1", log)])
    assert log == ["m1 run r1"]


@in_virtual_time
async def test_middleware_is_around_a_handler_that_was_called_without_it_before():
    async def known() -> int:
        return 1

    async def fn(ctx):
        return [await ctx.step.run(name, known) for name in "ab"]

    log = []
    assert (await host(fn)).result == [1, 1]
    assert (await host(fn, middleware=[Noted("m", log)])).result == [1, 1]
    assert log == ["m run r1", "m a 0", "a m", "m b 0", "b m"]


class Reversed(Middleware):
    def encode(self, data):
        return data[::-1]

    def decode(self, data):
        return data[::-1]


@in_virtual_time
async def test_values_are_encoded_on_their_way_to_the_journal():
    async def secret() -> tuple[str, ...]:
        return ("secret",)

    async def fn(ctx):
        return await ctx.step.run("a", secret)

    life = await lives(lambda world: fn, middleware=[Reversed()])
    assert life.result == ("secret",)
    assert "secret" not in repr(of(life, CallCompleted)[0].value)


class Broken(Middleware):
    def encode(self, data):
        raise OSError("no key")


@in_virtual_time
async def test_a_value_that_middleware_does_not_encode_is_refused():
    async def fn(ctx):
        with pytest.raises(StepOutputError, match="Middleware did not encode it: no key"):
            await ctx.step.run("a", lambda: 1, retry=2)

    life = await host(fn, middleware=[Broken()])
    assert isinstance(life.ending, Returned)
    assert len(of(life, CallFailed)) == 1
