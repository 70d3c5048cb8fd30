"""The queue: priority, throttle, concurrency, timeouts, and what is cancelled."""

from __future__ import annotations

import pytest

from plait._kernel.admission import effects, records
from plait._kernel.admission.explain import Expected, Waiting, expected, waits_for
from plait._kernel.admission.keeping import kept
from plait._kernel.admission.plan import (
    Batch,
    Cancel,
    Concurrency,
    Debounce,
    Singleton,
    Throttle,
    Timeouts,
)
from plait._kernel.admission.snapshot import fold
from plait._kernel.admission.state import AppState
from tests.kernel.admission.shell import App, by, fn, got


def runs(limit=1, key=None, scope="fn"):
    return Concurrency(limit, key, scope, "runs")


def end_all(app):
    """End one run after the other; the events in the order of their starts."""
    while running := app.running():
        app.end(running[0])
    return [events for _, *events in app.starts]


# ---------------------------------------------------------------- priority


def test_seconds_of_priority_are_subtracted_from_the_queue_time():
    app = App(fn(priority=lambda event: event.data, concurrency=(runs(),)))
    app.send(0)
    app.send(0.5)
    app.after(1).send(1)
    app.after(1).send(5)
    app.after(1).send(-1)
    assert end_all(app) == [[0], [5], [0.5], [1], [-1]]


def test_equal_ranks_start_in_the_order_in_which_they_came():
    app = App(fn(priority=lambda event: event.data[0], concurrency=(runs(),)))
    app.send((0, "first"))
    app.send((0, "a"), (1, "b"), (0, "c"))
    app.after(1).send((1, "d"))
    assert [name for [(_, name)] in end_all(app)] == ["first", "b", "a", "c", "d"]


@pytest.mark.parametrize("beyond", [601, 10**9, float("inf")])
def test_priority_is_at_most_600_either_way(beyond):
    app = App(fn(priority=lambda event: event.data))
    app.send(beyond, -beyond)
    assert [effect.priority for effect in got(app.effects, effects.QueueRun)] == [600, -600]


def test_a_better_one_sent_together_starts_first():
    app = App(fn(priority=lambda event: event.data, throttle=Throttle(1, 1)))
    app.send(1, 2, 3)
    app.after(10)
    assert app.starts == [(0, 3), (1, 2), (2, 1)]


# ---------------------------------------------------------------- throttle


def test_a_throttle_lets_one_start_every_interval():
    app = App(fn(throttle=Throttle(2, 10)))
    app.send(*"abc")
    app.after(7).send("d")
    app.after(100).send("e")
    assert app.starts == [(0, "a"), (5, "b"), (10, "c"), (15, "d"), (107, "e")]


def test_a_throttle_has_a_burst():
    app = App(fn(throttle=Throttle(1, 10, burst=3)))
    app.send(*"abcde")
    app.after(20)
    assert app.starts == [(0, "a"), (0, "b"), (0, "c"), (10, "d"), (20, "e")]
    app.after(15)  # tat is 1050 now: one and a half are left of the burst
    app.send(*"fg")
    app.after(100)
    assert app.starts[5:] == [(35, "f"), (40, "g")]


def test_a_throttle_counts_for_each_key():
    app = App(fn(throttle=Throttle(1, 10, by("user"))))
    app.send({"user": 1, "n": 1}, {"user": 2, "n": 2}, {"user": 1, "n": 3})
    app.after(10)
    assert [(now, event["n"]) for now, event in app.starts] == [(0, 1), (0, 2), (10, 3)]


def test_a_throttle_goes_on_over_a_restart_without_a_burst():
    app = App(fn(throttle=Throttle(1, 10)))
    app.send(*"abcd")
    app.restart(at=1025)
    app.after(100)
    assert app.starts == [(0, "a"), (25, "b"), (35, "c"), (45, "d")]


def test_the_throttle_is_used_by_what_starts_not_by_what_waits_for_a_slot():
    app = App(fn(throttle=Throttle(1, 10), concurrency=(runs(),)))
    app.send(*"abc")
    app.until(1100)
    app.end("f-1")
    assert app.starts == [(0, "a"), (100, "b")]
    app.end("f-2")
    app.until(1109)
    assert app.waiting() == ["f-3"]
    app.until(1111)
    assert app.starts[2] == (110, "c")


