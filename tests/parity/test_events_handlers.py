"""Rows 78 and 109: `@catch_error`, and the texts of what is wrong with a handler."""

import re

import anyio
import pytest

from plait import Context, StartEvent, StopEvent, Workflow, catch_error, step
from plait.errors import WorkflowTimeoutError, WorkflowValidationError
from plait.events import StepFailedEvent
from plait.retry import ConstantDelayRetryPolicy
from tests.parity.clocks import in_virtual_time
from tests.parity.letters import A, B


@pytest.mark.anyio
async def test_row_078_scoped_before_wildcard():
    class Flow(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> A | B | None:
            ctx.send_event(A())
            ctx.send_event(B())

        @step
        async def one(self, ev: A) -> StopEvent | None:
            raise ValueError("one")

        @step
        async def two(self, ev: B) -> StopEvent | None:
            raise ValueError("two")

        @catch_error
        async def anything(self, ctx: Context, ev: StepFailedEvent) -> StopEvent | None:
            caught["wildcard"] = ev
            return StopEvent() if len(caught) == 2 else None

        @catch_error(for_steps=["one"])
        async def of_one(self, ctx: Context, ev: StepFailedEvent) -> StopEvent | None:
            caught["scoped"] = ev
            return StopEvent() if len(caught) == 2 else None

    caught = {}
    await Flow().run()
    assert caught["scoped"].step_name == "one"
    assert caught["wildcard"].step_name == "two"
    assert caught["scoped"].input_event == A()
    assert str(caught["wildcard"].exception) == "two"
    assert caught["scoped"].attempts == 1
    assert caught["scoped"].failed_at.utcoffset().total_seconds() == 0


class Looping(Workflow):
    """A step that always fails, and a handler that starts it again."""

    def __init__(self):
        super().__init__()
        self.log = []

    @step
    async def s(self, ev: StartEvent) -> A:
        return A()

    @step
    async def t(self, ev: A) -> StopEvent:
        self.log.append(f"t {ev.n}")
        raise ValueError(f"t {ev.n}")

    @catch_error(max_recoveries=2)
    async def again(self, ev: StepFailedEvent) -> A:
        self.log.append(f"again after {ev.exception}")
        return A(n=ev.input_event.n + 1)


@pytest.mark.anyio
async def test_row_078_the_budget_of_a_handler():
    flow = Looping()
    with pytest.raises(ValueError, match=r"^t 2"):
        await flow.run()
    assert flow.log == ["t 0", "again after t 0", "t 1", "again after t 1", "t 2"]


@pytest.mark.anyio
async def test_row_078_the_budget_is_of_one_line_of_descent():
    class Flow(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> A | None:
            for n in range(3):
                ctx.send_event(A(n=n))

        @step
        async def t(self, ev: A) -> B:
            raise ValueError(ev.n)

        @catch_error(max_recoveries=1)
        async def recover(self, ev: StepFailedEvent) -> B:
            return B(n=ev.input_event.n)

        @step
        async def end(self, ctx: Context, ev: B) -> StopEvent | None:
            batch = ctx.collect_events(ev, [B] * 3)
            return batch and StopEvent(result={b.n for b in batch})

    assert await Flow().run() == {0, 1, 2}


@in_virtual_time
async def test_row_078_a_handler_is_called_when_retries_are_exhausted():
    class Flow(Workflow):
        @step(retry_policy=ConstantDelayRetryPolicy(maximum_attempts=3, delay=2))
        async def s(self, ev: StartEvent) -> StopEvent:
            raise ValueError(anyio.current_time())

        @catch_error
        async def recover(self, ev: StepFailedEvent) -> StopEvent:
            return StopEvent(result=(ev.attempts, ev.elapsed_seconds, ev.exception.args))

    assert await Flow().run() == (3, 4, (4,))


@pytest.mark.anyio
async def test_row_078_a_handlers_own_failure_has_the_original_as_cause():
    class Flow(Workflow):
        @step
        async def s(self, ev: StartEvent) -> StopEvent:
            raise ValueError("original")

        @catch_error
        async def recover(self, ev: StepFailedEvent) -> StopEvent:
            raise KeyError("handler")

    with pytest.raises(KeyError) as caught:
        await Flow().run()
    assert repr(caught.value.__cause__) == "ValueError('original')"


@in_virtual_time
async def test_row_078_a_timeout_of_the_run_calls_no_handler():
    class Flow(Workflow):
        @step
        async def s(self, ev: StartEvent) -> StopEvent:
            await anyio.sleep_forever()
            return StopEvent()

        @catch_error
        async def recover(self, ev: StepFailedEvent) -> StopEvent:
            pytest.fail("no step failed")

    with pytest.raises(WorkflowTimeoutError):
        await Flow(timeout=1).run()


@pytest.mark.anyio
async def test_row_078_what_a_handler_returns_stays_in_the_stream():
    class Flow(Workflow):
        @step
        async def s(self, ev: StartEvent) -> list[A]:
            return [A(n=n) for n in range(4)]

        @step
        async def t(self, ev: A) -> B:
            if ev.n == 2:
                raise ValueError
            return B(n=ev.n)

        @catch_error
        async def recover(self, ev: StepFailedEvent) -> B:
            return B(n=100 + ev.input_event.n)

        @step
        async def end(self, evs: list[B]) -> StopEvent:
            return StopEvent(result=sorted(b.n for b in evs))

    assert await Flow().run() == [0, 1, 3, 102]


def faults(make):
    with pytest.raises(WorkflowValidationError) as caught:
        make()
    return [fault.text for fault in caught.value.faults]


def test_row_109_a_handler_takes_a_failure():
    def make():
        class Flow(Workflow):
            @catch_error
            async def h(self, ev: A) -> StopEvent:
                return StopEvent()

    assert faults(make) == [
        "@catch_error handler 'h' must accept StepFailedEvent as its event parameter."
    ]


@pytest.mark.parametrize("bad", [0, -1, 1.5, "2", True, None])
def test_row_109_the_budget_of_a_handler_is_checked(bad):
    def make():
        class Flow(Workflow):
            @catch_error(max_recoveries=bad)
            async def h(self, ev: StepFailedEvent) -> StopEvent:
                return StopEvent()

    assert faults(make) == ["@catch_error max_recoveries must be an integer >= 1"]


@pytest.mark.parametrize("bad", ["s", ("s",), [1], {"s"}])
def test_row_109_the_names_of_a_handler_are_checked(bad):
    def make():
        class Flow(Workflow):
            @catch_error(for_steps=bad)
            async def h(self, ev: StepFailedEvent) -> StopEvent:
                return StopEvent()

    assert faults(make) == ["@catch_error for_steps must be None or a list of step name strings"]


class Base(Workflow):
    @step
    async def s(self, ev: StartEvent) -> StopEvent:
        return StopEvent()


def test_row_109_one_wildcard_handler():
    class W(Base):
        @catch_error
        async def h1(self, ev: StepFailedEvent) -> StopEvent:
            return StopEvent()

        @catch_error
        async def h2(self, ev: StepFailedEvent) -> StopEvent:
            return StopEvent()

    assert faults(W().validate) == [
        "Only one wildcard @catch_error handler is allowed per workflow, found 2: h1, h2"
    ]


def test_row_109_a_handler_of_an_unknown_step():
    class W(Base):
        @catch_error(for_steps=["x"])
        async def h(self, ev: StepFailedEvent) -> StopEvent:
            return StopEvent()

    assert faults(W().validate) == ["@catch_error handler 'h' lists unknown step 'x' in for_steps."]


def test_row_109_a_handler_of_a_handler():
    class W(Base):
        @catch_error
        async def g(self, ev: StepFailedEvent) -> StopEvent:
            return StopEvent()

        @catch_error(for_steps=["g"])
        async def h(self, ev: StepFailedEvent) -> StopEvent:
            return StopEvent()

    assert faults(W().validate) == [
        "@catch_error handler 'h' cannot cover another handler step 'g'."
    ]


def test_row_109_a_step_with_two_handlers():
    class W(Base):
        @catch_error(for_steps=["s"])
        async def h1(self, ev: StepFailedEvent) -> StopEvent:
            return StopEvent()

        @catch_error(for_steps=["s"])
        async def h2(self, ev: StepFailedEvent) -> StopEvent:
            return StopEvent()

    assert faults(W().validate) == [
        "Step 's' is claimed by two @catch_error handlers: 'h1' and 'h2'."
    ]


def test_row_109_faults_of_handlers_are_told_with_the_others():
    class W(Base):
        @catch_error(for_steps=["x", "s"])
        async def h1(self, ev: StepFailedEvent) -> A:
            return A()

        @catch_error(for_steps=["s"])
        async def h2(self, ev: StepFailedEvent) -> StopEvent:
            return StopEvent()

    with pytest.raises(WorkflowValidationError) as caught:
        W().run()
    texts = [fault.text for fault in caught.value.faults]
    assert "@catch_error handler 'h1' lists unknown step 'x' in for_steps." in texts
    assert "The following events are produced but never consumed: A" in texts
    assert re.match(rf"{len(texts)} faults in workflow '.*W':\n", str(caught.value))
    assert all(fault.file == __file__ for fault in caught.value.faults)
