"""Rows 46 to 50, 52 and 53: a returned list fans out, a `list[E]` parameter joins what comes of it."""

from typing import Annotated

import anyio
import anyio.lowlevel
import pytest

from plait import (
    Collect,
    Context,
    Event,
    HumanResponseEvent,
    StartEvent,
    StopEvent,
    Take,
    Workflow,
    step,
)
from plait.errors import WorkflowRuntimeError, WorkflowValidationError
from plait.events import All, StepFailedEvent, catch_error
from plait.retry import ConstantDelayRetryPolicy
from tests.parity.clocks import in_virtual_time
from tests.parity.letters import A, B, C


class Inner(Event):
    n: int


class InnerDone(Event):
    n: int


class Gathered(Event):
    by: str
    kinds: list[type]


class Fan(Workflow):
    """`count` events, each of which becomes a `B`."""

    @step
    async def s(self, ev: StartEvent) -> list[A]:
        return [A(n=n) for n in range(ev.get("count", 5))]

    @step(num_workers=5)
    async def work(self, ev: A) -> B | None:
        return B(n=ev.n)

    @step
    async def join(self, evs: list[B]) -> StopEvent:
        return StopEvent(result=[b.n for b in evs])


@pytest.mark.anyio
async def test_row_046_a_list_fans_out_and_a_list_joins():
    run = Fan().run()
    assert {*await run} == {0, 1, 2, 3, 4}
    assert run.undelivered == ()


@pytest.mark.anyio
async def test_row_046_an_empty_list_joins():
    assert await Fan().run(count=0) == []


@pytest.mark.anyio
async def test_row_046_a_fan_in_fires_once():
    fired = []

    class Flow(Fan):
        @step
        async def join(self, evs: list[B]) -> C:
            fired.append([b.n for b in evs])
            return C()

        @step
        async def end(self, ev: C) -> StopEvent:
            for _ in range(10):
                await anyio.lowlevel.checkpoint()
            return StopEvent()

    await Flow().run()
    assert [sorted(batch) for batch in fired] == [[0, 1, 2, 3, 4]]


@pytest.mark.anyio
async def test_row_046_sent_events_leave_the_stream():
    class Flow(Fan):
        @step
        async def work(self, ctx: Context, ev: A) -> B | C | None:
            ctx.send_event(C(n=ev.n))
            return B(n=ev.n)

        @step
        async def aside(self, ev: C) -> None:
            await anyio.lowlevel.checkpoint()

    assert sorted(await Flow(disable_validation=True).run()) == [0, 1, 2, 3, 4]


@pytest.mark.anyio
async def test_row_046_several_receivers_fork_a_branch():
    class Flow(Fan):
        @step
        async def twin(self, ev: A) -> B:
            return B(n=10 + ev.n)

    assert sorted(await Flow().run(count=2)) == [0, 1, 10, 11]


@pytest.mark.anyio
async def test_row_046_a_chain_of_steps_is_a_branch():
    class Flow(Fan):
        @step
        async def work(self, ev: A) -> C:
            return C(n=ev.n)

        @step
        async def more(self, ev: C) -> B:
            return B(n=10 * ev.n)

    assert sorted(await Flow().run(count=3)) == [0, 10, 20]


class Falling(Fan):
    """The later an event is in the list, the sooner it is done."""

    @step(num_workers=5)
    async def work(self, ev: A) -> B:
        await anyio.sleep(5 - ev.n)
        return B(n=ev.n)


@in_virtual_time
async def test_row_047_join_in_input_order():
    class Flow(Falling):
        @step
        async def join(self, evs: Annotated[list[B], Collect(order="input")]) -> StopEvent:
            return StopEvent(result=[b.n for b in evs])

    assert await Flow().run() == [0, 1, 2, 3, 4]
    assert anyio.current_time() == 5


