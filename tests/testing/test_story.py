"""A `Story` has who did what, how often, when and because of whom, and shows itself when a test fails."""

from contextlib import suppress

import anyio
import anyio.lowlevel
import pytest
import trio

import plait.testing
from plait import Context, Event, StartEvent, StopEvent, Workflow, catch_error, step
from plait.errors import WorkflowRuntimeError, WorkflowStepDoesNotExistError
from plait.events import StepFailedEvent
from plait.lowlevel import RunStarted
from plait.retry import retry_policy, stop_after_attempt, wait_fixed
from plait.testing import Delivery, Story
from tests.testing.prices import Cheapest, Price, Shop, same


def story_of(flow, **fields):
    """Run to the end, whatever that is, and keep the story."""

    async def main():
        run = flow.run(**fields)
        story = Story(run)
        with suppress(ExpectedError):
            await run
        return story

    return plait.testing.run(main)


class ExpectedError(Exception):
    pass


def test_steps_in_their_order():
    story = story_of(Cheapest(), shops=["aaa", "bb", "c"])
    assert story.steps == ("start", "ask", "ask", "ask", "choose")
    assert [str(delivery) for delivery in story.deliveries] == [
        "start#1",
        "ask#2",
        "ask#3",
        "ask#4",
        "choose#8",
    ]


def test_what_a_step_was_given_and_gave():
    story = story_of(Cheapest(), shops=["aaa", "bb", "c"])
    assert [delivery.event for delivery in story.of("ask")] == [
        Shop(name="aaa"),
        Shop(name="bb"),
        Shop(name="c"),
    ]
    (start,), (choose,) = story.of("start"), story.of("choose")
    assert start.sent == (Shop(name="aaa"), Shop(name="bb"), Shop(name="c"))
    assert story.of("ask")[1].sent == (Price(name="bb", value=2),)
    assert choose.event == [Price(name=name, value=len(name)) for name in ("aaa", "bb", "c")]
    assert isinstance(choose.event, list)
    assert choose.sent == (StopEvent(result="c"),)


def test_times_are_those_since_the_start():
    async def main():
        await trio.sleep(1000)
        run = Cheapest().run(shops=["aaa", "bb", "c"])
        story = Story(run)
        await run
        return story

    story = plait.testing.run(main)
    assert [(d.began, d.ended) for d in story.of("ask")] == [(0, 3), (0, 2), (2, 3)]
    assert all(delivery.outcome == "returned" for delivery in story.deliveries)


def test_who_caused_whom():
    story = story_of(Cheapest(), shops=["a", "b"])
    (start,), (choose,) = story.of("start"), story.of("choose")
    assert start.cause is None
    assert [delivery.cause for delivery in story.of("ask")] == [start, start]
    assert choose.cause == start, "who returned the list"


def test_retries():
    async def fails_twice(name):
        if trio.current_time() < 100:
            raise ConnectionError(name)
        return 1

    story = story_of(Cheapest(fails_twice), shops=["a"])
    (ask,) = story.of("ask")
    assert ask.attempts == (0, 60, 120)
    assert [type(error) for error in ask.errors] == [ConnectionError, ConnectionError]
    assert (ask.ended, ask.outcome) == (120, "returned")
    assert story.steps.count("ask") == 3


def test_what_fails_for_good():
    async def fails(name):
        raise ExpectedError(name)

    class Once(Cheapest):
        ask = step(retry_policy=retry_policy(wait=wait_fixed(1), stop=stop_after_attempt(2)))(
            Cheapest.ask
        )

    (ask,) = story_of(Once(fails), shops=["a"]).of("ask")
    assert ask.outcome == "failed"
    assert [str(error) for error in ask.errors] == ["a", "a"]
    assert ask.sent == ()


def test_what_a_handler_takes():
    class Handled(Workflow):
        @step
        async def work(self, ev: StartEvent) -> StopEvent:
            raise ExpectedError

        @catch_error()
        async def handle(self, ctx: Context, ev: StepFailedEvent) -> StopEvent:
            return StopEvent(result=1)

    work, handle = story_of(Handled()).deliveries
    assert (work.outcome, work.ended) == ("failed", 0)
    assert handle.cause == work
    assert isinstance(handle.event, StepFailedEvent)


