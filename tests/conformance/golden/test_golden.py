"""What an earlier release has written can be read for ever, and means what it meant.

A failure here is no reason to write the files again. Give the kind a new version with an upgrade, see
`plait._journal.kinds`; `python -m tests.conformance.golden RELEASE` writes those of a new release.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from plait._journal.codec import Codec, read_run
from plait._journal.kinds import KINDS
from plait._journal.snapshot import read
from plait._kernel.graph import records as graph
from plait._kernel.state import RunState

from .journals import document, entries_of, from_line, releases
from .plans import PLANS, VALUES
from .stories import STORIES, told

JOURNALS = [
    pytest.param(path, id=f"{release.name}-{path.stem}")
    for release in releases()
    for path in sorted(release.glob("*.jsonl"))
    if path.stem in STORIES
]


def lines(path: Path) -> Iterator[str]:
    yield from path.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("path", JOURNALS)
def test_a_journal_leads_to_the_same_states_as_when_it_was_written(path: Path):
    plan = PLANS[STORIES[path.stem][1]]
    entries = [from_line(line) for line in lines(path)]
    state, n = RunState(plan, entries[0].stream), 0
    codec = Codec(entries[0].stream, VALUES)
    for line in lines(path.with_suffix(".states.jsonl")):
        expected = json.loads(line)
        n = read_run(state, codec, entries[n : expected["n"]], after=n)
        assert document(state) == document(read(plan, expected["document"], VALUES).state)
    assert n == len(entries)


@pytest.mark.parametrize("path", JOURNALS)
def test_a_journal_says_what_its_stream_is_and_how_it_ended(path: Path):
    first, *_, last = [from_line(line) for line in lines(path)]
    assert first.opening is not None
    assert first.opening.target == PLANS[STORIES[path.stem][1]].name
    assert (first.status, last.status) == ("running", ENDS[path.stem])


ENDS = {
    "lists": "completed",
    "failures": "failed",
    "waits": "cancelled",
    "turns": "failed",
    "stalls": "failed",
}


def test_every_version_of_every_kind_is_in_a_golden_journal():
    found = {
        (entry.kind, entry.version)
        for path in (param.values[0] for param in JOURNALS)
        for entry in map(from_line, lines(path))
    }
    flows = {graph.Readied, graph.Reused, graph.Skipped}  # see tests/journal/test_graph_records.py
    of_events = [kind for kind in KINDS if kind.cls not in flows]
    wanted = {(kind.tag, version) for kind in of_events for version in range(1, kind.version + 1)}
    assert wanted == found


@pytest.mark.parametrize("name", STORIES)
def test_today_the_last_release_would_write_the_same(name: str):
    """Until fields change: then these are the journals of a new release, and this test reads those."""
    path = releases()[-1] / f"{name}.jsonl"
    written = [entry for entries in entries_of(told(name)) for entry in entries]
    assert written == [from_line(line) for line in lines(path)]