@in_virtual_time
async def test_row_047_join_in_order_of_arrival():
    class Explicit(Falling):
        @step
        async def join(self, evs: Annotated[list[B], Collect(All(), order="arrival")]) -> StopEvent:
            return StopEvent(result=[b.n for b in evs])

    assert await Falling().run() == [4, 3, 2, 1, 0]
    assert await Explicit().run() == [4, 3, 2, 1, 0]


@pytest.mark.anyio
async def test_row_047_input_order_without_the_branches_that_end():
    class Flow(Fan):
        @step(num_workers=5)
        async def work(self, ev: A) -> B | None:
            for _ in range(10 - ev.n):
                await anyio.lowlevel.checkpoint()
            return B(n=ev.n) if ev.n != 1 else None

        @step
        async def join(self, evs: Annotated[list[B], Collect(order="input")]) -> StopEvent:
            return StopEvent(result=[b.n for b in evs])

    assert await Flow().run() == [0, 2, 3, 4]


class Rising(Fan):
    """One is done each second; notes who was cancelled."""

    def __init__(self):
        super().__init__()
        self.log = []

    @step(num_workers=5)
    async def work(self, ev: A) -> B:
        try:
            await anyio.sleep(ev.n + 1)
        except anyio.get_cancelled_exc_class():
            self.log.append(f"cancelled {ev.n}")
            raise
        self.log.append(f"done {ev.n}")
        return B(n=ev.n)


@in_virtual_time
async def test_row_048_take_the_first():
    class Flow(Rising):
        @step
        async def join(self, evs: Annotated[list[B], Collect(Take(2))]) -> StopEvent:
            return StopEvent(result=[b.n for b in evs])

    assert await Flow().run() == [0, 1]
    assert anyio.current_time() == 2


@in_virtual_time
async def test_row_048_the_others_go_on_without_effect():
    fired = []

    class Flow(Rising):
        @step
        async def join(self, evs: Annotated[list[B], Collect(Take(2))]) -> C:
            fired.append([b.n for b in evs])
            return C()

        @step
        async def end(self, ev: C) -> StopEvent:
            await anyio.sleep(10)
            return StopEvent()

    flow = Flow()
    await flow.run()
    assert fired == [[0, 1]]
    assert flow.log == [f"done {n}" for n in range(5)]
    assert anyio.current_time() == 12


@in_virtual_time
async def test_row_048_take_from_a_shorter_stream():
    class Flow(Rising):
        @step
        async def join(self, evs: Annotated[list[B], Collect(Take(9))]) -> StopEvent:
            return StopEvent(result=[b.n for b in evs])

    assert await Flow().run() == [0, 1, 2, 3, 4]
    assert anyio.current_time() == 5
    assert await Flow().run(count=0) == []


@in_virtual_time
async def test_row_048_take_in_input_order():
    class Flow(Falling):
        @step
        async def join(self, evs: Annotated[list[B], Collect(Take(2), order="input")]) -> StopEvent:
            return StopEvent(result=[b.n for b in evs])

    assert await Flow().run() == [3, 4]
    assert anyio.current_time() == 2


@in_virtual_time
async def test_row_049_losers_can_be_cancelled():
    class Flow(Rising):
        @step
        async def join(self, evs: Annotated[list[B], Collect(Take(2, cancel_rest=True))]) -> C:
            self.log.append([b.n for b in evs])
            return C()

        @step
        async def end(self, ev: C) -> StopEvent:
            await anyio.sleep(10)
            return StopEvent(result="went on")

    flow = Flow()
    assert await flow.run() == "went on"
    assert anyio.current_time() == 12
    assert flow.log[:2] == ["done 0", "done 1"]
    assert sorted(map(str, flow.log[2:])) == ["[0, 1]", "cancelled 2", "cancelled 3", "cancelled 4"]


