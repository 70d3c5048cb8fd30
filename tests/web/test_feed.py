"""What windows are told: each message once, in order; who was away gets what follows, or all of it."""

from __future__ import annotations

import json
import math

import pytest

from plait._web.feed import Cursor, Feed, written


class Counting:
    """A view that knows only how many records there were."""

    def __init__(self):
        self.taken = []
        self.missed = 0
        self.caught_up = 0

    def take(self, first, records):
        self.taken += records
        return {"first": first, "records": list(records)}

    def miss(self, place):
        self.missed = place - len(self.taken)

    def catch_up(self):
        self.caught_up += 1

    def news(self):
        return {}

    def whole(self):
        return {"all": self.taken, "missed": self.missed}


@pytest.fixture
def feed():
    return Feed(Counting(), most_messages=3, most_records=10)


def say(feed, *records):
    feed.put(records)
    feed.advance()


def data(message):
    return json.loads(message.text)


def test_a_new_window_is_given_the_whole_and_then_what_changes(feed):
    say(feed, "a", "b")
    [whole] = feed.after(None)
    assert (whole.event, data(whole), whole.place) == ("whole", {"all": ["a", "b"], "missed": 0}, 2)
    place = feed.cursor(whole)
    assert [*feed.after(place)] == []
    say(feed, "c")
    [change] = feed.after(place)
    assert (change.event, data(change), change.place) == (
        "change",
        {"first": 3, "records": ["c"]},
        3,
    )


def test_who_comes_back_is_given_what_follows_its_place(feed):
    say(feed, "a")
    place = str(feed.cursor(feed.after(None)[0]))
    say(feed, "b")
    say(feed, "c")
    again = feed.after(Cursor.read(place))
    assert [data(one)["records"] for one in again] == [["b"], ["c"]]


def test_who_is_too_far_behind_is_given_the_whole(feed):
    say(feed, "a")
    slow = feed.cursor(feed.after(None)[0])
    for record in "bcd":
        say(feed, record)
    assert [one.event for one in feed.after(slow)] == ["change"] * 3
    say(feed, "e")
    [whole] = feed.after(slow)
    assert data(whole)["all"] == ["a", "b", "c", "d", "e"]


@pytest.mark.parametrize(
    "text", [None, "", "x", "1", "1-1", "-1-1-x", "1-1-other", "9-9-", "1" * 20 + "-1-x", "²-1-x"]
)
def test_a_place_of_another_server_is_of_no_use(feed, text):
    say(feed, "a")
    assert [one.event for one in feed.after(Cursor.read(text))] == ["whole"]


def test_a_place_that_has_not_been_reached_is_of_no_use(feed):
    say(feed, "a")
    assert feed.after(Cursor(feed.name, 99, 99))[0].event == "whole"


def test_windows_read_the_same_messages(feed):
    say(feed, "a")
    one, other = feed.cursor(feed.after(None)[0]), feed.cursor(feed.after(None)[0])
    say(feed, "b")
    assert feed.after(one)[0] is feed.after(other)[0]


def test_records_that_nobody_came_for_are_counted(feed):
    feed.put(range(13))
    feed.advance()
    [whole] = feed.after(None)
    assert data(whole) == {"all": [*range(3, 13)], "missed": 3}
    assert whole.place == 13
    feed.put(["z"])
    feed.advance()
    assert (feed._view.taken[-1], feed._view.missed, feed.whole().place) == ("z", 3, 14)


def test_a_run_that_counts_its_records_says_how_many_are_not_there_any_more():
    told = 0
    feed = Feed(Counting(), most_records=10, told=lambda: told)
    feed.tap(range(25))
    told = 25
    feed.begin_with(["before", "that"])
    while feed.advance():
        pass
    assert data(feed.whole()) == {"all": ["before", "that", *range(15, 25)], "missed": 15}
    assert feed.whole().place == 27


def test_messages_are_bounded_by_their_size_too():
    feed = Feed(Counting(), most_signs=100)
    say(feed, "a")
    slow = feed.cursor(feed.after(None)[0])
    say(feed, "b" * 90)
    assert [one.event for one in feed.after(slow)] == ["whole"]


def test_a_long_wait_is_taken_in_part_by_part():
    feed = Feed(Counting())
    feed.put(range(600))
    assert [feed.advance() for _ in range(3)] == [True, True, False]
    assert feed._view.taken == [*range(600)]


def test_while_nobody_looks_nothing_is_made_of_records(feed):
    feed.put(range(10))
    assert feed._view.taken == []


def test_messages_are_strict_json():
    text = written({"a": [math.nan, {"b": math.inf}], "c": 1.5, "d": ("x",)})
    assert json.loads(text) == {"a": [None, {"b": None}], "c": 1.5, "d": ["x"]}
    assert "\n" not in written({"a": "one\ntwo\r\u2028"})