def test_the_throttle_of_those_who_have_gone_wakes_nobody():
    app = App(fn(throttle=Throttle(1, 10)))
    app.send(*"ab")
    assert app.alarm == 1010
    app.cancel("f-2")
    assert app.alarm is None


def test_lanes_of_one_throttle_take_turns():
    app = App(fn(throttle=Throttle(1, 10), concurrency=(runs(1, by("user")),)))
    for n, user in enumerate([1, 1, 2, 2]):
        app.send({"user": user, "n": n})
    app.until(1050)
    assert [(now, event["n"]) for now, event in app.starts] == [(0, 0), (10, 2)]
    app.end("f-1")
    app.end("f-3")
    app.until(1080)
    assert [(now, event["n"]) for now, event in app.starts[2:]] == [(50, 1), (60, 3)]


def test_a_throttle_that_has_nothing_to_say_is_forgotten():
    app = App(fn(throttle=Throttle(1, 2, by("user"))))
    for user in range(50):
        app.send({"user": user})
        app.after(1)
    assert len(app.state.functions["f"].tats) <= 3


def test_an_interval_too_small_for_the_clock_throttles_nothing():
    app = App(fn(throttle=Throttle(1, 1e-12)), now=1.7e9)
    app.send(1, 2)
    assert len(app.started) == 2
    assert not app.state.functions["f"].tats


# ---------------------------------------------------------------- concurrency of runs


def test_at_most_so_many_runs_at_a_time_from_start_to_end():
    app = App(fn(concurrency=(runs(2),)))
    app.send(*"abcd")
    assert app.running() == ["f-1", "f-2"]
    app.end("f-2")
    assert app.running() == ["f-1", "f-3"]


def test_limits_count_for_each_key():
    app = App(fn(concurrency=(runs(1, by("user")),)))
    app.send({"user": 1}, {"user": 1}, {"user": 2})
    assert app.running() == ["f-1", "f-3"]


def test_functions_share_a_limit_of_the_app():
    shared = (runs(1, lambda event: "gpu", "app"),)
    app = App(
        fn("f", concurrency=shared), fn("g", concurrency=shared), fn("h", concurrency=(runs(),))
    )
    app.send("x")
    assert app.running() == ["f-1", "h-1"]
    app.end("f-1")
    assert app.running() == ["g-1", "h-1"]


def test_functions_may_differ_about_a_limit_that_they_share():
    def shared(limit):
        return (runs(limit, lambda event: "gpu", "app"),)

    app = App(
        fn("few", concurrency=shared(1), on="few"), fn("many", concurrency=shared(3), on="many")
    )
    app.send(1, 2, name="many")
    app.send(3, name="few")
    app.send(4, 5, name="many")
    assert app.running() == ["many-1", "many-2", "many-4"]
    app.end("many-1")
    app.end("many-2")
    assert app.running() == ["many-4", "many-5"]
    app.end("many-4")
    assert app.waiting() == ["few-3"], "one is running still"
    app.end("many-5")
    assert app.running() == ["few-3"]


def test_of_a_list_all_are_needed():
    limits = (runs(1, by("user")), runs(2))
    app = App(fn(concurrency=limits))
    app.send(*({"user": user} for user in [1, 1, 2, 3]))
    assert app.running() == ["f-1", "f-3"]
    app.end("f-3")
    assert app.running() == ["f-1", "f-4"]
    app.end("f-1")
    assert app.running() == ["f-2", "f-4"]


def test_nobody_holds_one_slot_while_it_waits_for_another():
    """So opposite orders cannot lock each other up, and no slot stands idle."""
    a, b = (runs(1, lambda event, name=name: name, "app") for name in "ab")
    app = App(
        fn("a", on="a", concurrency=(a,)),
        fn("b", on="b", concurrency=(b,)),
        fn("ab", on="ab", concurrency=(a, b)),
        fn("ba", on="ba", concurrency=(b, a)),
    )
    app.send(name="a")
    app.send(name="ab")
    app.send(name="ba")
    app.send(name="b")
    assert app.running() == ["a-1", "b-4"]
    app.end("a-1")
    app.end("b-4")
    assert app.running() == ["ab-2"]
    app.end("ab-2")
    assert app.running() == ["ba-3"]


