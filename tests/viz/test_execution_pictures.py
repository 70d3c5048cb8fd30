"""Pictures of executions: what is in the files, and that a name in them is a text."""

from __future__ import annotations

import json
import re
import sys
import types
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest

import plait.viz
from plait._kernel.calls.keys import Key
from plait._kernel.calls.records import CallStarted
from plait._kernel.collecting import Shape
from plait._kernel.graph.records import Readied, Skipped
from plait._kernel.records import Fired, Listed, Met
from plait._kernel.streams import Branch, StreamId
from plait._viz.executions.execution import Execution
from plait._viz.timelines.text import text
from plait._viz.timelines.timeline import said, timeline, times
from plait.lowlevel import (
    Closed,
    Collected,
    Completed,
    Decided,
    DeliveryId,
    Emitted,
    Failed,
    RunId,
    RunStarted,
    Started,
    Stopped,
)

MARKUP = "<script>alert('x')</script>\x1b[2J\u202e\"&"


class Thing:
    """An event, for who looks at names only."""


def started(epoch=0.0):
    return [RunStarted(10.0, RunId("r"), epoch), sent(10.0, 0, 1, "a")]


def sent(at, cause, first, *to):
    return Emitted(at, DeliveryId(cause), Thing(), DeliveryId(first), to)


def began(at, number, step, worker=0):
    return Started(at, DeliveryId(number), step, worker)


def returned(at, number, first=0, *to):
    return Completed(at, DeliveryId(number), Thing() if to else None, DeliveryId(first), to)


def failed(at, number, error):
    return Failed(at, DeliveryId(number), error)


def odd(step=MARKUP):
    """One step with a name that is markup, whose body fails with more of it."""
    records = [RunStarted(0.0, RunId("r"), 5.0), sent(0.0, 0, 1, step), began(0.0, 1, step)]
    return Execution(name=MARKUP).feed_all([*records, failed(2.0, 1, ValueError(MARKUP))])


