"""Events as they come: duplicates, triggers, later times, ticks, and callables that raise."""

from __future__ import annotations

import pytest

from plait._kernel.admission import effects, records
from plait._kernel.admission.advance import ImpossibleStimulus
from plait._kernel.admission.plan import Cancel, Concurrency, Debounce, RateLimit, Trigger
from tests.kernel.admission.shell import App, by, fn, got

DAY = 86_400


def boom(*_):
    raise ZeroDivisionError("boom")


def test_an_event_is_recorded_queued_and_started_in_one_go():
    app = App(fn())
    todo = app.send("x")
    received = app.of(records.EventReceived)
    assert [(event.number, event.name, event.data) for event in received] == [(1, "e", "x")]
    assert [type(effect) for effect in todo] == [effects.QueueRun, effects.StartRun]
    assert todo[0] == effects.QueueRun("f-1", "f", tuple(received), 0.0, None)
    assert todo[1] == effects.StartRun("f-1", "f", tuple(received), None)
    app.end("f-1")
    assert app.state.runs == {}
    assert [type(record).__name__ for record in app.records] == [
        "EventReceived", "RunAdmitted", "RunReleased", "RunLeft",
    ]  # fmt: skip


def test_each_function_gets_a_run_of_its_own():
    app = App(fn("f"), fn("g"), fn("other", on="else"))
    app.send("x")
    assert app.given == {"f-1": ["x"], "g-1": ["x"]}


def test_several_triggers_give_one_run_for_each_event_and_one_only():
    triggers = (Trigger("a"), Trigger("b"), Trigger("b", lambda event: True))
    app = App(fn(triggers=triggers))
    app.send("x", name="a")
    app.send("y", name="b")
    assert app.given == {"f-1": ["x"], "f-2": ["y"]}


def test_one_of_the_expressions_must_hold():
    triggers = (Trigger("e", lambda e: e.data > 5), Trigger("e", lambda e: e.data < 2))
    app = App(fn(triggers=triggers))
    app.send(1, 3, 6)
    assert app.runs == [[1], [6]]
    assert app.skipped == [], "an event that is not meant is not dropped"


def test_an_id_counts_for_a_day():
    app = App(fn())
    app.send("x", id="same")
    app.after(DAY - 1).send("y", id="same")
    app.after(1).send("z", id="same")
    assert app.runs == [["x"], ["z"]]
    assert app.skipped == [("id", "same")]
    assert app.of(records.EventSkipped)[0].event == 0


def test_an_id_counts_within_one_send_too():
    app = App(fn())
    app.send("x", "y", id="same")
    assert app.runs == [["x"]]


def test_an_event_nobody_can_take_refuses_all_of_them():
    app = App(fn(on="a", cancels=(Cancel("stop"),)))
    events = (app.arrival(name="a"), app.arrival(name="b"), app.arrival(name="b"))
    [refused] = app.hear(app_events(app, events))
    assert refused == effects.RefuseEvents(("b",))
    assert app.records == []
    app.send(name="stop")
    assert len(app.of(records.EventReceived)) == 1


def app_events(app, events):
    from plait._kernel.admission.stimuli import EventsReceived

    return EventsReceived(app.now, events)


def test_while_a_run_is_unfinished_it_may_wait_for_any_event():
    app = App(fn(on="a"))
    app.send(name="a")
    app.send(name="b")
    app.end("f-1")
    assert got(app.send(name="b"), effects.RefuseEvents)


def test_an_event_that_was_accepted_is_not_refused_when_it_comes_again():
    app = App(fn(on="a"))
    app.send(name="a")
    app.send(name="b", id="told")
    app.end("f-1")
    assert not got(app.send(name="b", id="told"), effects.RefuseEvents)
    assert got(app.send(name="b", id="news"), effects.RefuseEvents)


