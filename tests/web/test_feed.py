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

    def miss(self):
        self.missed += 1

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
    feed.tap(records)
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


def test_where_records_are_gone_the_view_catches_up_and_is_given_whole(feed):
    say(feed, "a")
    window = feed.cursor(feed.whole())
    feed.tap(range(10))
    feed.advance()
    assert feed._view.missed == 0
    feed.tap(range(25))
    assert feed.has_gap
    feed.advance()
    [whole] = feed.after(window)
    assert data(whole) == {"all": ["a", *range(10), *range(14, 25)], "missed": 1}
    assert (feed._view.caught_up, whole.event) == (1, "whole")
    window = feed.cursor(whole)
    say(feed, "z")
    [change] = feed.after(window)
    assert (change.event, data(change)["records"]) == ("change", ["z"])
    assert (feed._view.missed, feed._view.caught_up) == (1, 1)


def test_it_catches_up_when_it_has_taken_in_all_that_there_is():
    feed = Feed(Counting(), most_records=1_000)
    feed.tap(range(5_000))
    feed.begin_with(["before", "that"])
    while feed.advance():
        assert not feed._view.caught_up
    assert feed._view.taken == ["before", "that", *range(3_999, 5_000)]
    assert (feed._view.missed, feed._view.caught_up) == (1, 1)


def test_what_is_pushed_out_while_the_rest_is_taken_in_is_missed():
    feed = Feed(Counting(), most_records=1_000)
    feed.tap(range(1_000))
    assert feed.advance()
    feed.tap(range(1_000, 3_000))
    while feed.advance():
        pass
    assert feed._view.taken == [*range(250), *range(1_999, 3_000)]
    assert (feed._view.missed, feed._view.caught_up) == (1, 1)


def test_with_a_window_more_are_kept(feed):
    window = feed.cursor(feed.whole())
    assert feed.widen(by=1)
    assert not feed.widen(by=1)
    feed.tap(range(30))
    assert not feed.has_gap
    assert not feed.widen(by=-1)
    assert feed.widen(by=-1)
    assert feed.has_gap
    feed.advance()
    assert data(feed.after(window)[0])["all"] == [*range(19, 30)]


def test_messages_are_bounded_by_their_size_too():
    feed = Feed(Counting(), most_signs=100)
    say(feed, "a")
    slow = feed.cursor(feed.after(None)[0])
    say(feed, "b" * 90)
    assert [one.event for one in feed.after(slow)] == ["whole"]


def test_a_long_wait_is_taken_in_part_by_part():
    feed = Feed(Counting(), most_records=1_000)
    feed.tap(range(600))
    assert [feed.advance() for _ in range(3)] == [True, True, False]
    assert feed._view.taken == [*range(600)]


def test_while_nobody_looks_nothing_is_made_of_records(feed):
    feed.tap(range(10))
    assert feed._view.taken == []


def test_messages_are_strict_json():
    text = written({"a": [math.nan, {"b": math.inf}], "c": 1.5, "d": ("x",)})
    assert json.loads(text) == {"a": [None, {"b": None}], "c": 1.5, "d": ["x"]}
    assert "\n" not in written({"a": "one\ntwo\r\u2028"})