def test_what_waits_for_another_slot_is_passed_by():
    app = App(fn(concurrency=(runs(2), runs(1, by("user")))))
    app.send({"user": 1, "n": 1})
    for n in range(2, 6):
        app.send({"user": 1, "n": n})
    app.send({"user": 2, "n": 9})
    assert app.running() == ["f-1", "f-6"]


@pytest.mark.parametrize("waiting", [["ay", "bx"], ["bx", "ay"]])
def test_of_two_places_that_come_free_at_once_the_older_run_starts_first(waiting):
    limits = (runs(1, lambda event: event.data[0]), runs(1, lambda event: event.data[1]))
    app = App(fn(concurrency=limits))
    app.send("ax")
    for data in waiting:
        app.send(data)
    app.end("f-1")
    assert [data for _, data in app.starts] == ["ax", *waiting]


def test_a_shared_limit_named_twice_counts_once():
    shared = runs(2, lambda event: "x", "app")
    app = App(fn(concurrency=(shared, shared)))
    app.send(*"abc")
    assert app.running() == ["f-1", "f-2"]


def test_a_child_needs_no_slot_that_its_parent_holds():
    app = App(fn("f", concurrency=(runs(1),)), fn("g", on="g"))
    app.send("parent")
    app.invoke("g", "between", parent="f-1")
    app.invoke("f", "child", parent="between")
    app.invoke("f", "stranger")
    assert app.running() == ["f-1", "between", "child"]
    app.end("child")
    app.end("between")
    assert app.waiting() == ["stranger"]
    app.end("f-1")
    assert app.running() == ["stranger"]


def test_a_child_needs_the_slots_that_its_parent_does_not_hold():
    app = App(fn("f", concurrency=(runs(1),)), fn("g", on="g", concurrency=(runs(1),)))
    app.send(name="g")
    app.send("parent")
    app.invoke("g", "child", parent="f-2")
    assert app.waiting() == ["child"]
    app.end("g-1")
    assert app.running() == ["f-2", "child"]


def test_limits_of_steps_let_runs_start():
    app = App(fn(concurrency=(Concurrency(1),)))
    app.send(*"ab")
    assert app.running() == ["f-1", "f-2"]


# ---------------------------------------------------------------- concurrency of handlers


def test_handlers_wait_for_their_slots_by_priority():
    app = App(fn(concurrency=(Concurrency(2),), priority=lambda event: event.data))
    app.send(0, 5)
    for call in "ab":
        app.ask("f-1", call)
    app.after(1).ask("f-1", "c")
    app.after(1).ask("f-2", "d")
    app.after(5).ask("f-2", "e")
    assert app.slots.keys() == {"a", "b"}
    for done in "abdce":
        app.leave(done)
    assert list(app.slots) == ["a", "b", "d", "c", "e"]


def test_a_call_that_no_longer_waits_gets_nothing():
    app = App(fn(concurrency=(Concurrency(1),)))
    app.send("x")
    for call in "abc":
        app.ask("f-1", call)
    app.leave("b")
    app.leave("a")
    assert list(app.slots) == ["a", "c"]


def test_handlers_of_several_functions_share_a_limit_of_the_app():
    shared = Concurrency(1, lambda event: "api", "app")
    app = App(fn("f", concurrency=(shared, Concurrency(1))), fn("g", concurrency=(shared,)))
    app.send("x")
    app.ask("f-1", "a")
    app.ask("g-1", "b")
    app.ask("f-1", "c")
    assert list(app.slots) == ["a"]
    app.leave("a")
    assert list(app.slots) == ["a", "b"]
    app.leave("b")
    assert list(app.slots) == ["a", "b", "c"]


def test_no_limit_gives_a_slot_at_once():
    app = App(fn())
    app.send("x")
    app.ask("f-1", "a")
    assert list(app.slots) == ["a"]