def test_an_event_of_a_later_time_is_queued_then():
    app = App(fn(rate_limit=RateLimit(1, 10)))
    app.send("late", ts=1_060_000)
    app.send("now")
    assert app.runs == [["now"]]
    [held] = app.of(records.EventHeld)
    assert (held.knob, held.due_at, held.fn_id) == ("ts", 1060, "f")
    app.until(1059.9)
    assert app.runs == [["now"]]
    app.until(1060)
    assert app.runs == [["now"], ["late"]]
    assert app.starts == [(0, "now"), (60, "late")]


def test_flow_control_applies_to_a_later_event_when_its_time_has_come():
    app = App(fn(rate_limit=RateLimit(1, 10)), fn("g", idempotency=lambda e: "k"))
    app.send("late", ts=1_060_000)
    app.until(1055).send("before")
    app.until(1060)
    assert app.runs == [["before"], ["before"]]
    assert app.skipped == [("rate_limit", ""), ("idempotency", "k")]


def test_an_event_of_an_earlier_time_is_queued_at_once():
    app = App(fn())
    app.send("x", ts=5)
    assert app.starts == [(0, "x")]


@pytest.mark.parametrize(
    ("knob", "broken"),
    [
        ("expression", {"triggers": (Trigger("e", boom),)}),
        ("idempotency", {"idempotency": boom}),
        ("rate_limit", {"rate_limit": RateLimit(1, 1, boom)}),
        ("debounce", {"debounce": Debounce(1, boom)}),
        ("priority", {"priority": boom}),
        ("concurrency", {"concurrency": (Concurrency(1), Concurrency(1, boom))}),
    ],
)
def test_a_callable_that_raises_skips_its_function_and_is_reported(knob, broken):
    app = App(fn("f", **broken), fn("g"))
    todo = app.send("x")
    [report] = got(todo, effects.Report)
    assert (report.fn_id, report.knob, report.event_id) == ("f", knob, "id1")
    assert isinstance(report.error, ZeroDivisionError)
    [skipped] = app.of(records.EventSkipped)
    assert (skipped.fn_id, skipped.knob, skipped.event) == ("f", knob, 1)
    assert skipped.because == "ZeroDivisionError: boom"
    assert app.given == {"g-1": ["x"]}


def test_whatever_a_callable_raises_the_state_and_the_records_agree():
    def interrupted(event):
        raise KeyboardInterrupt

    app = App(fn("f", idempotency=interrupted), fn("g"))
    [report] = got(app.send("x"), effects.Report)
    assert isinstance(report.error, KeyboardInterrupt)
    assert app.given == {"g-1": ["x"]}


def test_a_key_is_a_str():
    app = App(fn(rate_limit=RateLimit(1, 1, lambda event: 7)))
    [report] = got(app.send("x"), effects.Report)
    assert str(report.error) == "a key must be a str, not int (7)"


@pytest.mark.parametrize("wrong", ["1", True, float("nan"), None])
def test_a_priority_is_a_number(wrong):
    app = App(fn(priority=lambda event: wrong))
    [report] = got(app.send("x"), effects.Report)
    assert str(report.error) == f"a priority must be a number of seconds, not {wrong!r}"


def test_callables_are_asked_when_the_event_comes_and_never_again():
    asked = []

    def key(event):
        asked.append(event.data)
        return event.data

    app = App(fn(debounce=Debounce(10, key), concurrency=(Concurrency(1, key, of="runs"),)))
    app.send("x", ts=1_005_000)
    assert asked == ["x", "x"]
    app.restart()
    app.until(1100)
    assert app.starts == [(15, "x")]
    assert asked == ["x", "x"]


# ---------------------------------------------------------------- ticks


def test_a_tick_fires_once():
    app = App(fn())
    app.tick(1000)
    app.tick(1000)
    app.tick(1060.0)
    app.tick(1000)
    assert app.given == {"f-at-1000": [1000], "f-at-1060.0": [1060]}
    fired = app.of(records.CronFired)
    assert [(tick.fn_id, tick.scheduled_at) for tick in fired] == [("f", 1000), ("f", 1060)]


