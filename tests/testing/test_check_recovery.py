"""`check_recovery`: good functions pass, and each that breaks a rule is found, in words that help."""

import itertools
import random
import re
import time

import anyio
import pytest
import trio

from plait._abc import Entry
from plait._engine.bodies.calls import Calls
from plait._engine.bodies.rest import CountedRest, PolledRest
from plait._kernel.calls.keys import Key
from plait._steps import attempt
from plait.durable import (
    App,
    Context,
    Event,
    MemoryJournal,
    Middleware,
    SyncContext,
    TriggerEvent,
    current_step,
)
from plait.errors import ContextSerdeError, NonRetriableError, StepError
from plait.testing import check_recovery
from plait.testing._recovery_judge import of_one, of_two
from plait.testing._recovery_life import Exec, Life, Start

GO = TriggerEvent("go")
both = pytest.mark.parametrize("backend", ["trio", "asyncio"])


async def give(value: object = None, seconds: float = 0) -> object:
    await anyio.sleep(seconds)
    return value


def fails(fn, event=None, **options):
    """What `check_recovery` says of a function; and the case that it names says the same by itself."""
    with pytest.raises(AssertionError) as caught:
        check_recovery(fn, event, **options)
    text = str(caught.value)
    (replay,) = re.findall(r"^To run only this: replay='(.*)'$", text, re.MULTILINE)
    with pytest.raises(AssertionError) as again:
        check_recovery(fn, event, **options, replay=replay)
    assert str(again.value).splitlines()[0] == text.splitlines()[0]
    return text


def function(body, **options):
    return App("shop").create_function(fn_id="f", trigger=GO, **options)(body)


# ------------------------------------------------------------ good functions


@both
def test_a_function_of_all_kinds_of_calls_passes(backend):
    async def body(ctx: Context) -> list[object]:
        found = await ctx.group.map("each", give, ctx.event.data["items"], limit=2)
        won = await ctx.group.parallel(
            (lambda: ctx.step.run("slow", give, 1, 9), lambda: ctx.step.sleep("nap", 3)),
            mode="race",
        )
        with ctx.move_on_after(2):
            await ctx.step.run("late", give, 1, 9)
        chance = ctx.random.randint(1, 10**9)
        return [*found, won.branch, await ctx.step.run("last", give, chance), chance]

    result = check_recovery(
        function(body), {"items": [1, 2, 3]}, backend=backend, schedules=2, crashes=12
    )
    assert result[:4] == [1, 2, 3, 1]
    assert result[4] == result[5]


@both
def test_the_first_two_of_several(backend):
    """Who wins is decided by calls: in a recovery by the same ones."""

    async def body(ctx: Context) -> list[int]:
        won = []

        async def one(k):
            await ctx.step.run("get", give, k, 1)
            if len(won) < 2:
                won.append(k)
            if len(won) == 2:
                tasks.cancel()

        async with ctx.group.open() as tasks:
            for k in range(4):
                tasks.start_soon(one, k)
        return won

    fn = function(body)
    won = check_recovery(
        fn, backend=backend, schedules=2, check_result=lambda found: len({*found}) == 2
    )
    assert len(won) == 2


def test_other_winners_are_told_from_a_wrong_recovery():
    """All schedules are right, and each recovery is: the text says what to do."""

    async def body(ctx: Context) -> int:
        won = []

        async def one(k):
            await ctx.step.run("get", give, k, 1)
            won.append(k)

        async with trio.open_nursery() as nursery:
            for k in range(4):
                nursery.start_soon(one, k)
        return won[0]

    text = fails(function(body), crashes=3)
    assert "the result is not always the same" in text
    assert "check_result=" in text
    assert check_recovery(function(body), crashes=3, check_result=lambda k: 0 <= k < 4) in range(4)


@both
def test_a_plain_function_passes(backend):
    def blocking(value: int) -> int:
        time.sleep(0.001)
        return value + 1

    def body(ctx: SyncContext) -> int:
        first, second = ctx.group.parallel(
            (lambda: ctx.step.run("a", blocking, 1), lambda: ctx.step.run("b", blocking, 2))
        )
        ctx.step.sleep("nap", 100)
        return ctx.step.run("c", blocking, first + second)

    # Were time not to stand still while threads are at work, this would be over at once.
    assert check_recovery(function(body), backend=backend, schedules=2, timeout=1000) == 6


