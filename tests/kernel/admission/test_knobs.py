"""Idempotency, rate limit, debounce, batch, singleton: exactly what each means."""

from __future__ import annotations

from plait._kernel.admission import effects, records
from plait._kernel.admission.plan import (
    Batch,
    Debounce,
    RateLimit,
    Singleton,
    Timeouts,
)
from tests.kernel.admission.shell import App, by, fn, got

DAY = 86_400


# ---------------------------------------------------------------- idempotency


def test_idempotency_is_one_run_per_key_for_a_day_also_if_it_failed():
    app = App(fn(idempotency=lambda event: event.data[0]))
    app.send("a1", "b1", "a2")
    app.end("f-1", "failed")
    app.after(DAY - 1).send("a3")
    app.after(1).send("a4")
    assert app.runs == [["a1"], ["b1"], ["a4"]]
    assert app.skipped == [("idempotency", "a"), ("idempotency", "a")]


def test_a_key_that_led_to_no_run_is_not_used_up():
    app = App(fn(idempotency=lambda event: event.data[0], rate_limit=RateLimit(1, 10)))
    app.send("a1", "b1")
    assert app.skipped == [("rate_limit", "")]
    app.after(10).send("b2")
    assert app.runs == [["a1"], ["b2"]]


# ---------------------------------------------------------------- rate limit


def test_a_rate_limit_holds_in_every_window():
    app = App(fn(rate_limit=RateLimit(2, 10)))
    app.send(0)
    app.after(6).send(6)
    app.after(3).send(9)
    app.after(0.75).send(9.75)
    app.after(0.25).send(10)
    app.after(5).send(15)
    app.after(1).send(16)
    assert app.runs == [[0], [6], [10], [16]]
    assert app.skipped == [("rate_limit", "")] * 3


def test_a_rate_limit_counts_for_each_key():
    app = App(fn(rate_limit=RateLimit(1, 10, by("user"))))
    app.send({"user": 1}, {"user": 2}, {"user": 1})
    assert app.skipped == [("rate_limit", "1")]
    app.after(10).send({"user": 1})
    assert len(app.runs) == 3


def test_what_a_rate_limit_has_no_more_to_say_about_is_forgotten():
    app = App(fn(rate_limit=RateLimit(1, 10, by("user"))))
    for user in range(50):
        app.send({"user": user})
        app.after(1)
    assert len(app.state.functions["f"].passed) <= 11


def test_what_is_over_is_forgotten_two_at_a_time():
    """Nothing is swept at one go."""
    app = App(fn(rate_limit=RateLimit(1, 10, by("user"))))
    app.send(*({"user": user} for user in range(7)))
    left = []
    for user in "abcdefgh":
        app.after(10).send({"user": user})
        left.append(len(app.state.functions["f"].passed))
    assert left == [6, 5, 4, 3, 2, 1, 1, 1]
    app.after(DAY)
    for count in (14, 13, 12):
        app.send({"user": "z"})
        assert len(app.state.ids.marks) == count


# ---------------------------------------------------------------- debounce


def test_debounce_is_one_run_after_the_last_event_with_that_event():
    app = App(fn(debounce=Debounce(2)))
    app.send("a")
    app.after(1.5).send("b")
    assert [record.due_at for record in app.of(records.EventHeld)] == [1002, 1003.5]
    app.until(1003.25)
    assert app.runs == []
    app.after(2)
    assert app.starts == [(3.5, "b")]
    assert app.of(records.EventHeld)[1].because == "takes the place of event 1"


def test_an_event_at_the_very_end_of_a_burst_begins_another():
    app = App(fn(debounce=Debounce(2)))
    app.send("a")
    app.now += 2  # the app is late: it reports the event first
    app.send("b")
    assert app.starts == [(2, "a")]
    app.after(2)
    assert app.starts == [(2, "a"), (4, "b")]


def test_debounce_ends_at_the_latest_a_timeout_after_the_first():
    app = App(fn(debounce=Debounce(2, timeout=5)))
    for second in range(8):
        app.until(1000 + second).send(second)
    app.after(10)
    assert app.starts == [(5, 4), (9, 7)]


