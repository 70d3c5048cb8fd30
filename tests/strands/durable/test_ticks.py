"""Ticks: each when it is planned, once; what was missed as the trigger says."""

from __future__ import annotations

import importlib.util
import itertools
import math
import re
from datetime import UTC, datetime, timedelta

import anyio
import hypothesis
import pytest
from hypothesis import strategies as st

from plait._engine import native
from plait._engine.bodies.timers import Timers
from plait._kernel.admission import effects, stimuli
from plait._kernel.admission.advance import advance
from plait._kernel.admission.records import EventReceived
from plait._kernel.admission.state import AppState
from plait._strands._durable import cron
from plait._strands._durable.arrivals import Events
from plait._strands._durable.compile import plan_of
from plait._strands._durable.cron import Schedule, start_of
from plait._strands._durable.event import Event
from plait._strands._durable.ticks import BURST, SLEPT, Ticks, text_of
from plait._strands._durable.triggers import TriggerCron, TriggerEvent
from tests.parity.clocks import in_virtual_time
from tests.strands.durable.declaring import function

#: A full hour.
EPOCH = 1_763_002_800.0
MINUTE = 60.0


def every(fields, after):
    """Stand in for the library: every so many minutes."""
    step = timedelta(minutes=int(fields.split()[0].removeprefix("*/")))
    since = after.replace(minute=0, second=0, microsecond=0)
    for k in itertools.count():
        if (moment := since + k * step) > after:
            yield moment


@pytest.fixture(autouse=True)
def without_the_library(request, monkeypatch):
    if "with_the_library" not in request.node.name:
        schedule = property(lambda self: Schedule(self.cron, self.tz, times=every))
        monkeypatch.setattr(TriggerCron, "schedule", schedule)


def minutes(n, **more):
    return TriggerCron(f"*/{n} * * * *", **more)


class Served:
    """An app that is served for a while, stops, and is served again."""

    def __init__(self, *functions, jumps=()):
        self.functions = functions
        self.events = Events()
        self.state = AppState(plan_of(functions, self.events, app_id="shop"))
        self.queued = []
        self.seen = []
        #: What the wall clock has that the event loop's has not: a laptop slept.
        self.slept = 0.0
        clock = native.current().clock()
        begun = clock()
        self.now = lambda: EPOCH + clock() - begun + self.slept

    def hear(self, stimulus):
        self.seen.append(stimulus)
        _, todo = advance(self.state, stimulus)
        self.queued += [one for one in todo if isinstance(one, effects.QueueRun)]
        for one in todo:
            if isinstance(one, effects.StartRun):
                advance(self.state, stimuli.RunEnded(self.now(), one.run_id, "completed"))

    async def serve(self, seconds, *besides):
        timers = Timers(self.now, recheck=60.0)
        ticks = Ticks(timers, self.hear, events=self.events, app_id="shop")
        ticks.begin(self.functions, self.state.ticks)
        backend = native.current()
        async with backend.open_nursery() as nursery:
            nursery.start_soon(timers.serve)
            for one in besides:
                nursery.start_soon(one)
            await anyio.sleep(seconds)
            nursery.cancel_scope.cancel()
        ticks.stop()
        return self

    async def pause(self, seconds):
        await anyio.sleep(seconds)

    @property
    def ticks(self):
        """When each was reported, and for which time it was planned, in seconds after the epoch."""
        ticks = [one for one in self.seen if isinstance(one, stimuli.Ticked)]
        return [(one.now - EPOCH, one.planned - EPOCH) for one in ticks]

    @property
    def planned(self):
        return [planned / MINUTE for _, planned in self.ticks]


@in_virtual_time
async def test_ticks_come_when_they_are_planned():
    served = await Served(function(on=[minutes(10)])).serve(35 * MINUTE)
    assert served.ticks == [(600, 600), (1200, 1200), (1800, 1800)]
    assert len(served.queued) == 3


@in_virtual_time
async def test_a_tick_is_an_event_and_a_run_with_names_of_their_own():
    served = await Served(function(on=[TriggerEvent("a"), minutes(10)])).serve(11 * MINUTE)
    [run] = served.queued
    assert re.fullmatch("tick-[0-9a-f]{32}", run.run_id)
    [received] = run.events
    assert isinstance(received, EventReceived)
    planned = EPOCH + 600
    assert served.events.event_of(received) == Event(
        name="plait/cron",
        data={"cron": "*/10 * * * *", "scheduled_at": planned},
        id=run.run_id,
        ts=int(planned * 1000),
    )


@in_virtual_time
async def test_two_apps_have_two_names_for_a_tick():
    one = await Served(function(on=[minutes(10)])).serve(11 * MINUTE)
    name = one.queued[0].run_id
    again = await Served(function(on=[minutes(10)])).serve(11 * MINUTE)
    assert again.queued[0].run_id == name
    other = Ticks(Timers(one.now), one.hear, events=one.events, app_id="another")
    one.state.ticks["shop-fn", "*/10 * * * *"] = EPOCH
    one.state.ids.marks.clear()
    other.begin(one.functions, one.state.ticks)
    assert one.queued[-1].run_id != name


