"""`check_workflow` passes what is right, names each fault of what is wrong, and says how to see it again."""

import asyncio
import re
import time

import pytest
import trio
import trio._core._run as scheduler
from hypothesis import given
from hypothesis import strategies as st

import plait.testing
from plait import (
    Context,
    HumanResponseEvent,
    InputRequiredEvent,
    StartEvent,
    StopEvent,
    Workflow,
    step,
)
from plait._engine.attempt import Attempt
from plait.errors import WorkflowCancelledByUser
from plait.testing import check_workflow, explore_schedules
from plait.testing._check import _Order, _read
from tests.house.test_import import python
from tests.testing.prices import (
    Books,
    Cheapest,
    CleansForEver,
    Closes,
    FirstWins,
    LeavesOpen,
    LosesOne,
    MissesOne,
    Price,
    Shop,
    StopsHalfway,
    same,
)

#: Where a few are enough.
FEW = {"examples": 5, "cancellations": 5}
SHOPS = ["aaa", "bb", "c"]


def failure(make, **options):
    """The text with which it fails."""
    with pytest.raises(AssertionError) as caught:
        check_workflow(make, **options)
    assert str(caught.value).startswith("check_workflow(): ")
    return str(caught.value)


def head(make, **options):
    return failure(make, **options).splitlines()[0].removeprefix("check_workflow(): ")


# ------------------------------------------------------------ what is right


def test_what_is_right_passes_and_its_result_is_returned():
    assert check_workflow(lambda: Cheapest().run(shops=SHOPS)) == "c"


def test_every_step_is_a_place_to_be_cancelled():
    """A run, and another after each that was cut; and one for each schedule."""
    made = []

    def make():
        made.append(Cheapest(same).run(shops=["a", "b"]))
        return made[-1]

    check_workflow(make, examples=1, cancellations=1000)
    states = [run.state for run in made]
    cut = states[1::2]
    assert set(states[::2]) == {"completed"}
    assert len(cut) > 15
    assert cut.count("cancelled") > 7
    assert cut[-1] == "completed", "the last steps are after its end"


def test_it_does_as_many_as_it_is_asked_for():
    made = []

    def make():
        made.append(Cheapest(same).run(shops=["a", "b"]))
        return made[-1]

    check_workflow(make, examples=7, cancellations=0)
    assert len(made) == 7
    made.clear()
    check_workflow(make, examples=1, cancellations=4)
    assert len(made) == 1 + 2 * 4


def test_the_same_workflow_may_run_again_and_again():
    flow = Cheapest()
    assert check_workflow(lambda: flow.run(shops=SHOPS), **FEW) == "c"


def test_time_is_virtual():
    async def slow(name):
        await trio.sleep(3600)
        return 1

    began = time.monotonic()
    check_workflow(lambda: Cheapest(slow).run(shops=["a"]), examples=5, cancellations=5)
    assert time.monotonic() - began < 60


def test_a_retry_is_no_second_run_of_a_body():
    def make():
        failed = []

        async def fails_once(name):
            if name not in failed:
                failed.append(name)
                raise ConnectionError
            return 1

        return Cheapest(fails_once).run(shops=["a", "b"])

    assert check_workflow(make, examples=20, cancellations=10) == "a"


def test_the_name_of_the_run_is_always_the_same():
    class Named(Workflow):
        @step
        async def only(self, ctx: Context, ev: StartEvent) -> StopEvent:
            return StopEvent(result=ctx.run_id)

    assert check_workflow(lambda: Named().run(), **FEW) == "check_workflow"
    assert check_workflow(lambda: Named().run(run_id="mine"), **FEW) == "mine"


def test_a_workflow_that_asks_is_driven_from_outside():
    class Asks(Workflow):
        @step
        async def ask(self, ctx: Context, ev: StartEvent) -> StopEvent:
            answer = await ctx.wait_for_event(
                HumanResponseEvent, waiter_event=InputRequiredEvent(prefix="?")
            )
            return StopEvent(result=answer.response)

    async def answer(run):
        async for event in run.stream_events():
            if isinstance(event, InputRequiredEvent):
                run.send_event(HumanResponseEvent(response="yes"))
        await trio.sleep_forever()  # it is cancelled when the run has ended

    assert check_workflow(lambda: Asks().run(), drive=answer, **FEW) == "yes"
    assert "TimeoutError: Timed out waiting for HumanResponse" in failure(lambda: Asks().run())
    text = failure(lambda: Asks().run(), timeout=100)
    assert "the run does not end" in text
    assert "wait_for_event" in text

    async def wrong(run):
        raise ZeroDivisionError

    assert head(lambda: Asks().run(), drive=wrong) == "drive() fails"


