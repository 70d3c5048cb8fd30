"""Each knob beside a model that is obviously right, under any events at any times.

All times are multiples of a quarter of a second, so sums are exact and every boundary is met.
"""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from plait._kernel.admission.plan import (
    Batch,
    Concurrency,
    Debounce,
    RateLimit,
    Singleton,
    Throttle,
)
from tests.kernel.admission import models
from tests.kernel.admission.shell import App, by, fn

QUARTERS = st.integers(0, 24).map(lambda n: n / 4)
#: The time since the one before, and a key.
ARRIVALS = st.lists(st.tuples(QUARTERS, st.sampled_from("ab")), max_size=25)


def played(app, arrivals):
    """Send events at these times; the times, keys and numbers of the events."""
    sent = []
    for number, (pause, key) in enumerate(arrivals):
        app.after(pause).send({"key": key, "n": number})
        sent.append((app.now, key, number))
    app.after(10_000)
    return sent


def started(app):
    return [(now, *(event["n"] for event in app.given[run])) for now, run in app.started]


@given(ARRIVALS, st.sampled_from([1, 2, 4]), st.integers(1, 12), st.integers(1, 4))
def test_the_throttle_is_the_gcra(arrivals, limit, period, burst):
    app = App(fn(throttle=Throttle(limit, period, burst=burst)))
    sent = played(app, arrivals)
    starts = [now for now, _ in started(app)]
    interval = period / limit
    assert starts == models.gcra([now for now, *_ in sent], interval, burst)
    for first, begin in enumerate(starts):
        for last in range(first, len(starts)):
            assert last - first + 1 <= burst + (starts[last] - begin) // interval


@given(ARRIVALS, st.integers(1, 4), st.integers(1, 40).map(lambda n: n / 4), st.booleans())
def test_no_window_has_more_than_its_rate(arrivals, limit, period, keyed):
    key = by("key") if keyed else None
    app = App(fn(rate_limit=RateLimit(limit, period, key)))
    sent = played(app, arrivals)
    for wanted in "ab":
        mine = [now for now, key, _ in sent if not keyed or key == wanted]
        through = [now for now, n in started(app) if not keyed or sent[n][1] == wanted]
        assert through == models.passed(mine, limit, period)
        for begin in through:
            assert sum(begin <= now < begin + period for now in through) <= limit


@given(
    ARRIVALS,
    st.integers(1, 16).map(lambda n: n / 4),
    st.none() | st.integers(1, 40).map(lambda n: n / 4),
)
def test_a_burst_is_one_run_with_its_last_event_and_ends_in_time(arrivals, period, timeout):
    app = App(fn(debounce=Debounce(period, by("key"), timeout)))
    sent = played(app, arrivals)
    for wanted in "ab":
        mine = [(now, n) for now, key, n in sent if key == wanted]
        found = [(now, n) for now, n in started(app) if sent[n][1] == wanted]
        assert found == models.bursts(mine, period, timeout)


@given(ARRIVALS, st.integers(2, 5), st.integers(1, 40).map(lambda n: n / 4))
def test_batches_have_their_size_and_keep_the_order(arrivals, size, timeout):
    app = App(fn(batch=Batch(size, timeout, by("key"))))
    sent = played(app, arrivals)
    for wanted in "ab":
        mine = [(now, n) for now, key, n in sent if key == wanted]
        found = [(now, batch) for now, *batch in started(app) if sent[batch[0]][1] == wanted]
        assert found == models.batches(mine, size, timeout)


# ---------------------------------------------------------------- the queue

SEND, END, WAIT = "send", "end", "wait"
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just(SEND), st.sampled_from("ab"), st.sampled_from("xy"), st.integers(-3, 3)),
        st.tuples(st.just(SEND), st.sampled_from("ab"), st.sampled_from("xy"), st.integers(-3, 3)),
        st.tuples(st.just(END), st.integers(0, 9)),
        st.tuples(st.just(WAIT), QUARTERS),
    ),
    max_size=40,
)