@in_virtual_time
async def test_several_triggers_and_functions():
    served = Served(function("a", on=[minutes(10), minutes(15)]), function("b", on=[minutes(20)]))
    await served.serve(31 * MINUTE)
    runs = [(run.fn_id, served.events.event_of(run.events[0]).ts) for run in served.queued]
    expected = [("a", 10), ("a", 15), ("a", 20), ("b", 20), ("a", 30)]
    wanted = [(f"shop-{name}", int((EPOCH + n * 60) * 1000)) for name, n in expected]
    assert sorted(runs) == sorted(wanted)
    assert len(served.planned) == 6, "two triggers of one function met, and are one run"


@in_virtual_time
async def test_after_the_end_nothing_is_reported():
    served = Served(function(on=[minutes(10)]))
    timers = Timers(served.now)
    ticks = Ticks(timers, served.hear, events=served.events, app_id="shop")
    ticks.begin(served.functions, {})
    ticks.stop()
    backend = native.current()
    with backend.cancel_scope(deadline=backend.clock()() + 3600):
        await timers.serve()
    assert served.ticks == []


# ---------------------------------------------------------------- what was missed


@pytest.mark.parametrize(
    ("missed", "expected"), [("skip", []), ("once", [50]), ("all", [20, 30, 40, 50])]
)
@in_virtual_time
async def test_what_was_missed_while_nobody_served(missed, expected):
    served = Served(function(on=[minutes(10, missed=missed)]))
    await served.serve(15 * MINUTE)
    await served.pause(40 * MINUTE)
    await served.serve(16 * MINUTE)
    assert served.planned == [10, *expected, 60, 70]
    late = [at for at, planned in served.ticks if planned / MINUTE in expected]
    assert late == [55 * MINUTE] * len(expected), "at once"


@in_virtual_time
async def test_a_trigger_that_never_fired_has_missed_what_came_since_it_was_served():
    served = Served(function(on=[minutes(10, missed="all")]))
    await served.serve(5 * MINUTE)
    await served.pause(20 * MINUTE)
    await served.serve(1 * MINUTE)
    assert served.planned == [10, 20]
    watched = [one for one in served.seen if isinstance(one, stimuli.CronWatched)]
    assert watched == [stimuli.CronWatched(EPOCH, "shop-fn", "*/10 * * * *")]


@in_virtual_time
async def test_a_new_trigger_has_missed_nothing():
    served = await Served(function(on=[minutes(10, missed="all")])).serve(1 * MINUTE)
    assert served.planned == []


@in_virtual_time
async def test_a_text_that_has_changed_is_another_trigger():
    served = await Served(function(on=[minutes(10, missed="all")])).serve(11 * MINUTE)
    served.functions = [function(on=[minutes(5, missed="all")])]
    await served.pause(30 * MINUTE)
    await served.serve(10 * MINUTE)
    assert served.planned == [10, 45, 50]


@in_virtual_time
async def test_many_that_were_missed_do_not_keep_others_from_their_turn():
    served = Served(function(on=[minutes(1, missed="all")]))
    await served.serve(30)
    count = 3 * BURST
    await served.pause(count * MINUTE)
    turns = []

    async def other():
        while len(served.ticks) < count:
            turns.append(len(served.ticks))
            await anyio.sleep(0.001)

    await served.serve(20, other)
    assert served.planned == [*range(1, count + 1)]
    assert {*turns} == {BURST, 2 * BURST}


@pytest.mark.parametrize(
    ("missed", "expected"), [("skip", []), ("once", [110]), ("all", [*range(20, 111, 10)])]
)
@in_virtual_time
async def test_while_the_machine_sleeps_nobody_serves(missed, expected):
    served = Served(function(on=[minutes(10, missed=missed)]))

    async def sleeps():
        await anyio.sleep(15 * MINUTE)
        served.slept = 100 * MINUTE

    await served.serve(25 * MINUTE, sleeps)
    assert served.planned == [10, *expected, 120]


@in_virtual_time
async def test_what_is_a_little_late_was_not_missed():
    served = Served(function(on=[minutes(10, missed="skip")]))

    async def sleeps():
        await anyio.sleep(10 * MINUTE - 1)
        served.slept = SLEPT

    await served.serve(15 * MINUTE, sleeps)
    assert served.planned == [10]


# ---------------------------------------------------------------- jitter


@in_virtual_time
async def test_jitter_starts_each_later_and_keeps_their_order():
    jitter = 30 * MINUTE
    served = await Served(function(on=[minutes(10, jitter=jitter)])).serve(10 * 3600)
    latest, expected = -math.inf, []
    for planned in range(600, 10 * 3600, 600):
        latest = max(latest, start_of(EPOCH + planned, jitter, 0, "shop-fn") - EPOCH)
        if latest < 10 * 3600:
            expected.append((pytest.approx(latest), planned))
        assert 0 <= latest - planned < jitter
    assert served.ticks == expected
    assert len(expected) > 50