def test_two_triggers_that_meet_fire_once():
    app = App(fn(), fn("g"))
    app.tick(1000, cron="a")
    app.tick(1000, cron="b")
    app.tick(1000, "g", cron="a")
    assert list(app.given) == ["f-at-1000", "g-at-1000"]


def test_a_trigger_may_be_late_for_another():
    """Jitter delays some: what has fired is remembered for each trigger."""
    app = App(fn())
    app.tick(1010, cron="a")
    app.tick(1000, cron="b")
    assert list(app.given) == ["f-at-1010", "f-at-1000"]
    assert app.state.ticks == {("f", "a"): 1010, ("f", "b"): 1000}


def test_a_tick_fires_once_over_restarts():
    app = App(fn())
    app.tick(1000)
    app.end("f-at-1000")
    app.restart(at=1000 + 2 * DAY)
    app.tick(1000)
    assert list(app.given) == ["f-at-1000"]


def test_a_tick_passes_the_knobs():
    app = App(fn(rate_limit=RateLimit(1, 100), debounce=Debounce(5)))
    app.tick(1000)
    app.tick(1001)
    app.after(5)
    assert app.given == {"f-at-1000": [1000]}
    assert app.skipped == [("rate_limit", "")]


# ---------------------------------------------------------------- what cannot be


def test_what_cannot_have_happened_is_refused_and_changes_nothing():
    app = App(fn(), fn("slow", on="slow", concurrency=(Concurrency(1, of="runs"),)))
    app.send("x")
    app.send(1, 2, name="slow")
    app.ask("f-1", "call")
    before = len(app.records)
    for wrong, because in [
        (lambda: app.tick(1000, "nobody"), "no such function"),
        (lambda: app.invoke("nobody"), "no such function"),
        (lambda: app.invoke(run_id="f-1"), "its run has not ended"),
        (lambda: app.invoke(parent="nobody"), "its parent is not running"),
        (lambda: app.invoke(parent="slow-3"), "its parent is not running"),
        (lambda: app.hear(ended("nobody")), "no such run"),
        (lambda: app.end("f-1"), "it has handlers"),
        (lambda: app.ask("f-1", "call"), "it has asked before"),
        (lambda: app.ask("nobody", "c"), "its run is not running"),
        (lambda: app.ask("slow-3", "c"), "its run is not running"),
        (lambda: app.leave("nobody"), "no such call"),
    ]:
        with pytest.raises(ImpossibleStimulus, match=because):
            wrong()
        assert len(app.records) == before


def ended(run_id):
    from plait._kernel.admission.stimuli import RunEnded

    return RunEnded(0.0, run_id, "completed")


def test_keys_come_from_the_event():
    app = App(fn(idempotency=by("user")))
    app.send({"user": 1}, {"user": 2}, {"user": 1})
    assert app.runs == [[{"user": 1}], [{"user": 2}]]


def test_a_trigger_is_watched_from_the_first_time_it_is_served():
    app = App(fn())
    app.watch(cron="a")
    app.after(100).watch(cron="a")
    assert app.state.ticks == {("f", "a"): 1000.0}
    app.restart(at=1200)
    app.watch(cron="a")
    app.watch(cron="b")
    assert app.state.ticks == {("f", "a"): 1000.0, ("f", "b"): 1200.0}
    app.restart(snapshot=True)
    app.tick(1060.0, cron="a")
    app.watch(cron="a")
    assert app.state.ticks == {("f", "a"): 1060.0, ("f", "b"): 1200.0}
    assert len(app.of(records.CronWatched)) == 2


def test_only_what_the_plan_has_is_watched():
    app = App(fn())
    with pytest.raises(ImpossibleStimulus, match="no such function"):
        app.watch("g")
