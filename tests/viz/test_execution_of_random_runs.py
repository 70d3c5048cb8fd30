"""Executions of programs by chance: the picture has the causes that the run itself knows, and no other."""

from __future__ import annotations

import json
import re
from collections import Counter

import pytest

from plait._abc import StreamInfo
from plait._journal.codec import Codec, status_after
from plait._journal.values import Values
from plait._viz.executions.execution import Execution
from plait._viz.executions.kept import execution_of
from plait._viz.executions.parts import END, OVER
from plait._viz.formats.mermaid import mermaid
from plait._viz.pictures.causes import draw_execution
from plait._viz.timelines.chrome import chrome
from plait._viz.timelines.timeline import timeline
from plait.lowlevel import Closed, Failed, Interrupted, Started
from tests.model.play import one_schedule
from tests.viz.watching import watched

BLOCK = 20
SENT = {"event", "part", "failure"}


def fits(causes, candidates):
    """Can each event be given to one of the causes, each of which is used once?"""
    if not candidates:
        return not causes
    first, *rest = candidates
    return any(
        fits([*causes[:place], *causes[place + 1 :]], rest)
        for place, cause in enumerate(causes)
        if cause in first
    )


@pytest.mark.parametrize("first", range(0, 80, BLOCK))
def test_the_edges_are_those_of_the_run(first, monkeypatch):
    """From the records alone: there is no plan."""
    for seed in range(first, first + BLOCK):
        with one_schedule(seed):
            runs = watched(seed, monkeypatch, with_plan=False)
        for watch in runs:
            execution = watch.execution
            for number, candidates in watch.inputs.items():
                activity = execution.activities[watch.steps[number]]
                causes = [cause.source for cause in activity.causes if cause.how in SENT]
                if candidates:
                    assert fits(causes, candidates), f"seed {seed}: {activity}"
                else:  # a list of nothing
                    assert causes == [watch.causes[number]], f"seed {seed}: {activity}"


@pytest.mark.parametrize("first", range(200, 240, BLOCK))
def test_a_picture_has_these_edges_and_no_others(first, monkeypatch):
    for seed in range(first, first + BLOCK):
        with one_schedule(seed):
            runs = watched(seed, monkeypatch)
        for watch in runs:
            drawing = draw_execution(watch.execution)
            links = Counter((link.source, link.target) for link in watch.execution.links())
            assert Counter((arrow.source, arrow.target) for arrow in drawing.arrows) == links
            ids = {f"n{place}": node.name for place, node in enumerate(drawing.nodes, 1)}
            arrows = re.findall(
                r"^    (n\d+) (?:-->|-\.->)(?:\|[^|]*\|)? (n\d+)$", mermaid(drawing), re.MULTILINE
            )
            assert Counter((ids[one], ids[other]) for one, other in arrows) == links


@pytest.mark.parametrize("first", range(400, 440, BLOCK))
def test_every_attempt_is_there_and_has_one_end(first, monkeypatch):
    for seed in range(first, first + BLOCK):
        with one_schedule(seed):
            runs = watched(seed, monkeypatch)
        for watch in runs:
            execution, kinds = watch.execution, Counter(type(one) for one in watch.records)
            attempts = [one for a in execution.activities.values() for one in a.attempts]
            assert len(attempts) == kinds[Started], seed
            ends = Counter(one.how for one in attempts)
            assert ends["cancelled"] == kinds[Interrupted], seed
            assert ends["failed"] >= kinds[Failed], seed
            if isinstance(watch.records[-1], Closed):
                assert ends[None] == 0
                assert {one.state for one in execution.activities.values()} <= OVER
                assert execution.status == status_after(watch.records[-1], watch.run._shell.state)
                assert any(link.target == END for link in execution.links())


@pytest.mark.parametrize("first", range(600, 640, BLOCK))
def test_no_two_bars_of_a_row_overlap(first, monkeypatch):
    for seed in range(first, first + BLOCK):
        with one_schedule(seed):
            runs = watched(seed, monkeypatch)
        for watch in runs:
            bars = []
            for row in timeline(watch.execution).rows:
                bars += row.bars
                for one, other in zip(row.bars, row.bars[1:], strict=False):
                    assert one.began <= one.ended <= other.began, f"seed {seed}: {row}"
            ran = Counter(
                (bar.activity, bar.attempt, bar.part) for bar in bars if bar.what == "run"
            )
            assert ran == {
                (activity.id, attempt.number, part): 1
                for activity in watch.execution.activities.values()
                for attempt in activity.attempts
                for part in range(len(attempt.stretches))
            }, seed


@pytest.mark.parametrize("first", range(810, 830, BLOCK))
def test_a_trace_for_chrome_has_an_end_for_each_begin(first, monkeypatch):
    for seed in range(first, first + BLOCK):
        with one_schedule(seed):
            runs = watched(seed, monkeypatch)
        for watch in runs:
            loaded = json.loads(chrome(watch.execution))
            open_bars, flows, bars = {}, {}, {}
            for event in loaded["traceEvents"]:
                thread = event["pid"], event["tid"]
                if event["ph"] == "B":
                    assert thread not in open_bars, f"seed {seed}"
                    open_bars[thread] = event
                elif event["ph"] == "E":
                    began = open_bars.pop(thread)
                    assert (began["name"], began["cat"]) == (event["name"], event["cat"])
                    assert began["ts"] <= event["ts"]
                    bars.setdefault(thread, []).append((began["ts"], event["ts"]))
                elif event["ph"] in "sf":
                    assert any(one <= event["ts"] <= other for one, other in bars[thread]), seed
                if event["ph"] == "s":
                    flows[event["id"]] = event
                elif event["ph"] == "f":
                    assert flows.pop(event["id"])["ts"] <= event["ts"], f"seed {seed}"
            assert not open_bars
            assert not flows


@pytest.mark.parametrize("first", range(900, 920, BLOCK))
def test_record_by_record_is_the_same_as_all_at_once(first, monkeypatch):
    for seed in range(first, first + BLOCK):
        with one_schedule(seed):
            runs = watched(seed, monkeypatch)
        for watch in runs:
            execution = Execution(plan=watch.run._shell.plan)
            known = {}
            for record in watch.records:
                for name in execution.feed(record):
                    known[name] = execution.to_dict()["activities"][name]
            assert execution.to_dict() == watch.execution.to_dict()
            assert known == execution.to_dict()["activities"], "a change was not told"


@pytest.mark.parametrize("first", range(1000, 1040, BLOCK))
def test_from_a_journal_it_is_the_same(first, monkeypatch):
    for seed in range(first, first + BLOCK):
        with one_schedule(seed):
            runs = watched(seed, monkeypatch, with_plan=False)
        for watch in runs:
            live = watch.execution
            values = Values()
            values.open_to_all()
            codec = Codec(live.run_id, values, epoch=live.epoch)
            entries = [codec.encode(record, n) for n, record in enumerate(watch.records, 1)]
            info = StreamInfo(live.run_id, "", live.name, None, "running", None, 0.0, 0.0, 1)
            kept = execution_of(info, entries)
            assert not kept.unreadable
            assert kept.to_dict() == live.to_dict(), f"seed {seed}"
