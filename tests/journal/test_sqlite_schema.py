"""The file's layout, the list of streams that is summed up from its records, and what `verify` finds."""

import sqlite3
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import plait.testing
from plait._abc import Opening
from plait._journal.sqlite import SqliteJournal
from tests.journal.backends import desk, entry

LAYOUT = """
CREATE TABLE record (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, stream TEXT NOT NULL, n INTEGER NOT NULL, kind TEXT NOT NULL,
  version INTEGER NOT NULL, at REAL NOT NULL, key TEXT, body BLOB NOT NULL,
  status TEXT, opening TEXT, UNIQUE (stream, n)) STRICT
CREATE UNIQUE INDEX one_outcome ON record (stream, key)
  WHERE kind IN ('step.completed', 'step.failed')
CREATE TABLE stream (
  stream TEXT PRIMARY KEY, app_id TEXT NOT NULL, target TEXT NOT NULL, parent TEXT, status TEXT NOT NULL,
  source TEXT, created REAL NOT NULL, updated REAL NOT NULL, last_n INTEGER NOT NULL)
  STRICT, WITHOUT ROWID
CREATE INDEX stream_by_status ON stream (app_id, status, created)
CREATE TABLE owner (
  one INTEGER PRIMARY KEY CHECK (one = 1), process TEXT NOT NULL, pid INTEGER NOT NULL,
  boot TEXT NOT NULL, host TEXT NOT NULL, since REAL NOT NULL) STRICT
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "shop.db"


def execute(path, *statements):
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        return [connection.execute(sql).fetchall() for sql in statements][-1]
    finally:
        connection.close()


async def fill(path, entries=()):
    async with desk(SqliteJournal(path)) as it:
        await it.keep(
            entry("a", 1, opening=Opening("shop", "order", "b", "sha")),
            entry("a", 2, "step.completed", key="k", body=b'{"x": [1, 2.5, "\xc3\xa9"]}'),
            entry("a", 3),
            entry("b", 1, status="queued", opening=Opening("", "flow")),
            *entries,
        )


async def test_the_layout_is_released(path):
    """Files of version 1 are there: another layout is version 2, with a migration."""
    await fill(path)
    found = execute(path, "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid")
    words = " ".join(sql for (sql,) in found if "sqlite_sequence" not in sql).split()
    assert words == LAYOUT.split()


async def test_what_the_rows_hold(path):
    await fill(path)
    record = "SELECT stream, n, kind, version, at, key, body, status, opening FROM record"
    assert execute(path, f"{record} ORDER BY seq") == [
        ("a", 1, "note", 1, 1.0, None, b"{}", "running", '["shop","order","b","sha"]'),
        ("a", 2, "step.completed", 1, 2.0, "k", b'{"x": [1, 2.5, "\xc3\xa9"]}', None, None),
        ("a", 3, "note", 1, 3.0, None, b"{}", None, None),
        ("b", 1, "note", 1, 1.0, None, b"{}", "queued", '["","flow",null,null]'),
    ]
    assert execute(path, "SELECT * FROM stream ORDER BY stream") == [
        ("a", "shop", "order", "b", "running", "sha", 1.0, 3.0, 3),
        ("b", "", "flow", None, "queued", None, 1.0, 1.0, 1),
    ]


async def test_a_clock_that_is_set_back_is_taken_as_it_is(path):
    await fill(path, [entry("b", 2, at=9.0, status="running")])
    async with desk(SqliteJournal(path)) as it:
        await it.keep(entry("a", 4, at=0.5), entry("b", 3, at=0.25, status="failed"))
        assert await it.journal.verify() == []
        assert [s.updated for s in await it.journal.streams()] == [0.5, 0.25]


@pytest.mark.parametrize("kinds", [("step.completed", "step.failed"), ("step.failed",) * 2])
async def test_the_file_itself_refuses_a_step_that_ends_twice(path, kinds):
    await fill(path)
    insert = (
        "INSERT INTO record (stream, n, kind, version, at, key, body)"
        " VALUES ('a', {n}, '{kind}', 1, 0.0, 'key', x'7b7d')"
    )
    with pytest.raises(sqlite3.IntegrityError):
        execute(path, *[insert.format(n=n, kind=kind) for n, kind in enumerate(kinds, 4)])
    execute(path, *[insert.format(n=n, kind="note") for n in (5, 6)])


# ---------------------------------------------------------------- the projection

texts = st.text(max_size=5)
streams = st.sampled_from(["a", "b", "é", "😀"])
statuses = st.sampled_from([None, "queued", "running", "completed", "failed", "cancelled", "held"])
openings = st.builds(Opening, texts, texts, st.none() | texts, st.none() | texts)
drawn = st.tuples(
    streams,
    st.sampled_from([0, 0, 0, 0, 1, -1]),  # how wrong its place is
    st.sampled_from(["note", "step.completed", "step.failed"]),
    st.sampled_from([None, "k1", "k2", "k3"]),
    statuses,
    openings,
    st.floats(allow_nan=False),
)
appends = st.lists(st.lists(drawn, max_size=5), max_size=12)


@settings(max_examples=60)
@given(appends, st.sampled_from(["alone", "together", "again"]), st.floats(0, 10))
def test_the_list_of_streams_is_what_the_records_sum_up_to(drawn_appends, how, ended_before):
    async def main():
        with TemporaryDirectory() as folder:
            journal = SqliteJournal(Path(folder) / "shop.db", sync="fast")
            async with desk(journal) as it:
                last = {}
                if how == "together":
                    journal.collect()
                for drawn_entries in drawn_appends:
                    entries, then = [], dict(last)
                    for stream, wrong, kind, key, status, opening, at in drawn_entries:
                        n = then.get(stream, 0) + 1 + wrong
                        e = entry(stream, n, kind, key=key, at=at, status=status, opening=opening)
                        entries.append(e)
                        then[stream] = n
                    number = it.put(*entries)
                    if how != "together":
                        await it.until(number)
                        if it.errors[number] is None:
                            last = then
                        assert await journal.verify() == []
                    else:
                        last = then
                journal.flush()
                if it.appended:
                    await it.until(len(it.appended) - 1)
                assert await journal.verify() == []
                await journal.prune(ended_before=ended_before)
                assert await journal.verify() == []
            if how == "again":
                async with desk(journal):
                    assert await journal.verify() == []

    plait.testing.run(main)


# ---------------------------------------------------------------- what `verify` finds


@pytest.mark.parametrize(
    ("statements", "faults"),
    [
        (["DELETE FROM record WHERE n = 2"], ["stream 'a': entry 2 is missing"]),
        (
            ["UPDATE record SET n = 9 WHERE n = 3"],
            [
                "stream 'a': entry 3 to 8 is missing",
                "stream 'a': last_n is 3, its records say 9",
            ],
        ),
        (
            ["DELETE FROM record WHERE stream = 'a' AND n = 1"],
            [
                "stream 'a': entry 1 is missing",
                "stream 'a', entry 2: None is not an opening",
            ],
        ),
        (
            ["UPDATE record SET body = x'7b' WHERE n = 3"],
            [
                ("stream 'a', entry 3 (note): its body is no JSON in UTF-8: Expecting property name"
                " enclosed in double quotes: line 1 column 2 (char 1)")
            ],
        ),
        (
            ["UPDATE record SET body = x'ff' WHERE n = 3"],
            [
                ("stream 'a', entry 3 (note): its body is no JSON in UTF-8: 'utf-8' codec can't"
                " decode byte 0xff in position 0: invalid start byte")
            ],
        ),
        (
            ["UPDATE record SET body = CAST('NaN' AS BLOB) WHERE n = 3"],
            ["stream 'a', entry 3 (note): its body is no JSON in UTF-8: NaN is not JSON"],
        ),
        (
            ["UPDATE record SET opening = '[1]' WHERE stream = 'b'"],
            [
                "stream 'b', entry 1: '[1]' is not an opening"
            ],
        ),
        (
            ["UPDATE stream SET status = 'completed', updated = 9 WHERE stream = 'a'"],
            [
                "stream 'a': status is 'completed', its records say 'running'",
                "stream 'a': updated is 9.0, its records say 3.0",
            ],
        ),
        (
            [("UPDATE stream SET app_id = 'x', target = 'x', parent = 'x', source = 'x', created = 9"
             " WHERE stream = 'b'")],
            [
                "stream 'b': app_id is 'x', its records say ''",
                "stream 'b': target is 'x', its records say 'flow'",
                "stream 'b': parent is 'x', its records say None",
                "stream 'b': source is 'x', its records say None",
                "stream 'b': created is 9.0, its records say 1.0",
            ],
        ),
        (["DELETE FROM stream WHERE stream = 'a'"], ["stream 'a' has records and is not listed"]),
        (["DELETE FROM record WHERE stream = 'b'"], ["stream 'b' is listed and has no records"]),
        (
            ["DROP INDEX one_outcome", "CREATE INDEX one_outcome ON record (stream)",
             "UPDATE record SET kind = 'step.failed', key = 'k' WHERE n = 3"],
            [
                "one_outcome is not as plait makes it: CREATE INDEX one_outcome ON record (stream)",
                "stream 'a', entry 3: step 'k' ends twice",
            ],
        ),
    ],
    ids=["gap", "long gap", "no first", "no JSON", "no UTF-8", "NaN", "opening", "status", "others",
         "not listed", "no records", "layout"],
)  # fmt: skip
async def test_what_is_wrong_is_listed(path, statements, faults):
    await fill(path)
    assert await SqliteJournal(path).verify() == []
    execute(path, *statements)
    assert await SqliteJournal(path).verify() == faults
    async with desk(SqliteJournal(path), write=False) as it:
        assert await it.journal.verify() == faults


async def test_a_table_that_is_missing_is_listed(path):
    await fill(path)
    execute(path, "DROP INDEX stream_by_status")
    (fault,) = await SqliteJournal(path).verify()
    assert "it has no stream_by_status" in fault


async def test_damaged_pages_are_listed(path):
    await fill(path, [entry("b", n, body=b'"%s"' % (b"x" * 1000)) for n in range(2, 200)])
    data = bytearray(path.read_bytes())
    data[5 * 4096 : 6 * 4096] = bytes(4096)
    path.write_bytes(data)
    faults = await SqliteJournal(path).verify()
    assert any(fault.startswith("quick_check: ") for fault in faults), faults


async def test_it_looks_at_one_state_while_others_write(path):
    async with desk(SqliteJournal(path)) as it:
        for n in range(1, 200):
            it.put(entry("a", n), entry(f"r{n}", 1))
            if n % 40 == 0:
                assert await SqliteJournal(path).verify() == []
                assert await it.journal.verify() == []