@both
def test_what_a_function_invokes_is_recovered_with_it(backend):
    app = App("shop")

    @app.create_function(fn_id="child", trigger=TriggerEvent("other"))
    async def child(ctx: Context) -> int:
        return await ctx.step.run("a", give, ctx.event.data["k"], 1)

    @app.create_function(fn_id="parent", trigger=GO)
    async def parent(ctx: Context) -> list[int]:
        invoke = ctx.step.invoke
        return list(
            await ctx.group.parallel(
                (
                    lambda: invoke("one", function=child, data={"k": 1}),
                    lambda: invoke("two", function=child, data={"k": 2}),
                )
            )
        )

    assert check_recovery(parent, backend=backend, schedules=1) == [1, 2]


def test_retries_and_rollbacks():
    undone = []

    async def body(ctx: Context) -> None:
        await ctx.step.run("a", give, 1, rollback=undone.append)
        if ctx.attempt == 0:
            raise RuntimeError("once more")
        await ctx.step.run("b", give, 2)
        raise NonRetriableError("that was it")

    with pytest.raises(NonRetriableError, match="that was it"):
        check_recovery(function(body), schedules=1)
    assert undone


def test_the_failure_of_a_step_is_the_same_each_time():
    async def bad():
        raise ValueError("no")

    async def body(ctx: Context) -> str:
        try:
            await ctx.step.run("bad", bad, retry=1)
        except StepError as error:
            return str(error)
        return ""

    assert "no" in check_recovery(function(body), schedules=2)


def test_events_come_from_outside():
    app = App("shop")

    @app.create_function(fn_id="approve", trigger=GO)
    async def approve(ctx: Context) -> str:
        answer = await ctx.step.wait_for_event("answer", event="answered", timeout=1000)
        return "too late" if answer is None else answer.data["text"]

    async def answers(its_app):
        await trio.sleep(5)
        await its_app.send(Event(name="answered", data={"text": "yes"}, id="the answer"))

    assert check_recovery(approve, schedules=1) == "too late"
    assert check_recovery(approve, schedules=2, drive=answers) == "yes"


def test_it_leaves_the_app_and_its_journal_alone():
    journal = MemoryJournal()
    seen = []

    class Own(Middleware):
        async def around_step(self, step, call_next):
            seen.append(step.step_id)
            return await call_next()

    app = App("shop", journal=journal, middleware=[Own()])

    @app.create_function(fn_id="f", trigger=GO)
    async def f(ctx: Context) -> int:
        return await ctx.step.run("a", give, 1)

    before = random.getstate()
    assert check_recovery(f, schedules=1) == 1
    assert random.getstate() == before
    assert {*seen} == {"a"}
    assert repr(journal) == "<MemoryJournal, closed, 0 streams>"


def test_a_process_dies_at_each_append():
    """An interrupted step has the same key again; what had ended does not run again."""
    cases = []

    async def noting() -> int:
        cases[-1].append(current_step().idempotency_key)
        await trio.sleep(1)
        return 1

    async def body(ctx: Context) -> int:
        for _ in range(3):
            await ctx.step.run("a", noting)
        return 0

    check_recovery(function(body), schedules=1, reset=lambda: cases.append([]))
    assert all(len({*keys}) == 3 for keys in cases)
    # Of each step there is a case in which its process died while it ran; in the first none died.
    assert [len(keys) for keys in cases].count(4) >= 3
    assert len(cases[0]) == 3
    assert max(map(len, cases)) == 4


# ------------------------------------------------------------ rules that are broken


@both
def test_io_between_calls_decides(backend):
    stock = {"left": 1}

    async def take():
        stock["left"] = 0

    async def body(ctx: Context) -> str:
        if stock["left"]:
            await ctx.step.run("take", take)
            return await ctx.step.run("tell", give, "taken")
        return await ctx.step.run("sorry", give, "sold out")

    text = fails(function(body), backend=backend, reset=lambda: stock.update(left=1))
    assert text.startswith(f"check_recovery() on {backend}: the function makes another call")
    assert "before:          run 'take': " in text
    assert "in the recovery: run 'sorry': give('sold out')" in text
    assert "no I/O" in text