class Tags(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.seen = []
        self.texts = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts.append(data)


def test_a_name_that_is_markup_is_a_text_in_the_page():
    page = plait.viz.draw(odd(), "html")
    tags = Tags(page)
    assert [tag for tag, _ in tags.seen].count("script") == 1, "the page's own"
    assert not [name for _, attrs in tags.seen for name in attrs if name.startswith("on")]
    assert "\x1b" not in page
    assert any("<script>alert('x')</script>" in one for one in tags.texts)
    assert not re.search(r"(?:href|src)=|@import|url\((?!#)", page.split("<script>")[0])


def test_a_name_that_is_markup_is_a_text_in_svg(tmp_path):
    plait.viz.draw_timeline(odd(), tmp_path / "x.svg")
    root = ET.parse(tmp_path / "x.svg").getroot()
    assert not [one for one in root.iter() if one.tag.endswith("script")]
    assert any("<script>alert" in (one.text or "") for one in root.iter())


def test_a_name_does_nothing_to_a_terminal():
    drawn = plait.viz.timeline_text(odd())
    assert "\x1b" not in drawn
    assert "\u202e" not in drawn
    assert "<script>alert('x')" in drawn
    assert "worker 0" in drawn, "what is cut is the name of the step"


def test_what_goes_on_reaches_to_the_last_record():
    execution = Execution().feed_all([*started(), began(10.0, 1, "a"), sent(13.0, 1, 2, "b")])
    [bar] = [bar for row in timeline(execution).rows for bar in row.bars]
    assert (bar.began, bar.ended, bar.ending) == (0, 3, "open")
    assert execution.status == "running"
    assert "▒ goes on" in plait.viz.timeline_text(execution)
    assert execution.activities["b#2"].state == "queued"


def test_a_queue_is_counted():
    records = [*started(), sent(10.0, 0, 2, "a"), sent(10.0, 0, 3, "a"), began(10.0, 1, "a")]
    records += [returned(12.0, 1), began(12.0, 2, "a"), returned(13.0, 2), began(13.0, 3, "a")]
    execution = Execution().feed_all(records)
    [queue] = [row for row in timeline(execution).rows if row.name == "queue"]
    assert queue.depth == ((0, 2), (2, 1), (3, 0))
    [line] = [line for line in plait.viz.timeline_text(execution).splitlines() if "queue" in line]
    assert re.fullmatch(r"\s+queue\s+\|2+1+", line)


def test_records_that_begin_in_the_middle_are_taken_too():
    records = [began(3.0, 7, "b"), returned(4.0, 7, 8, "c"), began(4.0, 8, "c"), returned(5.0, 9)]
    execution = Execution().feed_all(records)
    assert execution.activities["b#7"].causes == []
    assert [one.source for one in execution.activities["c#8"].causes] == ["b#7"]
    assert execution.activities["?#9"].state == "succeeded"
    assert plait.viz.timeline_text(execution)


def test_a_list_whose_beginning_nobody_has_seen_is_given_what_was_seen():
    fired = Fired(12.0, StreamId(1), "all", (Thing(), Thing()), DeliveryId(5))
    met = Met(12.0, DeliveryId(5), (DeliveryId(2), DeliveryId(4)))
    records = [began(10.0, 3, "a"), returned(11.0, 3, 4, "all"), fired, met]
    execution = Execution().feed_all(records)
    assert execution.activities["all#4"].into == "all#5"
    assert [(one.source, one.how) for one in execution.activities["all#5"].causes] == [
        ("a#3", "part")
    ]


def test_a_clock_that_goes_back_does_not_fold_a_row():
    execution = Execution().feed_all(
        [
            *started(),
            began(11.0, 1, "a"),
            returned(12.0, 1, 2, "a"),
            began(9.0, 2, "a"),
            returned(9.5, 2),
        ]
    )
    [row] = [row for row in timeline(execution).rows if row.bars]
    assert [(bar.began, bar.ended) for bar in row.bars] == [(1, 2), (2, 2)]


def test_a_batch_is_told_by_whom_it_was_made():
    shape = Shape.of([Thing] * 2)
    records = [*started(), sent(10.0, 0, 2, "a")]
    for number in (1, 2):
        records.append(began(11.0, number, "a", number - 1))
        records.append(Collected(11.0, DeliveryId(number), Thing, Thing(), shape, "default", None))
        execution = Execution().feed_all(records)
        assert [str(one) for one in execution.buffers.values()] == (
            [] if number == 2 else ["1 of 2"]
        )
    causes = execution.activities["a#2"].causes
    assert [(one.source, one.how) for one in causes][1:] == [("a#1", "collected")]


def test_what_comes_too_late_for_a_list_is_dropped():
    listed = Completed(11.0, DeliveryId(1), Listed(StreamId(1), 3), DeliveryId(2), ())
    members = [
        Emitted(
            11.0, DeliveryId(1), Thing(), DeliveryId(2 + n), ("all",), (), Branch(StreamId(1), n)
        )
        for n in range(3)
    ]
    fired = Fired(11.0, StreamId(1), "all", (Thing(), Thing()), DeliveryId(5))
    met = Met(11.0, DeliveryId(5), (DeliveryId(2), DeliveryId(3)))
    records = [*started(), began(10.0, 1, "a"), listed, *members, fired, met]
    execution = Execution().feed_all(records)
    states = {name: one.state for name, one in execution.activities.items()}
    assert states == {
        "a#1": "succeeded",
        "all#2": "joined",
        "all#3": "joined",
        "all#4": "dropped",
        "all#5": "queued",
    }
    assert [(one.source, one.how) for one in execution.activities["all#5"].causes] == [
        ("a#1", "part"),
        ("a#1", "part"),
    ]


def test_in_a_journal_of_before_the_last_that_ended_is_the_cause_of_a_step():
    """Records of version 1 do not say what a step has waited for."""
    records = [
        RunStarted(10.0, RunId("r"), 0.0),
        Readied(10.0, "a", DeliveryId(1)),
        began(10.0, 1, "a"),
    ]
    records += [returned(11.0, 1), Readied(11.0, "b", DeliveryId(2)), Skipped(11.0, ("c",), "when")]
    execution = Execution().feed_all(records)
    causes = {name: [one.source for one in it.causes] for name, it in execution.activities.items()}
    assert causes == {"a": ["(outside)"], "b": ["a"], "c": ["a"]}


def test_items_after_items_are_joined_by_one_line_each():
    records = [RunStarted(10.0, RunId("r"), 0.0), Readied(10.0, "a", DeliveryId(1), 3, ())]
    records += [
        Readied(11.0, "b", DeliveryId(4), 3, ("a",)),
        Readied(12.0, "c", DeliveryId(7), 1, ("b",)),
    ]
    execution = Execution().feed_all(records)
    links = [(one.source, one.target) for one in execution.links()]
    assert links[3:] == [
        *(("a[2]", f"b[{item}]") for item in range(3)),
        *((f"b[{item}]", "c") for item in range(3)),
    ]


def test_many_tasks_cost_as_much_as_they_are():
    """Each is named once, by its first record: who looked at all calls for that would take the square."""

    def cost(tasks):
        calls, execution = 0, Execution()

        def count(_frame, happening, _arg):
            nonlocal calls
            calls += happening == "call"

        before = sys.getprofile()
        sys.setprofile(count)
        try:
            for n in range(tasks):
                key = Key((("g", 0, n),), "s", 0)
                execution.feed(CallStarted(1.0, key, "run", "s", ("main", f"m.task{n}"), 1))
        finally:
            sys.setprofile(before)
        assert len({one.task for one in execution.activities.values()}) == tasks
        return calls

    assert cost(400) < 5 * cost(100)


def test_the_end_has_a_cause():
    stop = Completed(12.0, DeliveryId(1), Thing(), DeliveryId(2), ())
    records = [
        *started(),
        began(10.0, 1, "a"),
        stop,
        Decided(12.0, Stopped(stop.event)),
        Closed(12.5),
    ]
    execution = Execution().feed_all(records)
    assert (execution.status, execution.ended) == ("completed", 2.5)
    assert [(one.source, one.target, one.event) for one in execution.links()][-1] == (
        "a#1",
        "(end)",
        "Thing",
    )


# ---------------------------------------------------------------- files


@pytest.mark.parametrize(
    ("name", "begins"), [("x.svg", "<svg"), ("x.html", "<!DOC"), ("x.json", "{"), ("x.txt", " ")]
)
def test_the_ending_of_a_name_says_what_is_written(name, begins, tmp_path):
    plait.viz.draw_timeline(odd("a"), tmp_path / name)
    assert (tmp_path / name).read_text(encoding="utf-8").startswith(begins)


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"'.*x\.png': name it \.svg, \.html, \.json, \.txt"):
        plait.viz.draw_timeline(odd("a"), tmp_path / "x.png")


