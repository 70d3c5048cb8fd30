"""Rows 54 to 62 and 70: `wait_for_event`, the mailbox, and a run that is idle."""

import anyio
import anyio.lowlevel
import pytest

from plait import (
    Context,
    Event,
    HumanResponseEvent,
    InputRequiredEvent,
    StartEvent,
    StopEvent,
    Workflow,
    step,
)
from plait.errors import WorkflowRuntimeError
from plait.events import WorkflowIdleEvent
from tests.parity.clocks import in_virtual_time
from tests.parity.letters import A2, A, B


class Answer(HumanResponseEvent):
    text: str
    user: str = "al"


class Question(InputRequiredEvent):
    text: str = "?"


class Asker(Workflow):
    """Asks once; says what it was told."""

    def __init__(self, *wait, **options):
        super().__init__()
        self.wait = wait or (Answer,)
        self.options = options
        self.log = []

    @step
    async def ask(self, ctx: Context, ev: StartEvent) -> StopEvent:
        self.log.append("before")
        answer = await ctx.wait_for_event(*self.wait, **self.options)
        self.log.append("after")
        return StopEvent(result=answer)


@pytest.mark.anyio
async def test_row_054_a_wait_and_its_answer():
    flow = Asker()
    async with flow.run() as run:
        await run.wait_idle()
        assert run.state == "idle"
        assert flow.log == ["before"]
        answer = Answer(text="yes")
        run.send_event(answer)
        assert await run is answer
    assert run.state == "completed"
    assert run.undelivered == ()


@pytest.mark.anyio
async def test_row_054_the_question_is_streamed_once():
    async with Asker(waiter_event=Question(text="Name?")).run() as run:
        events = []
        async for event in run.stream_events():
            events.append(event)
            if isinstance(event, Question):
                run.send_event(Answer(text="al"))
    assert events == [Question(text="Name?"), StopEvent(result=Answer(text="al"))]


@pytest.mark.anyio
async def test_row_054_requirements():
    async with Asker(requirements={"user": "bob"}).run() as run:
        await run.wait_idle()
        run.send_event(Answer(text="no", user="al"))
        await anyio.lowlevel.checkpoint()
        assert not run.is_done()
        run.send_event(Answer(text="yes", user="bob"))
        assert await run == Answer(text="yes", user="bob")
    assert run.undelivered == (Answer(text="no", user="al"),)


@pytest.mark.anyio
async def test_row_054_requirements_of_undeclared_fields():
    flow = Asker(HumanResponseEvent, requirements={"user": "bob", "items": 2})
    async with flow.run() as run:
        await run.wait_idle()
        run.send_event(HumanResponseEvent(user="bob"))
        run.send_event(HumanResponseEvent(user="bob", items=2))
        assert await run == HumanResponseEvent(user="bob", items=2)


@pytest.mark.anyio
async def test_row_054_several_requirements_must_all_hold():
    async with Asker(requirements={"user": "bob", "text": "yes"}).run() as run:
        await run.wait_idle()
        run.send_event(Answer(text="yes", user="al"))
        run.send_event(Answer(text="no", user="bob"))
        run.send_event(Answer(text="yes", user="bob"))
        assert await run == Answer(text="yes", user="bob")


@pytest.mark.anyio
async def test_row_054_a_wait_matches_exact_types_unless_its_step_routes_subclasses():
    class Narrow(Workflow):
        @step
        async def ask(self, ctx: Context, ev: StartEvent) -> StopEvent:
            return StopEvent(result=await ctx.wait_for_event(A))

    class Wide(Workflow):
        @step(accept_event_subclasses=True)
        async def ask(self, ctx: Context, ev: StartEvent) -> StopEvent:
            return StopEvent(result=await ctx.wait_for_event(A))

    async with Narrow().run() as run:
        await run.wait_idle()
        with pytest.raises(WorkflowRuntimeError, match="A2 was sent, but no step"):
            run.send_event(A2())
        run.send_event(A())
    assert await run == A()
    async with Wide().run() as run:
        await run.wait_idle()
        run.send_event(A2(n=3))
    assert await run == A2(n=3)