def test_slots_of_handlers_do_not_outlive_the_process():
    app = App(fn(concurrency=(Concurrency(1),)))
    app.send("x")
    app.ask("f-1", "a")
    app.restart()
    app.ask("f-1", "a")
    assert list(app.slots) == ["a"]


def test_limits_of_runs_and_of_steps_do_not_mix():
    def shared(of):
        return Concurrency(1, lambda event: "x", "app", of)

    app = App(
        fn("g", concurrency=(shared("steps"),)),
        fn("f", concurrency=(shared("runs"), shared("steps"))),
    )
    app.send(1, 2)
    assert app.running() == ["g-1", "f-1", "g-2"]
    app.ask("f-1", "a")
    app.ask("g-1", "b")
    assert list(app.slots) == ["a"]


# ---------------------------------------------------------------- timeouts


def test_a_run_waits_in_the_queue_for_so_long_only():
    app = App(fn(concurrency=(runs(),), timeouts=Timeouts(start=10)))
    app.send("a", "b")
    app.after(9.5)
    assert app.cancelled == []
    todo = app.hear(later(app, 0.5))
    [cancel] = got(todo, effects.CancelRun)
    assert (cancel.run_id, cancel.started) == ("f-2", False)
    assert cancel.reason == "it was 10 s in the queue (timeouts.start)"
    app.after(100)
    assert app.running() == ["f-1"], "it has started in time"


def later(app, seconds):
    from plait._kernel.admission.stimuli import TimePassed

    app.now += seconds
    return TimePassed(app.now)


def test_a_run_takes_so_long_only_over_restarts():
    app = App(fn(timeouts=Timeouts(finish=10)))
    app.send("a")
    app.restart(at=1006)
    app.until(1009.5)
    assert app.cancelled == []
    app.until(1010)
    assert app.cancelled == [(1010, "f-1")]
    reason = got(app.effects, effects.CancelRun)[0].reason
    assert reason == "10 s have passed since its start (timeouts.finish)"
    assert app.running() == ["f-1"], "its clean-up is not over"
    app.after(100)
    app.end("f-1")
    assert app.state.runs == {}


def test_time_in_the_queue_does_not_count_as_time_of_the_run():
    app = App(fn(concurrency=(runs(),), timeouts=Timeouts(finish=10)))
    app.send("a", "b")
    app.after(8)
    app.end("f-1")
    app.until(1017.5)
    assert app.cancelled == []
    app.until(1018)
    assert app.cancelled == [(1018, "f-2")]


def test_who_may_start_at_the_last_moment_starts():
    app = App(fn(throttle=Throttle(1, 10), timeouts=Timeouts(start=10)))
    app.send(*"abc")
    app.after(30)
    assert app.starts == [(0, "a"), (10, "b")]
    assert app.cancelled == [(1010, "f-3")]


def test_a_run_that_ends_as_its_time_is_over_is_not_cancelled():
    app = App(fn(timeouts=Timeouts(finish=10)))
    app.send("a")
    app.now += 10
    assert not got(app.end("f-1"), effects.CancelRun)


def test_a_run_that_ended_in_the_queue_too_late_has_been_cancelled():
    app = App(fn(concurrency=(runs(),), timeouts=Timeouts(start=10)))
    app.send(*"ab")
    app.now += 10
    app.end("f-2")
    assert app.cancelled == [(1010, "f-2")]


def test_a_run_may_end_in_the_queue():
    app = App(fn(concurrency=(runs(),), timeouts=Timeouts(start=10)))
    app.send(*"abc")
    app.end("f-2", "failed")
    app.end("f-1")
    assert app.running() == ["f-3"]


# ---------------------------------------------------------------- cancelling


def test_an_event_cancels_runs_that_are_meant():
    cancel = Cancel("stop", lambda run, stop: run.data == stop.data)
    app = App(fn(cancels=(cancel,), concurrency=(runs(2),)))
    app.send(*"abca")
    todo = app.send("a", name="stop")
    assert [(one.run_id, one.started) for one in got(todo, effects.CancelRun)] == [
        ("f-1", True), ("f-4", False),
    ]  # fmt: skip
    assert app.running() == ["f-1", "f-2"], "one is being cleaned up"
    assert app.waiting() == ["f-3"]
    app.end("f-1")
    assert app.running() == ["f-2", "f-3"]
    assert app.state.runs["f-2"].cancelled is None