def test_labels_are_cut(tmp_path):
    drawn = plait.viz.draw_most_recent_execution_mermaid(odd("a" * 30), tmp_path / "x", 10)
    assert "a" * 9 + "#8230;" in drawn
    assert "a" * 10 not in drawn
    assert (tmp_path / "x").read_text(encoding="utf-8") == drawn
    with pytest.raises(ValueError, match="max_label_length must be at least 1"):
        plait.viz.draw_most_recent_execution(odd(), tmp_path / "y", max_label_length=0)
    assert not (tmp_path / "y").exists()


def test_in_a_notebook_the_timeline_is_shown(tmp_path, monkeypatch):
    shown = []
    module = types.ModuleType("IPython.display")
    module.display = lambda data, *, raw: shown.append((data, raw))
    monkeypatch.setitem(sys.modules, "IPython", types.ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    plait.viz.draw_most_recent_execution(odd("a"), tmp_path / "x.html", notebook=True)
    [(data, raw)] = shown
    assert raw
    assert data["image/svg+xml"].startswith("<svg")


def test_every_format_is_the_same_each_time():
    for form in ("html", "svg", "dot", "mermaid", "text"):
        assert plait.viz.draw(odd("a"), form) == plait.viz.draw(odd("a"), form)


# ---------------------------------------------------------------- time


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *((0, "0 s"), (2e-6, "2 µs"), (0.012, "12 ms"), (1.256, "1.26 s"), (59.9, "59.9 s")),
        *((60, "1 min"), (200, "3 min 20 s"), (7500, "2 h 5 min"), (608400, "7 d 1 h")),
    ],
)
def test_times_are_told(seconds, text):
    assert said(seconds) == text


@pytest.mark.parametrize("length", [0.0, 1e-6, 0.3, 1.0, 9.9, 61.0, 4000.0, 9e5, 3e8])
def test_an_axis_has_a_few_marks_that_are_round(length):
    marks = times(length)
    assert marks[0] == 0
    assert marks[-1] <= length * 1.001
    assert 1 <= len(marks) <= 9


def test_a_line_is_never_wider_than_it_may_be():
    for width in (40, 57, 200):
        assert max(map(len, text(timeline(odd("a" * 90)), width).splitlines())) <= max(width, 60)


def test_json_of_it_is_small_and_stable():
    found = odd("a").to_dict()
    assert json.loads(json.dumps(found)) == found
    assert found["activities"]["a#1"] == {
        "id": "a#1",
        "kind": "delivery",
        "name": "a",
        "number": 1,
        "given": "Thing",
        "causes": [{"source": "(outside)", "how": "event", "event": "Thing"}],
        "state": "failed",
        "attempts": [
            {
                "number": 1,
                "began": 0.0,
                "ended": 2.0,
                "how": "failed",
                "error": f"ValueError: {MARKUP}",
                "stretches": [{"worker": 0, "began": 0.0, "ended": 2.0}],
            }
        ],
        "pauses": [{"kind": "queue", "began": 0.0, "ended": 0.0}],
        "ended": 2.0,
        "error": f"ValueError: {MARKUP}",
        "label": "a#1",
    }
