"""Runs of steps that follow one another, on both backends: the tree, the limiter, who begins when."""

import contextvars

import pytest

from plait._engine import native
from plait._engine.lane import Work
from plait._errors import StepTimeoutError
from plait._kernel import records
from plait._kernel.graph.records import Skipped
from tests.engine.graph.running import DONE, flow, kinds, nothing, run, step
from tests.parity.clocks import in_virtual_time, live_tasks

BAD = ValueError("bad")


def tasks():
    """The names of the tasks of steps that are alive."""
    found = live_tasks()
    lines = found.splitlines() if isinstance(found, str) else found
    return sorted(name for line in lines if (name := line.strip()).startswith("step "))


def sleeping(seconds):
    async def body(attempt):
        here = native.current()
        await here.sleep_until(here.clock()() + seconds)

    return body


def raising(error=BAD):
    async def body(attempt):
        raise error

    return body


@in_virtual_time
async def test_the_tree_has_a_task_for_each_body_and_no_other():
    trees = []

    async def look(attempt):
        trees.append(tasks())
        await native.current().checkpoint()
        trees.append(tasks())

    ran = flow(
        step("a"), step("b"), step("look", "a", "b"), step("late", "look"),
        bodies={"a": sleeping(1), "b": sleeping(2), "look": look},
    )  # fmt: skip
    assert (await run(ran.shell())).error is None
    assert trees == [["step look"], ["step look"]]
    assert tasks() == []


@in_virtual_time
async def test_items_are_named_by_their_numbers():
    trees = []

    async def look(attempt):
        await sleeping(1)(attempt)
        trees.append(tasks())

    ran = flow(
        step("A", workers=2), step("z"), bodies={"A": look, "z": sleeping(5)}, items={"A": 3}
    )
    assert (await run(ran.shell())).error is None
    assert trees[0] == ["step A[0]", "step A[1]", "step z"]
    assert trees[-1] == ["step A[2]", "step z"]


@in_virtual_time
async def test_the_limiter_of_the_run_tells_the_truth():
    bodies, looks = [], []

    async def body(attempt):
        bodies.append(attempt.delivery.step)
        await sleeping(1 + len(bodies) % 3)(attempt)
        looks.append((shell._limiter.borrowed_tokens, len(bodies), shell._limiter.total_tokens))
        bodies.remove(attempt.delivery.step)

    steps = [step(f"s{n}") for n in range(12)]
    ran = flow(*steps, bodies={one.name: body for one in steps}, workers=3)
    shell = ran.shell()
    assert (await run(shell)).error is None
    assert len(looks) == 12
    assert all(borrowed == running <= total == 3 for borrowed, running, total in looks)
    assert shell._limiter.borrowed_tokens == 0


@in_virtual_time
async def test_bodies_begin_in_the_order_of_the_kernel():
    begun = []

    async def body(attempt):
        begun.append(attempt.delivery.step)
        await native.current().checkpoint()

    names = [f"s{n}" for n in range(30)]
    ran = flow(*[step(name) for name in names], bodies=dict.fromkeys(names, body), workers=1)
    assert (await run(ran.shell())).error is None
    assert begun == names


@in_virtual_time
async def test_a_chain_of_bodies_that_return_at_once_lets_others_run():
    rounds = []

    async def neighbour(attempt):
        while len(rounds) < 10_000 and not over:
            rounds.append(None)
            await native.current().checkpoint()

    over = []

    async def last(attempt):
        over.append(None)

    chain = [step("s0"), *[step(f"s{n}", f"s{n - 1}") for n in range(1, 500)]]
    ran = flow(step("n"), *chain, bodies={"n": neighbour, "s499": last}, workers=2)
    assert (await run(ran.shell())).error is None
    assert len(rounds) >= 500 // 64


@in_virtual_time
async def test_each_body_has_the_context_of_the_runs_start():
    var = contextvars.ContextVar("var", default="none")
    seen = []

    async def body(attempt):
        seen.append(var.get())
        var.set(attempt.delivery.step)

    names = [f"s{n}" for n in range(8)]
    chain = [step("s0"), *[step(f"s{n}", f"s{n - 1}") for n in range(1, 8)]]
    var.set("mine")
    ran = flow(*chain, bodies=dict.fromkeys(names, body))
    assert (await run(ran.shell())).error is None
    assert seen == ["mine"] * 8
    assert var.get() == "mine"


@in_virtual_time
async def test_an_abort_waits_for_the_clean_up_of_those_in_flight():
    told = []

    async def late(attempt):
        await sleeping(1)(attempt)
        raise BAD

    async def careful(attempt):
        try:
            await sleeping(100)(attempt)
        finally:
            with native.current().cancel_scope(shield=True):
                await sleeping(5)(attempt)
            told.append("clean")

    ran = flow(
        step("x"), step("a"), step("d", "a"), step("q"),
        bodies={"x": careful, "a": late, "q": raising()}, workers=2,
    )  # fmt: skip
    end = await run(ran.shell())
    assert end.error is BAD
    assert told == ["clean"]
    assert kinds(ran.records)[-3:] == ["Decided", "Interrupted", "Closed"]
    assert [r.steps for r in ran.records if isinstance(r, Skipped)] == [("d",)]
    assert tasks() == []


