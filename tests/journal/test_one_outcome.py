"""A step ends once: the journal itself refuses a second outcome for a key, as the scribe writes it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plait._abc import Journal, Opening
from plait._journal.scribes import FunctionScribe
from plait._kernel.calls.keys import Key
from plait._kernel.calls.records import CallCancelled, CallCompleted, CallFailed, CallStarted
from plait.durable import MemoryJournal, SqliteJournal
from plait.errors import StreamConflictError
from tests.journal.backends import as_read, desk

#: As near to one another as keys can be.
KEYS = [
    Key((), "foo", 0),
    Key((), "foo", 1),
    Key((), "foo:1", 0),
    Key((0,), "foo", 0),
    Key((("g", 0, 0),), "foo", 0),
    Key((("m", "foo", 0, 0),), "foo", 0),
    Key((), "foo", 0).rollback,
    Key((), "Foo", 0),
    Key((), "", 0),
    Key((), "caf\udce9", 0),
]
STREAMS = [FunctionScribe(name, Opening("shop", "order")) for name in ("r1", "r2")]
OUTCOMES = ("completed", "failed")


def record(what: str, key: Key) -> Any:
    match what:
        case "completed":
            return CallCompleted(1.0, key, "run", "h", (), 1, "done")
        case "failed":
            return CallFailed(1.0, key, "run", "h", (), 1, {"name": "ValueError"})
        case "cancelled":
            return CallCancelled(1.0, key)
        case _:
            return CallStarted(1.0, key, "run", "h", (), 0)


@contextmanager
def journal_of(kind: str) -> Iterator[Journal]:
    if kind == "memory":
        yield MemoryJournal()
    else:
        with tempfile.TemporaryDirectory() as folder:
            yield SqliteJournal(Path(folder) / "calls.db", sync="fast")


Words = Sequence[tuple[str, Key]]
words = st.tuples(
    st.sampled_from([*OUTCOMES, *OUTCOMES, "cancelled", "started"]), st.sampled_from(KEYS)
)
appends = st.lists(
    st.tuples(st.sampled_from([0, 1]), st.lists(words, min_size=1, max_size=3)), max_size=12
)


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
@pytest.mark.parametrize("kind", ["memory", "sqlite"])
@settings(max_examples=40)
@given(told=appends)
def test_a_second_outcome_for_a_key_is_refused_and_nothing_else_is(
    told: list[tuple[int, Words]], kind: str, backend: str
):
    async def main() -> None:
        with journal_of(kind) as journal:
            async with desk(journal) as open_desk:
                await compare(open_desk, told)

    anyio.run(main, backend=backend)


async def compare(open_desk: Any, told: list[tuple[int, Words]]) -> None:
    """Append these, some of which must be refused, each as a whole; the others are there."""
    kept: list[list[Any]] = [[], []]
    ended: list[set[Key]] = [set(), set()]
    for which, words in told:
        first = len(kept[which]) + 1
        records = [(n, record(what, key)) for n, (what, key) in enumerate(words, first)]
        entries = STREAMS[which].entries(records)
        outcomes = [key for what, key in words if what in OUTCOMES]
        if len({*outcomes}) < len(outcomes) or {*outcomes} & ended[which]:
            with pytest.raises(StreamConflictError):
                await open_desk.keep(*entries)
        else:
            await open_desk.keep(*entries)
            kept[which] += entries
            ended[which].update(outcomes)
    for name, entries in zip(("r1", "r2"), kept, strict=True):
        found = await open_desk.all_of(name)
        assert found == as_read(entries)
        assert len([*STREAMS[0 if name == "r1" else 1].records(found, notes=True)]) == len(entries)


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
@pytest.mark.parametrize("kind", ["memory", "sqlite"])
@pytest.mark.parametrize("key", KEYS, ids=repr)
def test_each_key_ends_once_whatever_its_neighbours_do(key: Key, kind: str, backend: str):
    """All keys end, then each way to end one of them again is refused."""
    (scribe, _), count = STREAMS, len(KEYS)
    ends = [(n, record("completed", one)) for n, one in enumerate(KEYS, 1)]

    async def main() -> None:
        with journal_of(kind) as journal:
            async with desk(journal) as open_desk:
                await open_desk.keep(*scribe.entries(ends))
                for what in OUTCOMES:
                    again = scribe.entries([(count + 1, record(what, key))])
                    with pytest.raises(StreamConflictError):
                        await open_desk.keep(*again)
                await open_desk.keep(*scribe.entries([(count + 1, record("cancelled", key))]))

    anyio.run(main, backend=backend)