def test_batches_and_joins():
    class Left(Event):
        n: int

    class Right(Event):
        n: int

    class Meets(Workflow):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> Left | Right | None:
            for n in range(2):
                ctx.send_event(Left(n=n))
                ctx.send_event(Right(n=n))

        @step
        async def join(self, left: Left, right: Right) -> Price:
            return Price(name="x", value=left.n + right.n)

        @step
        async def end(self, ctx: Context, ev: Price) -> StopEvent | None:
            batch = ctx.collect_events(ev, [Price] * 2)
            return batch and StopEvent()

    story = story_of(Meets())
    assert [delivery.event for delivery in story.of("join")] == [
        (Left(n=0), Right(n=0)),
        (Left(n=1), Right(n=1)),
    ]
    first, second = story.of("end")
    assert first.collected == ()
    assert second.collected == ((Price(name="x", value=0), Price(name="x", value=2)),)


def test_what_is_cancelled_and_what_goes_on():
    async def main():
        run = Cheapest(same).run(shops=["a"])
        story = Story(run)
        async with run:
            await trio.sleep(0.5)
            (ask,) = story.of("ask")
            assert (ask.ended, ask.outcome) == (None, None)
            run.cancel()
        (ask,) = story.of("ask")
        assert (ask.ended, ask.outcome) == (0.5, "cancelled")

    plait.testing.run(main)


def test_an_unknown_step_is_an_error():
    story = story_of(Cheapest(), shops=["a"])
    with pytest.raises(
        WorkflowStepDoesNotExistError, match=r"aks does not exist\. Did you mean ask"
    ):
        story.of("aks")


def test_it_shows_what_happened():
    async def main():
        run = Cheapest().run(shops=["a"], run_id="mine")
        trace, story = run.trace(), Story(run)
        assert story.deliveries == ()
        await run
        assert str(story) == str(trace)
        assert story.records == trace.records
        assert isinstance(story.records[0], RunStarted)
        return story

    story = plait.testing.run(main)
    assert repr(story).startswith("<Story of run mine of 'Cheapest'\n    0.000 s  outside sends")
    assert [repr(delivery) for delivery in story.of("ask")] == [
        "<ask#2 of Shop(name='a'): began at 0.000, returned at 1.000, sent Price(name='a', value=1)>"
    ]


def test_a_failed_delivery_shows_its_errors():
    async def fails_once(name):
        if trio.current_time() < 1:
            raise ConnectionError(name)
        await trio.sleep_forever()

    async def main():
        run = Cheapest(fails_once).run(shops=["a"])
        story = Story(run)
        with trio.move_on_after(61):
            await run
        return story

    (ask,) = plait.testing.run(main).of("ask")
    assert repr(ask) == (
        "<ask#2 of Shop(name='a'): began at 0.000, 60.000, cancelled at 61.000, "
        "raised ConnectionError('a')>"
    )


def test_deliveries_are_known_by_their_numbers():
    story = story_of(Cheapest(), shops=["a", "a"])
    one, other = story.of("ask")
    assert one.event == other.event
    assert one != other
    assert len({one, other, *story.of("ask")}) == 2
    assert isinstance(one, Delivery)
    assert Delivery.__module__ == Story.__module__ == "plait.testing"


def test_a_long_chain_can_be_compared_and_shown():
    class Next(Event):
        n: int

    class Chain(Workflow):
        @step
        async def go(self, ev: StartEvent | Next) -> Next | StopEvent:
            n = ev.n + 1
            return StopEvent() if n == 3000 else Next(n=n)

    story = story_of(Chain(), n=0)
    *_, last = story.deliveries
    assert last == story.deliveries[-1]
    assert "go#3000" in repr(last)


def test_only_a_run_that_has_not_begun_has_one():
    with pytest.raises(TypeError, match="takes a run, not") as caught:
        Story(Cheapest())
    assert "story = Story(run)" in str(caught.value)

    async def main():
        run = Cheapest(same).run(shops=["a"])
        await run
        with pytest.raises(WorkflowRuntimeError, match="has already been started"):
            Story(run)

    plait.testing.run(main)


@pytest.mark.anyio
async def test_it_is_kept_on_any_backend():
    class Short(Cheapest):
        @step
        async def ask(self, ev: Shop) -> Price:
            await anyio.lowlevel.checkpoint()
            return Price(name=ev.name, value=1)

    run = Short().run(shops=["a", "b"])
    story = Story(run)
    await run
    assert story.steps == ("start", "ask", "ask", "choose")
    assert [delivery.outcome for delivery in story.deliveries] == ["returned"] * 4