def test_debounce_is_for_each_key():
    app = App(fn(debounce=Debounce(2, by("user"))))
    app.send({"user": 1, "n": 1}, {"user": 2, "n": 2}, {"user": 1, "n": 3})
    app.after(2)
    assert sorted(events[0]["n"] for events in app.runs) == [2, 3]


def test_a_burst_goes_on_over_a_restart():
    app = App(fn(debounce=Debounce(10, timeout=15)))
    app.send("a")
    app.restart(at=1004)
    app.send("b")
    app.restart(at=1012, snapshot=True)
    app.send("c")
    app.until(1020)
    assert app.starts == [(15, "c")]


def test_a_burst_that_ended_while_nobody_served_is_over_at_once():
    app = App(fn(debounce=Debounce(10)))
    app.send("a")
    app.restart(at=5000)
    assert app.starts == [(4000, "a")]


# ---------------------------------------------------------------- batch


def test_a_batch_is_one_run_of_so_many_events_as_they_came():
    app = App(fn(batch=Batch(8, 60)))
    app.send(*range(5))
    app.send(*range(5, 20))
    assert app.runs == [[*range(8)], [*range(8, 16)]]
    assert app.of(records.EventHeld)[7].because == "8 of 8"
    app.until(1059.5)
    assert len(app.runs) == 2
    app.until(1060)
    assert app.runs[2] == [16, 17, 18, 19]


def test_a_batch_ends_a_timeout_after_its_first_event():
    app = App(fn(batch=Batch(3, 10)))
    app.send("a")
    app.after(9).send("b")
    assert [held.due_at for held in app.of(records.EventHeld)] == [1010, 1010]
    app.now += 1  # the batch is due when this event comes
    app.send("c")
    assert app.runs == [["a", "b"]]
    app.until(1019.5)
    assert len(app.runs) == 1
    app.until(1020)
    assert app.runs == [["a", "b"], ["c"]]


def test_batches_are_for_each_key_and_if_exp_lets_an_event_go_alone():
    wanted = Batch(2, 10, by("user"), lambda event: event.data["n"] < 10)
    app = App(fn(batch=wanted))
    app.send({"user": 1, "n": 1}, {"user": 2, "n": 2}, {"user": 1, "n": 10}, {"user": 2, "n": 3})
    assert [[event["n"] for event in events] for events in app.runs] == [[10], [2, 3]]
    app.after(10)
    assert [event["n"] for event in app.runs[2]] == [1]


def test_a_batch_survives_a_restart_and_the_clock_does_not_start_again():
    app = App(fn(batch=Batch(3, 10)))
    app.send("a")
    app.restart(at=1005)
    app.send("b")
    app.restart(at=1009, snapshot=True)
    app.until(1010)
    assert app.runs == [["a", "b"]]


def test_a_batch_that_has_grown_too_large_goes_in_parts_of_the_right_size():
    app = App(fn(batch=Batch(5, 10)))
    app.send(*range(4))
    app.restart(fn(batch=Batch(2, 10)))
    app.send(4)
    assert app.runs == [[0, 1], [2, 3]]
    app.until(1010)
    assert app.runs[2] == [4]


def test_a_batch_of_a_function_that_no_longer_gathers_goes_as_it_is():
    app = App(fn(batch=Batch(5, 10)))
    app.send(1, 2)
    app.restart(fn())
    app.send(3)
    app.until(1010)
    assert app.runs == [[3], [1, 2]]


# ---------------------------------------------------------------- singleton


def test_singleton_skip_drops_the_new_event_while_a_run_is_unfinished():
    app = App(fn(singleton=Singleton("skip", by("user"))))
    app.send({"user": 1}, {"user": 2}, {"user": 1})
    assert app.skipped == [("singleton", "1")]
    app.cancel("f-1")
    app.send({"user": 1})
    assert app.skipped == [("singleton", "1")] * 2, "it has not ended"
    app.end("f-1")
    app.send({"user": 1})
    assert list(app.given) == ["f-1", "f-2", "f-5"]