@in_virtual_time
async def test_row_049_losers_that_wait_or_are_due_again_are_cancelled():
    class Flow(Fan):
        def __init__(self):
            super().__init__()
            self.log = []

        @step(retry_policy=ConstantDelayRetryPolicy(maximum_attempts=3, delay=100))
        async def work(self, ctx: Context, ev: A) -> B:
            self.log.append((ev.n, anyio.current_time()))
            if ev.n == 1:
                await ctx.wait_for_event(HumanResponseEvent)
            if ev.n == 2:
                raise ValueError
            await anyio.sleep(1)
            return B(n=ev.n)

        @step
        async def join(self, evs: Annotated[list[B], Collect(Take(1, cancel_rest=True))]) -> C:
            return C()

        @step
        async def end(self, ev: C) -> StopEvent:
            await anyio.sleep(150)
            return StopEvent(result=run.waiting())

    flow = Flow()
    run = flow.run(count=3)
    assert await run == ()
    assert anyio.current_time() == 151
    assert flow.log == [(0, 0), (1, 0), (2, 0)]


@in_virtual_time
async def test_row_049_streams_inside_a_loser_go_with_it():
    class Flow(Workflow):
        def __init__(self):
            super().__init__()
            self.log = []

        @step
        async def s(self, ev: StartEvent) -> list[A]:
            return [A(n=0), A(n=1)]

        @step
        async def open(self, ev: A) -> list[Inner]:
            return [Inner(n=ev.n), Inner(n=ev.n)]

        @step
        async def work(self, ev: Inner) -> InnerDone:
            try:
                await anyio.sleep(1 + 10 * ev.n)
            except anyio.get_cancelled_exc_class():
                self.log.append(f"cancelled {ev.n}")
                raise
            return InnerDone(n=ev.n)

        @step
        async def close(self, evs: list[InnerDone]) -> B:
            self.log.append([ev.n for ev in evs])
            return B()

        @step
        async def join(self, evs: Annotated[list[B], Collect(Take(1, cancel_rest=True))]) -> C:
            return C()

        @step
        async def end(self, ev: C) -> StopEvent:
            await anyio.sleep(50)
            return StopEvent()

    flow = Flow()
    await flow.run()
    assert flow.log == [[0, 0], "cancelled 1", "cancelled 1"]
    assert anyio.current_time() == 51


@in_virtual_time
async def test_row_049_losers_that_are_queued_never_begin():
    began = []

    class Flow(Fan):
        @step(num_workers=1)
        async def work(self, ev: A) -> B:
            began.append(ev.n)
            await anyio.sleep(1)
            return B(n=ev.n)

        @step
        async def join(self, evs: Annotated[list[B], Collect(Take(2, cancel_rest=True))]) -> C:
            return C()

        @step
        async def end(self, ev: C) -> StopEvent:
            await anyio.sleep(10)
            return StopEvent()

    await Flow().run()
    assert anyio.current_time() == 12
    assert began in (
        [0, 1],
        [0, 1, 2],
    )  # the third may have begun in the instant of the second's end


@pytest.mark.anyio
async def test_row_050_none_filters():
    class Flow(Fan):
        @step
        async def work(self, ev: A) -> B | None:
            return B(n=ev.n) if ev.n % 2 else None

    assert sorted(await Flow().run(count=6)) == [1, 3, 5]


@pytest.mark.anyio
async def test_row_050_all_filtered():
    class Flow(Fan):
        @step
        async def work(self, ev: A) -> B | None:
            return None

    assert await Flow().run() == []


@pytest.mark.anyio
async def test_row_050_unions_mix():
    class Flow(Fan):
        @step
        async def work(self, ev: A) -> B | C:
            return B(n=ev.n) if ev.n % 2 else C(n=ev.n)

        @step
        async def join(self, evs: Annotated[list[B | C], Collect(order="input")]) -> StopEvent:
            return StopEvent(result=evs)

    assert await Flow().run() == [C(n=0), B(n=1), C(n=2), B(n=3), C(n=4)]


class Group(Event):
    ns: list[int]