@given(
    ACTIONS,
    st.lists(st.tuples(st.integers(1, 3), st.sampled_from(["", "a", "b", "ab"])), max_size=3),
    st.none() | st.tuples(st.integers(1, 8), st.integers(1, 3), st.sampled_from(["", "a"])),
)
def test_the_queue_starts_the_best_that_may_and_nobody_waits_in_front_of_a_free_slot(
    actions, limits, throttle
):
    """Limits by the first key, the second, both or none; priorities; a throttle or none."""

    def key_of(fields):
        return lambda event: "".join(event.data[field] for field in fields)

    knobs = {
        "concurrency": tuple(Concurrency(n, key_of(by_), of="runs") for n, by_ in limits),
        "priority": lambda event: event.data["priority"],
    }
    shares = [
        (limit, lambda data, place=place, fields=fields: (place, *(data[x] for x in fields)))
        for place, (limit, fields) in enumerate(limits)
    ]
    model = models.Queue(shares)
    if throttle is not None:
        quarters, burst, fields = throttle
        knobs["throttle"] = Throttle(1, quarters / 4, key_of(fields), burst)
        model.throttle = (quarters / 4, burst, lambda data: tuple(data[x] for x in fields))
    app = App(fn(**knobs))
    for action in actions:
        match action:
            case "send", a, b, priority:
                data = {"a": a, "b": b, "priority": priority}
                app.send(data)
                model.add(app.now, app.queued[-1][1], data, priority)
            case "end", which:
                if not (running := app.running()):
                    continue
                name = running[which % len(running)]
                app.end(name)
                del model.running[name]
            case "wait", seconds:
                for _ in range(int(seconds * 4)):
                    app.after(0.25)
                    model.settle(app.now)
        model.settle(app.now)
        assert app.started == model.starts


@given(ACTIONS, st.integers(1, 3), st.booleans())
def test_handlers_are_never_too_many_and_none_waits_for_a_free_slot(actions, limit, keyed):
    concurrency = (Concurrency(limit, by("a") if keyed else None), Concurrency(2, by("b")))
    app = App(fn(concurrency=concurrency, priority=lambda event: event.data["p"]))
    runs = {}
    for a in "ab":
        for b in "xy":
            for p in range(-3, 4):
                app.send({"a": a, "b": b, "p": p})
                runs[a, b, p] = app.queued[-1][1]
    model = models.Queue(
        [
            (limit, lambda data: ("a", data[0] if keyed else "")),
            (2, lambda data: ("b", data[1])),
        ]
    )
    calls = 0
    for action in actions:
        match action:
            case "send", a, b, p:
                calls += 1
                app.ask(runs[a, b, p], calls)
                model.add(app.now, calls, (a, b), p)
            case "end", which:
                under_way = [*model.running, *(entry[2] for entry in model.waiting)]
                if not under_way:
                    continue
                call = under_way[which % len(under_way)]
                app.leave(call)
                model.running.pop(call, None)
                model.waiting = [entry for entry in model.waiting if entry[2] != call]
            case "wait", seconds:
                app.after(seconds)
        model.settle(app.now)
        assert [*app.slots] == [name for _, name in model.starts]


@given(ACTIONS, st.sampled_from(["skip", "cancel"]))
def test_a_key_never_has_two_single_runs(actions, mode):
    app = App(fn(singleton=Singleton(mode, by("key"))))
    for action in actions:
        match action:
            case "send", key, *_:
                before = [*app.state.runs]
                app.send({"key": key})
                mine = [run for run in before if app.given[run][0]["key"] == key]
                if mode == "skip":
                    assert (len(app.state.runs) == len(before)) == bool(mine)
                else:
                    newest = app.queued[-1][1]
                    assert newest in app.state.runs, "the new one is never dropped"
            case "end", which:
                if running := app.running():
                    app.end(running[which % len(running)])
            case "wait", seconds:
                app.after(seconds)
        going, executing = Counter(), Counter()
        for run in app.state.runs.values():
            key = run.events[0].data["key"]
            going[key] += run.cancelled is None
            executing[key] += run.started_at is not None
        assert max(going.values(), default=0) <= 1
        assert max(executing.values(), default=0) <= 1
        if mode == "skip":
            assert len({run.events[0].data["key"] for run in app.state.runs.values()}) == len(
                app.state.runs
            )


@given(ARRIVALS)
def test_a_key_has_one_run_a_day(arrivals):
    hours = [(pause * 3600, key) for pause, key in arrivals]
    app = App(fn(idempotency=by("key")))
    sent = played(app, hours)
    for wanted in "ab":
        mine = [now for now, key, _ in sent if key == wanted]
        found = [now for now, n in started(app) if sent[n][1] == wanted]
        assert found == models.passed(mine, 1, 86_400)