@pytest.mark.anyio
async def test_row_054_another_step_may_answer():
    class Flow(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> A | StopEvent:
            ctx.send_event(A())
            return StopEvent(result=await ctx.wait_for_event(B))

        @step
        async def t(self, ctx: Context, ev: A) -> None:
            for _ in range(5):
                await anyio.lowlevel.checkpoint()
            ctx.send_event(B(n=7))

    assert await Flow(skip_graph_checks=["dead_end"]).run() == B(n=7)


@pytest.mark.anyio
async def test_row_054_an_answer_still_goes_to_the_steps_that_accept_it():
    class Flow(Workflow):
        @step
        async def ask(self, ctx: Context, ev: StartEvent) -> B:
            answer = await ctx.wait_for_event(Answer)
            return B(n=len(answer.text))

        @step
        async def also(self, ev: Answer) -> A:
            return A(n=len(ev.text))

        @step
        async def end(self, a: A, b: B) -> StopEvent:
            return StopEvent(result=(a.n, b.n))

    async with Flow().run() as run:
        await run.wait_idle()
        run.send_event(Answer(text="yes"))
    assert await run == (3, 3)


@in_virtual_time
async def test_row_055_a_wait_can_time_out():
    run = Asker(timeout=0.1).run()
    with pytest.raises(TimeoutError) as caught:
        await run
    assert str(caught.value) == "Timed out waiting for Answer"
    assert anyio.current_time() == 0.1


@in_virtual_time
async def test_row_055_a_wait_that_timed_out_may_be_repeated():
    class Flow(Workflow):
        @step
        async def ask(self, ctx: Context, ev: StartEvent) -> StopEvent:
            for _ in range(3):
                try:
                    answer = await ctx.wait_for_event(Answer, timeout=1)
                except TimeoutError:
                    timeouts.append(anyio.current_time())
                else:
                    return StopEvent(result=answer.text)
            return StopEvent()

    timeouts = []
    async with Flow().run() as run:
        await anyio.sleep(2.5)
        run.send_event(Answer(text="late"))
    assert await run == "late"
    assert timeouts == [1, 2]
    assert run.waiting() == ()


@in_virtual_time
async def test_row_055_the_default_is_2000_seconds_and_none_is_for_ever():
    with pytest.raises(TimeoutError):
        await Asker().run()
    assert anyio.current_time() == 2000
    async with Asker(timeout=None).run() as run:
        await anyio.sleep(80_000)
        run.send_event(Answer(text="at last"))
    assert (await run).text == "at last"


@pytest.mark.anyio
async def test_row_056_nothing_is_replayed():
    flow = Asker(waiter_event=Question())
    run = flow.run()
    async with run:
        await run.wait_idle()
        run.send_event(Answer(text="yes"))
        await run
    assert flow.log == ["before", "after"]
    assert [type(event) for event in [e async for e in run.stream_events()]] == [
        Question,
        StopEvent,
    ]


@pytest.mark.anyio
async def test_row_057_sequential_waits_get_their_own_answers():
    class Flow(Workflow):
        @step
        async def ask(self, ctx: Context, ev: StartEvent) -> StopEvent:
            one = await ctx.wait_for_event(Answer, waiter_event=Question(text="Q1"))
            two = await ctx.wait_for_event(Answer, waiter_event=Question(text="Q2"))
            return StopEvent(result=(one.text, two.text))

    async with Flow().run() as run:
        async for event in run.stream_events():
            if isinstance(event, Question):
                run.send_event(Answer(text=event.text))
    assert await run == ("Q1", "Q2")


@pytest.mark.anyio
async def test_row_057_questions_of_one_instant_come_in_order():
    class Flow(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> A | None:
            for n in range(4):
                ctx.send_event(A(n=n))

        @step
        async def ask(self, ctx: Context, ev: A) -> B:
            answer = await ctx.wait_for_event(Answer, waiter_event=Question(text=str(ev.n)))
            got.append((ev.n, answer.text))
            return B()

        @step
        async def end(self, ctx: Context, ev: B) -> StopEvent | None:
            return ctx.collect_events(ev, [B] * 4) and StopEvent()

    got = []
    async with Flow().run() as run:
        await run.wait_idle()
        for n in range(4):
            run.send_event(Answer(text=str(n)))
    questions = [e.text async for e in run.stream_events() if isinstance(e, Question)]
    assert questions == ["0", "1", "2", "3"]
    assert sorted(got) == [(n, str(n)) for n in range(4)]


class Two(Workflow):
    """Two deliveries of one step wait."""

    def __init__(self, **options):
        super().__init__()
        self.options = options
        self.got = []

    @step
    async def s(self, ctx: Context, ev: StartEvent) -> A | None:
        ctx.send_event(A(n=0))
        ctx.send_event(A(n=1))

    @step
    async def ask(self, ctx: Context, ev: A) -> StopEvent | None:
        answer = await ctx.wait_for_event(Answer, **self.options)
        self.got.append((ev.n, answer.text))
        return StopEvent() if len(self.got) == 2 else None


@pytest.mark.anyio
async def test_row_058_one_answer_one_wait():
    flow = Two()
    async with flow.run() as run:
        await run.wait_idle()
        assert [(w.step, w.kind) for w in run.waiting()] == [("ask", "wait")] * 2
        run.send_event(Answer(text="one"))
        await run.wait_idle()
        assert flow.got == [(0, "one")]
        (waiting,) = run.waiting()
        assert (waiting.have, waiting.need) == ({"Answer": 0}, {"Answer": 1})
        run.send_event(Answer(text="two"))
    assert flow.got == [(0, "one"), (1, "two")]


@pytest.mark.anyio
async def test_row_058_broadcast_resolves_both():
    flow = Two(broadcast=True)
    async with flow.run() as run:
        await run.wait_idle()
        run.send_event(Answer(text="all"))
        await run
    assert sorted(flow.got) == [(0, "all"), (1, "all")]
    assert run.waiting() == ()


@pytest.mark.anyio
async def test_row_058_two_answers_in_one_instant_resolve_both():
    flow = Two()
    async with flow.run() as run:
        await run.wait_idle()
        run.send_event(Answer(text="one"))
        run.send_event(Answer(text="two"))
    assert sorted(flow.got) == [(0, "one"), (1, "two")]


@pytest.mark.anyio
async def test_row_059_an_early_answer_is_kept():
    class Flow(Asker):
        @step
        async def ask(self, ctx: Context, ev: StartEvent) -> StopEvent:
            began.set()
            await go.wait()
            return await super().ask(ctx, ev)

    began, go = anyio.Event(), anyio.Event()
    async with Flow().run() as run:
        await began.wait()
        run.send_event(Answer(text="early"))
        assert run.undelivered == (Answer(text="early"),)
        go.set()
        assert await run == Answer(text="early")
    assert run.undelivered == ()


@pytest.mark.anyio
async def test_row_059_the_mailbox_is_searched_oldest_first_and_by_requirements():
    class Flow(Workflow):
        @step
        async def ask(self, ctx: Context, ev: StartEvent) -> StopEvent:
            await go.wait()
            bob = await ctx.wait_for_event(Answer, requirements={"user": "bob"})
            al = await ctx.wait_for_event(Answer)
            return StopEvent(result=(bob.text, al.text))

    go = anyio.Event()
    async with Flow().run() as run:
        await anyio.lowlevel.checkpoint()
        for text, user in (("1", "al"), ("2", "bob"), ("3", "bob"), ("4", "al")):
            run.send_event(Answer(text=text, user=user))
        go.set()
        assert await run == ("2", "1")
    assert [event.text for event in run.undelivered] == ["3", "4"]


@pytest.mark.anyio
async def test_row_059_a_step_may_answer_itself():
    class Flow(Asker):
        @step
        async def ask(self, ctx: Context, ev: StartEvent) -> StopEvent:
            ctx.send_event(Answer(text="mine"))
            return await super().ask(ctx, ev)

    assert await Flow().run() == Answer(text="mine")


@pytest.mark.anyio
async def test_row_059_other_events_are_kept_once_their_type_was_waited_for():
    class Flow(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
            try:
                ctx.send_event(B(n=0))
            except WorkflowRuntimeError:
                refused.append(0)
            ctx.send_event(Answer(text="go"))
            await ctx.wait_for_event(Answer)
            await go.wait()
            one = await ctx.wait_for_event(B)
            ctx.send_event(B(n=2))
            two = await ctx.wait_for_event(B)
            return StopEvent(result=(one.n, two.n))

    refused, go = [], anyio.Event()
    async with Flow().run() as run:
        go.set()
        await run.wait_idle()
        run.send_event(B(n=1))
        assert await run == (1, 2)
    assert refused == [0]


@pytest.mark.anyio
async def test_row_060_except_exception_around_a_wait_is_harmless():
    class Flow(Workflow):
        @step
        async def ask(self, ctx: Context, ev: StartEvent) -> StopEvent:
            try:
                answer = await ctx.wait_for_event(Answer)
            except Exception:  # noqa: BLE001 - this is the point
                return StopEvent(result="swallowed")
            return StopEvent(result=answer.text)

    async with Flow().run() as run:
        await run.wait_idle()
        run.send_event(Answer(text="ok"))
    assert await run == "ok"


class Ending(Workflow):
    """One step waits; another ends the run."""

    def __init__(self, how):
        super().__init__(disable_validation=True)
        self.how = how
        self.log = []

    @step
    async def s(self, ctx: Context, ev: StartEvent) -> A | None:
        ctx.send_event(A())
        try:
            answer = await ctx.wait_for_event(Answer)
        except anyio.get_cancelled_exc_class():
            self.log.append("cancelled")
            raise
        self.log.append(f"got {answer!r}")

    @step
    async def t(self, ev: A) -> StopEvent | None:
        for _ in range(10):
            await anyio.lowlevel.checkpoint()
        if self.how == "failure":
            raise ValueError("t")
        return StopEvent(result="t") if self.how == "stop" else None


@pytest.mark.anyio
@pytest.mark.parametrize("how", ["stop", "failure", "cancel", "block", "scope"])
async def test_row_060_the_end_of_the_run_reaches_a_wait_as_cancelled(how):
    flow = Ending(how)
    run = flow.run()
    if how == "stop":
        assert await run == "t"
    elif how == "failure":
        with pytest.raises(ValueError, match="t"):
            await run
    elif how == "cancel":
        async with run:
            await run.wait_idle()
            run.cancel()
    elif how == "block":
        with pytest.raises(KeyError):
            async with run:
                await run.wait_idle()
                raise KeyError
    else:
        with anyio.CancelScope() as scope:
            async with run:
                await run.wait_idle()
                scope.cancel()
                await anyio.sleep_forever()
    assert flow.log == ["cancelled"]


@in_virtual_time
async def test_row_060_the_timeout_of_the_run_reaches_a_wait_as_cancelled():
    flow = Ending("")
    with anyio.move_on_after(3) as scope:
        await flow.run()
    assert scope.cancelled_caught
    assert flow.log == ["cancelled"]
    assert anyio.current_time() == 3


class Number(HumanResponseEvent):
    n: int


@pytest.mark.anyio
async def test_row_061_a_waiting_step_holds_no_slot():
    class Flow(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> A | None:
            for n in range(1, 4):
                ctx.send_event(A(n=n))

        @step(num_workers=1)
        async def ask(self, ctx: Context, ev: A) -> B:
            entered.append(ev.n)
            answer = await ctx.wait_for_event(Number, requirements={"n": ev.n})
            return B(n=answer.n)

        @step(num_workers=1)
        async def end(self, ctx: Context, ev: B) -> StopEvent | None:
            batch = ctx.collect_events(ev, [B] * 3)
            return batch and StopEvent(result=[b.n for b in batch])

    entered = []
    async with Flow().run() as run:
        await run.wait_idle()
        assert entered == [1, 2, 3]
        assert run.running_steps() == []
        for n in (3, 1, 2):
            run.send_event(Number(n=n))
            await run.wait_idle()
        assert await run == [3, 1, 2]
    assert entered == [1, 2, 3]


@pytest.mark.anyio
async def test_row_061_a_resolved_wait_goes_before_queued_deliveries():
    class Flow(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> A | None:
            for n in range(3):
                ctx.send_event(A(n=n))

        @step(num_workers=1)
        async def t(self, ctx: Context, ev: A) -> StopEvent | None:
            log.append(f"begin {ev.n}")
            if ev.n == 0:
                await ctx.wait_for_event(Answer)
            if ev.n == 1:
                ctx.send_event(Answer(text="x"))
                await anyio.lowlevel.checkpoint()
            log.append(f"end {ev.n}")
            return StopEvent() if ev.n == 2 else None

    log = []
    await Flow().run()
    assert log == ["begin 0", "begin 1", "end 1", "end 0", "begin 2", "end 2"]


@pytest.mark.anyio
async def test_row_061_in_a_plain_step_a_wait_raises():
    class Flow(Workflow):
        @step
        def ask(self, ctx: Context, ev: StartEvent) -> StopEvent:
            ctx.wait_for_event(Answer).send(None)
            return StopEvent()

    with pytest.raises(WorkflowRuntimeError) as caught:
        await Flow().run()
    assert str(caught.value).startswith(
        "Step 'ask' is a plain function; wait_for_event needs async def."
    )


@pytest.mark.anyio
async def test_row_062_question_and_answer_in_two_steps():
    class Flow(Workflow):
        @step
        async def ask(self, ev: StartEvent) -> InputRequiredEvent:
            return InputRequiredEvent(prefix="Name?")

        @step
        async def answer(self, ev: HumanResponseEvent) -> StopEvent:
            return StopEvent(result=ev.response)

    assert Flow().validate() is True
    async with Flow().run() as run:
        events = []
        async for event in run.stream_events():
            events.append(event)
            if isinstance(event, InputRequiredEvent):
                assert event.prefix == "Name?"
                run.send_event(HumanResponseEvent(response="al"))
    assert events == [InputRequiredEvent(prefix="Name?"), StopEvent(result="al")]
    assert await run == "al"


@pytest.mark.anyio
async def test_row_070_idleness_is_notified():
    async with Asker(waiter_id="q1").run() as run:
        explanations = []
        async for event in run.stream_events(expose_internal=True):
            if isinstance(event, WorkflowIdleEvent):
                explanations.append(event.explanation)
                assert run.state == "idle"
                assert run.explain().startswith(
                    "Workflow 'Asker' is idle: it waits for an event from outside.\n"
                    "  step 'ask': wait_for_event(Answer, waiter 'q1') since "
                )
                run.send_event(Answer(text="yes"))
        assert len(explanations) == 1
        assert explanations[0].startswith(
            "Workflow 'Asker' is idle: it waits for an event from outside.\n"
            "  step 'ask': wait_for_event(Answer, waiter 'q1') since "
        )


@in_virtual_time
async def test_row_070_an_idle_run_says_for_how_long():
    async with Asker().run() as run:
        await anyio.sleep(12.5)
        (waiting,) = run.waiting()
        assert run.explain() == (
            "Workflow 'Asker' is idle: it waits for an event from outside.\n"
            f"  step 'ask': wait_for_event(Answer, waiter {waiting.waiter_id!r}) since 12.5 s"
        )
        name, number, ordinal = waiting.waiter_id.split(":")
        assert name == "ask"
        assert number.isdigit()
        assert ordinal.isdigit()
        run.send_event(Answer(text=""))


@pytest.mark.anyio
async def test_row_070_a_step_that_takes_answers_makes_a_run_idle_and_not_stalled():
    class Flow(Workflow):
        @step
        async def s(self, ev: StartEvent) -> None:
            pass

        @step
        async def end(self, ev: Answer) -> StopEvent:
            return StopEvent(result=ev.text)

    async with Flow(skip_graph_checks=["dead_end"]).run() as run:
        await run.wait_idle()
        assert run.state == "idle"
        run.send_event(Answer(text="ok"))
        await run.wait_idle()
        assert run.is_done()
    assert await run == "ok"


@pytest.mark.anyio
async def test_row_070_a_stray_event_is_not_silent():
    async with Asker().run() as run:
        await run.wait_idle()
        with pytest.raises(WorkflowRuntimeError) as caught:
            run.send_event(A())
        assert str(caught.value).startswith(
            "A was sent, but no step of workflow 'Asker' accepts it."
        )
        assert run.state == "idle"
        run.send_event(Answer(text="yes"))
        assert await run == Answer(text="yes")


@pytest.mark.anyio
async def test_row_070_an_answer_that_nobody_took_is_explained():
    class Other(HumanResponseEvent):
        pass

    async with Asker().run() as run:
        await run.wait_idle()
        run.send_event(Other())
        run.send_event(Other())
        assert "  mailbox: Other x 2" in run.explain().splitlines()
        assert run.undelivered == (Other(), Other())
        run.send_event(Answer(text="yes"))
    assert run.undelivered == (Other(), Other())


@pytest.mark.anyio
async def test_row_070_observable_events_need_no_receiver():
    class Progress(Event, observable=True):
        n: int

    class Flow(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
            ctx.send_event(Progress(n=1))
            return StopEvent()

    run = Flow().run()
    await run
    assert [event async for event in run.stream_events()] == [Progress(n=1), StopEvent()]