@pytest.mark.anyio
async def test_row_050_streams_nest():
    class Flow(Workflow):
        @step
        async def s(self, ev: StartEvent) -> list[A]:
            return [A(n=n) for n in range(3)]

        @step
        async def open(self, ev: A) -> list[Inner]:
            return [Inner(n=10 * ev.n), Inner(n=10 * ev.n + 1)]

        @step
        async def work(self, ev: Inner) -> InnerDone:
            return InnerDone(n=ev.n)

        @step
        async def close(self, evs: Annotated[list[InnerDone], Collect(order="input")]) -> Group:
            return Group(ns=[ev.n for ev in evs])

        @step
        async def end(self, evs: Annotated[list[Group], Collect(order="input")]) -> StopEvent:
            return StopEvent(result=[group.ns for group in evs])

    assert await Flow().run() == [[0, 1], [10, 11], [20, 21]]


# ---------------------------------------------------------------- 52: what is wrong with a fan-in


def faults(make):
    with pytest.raises(WorkflowValidationError) as caught:
        make()
    return [fault.text for fault in caught.value.faults]


def test_row_052_one_list():
    def make():
        class W(Workflow):
            @step
            async def s(self, evs: list[A], b: list[B]) -> StopEvent:
                return StopEvent()

    assert faults(make) == [
        "A step may declare at most one list[E] collection parameter, but found both 'evs' and 'b'."
    ]


@pytest.mark.parametrize("first", [True, False])
def test_row_052_a_list_and_an_event(first):
    def make():
        if first:

            class W(Workflow):
                @step
                async def s(self, evs: list[A], b: B) -> StopEvent:
                    return StopEvent()
        else:

            class V(Workflow):
                @step
                async def s(self, b: B, ctx: Context, evs: list[A]) -> StopEvent:
                    return StopEvent()

    assert faults(make) == [
        "A list[E] collection parameter cannot be combined with other event parameters."
    ]


@pytest.mark.parametrize("annotation", ["A", "A | B"])
def test_row_052_collect_marks_lists(annotation):
    hint = {"A": A, "A | B": A | B}[annotation]

    def make():
        class W(Workflow):
            @step
            async def s(self, ev: Annotated[hint, Collect()]) -> StopEvent:
                return StopEvent()

    (text,) = faults(make)
    assert text == (
        "Parameter 'ev' carries a Collect marker but is not annotated as list[E] "
        "of an Event subclass."
    )


@pytest.mark.parametrize("hint", [list[int], list[A | int], list], ids=str)
def test_row_052_collect_marks_lists_of_events(hint):
    def make():
        class W(Workflow):
            @step
            async def s(self, ev: Annotated[hint, Collect()]) -> StopEvent:
                return StopEvent()

    (text,) = faults(make)
    assert text == (
        "Parameter 'ev' carries a Collect marker but is not annotated as list[E] "
        "of an Event subclass."
    )


@pytest.mark.parametrize("cardinality", [3, None, "all", Take, All])
def test_row_052_cardinalities(cardinality):
    def make():
        class W(Workflow):
            @step
            async def s(self, evs: Annotated[list[A], Collect(cardinality)]) -> StopEvent:
                return StopEvent()

    assert faults(make) == ["Collect cardinality on 'evs' must be All() or Take(n)."]


@pytest.mark.parametrize("bad", [0, -1, 1.5, "2", True])
def test_row_052_take_at_least_one(bad):
    with pytest.raises(ValueError, match=r"^Take\(n\) requires an integer n >= 1$"):
        Take(bad)


def test_row_052_a_list_that_nobody_returns():
    class W(Workflow):
        @step
        async def s(self, ev: StartEvent) -> A:
            return A()

        @step
        async def j(self, evs: list[A]) -> StopEvent:
            return StopEvent()

    text = (
        "Step 'j' parameter 'evs' collects list[A], but no returned-list producer creates a "
        "stream for those event types."
    )
    assert faults(W().validate) == [text]
    assert faults(W().run) == [text]


def test_row_052_a_list_of_a_union_that_nobody_returns():
    class W(Workflow):
        @step
        async def s(self, ev: StartEvent) -> A | B:
            return A()

        @step
        async def j(self, evs: list[A | B]) -> StopEvent:
            return StopEvent()

    (text,) = faults(W().validate)
    assert text.startswith("Step 'j' parameter 'evs' collects list[A | B], but no returned-list")


