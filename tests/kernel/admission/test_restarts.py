"""All knobs at once, under any stimuli: the state is the sum of its records, and a restart changes nothing.

The shell folds all records beside the live state, and compares after every stimulus.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from plait._kernel.admission import advance as advancing
from plait._kernel.admission import effects, records, stimuli
from plait._kernel.admission.advance import SNAPSHOT_EVERY, advance
from plait._kernel.admission.keeping import KEEPING, kept
from plait._kernel.admission.plan import (
    AppPlan,
    Batch,
    Cancel,
    Concurrency,
    Debounce,
    RateLimit,
    Singleton,
    Throttle,
    Timeouts,
)
from plait._kernel.admission.snapshot import fold, picture_of, state_of
from plait._kernel.admission.state import AppState
from plait._kernel.keeping import Keep
from tests.kernel.admission.shell import App, by, fn, got, run_name

GPU = Concurrency(2, lambda event: "gpu", "app", "runs")
FUNCTIONS = (
    fn(
        "busy",
        idempotency=lambda event: f"{event.data['k']}{event.data['n'] // 2}",
        rate_limit=RateLimit(4, 10, by("k")),
        debounce=Debounce(1, by("k"), 3),
        singleton=Singleton("skip", by("n")),
        concurrency=(GPU,),
        timeouts=Timeouts(5, 6),
    ),
    fn("batch", batch=Batch(3, 2, by("k")), throttle=Throttle(1, 2, burst=2), concurrency=(GPU,)),
    fn(
        "single",
        singleton=Singleton("cancel", by("k")),
        cancels=(Cancel("stop", lambda run, stop: run.data["k"] == stop.data["k"], 8),),
        concurrency=(Concurrency(1, by("k")), Concurrency(3, of="runs"), GPU),
        priority=lambda event: event.data["n"],
        timeouts=Timeouts(start=4),
    ),
    fn("broken", on="broken", idempotency=lambda event: 1 / event.data["n"]),
)

PAUSE = st.integers(0, 12).map(lambda n: n / 4)
DATA = st.builds(lambda k, n: {"k": k, "n": n}, st.sampled_from("ab"), st.integers(0, 5))
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.lists(DATA, min_size=1, max_size=3)),
        st.tuples(st.just("later"), DATA, PAUSE),
        st.tuples(st.just("stop"), DATA),
        st.tuples(st.just("broken"), DATA),
        st.tuples(st.just("tick"), st.sampled_from(["busy", "single"]), DATA),
        st.tuples(st.just("invoke"), st.sampled_from(["busy", "batch", "single"]), DATA),
        st.tuples(st.just("child"), st.integers(0, 9), DATA),
        st.tuples(st.just("end"), st.integers(0, 9)),
        st.tuples(st.just("end"), st.integers(0, 9)),
        st.tuples(st.just("cancel"), st.integers(0, 9)),
        st.tuples(st.just("wait"), PAUSE),
        st.tuples(st.just("restart"), st.booleans(), PAUSE),
    ),
    max_size=30,
)


def play(app, action, number, *, restarts=True):
    state = app.state
    match action:
        case "send", data:
            app.send(*data)
        case "later", data, pause:
            app.send(data, ts=int((app.now + pause) * 1000))
        case ("stop" | "broken") as name, data:
            app.send(data, name=name)
        case "tick", fn_id, data:
            event = app.arrival(data, name="cron")
            planned = app.now // 2 * 2
            run_id = f"{fn_id}-{planned}"
            app.hear(stimuli.Ticked(app.now, fn_id, "c", planned, event, run_id))
        case "invoke", fn_id, data:
            app.invoke(fn_id, f"i{number}", data)
        case "child", which, data:
            if running := app.running():
                app.invoke("single", f"i{number}", data, parent=running[which % len(running)])
        case "end", which:
            if running := app.running():
                app.end(running[which % len(running)])
        case "cancel", which:
            if state.runs:
                app.cancel([*state.runs][which % len(state.runs)])
        case "wait", pause:
            app.after(pause)
        case "restart", snapshot, pause:
            if restarts:
                app.restart(snapshot=snapshot)
            else:
                app.hear(stimuli.TimePassed(app.now))
            app.after(pause)


@given(ACTIONS)
def test_a_restart_changes_nothing(actions):
    one, other = App(*FUNCTIONS), App(*FUNCTIONS)
    for number, action in enumerate(actions):
        play(one, action, number)
        play(other, action, number, restarts=False)
        assert one.queued == other.queued
        assert one.started == other.started
        assert dict.fromkeys(run for _, run in one.cancelled) == dict.fromkeys(
            run for _, run in other.cancelled
        )
        one.state.since = one.shadow.since = other.state.since
        assert one.state == other.state
        assert one.alarm == other.alarm


@given(ACTIONS, st.integers(0, 30))
def test_a_snapshot_and_the_rest_are_all(actions, cut):
    app = App(*FUNCTIONS)
    picture, before = picture_of(app.state), 0
    for number, action in enumerate(actions):
        play(app, action, number, restarts=False)
        if number == cut:
            picture, before = picture_of(app.state), len(app.records)
            app.state.since = app.shadow.since = 0
    again = fold(state_of(app.plan, picture), app.records[before:])
    assert again == app.state
    assert again.timers == fold(AppState(app.plan), app.records).timers
    assert picture_of(again) == picture_of(app.state)


@given(ACTIONS, st.integers(1, 20))
def test_what_is_overdue_after_a_long_absence_is_the_same_from_records_and_from_a_snapshot(
    actions, pause
):
    apps = App(*FUNCTIONS), App(*FUNCTIONS)
    for app in apps:
        for number, action in enumerate(actions):
            play(app, action, number, restarts=False)
    one, other = apps
    assert one.restart(at=one.now + pause) == other.restart(at=other.now + pause, snapshot=True)


# ---------------------------------------------------------------- snapshots in the stream


def test_a_snapshot_comes_every_ten_thousand_records():
    app = App(fn(debounce=Debounce(5)))
    app.send("first", id="same")
    half = [None] * (SNAPSHOT_EVERY // 2 - 2)
    app.send(*half, id="same")
    app.send(*half, id="same")
    assert not app.of(records.AppSnapshot)
    assert app.state.since == SNAPSHOT_EVERY - 2
    app.send(1, 2, id="same")
    [snapshot] = app.of(records.AppSnapshot)
    assert app.records[-1] == snapshot
    assert app.state.since == 0
    app.send("last")
    rest = app.records[app.records.index(snapshot) + 1 :]
    assert fold(state_of(app.plan, snapshot.state), rest) == app.state
    app.restart()
    app.after(5)
    assert app.runs == [["last"]]


def test_a_snapshot_that_is_large_comes_less_often(monkeypatch):
    """Whatever waits, an event costs the same."""
    monkeypatch.setattr(advancing, "SNAPSHOT_EVERY", 10)
    app = App(fn(concurrency=(Concurrency(1, of="runs"),)))
    for number in range(200):
        app.send(number)
    sizes = [len(one.state.runs) for one in app.of(records.AppSnapshot)]
    assert sum(sizes) < 4 * 200
    assert sizes == sorted(sizes)
    assert len(sizes) > 5


def test_each_record_is_kept_as_the_table_says():
    app = App(fn(concurrency=(Concurrency(1),)))
    app.send("x")
    app.ask("f-1", "a")
    app.leave("a")
    left = [record for record in app.records if record not in kept(app.records)]
    assert [type(record).__name__ for record in left] == [
        "HandlerQueued", "HandlerAdmitted", "HandlerGone",
    ]  # fmt: skip
    assert {kind for kind, keep in KEEPING.items() if keep is Keep.ORDERED} == {records.AppSnapshot}
    assert set(KEEPING) == set(records.Record.__args__)


def test_a_timer_that_comes_too_soon_is_asked_for_again():
    app = App(fn(debounce=Debounce(5)))
    app.send("x")
    app.now += 4
    assert app.hear(stimuli.TimePassed(app.now)) == [effects.Wake(1005)]


def test_a_timer_is_asked_for_once():
    app = App(fn(debounce=Debounce(5)))
    assert got(app.send("x"), effects.Wake) == [effects.Wake(1005)]
    app.now += 0.25
    assert got(app.send("y", name="e"), effects.Wake) == [effects.Wake(1005.25)]
    assert got(app.send("z"), effects.Wake) == []


# ---------------------------------------------------------------- what an event costs


class Counted(float):
    """A time that counts how often it is compared."""

    compared = 0

    def __sub__(self, other):
        return Counted(float(self) - other)

    def __add__(self, other):
        return Counted(float(self) + other)

    def __lt__(self, other):
        Counted.compared += 1
        return float(self) < other

    def __le__(self, other):
        Counted.compared += 1
        return float(self) <= other

    def __eq__(self, other):
        Counted.compared += 1
        return float(self) == other

    __hash__ = float.__hash__


def most_compared(runs, keys):
    """How many times are compared at most, to move on a queue of so many runs."""
    function = fn(
        concurrency=(Concurrency(1, by("key"), of="runs"), Concurrency(5, of="runs")),
        throttle=Throttle(1, 0.001, by("key")),
        timeouts=Timeouts(start=10**9, finish=10**6),
        rate_limit=RateLimit(50, 10, by("key")),
    )
    state = AppState(AppPlan((function,), run_name))
    most = 0
    now = 20.0
    names = iter(range(10**6))

    def hear(kind, *rest):
        nonlocal most, now
        now += 1 / 1024
        Counted.compared = 0
        todo = advance(state, kind(Counted(now), *rest))[1]
        most = max(most, Counted.compared)
        return todo

    def event(key):
        return stimuli.Arrival(str(next(names)), "e", {"key": key}, 0)

    hear(stimuli.EventsReceived, tuple(event(number % keys) for number in range(runs)))
    most = 0
    for extra in range(20):
        hear(stimuli.EventsReceived, (event(extra),))
        hear(stimuli.CancelAsked, next(reversed(state.runs)))
        running = next(run.run_id for run in state.runs.values() if run.started_at is not None)
        assert got(hear(stimuli.RunEnded, running, "completed"), effects.StartRun)
        hear(stimuli.TimePassed)
    assert len(state.runs) == runs - 20
    return most


def test_what_an_event_costs_hardly_grows_with_what_waits():
    """It may grow as the logarithm does. Fifty times as many: six more levels of each heap."""
    few, many = most_compared(100, 10), most_compared(5_000, 500)
    assert many < 2 * few