def test_a_queued_run_is_unfinished():
    from plait._kernel.admission.plan import Concurrency

    app = App(fn(singleton=Singleton("skip", by("n")), concurrency=(Concurrency(1, of="runs"),)))
    app.send({"n": 1}, {"n": 2}, {"n": 2})
    assert app.waiting() == ["f-2"]
    assert app.skipped == [("singleton", "2")]


def test_singleton_cancel_cancels_the_older_run_first():
    app = App(fn(singleton=Singleton("cancel")))
    app.send("a")
    todo = app.send("b")
    assert [type(effect) for effect in todo] == [effects.CancelRun, effects.QueueRun]
    assert (todo[0].run_id, todo[0].started) == ("f-1", True)
    assert app.running() == ["f-1"], "the new one waits for the clean-up"
    app.end("f-1")
    assert app.running() == ["f-2"]


def test_singleton_cancel_leaves_one_of_those_that_wait():
    app = App(fn(singleton=Singleton("cancel")))
    for data in "abc":
        app.send(data)
    assert [run_id for _, run_id in app.cancelled] == ["f-1", "f-2"]
    assert app.waiting() == ["f-3"]
    app.restart(at=1001)
    assert app.waiting() == ["f-3"]
    app.end("f-1")
    assert [run_id for _, run_id in app.started] == ["f-1", "f-3"]


def test_a_single_run_is_single_when_its_burst_is_over():
    app = App(fn(debounce=Debounce(5), singleton=Singleton("skip")))
    app.send("a")
    app.after(5).send("b")
    app.after(5)
    assert app.runs == [["a"]]
    assert app.skipped == [("singleton", "")]
    assert app.of(records.EventSkipped)[0].out_of == ("debounce", "")
    app.end("f-1")
    app.send("c")
    app.after(5)
    assert app.runs == [["a"], ["c"]]


def test_a_dropped_event_counts_in_no_window():
    app = App(fn(singleton=Singleton("skip"), rate_limit=RateLimit(2, 100)))
    app.send("a", "b", "c", "d")
    app.end("f-1")
    app.send("e")
    assert app.runs == [["a"], ["e"]]
    assert app.skipped == [("singleton", "")] * 3


# ---------------------------------------------------------------- invoke


def test_invoke_passes_by_debounce_and_batch():
    app = App(fn("f", debounce=Debounce(10)), fn("g", batch=Batch(5, 10)))
    todo = app.invoke("f", "one", "x")
    assert [type(effect) for effect in todo] == [effects.QueueRun, effects.StartRun]
    app.invoke("g", "two", "y")
    assert app.runs == [["x"], ["y"]]
    app.send("z")
    assert len(app.state.functions["f"].bursts) == 1


def test_invoke_says_which_knob_drops_it():
    app = App(
        fn("idem", idempotency=lambda event: "i"),
        fn("rate", rate_limit=RateLimit(1, 10)),
        fn("single", singleton=Singleton("skip", lambda event: "s")),
    )
    for fn_id, knob, key in [
        ("idem", "idempotency", "i"),
        ("rate", "rate_limit", ""),
        ("single", "singleton", "s"),
    ]:
        assert not got(app.invoke(fn_id, f"{fn_id}1"), effects.SkipRun)
        [skip] = app.invoke(fn_id, f"{fn_id}2")
        assert skip == effects.SkipRun(f"{fn_id}2", fn_id, knob, key)


def test_invoke_is_told_when_a_callable_raises():
    app = App(fn(idempotency=by("user")))
    [report] = app.invoke(data={})
    assert isinstance(report.error, KeyError)


def test_what_was_invoked_is_no_duplicate_and_needs_no_trigger():
    app = App(fn(on="else", timeouts=Timeouts(start=5)))
    for number in (1, 2):
        event = app.arrival("x", id="same", ts=99_000_000)
        app.hear(invoked(app, f"r{number}", event))
    app.send("y", id="same", name="else")
    assert app.runs == [["x"], ["x"], ["y"]]


def invoked(app, run_id, event):
    from plait._kernel.admission.stimuli import Invoked

    return Invoked(app.now, "f", run_id, event)
