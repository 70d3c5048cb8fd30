"""What an earlier release has written of functions and apps can be read for ever, and means the same.

As in `test_golden`: a failure here is no reason to write the files again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

import pytest

from plait._journal import app_kinds, call_kinds, life_kinds
from plait._kernel.admission.records import AppSnapshot
from plait._kernel.admission.snapshot import fold, picture_of, state_of
from plait._kernel.admission.state import AppState
from plait._kernel.calls.keys import key_of
from plait._kernel.functions.reasons import Why

from . import apps, bodies, lives, stories
from .journals import from_line, releases

TOLD: dict[str, Any] = {name: told for told in (bodies, lives, apps) for name in told.STORIES}
JOURNALS = [
    pytest.param(path, id=f"{release.name}-{path.stem}")
    for release in releases()
    for path in sorted(release.glob("*.jsonl"))
    if path.stem in TOLD
]
PATHS: list[Path] = [param.values[0] for param in JOURNALS]


def entries_in(path: Path) -> list[Any]:
    return [from_line(line) for line in path.read_text(encoding="utf-8").splitlines()]


def states_in(path: Path) -> Iterable[Any]:
    text = path.with_suffix(".states.jsonl").read_text(encoding="utf-8")
    return map(json.loads, text.splitlines())


@pytest.mark.parametrize("path", JOURNALS)
def test_a_journal_leads_to_the_same_states_as_when_it_was_written(path: Path):
    entries, reader, n = entries_in(path), TOLD[path.stem].Reader(path.stem), 0
    for expected in states_in(path):
        reader.read(entries[n : expected["n"]])
        n = expected["n"]
        assert reader.same(expected["document"]), f"another state after record {n}"
    assert n == len(entries)


@pytest.mark.parametrize("path", JOURNALS)
def test_a_journal_says_what_its_stream_is(path: Path):
    first, *rest = entries_in(path)
    assert first.opening is not None
    assert first.opening.app_id == "golden"
    assert first.status == ("running" if path.stem in apps.STORIES else "queued")
    if path.stem not in lives.STORIES:
        assert {entry.status for entry in rest} == {None}
    for entry in (first, *rest):
        assert entry.key is None or key_of(entry.key)


def test_where_a_run_stands_is_what_its_records_say():
    for path in (path for path in PATHS if path.stem in lives.STORIES):
        reader, stands = lives.Reader(path.stem), None
        for entry in entries_in(path):
            reader.read([entry])
            stands = entry.status or stands
            assert reader.document()["status"] == stands, f"{path.stem}: entry {entry.n}"


def test_every_reason_to_hold_a_run_is_in_a_golden_journal():
    entries = [entry for path in PATHS if path.stem == "holds" for entry in entries_in(path)]
    assert len(lives.reasons_in(entries)) == len(get_args(Why))


def test_an_app_is_taken_up_from_its_last_snapshot_as_from_its_beginning():
    for path in (path for path in PATHS if path.stem in apps.STORIES):
        records = [record for _, record in apps.SCRIBE.records(entries_in(path))]
        places = [n for n, record in enumerate(records) if type(record) is AppSnapshot]
        assert places
        for place in places:
            snapshot = records[place]
            assert isinstance(snapshot, AppSnapshot)
            state: Any = snapshot.state
            later = fold(state_of(apps.PLAN, state), records[place + 1 :])
            assert picture_of(later) == picture_of(fold(AppState(apps.PLAN), records))


def test_every_version_of_every_kind_is_in_a_golden_journal():
    found = {(entry.kind, entry.version) for path in PATHS for entry in entries_in(path)}
    kinds = (*call_kinds.KINDS, *life_kinds.KINDS, *app_kinds.KINDS)
    assert found == {(k.tag, version) for k in kinds for version in range(1, k.version + 1)}


def test_every_file_is_of_a_story_that_is_still_told():
    stems = {path.name.split(".")[0] for release in releases() for path in release.iterdir()}
    assert stems <= TOLD.keys() | stories.STORIES.keys()


@pytest.mark.parametrize("name", TOLD)
def test_today_the_last_release_would_write_the_same(name: str):
    """Until fields change: then these are the journals of a new release, and this test reads those."""
    written = [entry for entries in TOLD[name].appends_of(name) for entry in entries]
    assert written == entries_in(releases()[-1] / f"{name}.jsonl")