def test_row_052_lists_that_are_fine():
    class W(Workflow):
        @step
        async def s(self, ev: StartEvent) -> list[A] | None:
            return [A()]

        @step
        async def j(self, evs: list[A]) -> StopEvent:
            return StopEvent()

    assert W().validate() is False
    assert Fan().validate() is False


@pytest.mark.anyio
async def test_row_052_what_is_in_a_returned_list():
    class W(Workflow):
        @step
        async def s(self, ev: StartEvent) -> list[A]:
            return [A(), "x"]

        @step
        async def j(self, evs: list[A]) -> StopEvent:
            return StopEvent()

    with pytest.raises(WorkflowRuntimeError) as caught:
        await W().run()
    assert str(caught.value).startswith(
        "Step function s returned a list containing str instead of an Event instance."
    )


@pytest.mark.anyio
async def test_row_052_a_bare_event_of_a_list():
    class W(Workflow):
        @step
        async def s(self, ev: StartEvent) -> list[A]:
            return A()

        @step
        async def j(self, evs: list[A]) -> StopEvent:
            return StopEvent()

    with pytest.raises(WorkflowRuntimeError) as caught:
        await W().run()
    assert str(caught.value).startswith(
        "Step function s returned a bare A but its return annotation only declares it inside "
        "a list."
    )


# ---------------------------------------------------------------- 53: failures


class Partly(Fan):
    @step
    async def work(self, ev: A) -> B:
        if ev.n == 2:
            raise ValueError("two")
        return B(n=ev.n)


@pytest.mark.anyio
async def test_row_053_partial_failure_of_a_fan_out_can_be_collected():
    class Flow(Partly):
        @step
        async def join(
            self, evs: Annotated[list[B | StepFailedEvent], Collect(order="input")]
        ) -> StopEvent:
            return StopEvent(result=evs)

    b0, b1, failed, b3 = await Flow().run(count=4)
    assert (b0, b1, b3) == (B(n=0), B(n=1), B(n=3))
    assert isinstance(failed, StepFailedEvent)
    assert (failed.step_name, failed.input_event, failed.attempts) == ("work", A(n=2), 1)
    assert repr(failed.exception) == "ValueError('two')"


@pytest.mark.anyio
async def test_row_053_without_it_the_run_fails():
    with pytest.raises(ValueError, match="two"):
        await Partly().run(count=4)


@pytest.mark.anyio
async def test_row_053_a_handler_comes_first():
    class Flow(Partly):
        @step
        async def join(self, evs: list[B | StepFailedEvent]) -> StopEvent:
            return StopEvent(result=evs)

        @catch_error
        async def recover(self, ev: StepFailedEvent) -> B:
            return B(n=-1)

    result = await Flow().run(count=4)
    assert sorted(b.n for b in result if isinstance(b, B)) == [-1, 0, 1, 3]


@pytest.mark.anyio
async def test_row_053_of_two_fan_ins_that_take_failures_the_first_step_gets_one():
    """First in the order of the steps, whatever the order in the annotation of the list."""

    class Two(Workflow):
        @step
        async def s(self, ev: StartEvent) -> list[A | B]:
            return [A(n=1), B(n=2)]

        @step
        async def fail(self, ev: A) -> C:
            raise ValueError("a")

        @step
        async def first(self, evs: list[C | StepFailedEvent]) -> Gathered:
            return Gathered(by="first", kinds=[type(ev) for ev in evs])

        @step
        async def second(self, evs: list[B | StepFailedEvent]) -> Gathered:
            return Gathered(by="second", kinds=[type(ev) for ev in evs])

        @step
        async def end(self, ctx: Context, ev: Gathered) -> StopEvent | None:
            both = ctx.collect_events(ev, [Gathered] * 2)
            return StopEvent(result={ev.by: ev.kinds for ev in both}) if both else None

    assert await Two().run() == {"first": [StepFailedEvent], "second": [B]}
