"""The queue to the writer: what is one commit, and when it may be taken."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait._journal import inbox as inboxes
from plait._journal.inbox import Append, Inbox, Job
from tests.journal.backends import entry


@pytest.fixture
def inbox():
    return Inbox()


def append(rows=1, size=2, stream="r"):
    return Append(tuple(entry(stream, n, body=b"x" * size) for n in range(1, rows + 1)), print)


def test_what_is_there_is_taken_at_once(inbox):
    items = [append() for _ in range(3)]
    for item in items:
        assert inbox.put(item)
    assert inbox.take() == items
    assert inbox.take(0.0) == ()


def test_a_job_is_taken_alone_and_in_its_turn(inbox):
    first, job, last = append(), Job(int), append()
    for item in (first, job, last):
        inbox.put(item)
    assert [inbox.take(), inbox.take(), inbox.take()] == [[first], job, [last]]


@pytest.mark.parametrize(
    ("sizes", "taken"),
    [
        ([(999, 1), (1, 1), (1, 1)], [2, 1]),
        ([(999, 1), (2, 1)], [1, 1]),
        ([(2000, 1), (1, 1)], [1, 1]),
        ([(1, 1), (2000, 1)], [1, 1]),
        ([(1, 4 * 2**20), (0, 0), (1, 1)], [2, 1]),
        ([(1, 5 * 2**20), (1, 1)], [1, 1]),
        ([(1, 3 * 2**20), (1, 2**20), (1, 1)], [2, 1]),
    ],
    ids=str,
)
def test_a_batch_has_its_limits(inbox, sizes, taken):
    for rows, size in sizes:
        inbox.put(append(rows, size))
    assert [len(inbox.take()) for _ in taken] == taken


def test_what_is_collected_waits_for_flush(inbox, monkeypatch):
    monkeypatch.setattr(inboxes, "LONGEST", 1e6)
    inbox.collect()
    inbox.put(append())
    assert inbox.take(0.0) == ()
    inbox.put(append())
    inbox.flush()
    inbox.put(append())
    assert len(inbox.take()) == 3
    inbox.put(append())
    assert len(inbox.take()) == 1


def test_what_is_patient_waits_for_what_is_not(inbox, monkeypatch):
    monkeypatch.setattr(inboxes, "LONGEST", 1e6)
    inbox.put(append(), patient=True)
    inbox.put(append(), patient=True)
    assert inbox.take(0.0) == ()
    inbox.put(append())
    assert len(inbox.take()) == 3
    inbox.put(append(64), patient=True)
    assert len(inbox.take()) == 1
    monkeypatch.setattr(inboxes, "LONGEST", 0.0)
    inbox.put(append(), patient=True)
    assert len(inbox.take()) == 1, "at the latest when its time is over"


@pytest.mark.parametrize("rows", [1, 21, 64, 65])
def test_what_is_collected_goes_at_64_rows(inbox, monkeypatch, rows):
    monkeypatch.setattr(inboxes, "LONGEST", 1e6)
    inbox.collect()
    for again in range(2):
        count = 0
        while count < 64:
            assert inbox.take(0.0) == (), again
            inbox.put(append(rows))
            count += rows
        assert sum(len(item.entries) for item in inbox.take()) == count


def test_a_job_does_not_wait(inbox, monkeypatch):
    monkeypatch.setattr(inboxes, "LONGEST", 1e6)
    inbox.collect()
    item, job = append(), Job(int)
    inbox.put(item)
    inbox.put(job)
    assert [inbox.take(), inbox.take()] == [[item], job]


def test_what_is_collected_goes_after_a_millisecond(inbox, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(inboxes.time, "monotonic", lambda: now[0])
    inbox.collect()
    inbox.put(append())
    now[0] += 0.0009
    inbox.put(append())
    assert inbox.take(0.0) == ()
    now[0] += 0.0002  # after the first of them
    assert len(inbox.take(0.0)) == 2
    inbox.put(append())
    assert inbox.take(0.0) == ()


def test_closed_it_gives_what_it_has_and_takes_nothing(inbox):
    inbox.collect()
    inbox.put(append())
    inbox.close()
    assert not inbox.put(append())
    assert len(inbox.take()) == 1
    assert inbox.take() is None
    assert inbox.take(1e6) is None


steps = st.lists(st.sampled_from(["put", "put", "put", "job", "collect", "flush"]), max_size=60)


@given(steps)
def test_each_item_is_taken_once_and_in_order(steps):
    inbox = Inbox()
    put, taken = [], []

    def take():
        while (batch := inbox.take(0.01)) is not None:
            taken.extend([batch] if isinstance(batch, Job) else batch)

    thread = threading.Thread(target=take)
    thread.start()
    for step in steps:
        if step in {"put", "job"}:
            put.append(Job(int) if step == "job" else append(9))
            inbox.put(put[-1])
        else:
            getattr(inbox, step)()
    inbox.close()
    thread.join()
    assert taken == put