def test_io_between_calls_decides_that_there_is_none():
    """The recovery does not ask for what is recorded."""
    stock = {"left": 1}

    async def take():
        stock["left"] = 0

    async def body(ctx: Context) -> str:
        if stock["left"]:
            await ctx.step.run("take", take)
        return "done"

    text = fails(function(body), reset=lambda: stock.update(left=1))
    assert "outcomes come in another order" in text
    assert "before:          step 'take' in the first task" in text
    assert "none, and nobody has called step 'take' in the first task" in text


def test_io_makes_the_result():
    lines = itertools.count()

    async def body(ctx: Context) -> int:
        await ctx.step.run("a", give)
        return next(lines)

    text = fails(function(body), schedules=1)
    assert "the same records lead to another result" in text
    assert re.search(r"here: +1\n +before: +0", text)


@both
def test_random_instead_of_that_of_the_context(backend):
    async def bad(ctx: Context) -> int:
        return await ctx.step.run("lot", give, random.randint(1, 10**9))

    async def good(ctx: Context) -> int:
        return await ctx.step.run("lot", give, ctx.random.randint(1, 10**9))

    text = fails(function(bad), backend=backend)
    assert "the function makes another call than before" in text
    assert re.search(r"before: +run 'lot': give\(\d+\)\n +in the recovery: run 'lot': give", text)
    assert check_recovery(function(good), backend=backend, schedules=2) > 0


def test_the_time_of_the_machine():
    async def bad(ctx: Context) -> None:
        await ctx.step.run("note", give, time.perf_counter_ns())

    assert "the function makes another call than before" in fails(function(bad))


class Item:
    """Has another hash in each process, as texts have."""

    def __init__(self, name):
        self.name = name
        self.hash = random.getrandbits(20)

    def __hash__(self):
        return self.hash


def test_tasks_are_spawned_over_a_set():
    async def body(ctx: Context) -> list[str]:
        found = {}

        async def one(name):
            found[name] = await ctx.step.run("get", give, name)

        async with trio.open_nursery() as nursery:
            for item in {Item("a"), Item("b"), Item("c"), Item("d")}:
                nursery.start_soon(one, item.name)
        return sorted(found.items())

    text = fails(function(body))
    assert "the function makes another call than before" in text
    assert re.search(r"Call 1 of task \d:\n +before: +run 'get': give\('[abcd]'\)", text)
    assert "never over a set" in text


def test_the_order_comes_from_an_event_of_trio():
    async def body(ctx: Context) -> list[int]:
        ready, order = trio.Event(), []

        async def one(k):
            await ready.wait()
            order.append(k)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(one, 0)
            nursery.start_soon(one, 1)
            await ctx.step.run("begin", give)
            ready.set()
        return await ctx.step.run("tell", give, order)

    fn = function(body)
    for seed in range(3):
        # Either may win, as far as the result goes. But a recovery may not have another winner.
        text = fails(fn, seed=seed, check_result=lambda found: {*found} == {0, 1})
        assert "the function makes another call than before" in text
        assert "give([0, 1])" in text
        assert "give([1, 0])" in text
        assert re.search(
            r"^Trio's tasks ran in the order that comes of the seed \d+\.$", text, re.MULTILINE
        )
    assert check_recovery(fn, schedules=1) == [0, 1]


def test_a_name_that_is_another_each_time():
    """The call has another handler under the same key: the run is held."""
    names = itertools.cycle([give, anyio.sleep])

    async def body(ctx: Context) -> None:
        await ctx.step.run("a", next(names), 1)
        await ctx.step.sleep("nap", 1)

    text = fails(function(body), schedules=1)
    assert "the run is held" in text
    assert "DeterminismError: step 'a' in the first task ran" in text


def test_it_does_not_end():
    async def body(ctx: Context) -> None:
        await ctx.step.sleep("nap", 7200)

    text = fails(function(body), timeout=3600)
    assert "the run does not end\n  It has not ended after 3600 virtual seconds." in text
    assert "check_recovery is running, and waits for sleep 'nap'" in text