def test_plain_steps_run_in_their_threads():
    class Threaded(Workflow):
        @step
        async def start(self, ev: StartEvent) -> list[Shop]:
            return [Shop(name="a"), Shop(name="b")]

        @step
        def work(self, ev: Shop) -> Price:
            time.sleep(0.002)  # the thread shall really take time, while the clock jumps
            return Price(name=ev.name, value=1)

        @step
        async def end(self, evs: list[Price]) -> StopEvent:
            return StopEvent(result=sorted(price.name for price in evs))

    check_workflow(lambda: Threaded().run(), examples=5, cancellations=5, timeout=1)


def test_it_works_within_an_explored_test():
    @explore_schedules(examples=2)
    def test():
        assert check_workflow(lambda: Cheapest(same).run(shops=["a"]), examples=2) == "a"

    test()


def test_it_does_not_need_hypothesis():
    told = python(
        "import sys; sys.modules['hypothesis'] = None\n"
        "from plait import Workflow, StartEvent, StopEvent, step\n"
        "import plait.testing\n"
        "class Flow(Workflow):\n"
        "    @step\n"
        "    async def only(self, ev: StartEvent) -> StopEvent:\n"
        "        return StopEvent(result=1)\n"
        "print(plait.testing.check_workflow(lambda: Flow().run()))\n"
    )
    assert told.strip() == "1"


# ------------------------------------------------------------ what is wrong


def test_a_result_that_depends_on_the_order():
    text = failure(lambda: FirstWins(same).run(shops=["a", "b"]))
    assert "the result is not always the same\n  here:               'b'\n" in text
    assert "  in the plain order: 'a'" in text
    assert "Out of order:\n  ask#3, ask#2 (plain order: ask#2, ask#3)\n\n" in text, "one turn"
    assert "    1.000 s  ask#3 ends, returns Price to choose\n    1.000 s  ask#2 ends" in text


def test_a_result_without_equality_is_told_of():
    class Flow(Cheapest):
        @step
        async def choose(self, evs: list[Price]) -> StopEvent:
            return StopEvent(result=Books())

    text = failure(lambda: Flow(same).run(shops=["a", "b"]))
    assert "Books has no __eq__. Use check_result=..." in text
    check_workflow(
        lambda: Flow(same).run(shops=["a", "b"]),
        check_result=lambda books: books.open == 0,
        examples=5,
        cancellations=5,
    )


@pytest.mark.parametrize("raises", [False, True])
def test_a_result_that_the_user_does_not_want(raises):
    def check(result):
        if raises:
            assert result == "a", f"who is {result}?"
        return result == "a"

    text = failure(lambda: FirstWins(same).run(shops=["a", "b"]), check_result=check)
    assert "check_result() fails\n  of 'b': AssertionError: " in text
    assert ("who is b?" in text) == raises
    assert ("it returned False" in text) != raises
    assert "ask#3, ask#2" in text


def test_a_fan_in_that_misses_one():
    text = failure(lambda: MissesOne(same).run(shops=["a", "b", "c"]))
    assert "the run ends with things unfinished\n  ask#4 was cancelled by the stop event" in text
    assert "allow_unfinished=True" in text
    assert (
        check_workflow(
            lambda: MissesOne().run(shops=["a", "bb", "ccc"]), allow_unfinished=True, examples=9
        )
        == "a"
    )


def test_an_event_that_is_lost():
    text = failure(lambda: LosesOne(same).run(shops=["a", "b", "c"]))
    assert "the run ends with things unfinished" in text
    assert "Price(name='c', value=5) reached no body, or no whole batch" in text
    assert check_workflow(
        lambda: LosesOne(same).run(shops=["a", "b", "c"]),
        allow_unfinished=True,
        examples=10,
        cancellations=10,
    )


