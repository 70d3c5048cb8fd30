"""Golden journals as files: one entry a line, and the state after some of them.

`NAME.jsonl` has the entries as a journal would keep them. `NAME.states.jsonl` has, for the end of each
append, the place of its last entry, and what the state is then: of a run of a workflow (`stories`)
and of an app (`apps`) its snapshot, of a function's calls (`bodies`) what is known of each, of its
run (`lives`) where that is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import attrs

from plait._abc import Entry, Opening
from plait._journal.codec import Codec, read_run, status_after
from plait._journal.snapshot import write
from plait._kernel.state import RunState

from . import apps, bodies, lives
from .plans import VALUES
from .stories import STORIES, Story, told

HERE: Final = Path(__file__).parent


def releases() -> list[Path]:
    """The journals of each release."""
    return sorted(path for path in HERE.iterdir() if path.is_dir() and path.name[0].isdigit())


def document(state: RunState) -> dict[str, Any]:
    return write(state, VALUES, elapsed=state.elapsed, store=state.store)


def entries_of(story: Story) -> Iterator[list[Entry]]:
    """Encode a story, append by append."""
    state, n = RunState(story.state.plan, story.state.run_id), 0
    for epoch, written in story.appends:
        codec = Codec(state.run_id, VALUES, epoch)
        entries: list[Entry] = []
        for record in written:
            opening = None if n else Opening("", state.plan.name)
            entries.append(codec.encode(record, n + 1, opening=opening))
            n = read_run(state, codec, entries[-1:], after=n)
            entries[-1] = attrs.evolve(entries[-1], status=status_after(record, state))
        yield entries


def as_line(entry: Entry) -> str:
    """The body stays as it is, to the byte."""
    return json.dumps(attrs.asdict(entry) | {"body": entry.body.decode()}, ensure_ascii=False)


def from_line(line: str) -> Entry:
    held = json.loads(line)
    opening = held["opening"] and Opening(**held["opening"])
    return Entry(**held | {"body": held["body"].encode(), "opening": opening})


def save(release: str) -> None:
    """Write the journals of a release. What is there stays."""
    folder = HERE / release
    folder.mkdir(exist_ok=True)
    for name in STORIES:
        story = told(name)
        appends = [*entries_of(story)]
        _save(folder, name, appends, map(document, after_each(name, story, appends)))
    for durable in (bodies, lives, apps):
        for name in durable.STORIES:
            appends = durable.appends_of(name)
            _save(folder, name, appends, documents(durable.Reader(name), appends))


def _save(folder: Path, name: str, appends: list[list[Entry]], documents: Iterable[Any]) -> None:
    path = folder / f"{name}.jsonl"
    if path.exists():
        return
    lines = [as_line(entry) for entries in appends for entry in entries]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    states = [
        json.dumps({"n": entries[-1].n, "document": found}, ensure_ascii=False)
        for entries, found in zip(appends, documents, strict=True)
    ]
    path.with_suffix(".states.jsonl").write_text("\n".join(states) + "\n", encoding="utf-8")


def documents(
    reader: bodies.Reader | lives.Reader | apps.Reader, appends: list[list[Entry]]
) -> Iterator[Any]:
    """What the state is after each append."""
    for entries in appends:
        reader.read(entries)
        yield reader.document()


def after_each(name: str, story: Story, appends: list[list[Entry]]) -> Iterator[RunState]:
    """The run after each append; it is one and the same object."""
    state, n = RunState(story.state.plan, story.state.run_id), 0
    codec = Codec(state.run_id, VALUES)
    for entries in appends:
        n = read_run(state, codec, entries, after=n)
        yield state