@in_virtual_time
async def test_a_body_that_begins_in_the_round_of_the_abort_does_not_run():
    """Both have their slots, and one of them fails at once, whichever is first."""
    ran_too = []

    async def other(attempt):
        ran_too.append(attempt.delivery.step)

    async def fail(attempt):
        order.append("a")
        raise BAD

    for names in (["a", "x"], ["x", "a"]):
        order = []
        ran_too.clear()
        ran = flow(*[step(name) for name in names], step("d", "a"), bodies={"a": fail, "x": other})
        assert (await run(ran.shell())).error is BAD
        ends = [type(r).__name__ for r in ran.records if getattr(r, "delivery", 0)]
        assert ends.count("Started") == 2
        assert len(ran_too) == ends.count("Completed")
        assert len(ran_too) + ends.count("Interrupted") == 1
        decided = kinds(ran.records).index("Decided")
        assert "Completed" not in kinds(ran.records)[decided:], "it ran after the decision"


@in_virtual_time
async def test_an_item_that_fails_cancels_the_others_and_waits_for_them():
    told = []

    async def item(attempt):
        if attempt.delivery.event == 1:
            await sleeping(1)(attempt)
            raise BAD
        try:
            await sleeping(100)(attempt)
        finally:
            with native.current().cancel_scope(shield=True):
                await sleeping(5)(attempt)
            told.append(attempt.delivery.event)

    async def behind(attempt):
        told.append("behind")

    ran = flow(
        step("A", workers=3), step("b", on={"A": "continue"}),
        bodies={"A": item, "b": behind}, items={"A": 5}, workers=9,
    )  # fmt: skip
    await run(ran.shell())
    assert sorted(told[:2]) == [0, 2]
    assert told[2:] == ["behind"]
    assert [r.error for r in ran.records if isinstance(r, records.Failed)] == [BAD]
    assert kinds(ran.records).count("Interrupted") == 2
    assert kinds(ran.records).count("Started") == 4


@in_virtual_time
async def test_a_step_that_takes_too_long_has_failed():
    ran = flow(
        step("a"), step("b", on={"a": "continue"}), step("c", "b"),
        bodies={"a": Work(sleeping(100), 2.0)},
    )  # fmt: skip
    end = await run(ran.shell())
    assert isinstance(end.error, StepTimeoutError)
    assert str(end.error) == "Step 'a' timed out after 2.0 seconds."
    (failed,) = [r for r in ran.records if isinstance(r, records.Failed)]
    assert failed.at - ran.records[0].at == pytest.approx(2.0)
    assert kinds(ran.records).count("Completed") == 2


@in_virtual_time
async def test_a_deadline_is_the_attempts_own_and_goes_with_it():
    """The same task runs the next body."""
    names = ["s0", "s1", "s2"]
    ran = flow(
        step("s0"), step("s1", "s0"), step("s2", "s1"),
        bodies={"s0": Work(nothing, 1.0), "s1": sleeping(50), "s2": Work(sleeping(1), 2.0)},
    )  # fmt: skip
    assert (await run(ran.shell())).error is None
    assert kinds(ran.records).count("Completed") == len(names)


@in_virtual_time
async def test_the_timeout_of_the_run_ends_everything():
    ran = flow(step("a"), step("b", "a"), bodies={"a": sleeping(100)}, timeout=3.0)
    end = await run(ran.shell())
    assert isinstance(end.error, TimeoutError)
    decided = next(r for r in ran.records if isinstance(r, records.Decided))
    assert decided.outcome == records.TimedOut(("a",), 3.0)
    assert tasks() == []


@in_virtual_time
async def test_a_run_that_is_cancelled_starts_nothing_more():
    async def cancel(attempt):
        shell.cancel()
        await sleeping(100)(attempt)

    ran = flow(step("a"), step("b"), step("c", "a"), bodies={"a": cancel}, workers=1)
    shell = ran.shell()
    end = await run(shell)
    assert end.cancelled
    assert kinds(ran.records).count("Started") == 1


@in_virtual_time
async def test_a_run_that_was_started_and_is_not_hosted_ends():
    ran = flow(step("a"), step("b"))
    shell = ran.shell()
    shell.start()
    shell.give_up()
    assert kinds(ran.records).count("Started") == 2
    assert kinds(ran.records).count("Interrupted") == 2
    assert kinds(ran.records)[-1] == "Closed"
    await native.current().checkpoint()


@in_virtual_time
async def test_a_cancelled_that_nobody_asked_for_is_a_failure():
    kept = []

    async def first(attempt):
        with native.current().cancel_scope() as scope:
            scope.cancel()
            try:
                await native.current().checkpoint()
            except native.current().cancelled as error:
                kept.append(error)
                raise
        return DONE

    async def odd(attempt):
        raise kept[0]

    ran = flow(step("a"), step("b", "a"), step("c", on={"b": "continue"}),
               bodies={"a": first, "b": odd})  # fmt: skip
    end = await run(ran.shell())
    assert str(end.error) == "Step 'b' raised Cancelled, but nobody cancelled it."
    assert kinds(ran.records).count("Completed") == 2