def test_a_clean_up_that_is_cut_short():
    text = failure(lambda: LeavesOpen(Books()).run(shops=SHOPS), examples=5)
    assert "a clean-up is cut short\n  ask#2 in LeavesOpen.ask() at " in text
    assert "cancelled in `await trio.sleep(0.1)`, and `self.books.open -= 1` was never done" in text
    assert "with trio.CancelScope(shield=True): ..." in text
    assert re.search(r"Cancelled at step \d+ of \d+ of the scheduler", text)


def test_what_is_left_open():
    books = Books()
    check_workflow(lambda: Closes(books).run(shops=SHOPS), check_after=lambda: books.open == 0)


def test_state_that_is_left_halfway():
    books = Books()

    def check():
        assert books.paid == books.got, f"paid for {books.paid}, got {books.got}"

    text = failure(lambda: StopsHalfway(books).run(shops=SHOPS), check_after=check, examples=5)
    assert "check_after() fails\n  AssertionError: paid for" in text
    assert "Cancelled at step" in text


def test_a_clean_up_that_does_not_end():
    text = failure(lambda: CleansForEver(Books()).run(shops=SHOPS), timeout=100)
    assert "a clean-up does not end\n" in text
    assert "Cancelled, it has not ended after 100 virtual seconds." in text
    assert "  ask#2 waits in CleansForEver.ask() at " in text


def test_a_run_that_waits_for_ever():
    async def never(name):
        await trio.sleep_forever()

    text = failure(lambda: Cheapest(never).run(shops=["a"]), timeout=10)
    assert "the run does not end\n  It has not ended after 10 virtual seconds.\n" in text
    assert "    step 'ask': 1 running" in text
    assert "  ask#2 waits in test_a_run_that_waits_for_ever.<locals>.never() at " in text


def test_a_run_that_goes_round_and_round(monkeypatch):
    async def polls(name):
        while True:
            await trio.lowlevel.checkpoint()

    monkeypatch.setattr("plait.testing._trial.MOST_STEPS", 1000)
    text = failure(lambda: Cheapest(polls).run(shops=["a"]))
    assert "It has not ended after 1,000 steps of the scheduler, at 0 s." in text
    assert "polls() at " in text


def test_a_run_that_fails_says_so_and_is_the_cause():
    async def fails(name):
        if name == "b":
            raise ZeroDivisionError("by b")
        return 1

    with pytest.raises(AssertionError) as caught:
        check_workflow(
            lambda: LeavesOpen(Books(), fails).run(shops=["a", "b"]), cancellations=0, examples=3
        )
    assert "the run fails\n  ZeroDivisionError: by b\n  in step 'ask'" in str(caught.value)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_a_clean_up_that_fails():
    class Fails(LeavesOpen):
        @step
        async def ask(self, ev: Shop) -> Price:
            try:
                return Price(name=ev.name, value=await self.fetch(ev.name))
            except trio.Cancelled as cancelled:
                raise KeyError("gone") from cancelled

    text = failure(lambda: Fails(Books()).run(shops=["a"]), examples=5)
    assert "the run fails when it is cancelled\n  KeyError: 'gone'" in text


def test_a_workflow_that_stalls():
    class Stalls(Cheapest):
        @step
        async def choose(self, ctx: Context, ev: Price) -> StopEvent | None:
            return ctx.collect_events(ev, [Price] * 3) and StopEvent()

    text = failure(lambda: Stalls().run(shops=["a", "b"]))
    assert "the run fails\n  WorkflowStalledError: " in text
    assert "collect_events(buffer 'default') has Price 2/3" in text


def test_a_run_that_does_harm_to_the_next():
    lock = trio.Semaphore(1)

    async def forgets(name):
        await lock.acquire()
        await trio.sleep(1)
        lock.release()
        return 1

    text = failure(lambda: Cheapest(forgets).run(shops=["a"]), timeout=10, examples=5)
    assert "after a cancelled run, the run does not end" in text
    assert "Cancelled at step" in text


def test_a_failure_that_a_retry_would_have_mended_is_none():
    """The cancellation comes first, so there is no retry: the failure comes out, and is fair."""

    def make():
        failed = []

        async def fails_once(name):
            if name not in failed:
                failed.append(name)
                raise ConnectionError
            return 1

        return Cheapest(fails_once).run(shops=["a"])

    assert check_workflow(make, examples=1) == "a"