def test_an_event_cancels_for_a_while_only():
    app = App(fn(cancels=(Cancel("stop", timeout=10),)))
    app.send("a")
    app.after(1).send("b")
    app.after(9).send(name="stop")
    assert [run_id for _, run_id in app.cancelled] == ["f-2"]


def test_one_of_several_cancels_is_enough_and_the_first_reason_stands():
    app = App(fn(cancels=(Cancel("stop", lambda *_: False), Cancel("stop"), Cancel("halt"))))
    app.send("a")
    app.send(name="stop")
    app.send(name="halt")
    app.cancel("f-1", "again")
    assert [run_id for _, run_id in app.cancelled] == ["f-1"]
    assert app.state.runs["f-1"].cancelled == "event 'stop' cancels it"


def test_an_event_does_not_cancel_the_run_that_it_leads_to():
    app = App(fn(cancels=(Cancel("e"),)))
    app.send("a")
    app.send("b")
    assert app.cancelled == [(1000, "f-1")]


def test_what_is_held_is_no_run_yet():
    app = App(fn(debounce=Debounce(5), cancels=(Cancel("stop"),)))
    app.send("a")
    app.send(name="stop")
    app.after(5)
    assert app.runs == [["a"]]


def test_a_predicate_that_raises_leaves_its_run_alone_and_is_reported_once():
    cancel = Cancel("stop", lambda run, stop: 1 / run.data)
    app = App(fn(cancels=(cancel,)))
    app.send(0, 1, "not a number")
    todo = app.send(name="stop")
    [report] = got(todo, effects.Report)
    assert isinstance(report.error, ZeroDivisionError), "the first of them"
    assert (report.fn_id, report.knob) == ("f", "cancel")
    assert app.cancelled == [(1000, "f-2")]
    assert app.skipped == [("cancel", "")]


def test_cancelling_a_run_that_waits_and_one_that_runs():
    app = App(fn(concurrency=(runs(),)))
    app.send(*"abc")
    [cancel] = app.cancel("f-2", "why not")
    assert cancel == effects.CancelRun("f-2", "why not", started=False)
    [cancel] = app.cancel("f-1", "enough")
    assert cancel == effects.CancelRun("f-1", "enough", started=True)
    assert app.cancel("f-1", "more") == []
    assert app.cancel("nobody") == [effects.RefuseCancel("nobody")]
    app.end("f-1")
    assert app.running() == ["f-3"]


# ---------------------------------------------------------------- restarts


def test_runs_that_had_started_start_again_in_their_order_and_children_do_not():
    app = App(fn("f"), fn("g", on="g"))
    app.send("a")
    app.invoke("g", "child", parent="f-1")
    app.after(1).send("b")
    app.cancel("f-3")
    app.cancel("child")
    todo = app.restart(at=1010)
    assert [(type(one).__name__, getattr(one, "run_id", "")) for one in todo] == [
        ("StartRun", "f-1"),
        ("CancelRun", "child"),
        ("StartRun", "f-3"),
        ("CancelRun", "f-3"),
        ("Wake", ""),
    ]
    assert all(one.again for one in got(todo, effects.StartRun))


def test_what_is_overdue_happens_at_once_in_the_order_of_its_times():
    app = App(
        fn("waits", on="w", throttle=Throttle(1, 20), timeouts=Timeouts(start=30)),
        fn("late", on="l", debounce=Debounce(10)),
    )
    app.send(1, 2, 3, name="w")
    app.send("l", name="l")
    app.restart(at=2000)
    assert app.starts == [(0, 1), (1000, "l"), (1000, 2)]
    assert app.cancelled == [(2000, "waits-3")]