def test_checks_of_the_user():
    async def body(ctx: Context) -> int:
        return await ctx.step.run("a", give, 1)

    fn = function(body)
    assert "check_result() fails\n  of 1: it returned False" in fails(
        fn, check_result=lambda n: n > 1
    )

    async def breaks(app):
        raise OSError("no line")

    with pytest.raises(AssertionError, match="drive\\(\\) fails\n  OSError: no line") as caught:
        check_recovery(fn, drive=breaks)
    assert isinstance(caught.value.__cause__, OSError)


def test_the_text_says_where_and_what_was_on_disk():
    async def body(ctx: Context) -> int:
        await ctx.step.run("a", give, 1)
        return await ctx.step.run("b", give, random.random())

    fn = function(body)
    text = fails(fn)
    head, _, disk = text.partition("What was on disk:\n")
    assert "on disk" in head
    assert re.search(r"step 'a' is done: 1", disk)
    with pytest.raises(AssertionError) as again:
        check_recovery(fn)
    # The same call explores the same: only the times of the story are others.
    assert _without_times(str(again.value)) == _without_times(text)


def _without_times(text):
    return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "", text)


# ------------------------------------------------------------ what plait owes


def ended(key):
    return (
        Entry(
            stream="check_recovery", n=1, kind="step.completed", version=1, at=0, key=key, body=b""
        ),
    )


def test_a_step_that_had_ended_is_not_to_run_again():
    life = Life(1, [ended("a"), ended("b")], died=True)
    life.execs.append(Exec("check_recovery", "b", "0"))
    assert [*of_one(life, 1)] == []  # it has run, and then it ended
    life.execs.append(Exec("check_recovery", "a", "0"))
    (found,) = of_one(life, 1)
    assert found.title == "a step that had ended runs again"


def test_an_interrupted_step_is_to_have_its_key():
    before, after = Life(0, []), Life(0, [])
    before.execs.append(Exec("check_recovery", "a", "0"))
    after.execs.append(Exec("check_recovery", "b", "1"))
    assert [*of_two(before, after)] == []
    after.execs.append(Exec("check_recovery", "a", "1"))
    (found,) = of_two(before, after)
    assert found.title == "a step has another idempotency key"


def test_outcomes_are_to_come_in_their_order():
    first, second, third = (Key((), name, 0) for name in "abc")
    before, after = Life(0, []), Life(0, [])
    before.starts["check_recovery", 0] = Start(seen=[first, second])
    after.starts["check_recovery", 0] = Start(seen=[first, second, third])
    assert [*of_two(before, after)] == []
    after.starts["check_recovery", 0] = Start(seen=[second, first, third])
    (found,) = of_two(before, after)
    assert found.title == "outcomes come in another order than before"
    assert "Outcome 1 of 2:\n  before:          step 'a' in the first task\n" in found.text
    assert "in the recovery: step 'b' in the first task\n" in found.text
    # The first start has nothing to do with another attempt of the body.
    after.starts = {("check_recovery", 1): Start(seen=[third])}
    assert [*of_two(before, after)] == []


# ------------------------------------------------------------ arguments


def test_arguments():
    async def body(ctx: Context) -> None:
        pass

    fn = function(body)
    for wrong, text in [
        ({"backend": "curio"}, "backend must be"),
        ({"schedules": 0}, "schedules must be at least 1"),
        ({"crashes": -1}, "crashes must be at least 0"),
        ({"timeout": 0}, "timeout must be a positive number"),
        ({"replay": "3"}, "replay must be a text that a failure has shown"),
    ]:
        with pytest.raises(ValueError, match=text):
            check_recovery(fn, **wrong)
    with pytest.raises(TypeError, match="takes a function of an app, not <function"):
        check_recovery(body)
    with pytest.raises(ContextSerdeError, match="data that is not sent"):
        check_recovery(fn, object())
    assert check_recovery(fn, crashes=0, schedules=1) is None

    async def main():
        with pytest.raises(RuntimeError, match="runs Trio by itself"):
            check_recovery(fn)

    trio.run(main)


def test_private_names_are_what_they_were():
    """`_recovery_life.py` and `_virtual.py` rely on these."""
    assert callable(Calls._call)
    assert callable(CountedRest._thread)
    assert callable(PolledRest._thread)
    assert callable(attempt.in_thread)