def test_a_token_that_is_kept():
    shared = trio.CapacityLimiter(5)

    class Keeps(Workflow):
        @step(limiter=shared)
        async def only(self, ev: StartEvent) -> StopEvent:
            shared.acquire_on_behalf_of_nowait(object())
            return StopEvent()

    assert head(lambda: Keeps().run()) == "tokens of a shared limiter are not given back"


def test_a_task_that_is_left_over(monkeypatch):
    """No workflow can do it: so plait is made to look as if it did."""
    trees = iter(["main", "main\n  worker"])
    monkeypatch.setattr("plait.testing._trial.task_tree", lambda: next(trees))
    text = failure(lambda: Cheapest(same).run(shops=["a"]))
    assert "tasks are left over\n  main\n    worker\n" in text


def test_a_broken_promise_of_plait(monkeypatch):
    monkeypatch.setattr("plait.testing._trial.broken", lambda *_: ["it is gone", "so is that"])
    text = failure(lambda: Cheapest(same).run(shops=["a"]))
    assert "a promise of plait's own is broken. Please report it\n  it is gone\n  so is" in text


def test_a_batch_in_another_order(monkeypatch):
    """What the bodies are really told is looked at, not what the kernel says it has told them."""
    collect = Attempt.collect

    def reversing(*args):
        batch = collect(*args)
        return batch and batch[::-1]

    monkeypatch.setattr(Attempt, "collect", reversing)
    text = failure(lambda: MissesOne(same).run(shops=["a", "b"]))
    assert "a promise of plait's own is broken" in text
    assert "choose#5: collect_events() gave [Price(name='b', value=5), Price(name='a'" in text


def test_several_failures_at_once():
    async def fails(name):
        await trio.sleep(1)
        raise ZeroDivisionError(name)

    class Both(LeavesOpen):
        @step
        async def ask(self, ev: Shop) -> Price:
            return Price(name=ev.name, value=await self.fetch(ev.name))

    with pytest.raises(AssertionError) as caught:
        check_workflow(lambda: Both(Books(), fails).run(shops=["a", "b"]), **FEW)
    assert isinstance(caught.value.__cause__, ZeroDivisionError | ExceptionGroup)


# ------------------------------------------------------------ again


def case_of(text):
    return re.search(r"To run only this: replay='(.*)'$", text)[1]


def counted(make):
    def counting():
        counting.made += 1
        return make()

    counting.made = 0
    return counting


@pytest.mark.parametrize(
    "make",
    [
        lambda: FirstWins(same).run(shops=["a", "b"]),
        lambda: LeavesOpen(Books()).run(shops=SHOPS),
        lambda: LosesOne(same).run(shops=["a", "b", "c"]),
    ],
    ids=["out of order", "cancelled", "plain"],
)
def test_a_failure_can_be_run_alone(make):
    text = failure(make, examples=40)
    make = counted(make)
    assert failure(make, replay=case_of(text)) == text
    assert make.made <= 2


def test_the_same_call_gives_the_same_failure():
    texts = {failure(lambda: FirstWins(same).run(shops=["a", "b", "c"])) for _ in range(2)}
    assert len(texts) == 1


def test_another_seed_explores_others():
    def orders(seed):
        """In which orders the answers come, one for each schedule."""
        seen = []

        def make():
            seen.append([])

            async def ask(name):
                await trio.sleep(1)
                seen[-1].append(name)
                return 1

            return Cheapest(ask).run(shops=["a", "b"])

        check_workflow(make, seed=seed, examples=40, cancellations=0)
        return ["".join(order) for order in seen]

    assert orders(0) == orders(0) != orders(1)
    assert set(orders(0)) == {"ab", "ba"}


@given(
    st.binary(min_size=1, max_size=40), st.integers(0, 2**32 - 1), st.none() | st.integers(1, 10**6)
)
def test_what_is_written_down_is_read_again(decisions, later, cut):
    order = _Order(decisions, later)
    text = str(order) if cut is None else f"{order} cancel:{cut}"
    read, cut_read = _read(text)
    assert (read.later, cut_read) == (later, cut)
    if later:
        assert read.decisions == decisions
    else:
        assert read.decisions.rstrip(b"\0") == decisions.rstrip(b"\0")


@pytest.mark.parametrize("seed", range(4))
def test_one_turn_is_left_out_of_order(seed):
    """Whatever the schedule was that it was found under."""
    text = failure(lambda: FirstWins(same).run(shops=[*"abcd"]), seed=seed)
    assert re.fullmatch(r"\d+:\d+", case_of(text))
    assert "Out of order:\n  ask#3, ask#2 (plain order: ask#2, ask#3)\n\n" in text