@in_virtual_time
async def test_a_tick_whose_start_is_still_to_come_was_not_missed():
    """It was planned before the stop, and would have started after it."""
    jitter = 9 * MINUTE
    planned = EPOCH + 600
    start = start_of(planned, jitter, 0, "shop-fn") - EPOCH
    assert 601 < start < 1100
    served = Served(function(on=[minutes(10, jitter=jitter, missed="skip")]))
    await served.serve(600.5)
    await served.serve(start - 600)
    assert served.ticks == [(pytest.approx(start), 600)]
    again = Served(function(on=[minutes(10, jitter=jitter, missed="skip")]))
    await again.serve(600.5)
    await again.pause(start - 600)
    await again.serve(1)
    assert again.ticks == []


@hypothesis.given(
    st.lists(st.tuples(st.booleans(), st.integers(1, 4000)), min_size=1, max_size=6),
    st.sampled_from(["once", "all"]),
    st.sampled_from([0.0, 100.0, 2000.0]),
)
@hypothesis.settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
@hypothesis.example([(False, 598)], "all", 0.0)
@hypothesis.example([(False, 598)], "once", 0.0)
def test_whatever_is_served_each_tick_is_one_run_in_order(spans, missed, jitter):
    """Stops and restarts lose no tick for `all`; for `once` the last of each gap."""

    async def live():
        served = Served(function(on=[minutes(10, missed=missed, jitter=jitter)]))
        await served.serve(1)
        for serves, seconds in spans:
            await (served.serve(seconds) if serves else served.pause(seconds))
        await served.serve(1)
        return served, served.now() - EPOCH

    served, now = run_virtually(live)
    assert len(served.queued) == len(served.ticks)
    # One that is due at the very moment of the end may have come, or not.
    planned = [one for came, one in served.ticks if came < now - 0.01]
    assert planned == sorted({*planned})
    latest, started = -math.inf, []
    for time in range(600, int(now) + 1, 600):
        latest = max(latest, start_of(EPOCH + time, jitter, 0, "shop-fn") - EPOCH)
        if latest < now - 0.01:
            started.append(time)
    if missed == "all":
        assert planned == started
    else:
        assert {*planned} <= {*started}
        assert planned[-1:] == started[-1:]


def run_virtually(fn):
    import trio
    import trio.testing

    return trio.run(fn, clock=trio.testing.MockClock(autojump_threshold=0))


# ---------------------------------------------------------------- texts, and the last of many


def test_a_trigger_is_known_by_its_text():
    assert text_of(TriggerCron(" 0  3 * * MON")) == "0 3 * * MON"
    assert text_of(TriggerCron("0 3 * * MON", tz="Europe/Paris")) == "TZ=Europe/Paris 0 3 * * MON"


def test_the_last_of_a_year_of_minutes_is_found_by_looking_at_few():
    looked = []

    def counted(fields, after):
        for moment in every(fields, after):
            looked.append(moment)
            yield moment

    schedule = Schedule("*/1 * * * *", times=counted)
    year = 365 * 86_400.0
    assert [*cron.due(schedule, EPOCH, EPOCH + year, "once")] == [EPOCH + year]
    assert len(looked) < 5000
    del looked[:]
    hours = Schedule("*/60 * * * *", times=counted)
    assert [*cron.due(hours, EPOCH, EPOCH + 3600, "once")] == [EPOCH + 3600]


@hypothesis.given(
    st.sampled_from([20, 30, 60]), st.integers(0, 10**6), st.sampled_from([0.0, 500.0, 4e5])
)
@hypothesis.settings(max_examples=40, deadline=None)
def test_the_last_is_the_last_of_all(step, seconds, jitter):
    schedule = Schedule(f"*/{step} * * * *", times=every)

    def start(planned):
        return start_of(planned, jitter, 0, "f")

    now = EPOCH + seconds
    options = {"start": start, "jitter": jitter}
    every_one = [*cron.due(schedule, EPOCH, now, "all", **options)]
    assert [*cron.due(schedule, EPOCH, now, "once", **options)] == every_one[-1:]


def test_a_time_that_a_night_has_twice_is_not_found_again():
    """Asked between the two, the library names the second, which is no planned time."""
    hour, week = 3600.0, 7 * 86_400.0
    tick = EPOCH

    def weekly(fields, after):
        moment = after.timestamp()
        if tick < moment < tick + hour:
            yield datetime.fromtimestamp(tick + hour, UTC)
        for k in itertools.count():
            if tick + k * week > moment:
                yield datetime.fromtimestamp(tick + k * week, UTC)

    schedule = Schedule("30 2 * * SUN", times=weekly)
    now = tick + cron.AWHILE + hour / 2
    assert [*cron.due(schedule, tick, now, "once")] == []
    assert [*cron.due(schedule, tick, now, "all")] == []
    assert [*cron.due(schedule, tick - week, now, "once")] == [tick]


# ---------------------------------------------------------------- with the library


@pytest.mark.skipif(importlib.util.find_spec("cronsim") is None, reason="cronsim is not installed")
@in_virtual_time
async def test_with_the_library_a_week_of_nights():
    served = await Served(function(on=[TriggerCron("TZ=Europe/Paris 30 9 * * MON-FRI")])).serve(
        7 * 86_400.0
    )
    assert len(served.queued) == 5
