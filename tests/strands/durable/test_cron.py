"""Planned times: zones and their two odd nights, what was missed, and how late each starts."""

import importlib.util
import re
import sys
from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest

from plait._strands._durable.cron import Schedule, due, start_of, tick_id
from plait._strands._durable.triggers import TriggerCron
from plait.errors import MissingExtra

PARIS = ZoneInfo("Europe/Paris")


def at(text, zone=UTC):
    return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


def every_hour(fields, after):
    """Stand in for the library: the full hours, whatever the fields say; the first is not after."""
    moment = after.replace(minute=0, second=0, microsecond=0)
    while True:
        yield moment
        moment += timedelta(hours=1)


def hourly(text="0 * * * *", tz=None):
    return Schedule(text, tz, times=every_hour)


# ---------------------------------------------------------------- texts


@pytest.mark.parametrize(
    ("text", "tz", "kind", "message"),
    [
        ("* * * *", None, ValueError, "has 4: minute, hour"),
        ("0 0 * * * *", None, ValueError, "has 6"),
        ("", None, ValueError, "has 0"),
        ("@daily", None, ValueError, "has 1"),
        (7, None, TypeError, "are a text, not 7"),
        ("TZ=Mars/Base 0 0 * * *", None, ValueError, "no such time zone: 'Mars/Base'"),
        ("0 0 * * *", "../etc/passwd", ValueError, "no such time zone"),
        ("TZ= 0 0 * * *", None, ValueError, "no such time zone"),
        ("0 0 * * *", 7, TypeError, "the name of one, not 7"),
        ("TZ=UTC 0 0 * * *", "UTC", ValueError, "given twice"),
    ],
)
def test_a_wrong_text_is_told(text, tz, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        Schedule(text, tz, times=every_hour).check()


def test_the_zone_may_stand_in_the_text_or_beside_it():
    asked = []

    def times(fields, after):
        asked.append((fields, after.tzinfo))
        return every_hour(fields, after)

    for schedule in (
        Schedule("TZ=Europe/Paris  0 9 * * *", times=times),
        Schedule("0 9 * * *", "Europe/Paris", times=times),
        Schedule("0 9 * * *", times=times),
    ):
        schedule.check()
    assert asked == [("0 9 * * *", PARIS), ("0 9 * * *", PARIS), ("0 9 * * *", UTC)]


def test_times_that_never_come_are_told():
    with pytest.raises(ValueError, match="there is no such time as"):
        Schedule("0 0 31 2 *", times=lambda fields, after: iter(())).check()


def test_times_strictly_grow_and_are_after_the_moment():
    def confused(fields, after):
        for minutes in (-60, 0, 30, 30, 20, 90):
            yield after + timedelta(minutes=minutes)

    assert [*Schedule("0 0 * * *", times=confused).after(1000.0)] == [2800.0, 6400.0]


# ---------------------------------------------------------------- what was missed

NIGHT = at("2026-01-01T00:30"), at("2026-01-01T04:00")
HOURS = [at(f"2026-01-01T0{hour}:00") for hour in (1, 2, 3, 4)]


def test_all_that_came_due_unseen_are_run_if_that_is_wanted():
    assert [*due(hourly(), *NIGHT, "all")] == HOURS, "the tick of this very moment is due"


def test_the_last_of_them_is_run_once():
    assert [*due(hourly(), *NIGHT, "once")] == HOURS[-1:]


def test_none_of_them_is_run():
    assert [*due(hourly(), *NIGHT, "skip")] == []


@pytest.mark.parametrize("missed", ["skip", "once", "all"])
def test_nothing_was_missed_before_the_first_tick(missed):
    assert [*due(hourly(), HOURS[0], HOURS[1] - 1, missed)] == []


def test_a_year_of_ticks_is_looked_at_one_by_one():
    found = due(hourly(), 0.0, at("2026-01-01T00:00"), "all")
    assert [*islice(found, 2)] == [3600.0, 7200.0]


# ---------------------------------------------------------------- which run, and when it starts


def test_a_tick_is_one_run_whoever_asks():
    assert tick_id("shop-fn", 3600.0) == tick_id("shop-fn", 3600.0)
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", tick_id("shop-\N{PILE OF POO}", 3600.0))


def test_other_functions_and_times_are_other_runs():
    names = {tick_id(fn, at) for fn in ("shop-a", "shop-b") for at in (0.0, 0.5, 60.0)}
    assert len(names) == 6


def test_the_name_of_a_run_stays_what_it_was_in_earlier_releases():
    assert tick_id("shop-fn", 1767225600.0) == "tick-" + GOLDEN


GOLDEN = "ef9e8660569d408f7246a299d6fe83a2"


def test_jitter_is_less_than_what_was_said_and_the_same_each_time():
    starts = [start_of(float(n * 60), 10.0, 7, "shop-fn") for n in range(200)]
    late = [start - n * 60 for n, start in enumerate(starts)]
    assert all(0 <= seconds < 10 for seconds in late)
    assert min(late) < 1
    assert max(late) > 9
    assert starts == [start_of(float(n * 60), 10.0, 7, "shop-fn") for n in range(200)]


def test_jitter_comes_from_the_seed_and_the_function():
    one = start_of(60.0, 10.0, 7, "shop-fn")
    assert start_of(60.0, 10.0, 8, "shop-fn") != one
    assert start_of(60.0, 10.0, 7, "shop-other") != one
    assert start_of(60.0, 0.0, 7, "shop-fn") == 60.0


# ---------------------------------------------------------------- the trigger


def test_without_the_library_the_trigger_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cronsim", None)
    with pytest.raises(MissingExtra, match=re.escape("plait[flows]")):
        [*TriggerCron("0 0 * * *").faults()]


def test_jitter_may_be_a_timedelta():
    assert TriggerCron("0 0 * * *", jitter=timedelta(minutes=1)).jitter == 60


def test_a_trigger_tells_all_its_faults(monkeypatch):
    trigger = TriggerCron("0 0 * *", jitter=-1, missed="some")
    fields, jitter, missed = trigger.faults()
    assert "five fields" in fields
    assert "jitter must be finite and at least 0" in jitter
    assert "missed must be 'skip' or 'once' or 'all'" in missed


# ---------------------------------------------------------------- with the library

needs_cronsim = pytest.mark.skipif(
    importlib.util.find_spec("cronsim") is None, reason="cronsim is not installed"
)


def times(text, since, count, zone=UTC, tz=None):
    found = islice(Schedule(text, tz).after(at(since, zone)), count)
    return [datetime.fromtimestamp(one, zone).isoformat() for one in found]


@needs_cronsim
def test_ticks_are_after_the_moment():
    assert times("*/30 * * * *", "2026-01-01T00:00", 2) == [
        "2026-01-01T00:30:00+00:00",
        "2026-01-01T01:00:00+00:00",
    ]


@needs_cronsim
def test_a_time_of_day_is_that_of_the_zone_in_summer_and_winter():
    expected = ["2026-03-28T09:30:00+01:00", "2026-03-29T09:30:00+02:00"]
    assert times("TZ=Europe/Paris 30 9 * * *", "2026-03-28T00:00", 2, PARIS) == expected
    assert times("30 9 * * *", "2026-03-28T00:00", 2, PARIS, tz="Europe/Paris") == expected


@needs_cronsim
def test_a_time_that_a_spring_night_has_not_comes_when_the_hour_is_over():
    assert times("TZ=Europe/Paris 30 2 * * *", "2026-03-28T12:00", 2, PARIS) == [
        "2026-03-29T03:00:00+02:00",
        "2026-03-30T02:30:00+02:00",
    ]


@needs_cronsim
def test_two_ticks_that_fall_together_are_one():
    assert times("TZ=Europe/Paris 0,30 2 * * *", "2026-03-28T12:00", 2, PARIS) == [
        "2026-03-29T03:00:00+02:00",
        "2026-03-30T02:00:00+02:00",
    ]


@needs_cronsim
def test_a_time_that_an_autumn_night_has_twice_comes_once():
    assert times("TZ=Europe/Paris 30 2 * * *", "2026-10-24T12:00", 2, PARIS) == [
        "2026-10-25T02:30:00+02:00",
        "2026-10-26T02:30:00+01:00",
    ]


@needs_cronsim
@pytest.mark.parametrize("minutes", range(0, 120, 7))
def test_it_comes_once_whenever_it_is_asked_for(minutes):
    """Asked between the two, the library would name the first again."""
    first = datetime(2026, 10, 25, 2, 30, tzinfo=PARIS).timestamp()
    since = first + 60 * minutes
    assert next(Schedule("TZ=Europe/Paris 30 2 * * *").after(since)) == at(
        "2026-10-26T02:30", PARIS
    )


@needs_cronsim
def test_a_wildcard_goes_by_real_hours():
    assert times("TZ=Europe/Paris 0 * * * *", "2026-10-25T01:30", 4, PARIS) == [
        "2026-10-25T02:00:00+02:00",
        "2026-10-25T02:00:00+01:00",
        "2026-10-25T03:00:00+01:00",
        "2026-10-25T04:00:00+01:00",
    ]


@needs_cronsim
@pytest.mark.parametrize("text", ["61 * * * *", "x * * * *", "* * 0 * *", "0 0 30 2 *"])
def test_the_trigger_tells_of_texts_that_the_library_refuses(text):
    (fault,) = TriggerCron(text).faults()
    assert fault.startswith("TriggerCron: ")


@needs_cronsim
def test_a_right_trigger_has_no_faults():
    assert [*TriggerCron("TZ=Europe/Paris 30 9 * * MON-FRI", jitter=60).faults()] == []