def test_turns_beyond_those_of_the_plain_order_replay_too():
    assert (
        check_workflow(lambda: Cheapest(same).run(shops=["a", "b"]), replay="2:7 3+:99 cancel:4")
        == "a"
    )


def test_what_fails_ever_after_is_not_made_simpler():
    """A fake that keeps something breaks the plain order as well, once it is broken."""
    answers = []

    async def keeps(name):
        await trio.sleep(1)
        answers.append(name)
        return 1

    def check():
        return "".join(answers).replace("ab", "") == ""

    text = failure(lambda: Cheapest(keeps).run(shops=["a", "b"]), check_after=check)
    assert "what lies outside of make() has changed, so this is not made simpler" in text


def test_a_long_story_is_shortened():
    text = failure(lambda: FirstWins(same).run(shops=[*"abcdefghijklmnopqrstuvwxyz"]))
    assert re.search(r"\n    \.\.\. \d+ lines more \.\.\.\n", text)
    assert len(text.splitlines()) < 100


# ------------------------------------------------------------ bad input


@pytest.mark.parametrize("make", ["run", "workflow", "class", "nothing"])
def test_what_makes_no_run_is_refused(make):
    flow = Cheapest()
    things = {"workflow": flow, "class": None, "nothing": None}
    with pytest.raises(TypeError) as caught:
        if make == "run":
            run = flow.run(shops=[])
            try:
                check_workflow(run)
            finally:
                run.cancel()
                plait.testing.run(await_cancelled, run)
        elif make == "class":
            check_workflow(lambda: Cheapest)
        else:
            check_workflow(lambda: things[make])
    assert "right:  check_workflow(lambda: Flow().run())" in str(caught.value)


async def await_cancelled(run):
    with pytest.raises(WorkflowCancelledByUser):
        await run


def test_an_async_maker_is_refused():
    async def make():
        return Cheapest().run(shops=[])

    with pytest.raises(TypeError, match="a plain function that makes a run, not an async one"):
        check_workflow(make)


def test_a_run_that_has_begun_is_refused():
    kept = Cheapest(same).run(shops=["a"])
    with pytest.raises(TypeError, match="makes a new run each time"):
        check_workflow(lambda: kept)


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ({"examples": 0}, "examples must be at least 1, not 0"),
        ({"cancellations": -1}, "cancellations must be at least 0, not -1"),
        ({"timeout": 0}, "timeout must be a positive number of seconds, not 0"),
        ({"timeout": float("inf")}, "timeout must be a positive number of seconds, not inf"),
        ({"replay": "what?"}, "replay must be a text that a failure has shown, not 'what?'"),
        ({"replay": "0:1"}, "replay must be"),
        ({"replay": "plain:1"}, "replay must be"),
        ({"replay": "cancel:0"}, "replay must be"),
        ({"replay": ""}, "replay must be"),
    ],
)
def test_options_out_of_range_are_refused(option, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        check_workflow(lambda: Cheapest().run(shops=["a"]), **option)


def test_inside_of_a_loop_it_is_refused():
    async def main():
        with pytest.raises(RuntimeError, match="runs Trio by itself, and an event loop is running"):
            check_workflow(lambda: Cheapest().run(shops=["a"]))

    plait.testing.run(main)
    asyncio.run(main())


def test_what_the_maker_raises_comes_out():
    with pytest.raises(ZeroDivisionError):
        check_workflow(lambda: 1 / 0)


def test_a_workflow_of_asyncio_fails_in_clear_words():
    async def sleeps(name):
        await asyncio.sleep(1)

    text = failure(lambda: Cheapest(sleeps).run(shops=["a"]), examples=1, cancellations=0)
    assert "no running event loop" in text


def test_trio_is_as_before():
    own = scheduler._r, scheduler._ALLOW_DETERMINISTIC_SCHEDULING
    failure(lambda: FirstWins(same).run(shops=["a", "b"]))
    check_workflow(lambda: Cheapest(same).run(shops=["a"]), examples=2, cancellations=2)
    assert (scheduler._r, scheduler._ALLOW_DETERMINISTIC_SCHEDULING) == own
    assert Attempt.collect.__name__ == "collect"