def test_a_run_of_an_unknown_function_is_parked_until_it_is_known_again():
    app = App(
        fn("f", concurrency=(runs(),), timeouts=Timeouts(5, 5), debounce=Debounce(5)), fn("g")
    )
    app.invoke(run_id="one")
    app.invoke(run_id="two")
    app.send("x")
    app.send("y", ts=1_003_000)
    app.restart(fn("g"), at=1001)
    app.until(1100)
    assert app.waiting() == ["two"]
    assert waits_for(app.state, "two") == Waiting("function", "f")
    app.end("one")
    assert app.waiting() == ["two"]
    app.restart(fn("f", concurrency=(runs(),), debounce=Debounce(5)), fn("g"), snapshot=True)
    app.end("two")
    app.until(1200)
    assert [name for _, name in app.started if name.startswith("f")] == ["f-4"]


def test_limits_that_changed_hold_for_those_who_wait():
    app = App(fn(concurrency=(runs(1), runs(1, by("u"))), throttle=Throttle(1, 1000)))
    app.send(*({"u": 1} for _ in range(4)))
    app.restart(fn(concurrency=(runs(3),)))
    assert len(app.running()) == 3
    app.restart(fn(concurrency=(Concurrency(1),)))
    assert len(app.running()) == 4, "a limit of handlers is none of runs"
    app.restart(fn())
    assert len(app.running()) == 4


def test_a_singleton_and_a_rate_limit_that_are_gone_say_nothing():
    from plait._kernel.admission.plan import RateLimit

    knobs = {
        "singleton": Singleton("skip"),
        "rate_limit": RateLimit(1, 10),
        "idempotency": lambda event: "k",
        "debounce": Debounce(1),
    }
    app = App(fn(**knobs))
    app.send("a", ts=1_100_000)
    app.send("b", ts=1_100_000)
    app.restart(fn())
    app.until(1100)
    assert app.runs == [["a"], ["b"]]


# ---------------------------------------------------------------- why a run waits


def test_why_a_run_waits():
    app = App(
        fn("t", throttle=Throttle(1, 10, lambda event: "k"), on="t"),
        fn("c", concurrency=(runs(1, lambda event: "key"),), on="c"),
        fn("s", singleton=Singleton("cancel", lambda event: "one"), on="s"),
    )
    for name in "ttccss":
        app.send(name=name)
    why = {run_id: waits_for(app.state, run_id) for run_id in app.waiting()}
    assert why == {
        "t-2": Waiting("throttle", "k", 1010),
        "c-4": Waiting("concurrency", "key"),
        "s-6": Waiting("singleton", "one"),
    }
    assert waits_for(app.state, "t-1") is None
    assert waits_for(app.state, "nobody") is None


def test_what_is_not_in_the_queue_yet_is_listed_too():
    app = App(
        fn("d", debounce=Debounce(5, lambda event: "k")),
        fn("b", batch=Batch(9, 7)),
        fn("l", on="later"),
    )
    app.send("x", "y")
    app.send("z", name="later", ts=1_009_000)
    x, y, z = app.of(records.EventReceived)
    assert [*expected(app.state)] == [
        Expected("l-3", "l", (z,), "ts", "", 1009),
        Expected("d-2", "d", (y,), "debounce", "k", 1005),
        Expected("b-1", "b", (x, y), "batch_events", "", 1007),
    ]
    app.until(1009)
    assert [*expected(app.state)] == []
    assert {*app.given} == {"l-3", "d-2", "b-1"}


def test_what_a_run_waits_for_is_known_to_who_only_looks():
    """Nobody has taken the state up: nobody has parked who waits."""
    functions = (
        fn("one", on="a", concurrency=(runs(1),)),
        fn("slow", on="b", throttle=Throttle(1, 20)),
        fn("free", on="c", concurrency=(runs(1),)),
    )
    app = App(*functions)
    app.send(1, 2, name="a")
    app.send(3, 4, name="b")
    app.send(5, name="c")
    looked = fold(AppState(app.plan), kept(app.records[:-1]))
    assert app.records[-1].run_id == "free-5", "it was just about to start"
    assert waits_for(looked, "one-2") == Waiting("concurrency", "")
    assert waits_for(looked, "slow-4") == Waiting("throttle", "", 1020)
    assert waits_for(looked, "free-5") is None
