"""Waits for events: what is there for them, in the past and from now on; and who is told."""

from __future__ import annotations

import itertools
from contextlib import asynccontextmanager

import hypothesis
import pytest
from hypothesis import strategies as st

from plait._engine import native
from plait._engine.desk import Loop
from plait._errors import ContextSerdeError, JournalFullError
from plait._journal.memory import MemoryJournal
from plait._journal.scribes import AppScribe
from plait._journal.sqlite import SqliteJournal
from plait._kernel.admission.records import CronFired, EventReceived, Keys, RunAdmitted
from plait._kernel.calls.apply import fold
from plait._kernel.calls.keys import Key
from plait._kernel.calls.records import CallCompleted, CallScheduled
from plait._kernel.calls.state import BodyState
from plait._strands._durable import waits
from plait._strands._durable.arrivals import Events
from plait._strands._durable.event import Event
from plait._strands._durable.past import History
from plait._strands._durable.waits import Inbox
from tests.parity.clocks import in_virtual_time

FOREVER = 1e9


class Calls:
    """The calls of a run, which remember what they were told."""

    def __init__(self):
        self.state = BodyState()
        self.told = []
        self.failed = []

    def schedule(self, key, since, due_at=FOREVER):
        fold(
            self.state,
            CallScheduled(0.0, key, "wait", due_at, "e", None, 0, since),
            self.state.last_n + 1,
        )

    def event_arrived(self, key, value, error=None):
        self.told.append((key.step_id, value["data"] if error is None else error))
        if self.state.past[key].scheduled is None:
            return False
        if error is None:
            record = CallCompleted(0.0, key, "wait", "", (), 1, value)
            fold(self.state, record, self.state.last_n + 1)
        return True


class World:
    """An app: its journal, its events, and its inbox, which another process may have had before."""

    def __init__(self, journal):
        self.journal = journal
        #: Who looks through the past.
        self.looking = []
        self.scribe = AppScribe("shop")
        self.events = Events()
        self.last = 0
        self.numbers = itertools.count(1)
        self.runs = {}
        self.begin()

    def begin(self):
        self.calls = Calls()
        self.inbox = Inbox(
            self.events,
            History(self.journal, self.journal.append, "shop"),
            last=lambda: self.last,
            first_event=self.runs.__getitem__,
        )
        self.run = self.inbox.run("r1", self.calls, self.calls.failed.append, self.looking.append)

    def write(self, *records, heard=True):
        numbered = [*enumerate(records, self.last + 1)]
        self.last += len(records)
        if heard:
            for place, record in numbered:
                if isinstance(record, EventReceived):
                    self.inbox.received(record, place)
        self.journal.append(self.scribe.entries(numbered), lambda error: None)

    def send(self, data, name="e", *, heard=True, at=1.0, to=""):
        number = next(self.numbers)
        self.write(
            EventReceived(at, number, f"id{number}", name, self.events.write(data), 5, to),
            heard=heard,
        )
        return number

    def queue(self, run_id="r1"):
        number = self.send("start", "start")
        self.runs[run_id] = number
        self.write(RunAdmitted(1.0, run_id, "f", (number,), Keys()))

    def noise(self, count):
        for number in range(count):
            self.write(CronFired(1.0, "f", float(number), "* * * * *"))

    def wait(self, step_id="w", name="e", *, if_exp=None, buffer=False, due_at=FOREVER, since=None):
        """Make a call, which is on disk at once."""
        key = Key((), step_id, 0)
        wait = self.run.wait(if_exp, buffer)
        if key not in self.calls.state.past:
            self.calls.schedule(key, wait.since if since is None else since, due_at)
        wait.look_out(key, name)
        return key, wait

    async def settle(self):
        """Let the past be looked through."""
        while self.looking:
            await self.looking.pop(0)()

    @property
    def told(self):
        return self.calls.told


@asynccontextmanager
async def world(journal=None):
    journal = MemoryJournal() if journal is None else journal
    await journal.open(Loop(native.current()))
    try:
        yield World(journal)
    finally:
        await journal.aclose()


# ---------------------------------------------------------------- from now on


@in_virtual_time
async def test_a_wait_gets_the_first_that_comes():
    async with world() as w:
        w.send("before")
        w.wait()
        w.send("other", "x")
        w.send("first")
        w.send("second")
        assert w.told == [("w", "first")]
        assert not w.looking


@in_virtual_time
async def test_what_is_recorded_is_read_again():
    async with world() as w:
        key, wait = w.wait()
        w.send({"n": 1})
        value = w.calls.state.past[key].ending.value
        assert value == {"id": "id1", "name": "e", "data": {"n": 1}, "ts": 5}
        assert wait.settle(value) == (value, value)
        assert wait.read(value) == Event(name="e", data={"n": 1}, id="id1", ts=5)
        assert wait.read(None) is None
        with pytest.raises(ContextSerdeError):
            wait.read({"id": "id1"})


@in_virtual_time
async def test_a_predicate_chooses():
    async with world() as w:
        w.wait(if_exp=lambda e: e.data["n"] > 1 and e.name == "e")
        w.send({"n": 1})
        w.send({"n": 2})
        assert w.told == [("w", {"n": 2})]


@in_virtual_time
async def test_a_predicate_that_raises_fails_its_own_call_alone():
    async with world() as w:
        w.wait("a", if_exp=lambda e: e.data["none"])
        w.wait("b")
        w.send({"n": 1})
        (first, error), second = w.told
        assert (first, type(error)) == ("a", KeyError)
        assert second == ("b", {"n": 1})
        w.send({"n": 2})
        assert len(w.told) == 2


@in_virtual_time
async def test_all_who_wait_are_told_in_the_order_of_their_calls():
    async with world() as w:
        for step_id in "cab":
            w.wait(step_id)
        w.send("one")
        assert w.told == [("c", "one"), ("a", "one"), ("b", "one")]


@in_virtual_time
async def test_an_event_is_read_once_for_all_who_are_asked_about_it(monkeypatch):
    async with world() as w:
        asked, read = [], w.events.event_of
        monkeypatch.setattr(w.events, "event_of", lambda e: asked.append(e.number) or read(e))
        for step_id in "abc":
            w.wait(step_id, if_exp=lambda e: e.data == "two")
        w.send("one")
        w.send("two")
        assert len(w.told) == 3
        assert asked == [1, 2]


@in_virtual_time
async def test_who_forgets_is_not_told():
    async with world() as w:
        key, wait = w.wait()
        wait.forget(key)
        w.send("late")
        assert not w.told
        assert not wait.overdue(key, lambda: None)


@in_virtual_time
async def test_what_was_made_for_a_function_is_for_nobody_else():
    async with world() as w:
        w.wait(buffer=False)
        w.send("invoked", to="shop-fn")
        assert not w.told


@in_virtual_time
async def test_what_comes_when_the_time_is_over_is_too_late():
    async with world() as w:
        w.wait(due_at=10.0)
        w.send("late", at=10.5)
        assert not w.told
        w.send("in time", at=10.0)
        assert w.told == [("w", "in time")]


# ---------------------------------------------------------------- the past


@in_virtual_time
async def test_what_comes_while_the_wait_is_on_its_way_to_disk_is_for_it():
    async with world() as w:
        w.noise(3)
        key = Key((), "w", 0)
        wait = w.run.wait()
        w.calls.schedule(key, wait.since)
        w.send("at once")
        wait.look_out(key, "e")
        w.send("later")
        assert not w.told, "the past comes first"
        await w.settle()
        assert w.told == [("w", "at once")]


@in_virtual_time
async def test_a_wait_goes_on_after_a_restart_where_it_was():
    async with world() as w:
        w.send("before")
        since = w.last
        w.send("while nobody served", heard=False)
        w.begin()
        w.wait(since=since)
        w.send("now")
        await w.settle()
        assert w.told == [("w", "while nobody served")]


@in_virtual_time
async def test_what_is_still_on_its_way_to_disk_is_waited_for(tmp_path):
    async with world(SqliteJournal(tmp_path / "shop.db")) as w:
        since = w.last
        w.begin()
        w.send("replaying")
        w.wait(since=since)
        await w.settle()
        assert w.told == [("w", "replaying")]


@in_virtual_time
async def test_a_time_that_is_over_waits_for_the_past():
    over = []
    async with world() as w:
        since = w.last
        w.send("in time", heard=False, at=9.0)
        w.begin()
        key, wait = w.wait(since=since, due_at=10.0)
        assert wait.overdue(key, lambda: over.append(key))
        await w.settle()
        assert w.told == [("w", "in time")]
        assert not over


@in_virtual_time
async def test_a_time_that_is_over_is_over_when_the_past_has_nothing():
    over = []
    async with world() as w:
        since = w.last
        w.send("too late", heard=False, at=11.0)
        w.begin()
        key, wait = w.wait(since=since, due_at=10.0)
        assert wait.overdue(key, lambda: over.append(key))
        w.send("too late as well", at=12.0)
        await w.settle()
        assert not w.told
        assert over == [key]
        assert not wait.overdue(key, lambda: None), "nobody looks any more"


@in_virtual_time
async def test_who_forgets_while_the_past_is_looked_through_hears_nothing():
    over = []
    async with world() as w:
        w.send("there", heard=False)
        w.begin()
        key, wait = w.wait(since=0)
        assert wait.overdue(key, lambda: over.append(key))
        wait.forget(key)
        await w.settle()
        assert not w.told
        assert not over


@in_virtual_time
async def test_what_the_past_is_searched_for_is_not_told_again():
    """It was on its way when the wait began to look out, and is told of only now."""
    async with world() as w:
        since = w.last
        w.send("one", heard=False)
        w.begin()
        w.wait(since=since, if_exp=lambda e: w.told.append("asked") or e.data == "two")
        [event] = await w.inbox.history.events([1])
        w.inbox.received(event, 1)
        await w.settle()
        assert w.told == ["asked"]


@in_virtual_time
async def test_the_past_has_nothing_that_was_made_for_a_function():
    async with world() as w:
        w.queue()
        w.send("invoked", to="shop-fn")
        w.send("sent")
        w.wait(buffer=True)
        await w.settle()
        assert w.told == [("w", "sent")]


class Slow(MemoryJournal):
    """Writes what was appended when it is asked whether all is written."""

    late = ()

    def append(self, entries, done):
        if entries:
            self.late = [*self.late, (entries, done)]
            return
        late, self.late = self.late, []
        for one in late:
            super().append(*one)
        super().append(entries, done)


@in_virtual_time
async def test_the_past_may_be_on_its_way_to_disk():
    async with world(Slow()) as w:
        since = w.last
        w.begin()
        w.send("replaying")
        w.wait(since=since)
        await w.settle()
        assert w.told == [("w", "replaying")]
        assert not w.calls.failed


class Broken(Slow):
    """Cannot write it any more."""

    def append(self, entries, done):
        if entries:
            super().append(entries, done)
        else:
            done(JournalFullError("no room"))


@in_virtual_time
async def test_a_past_that_never_comes_to_disk_suspends_the_body():
    async with world(Broken()) as w:
        w.send("lost", heard=False)
        w.begin()
        w.wait(since=0)
        await w.settle()
        assert not w.told
        assert [type(error) for error in w.calls.failed] == [JournalFullError]


@in_virtual_time
async def test_a_past_that_cannot_be_read_suspends_the_body():
    async with world() as w:
        w.send("there", heard=False)
        w.begin()
        w.journal._streams["app/shop"].entries.clear()
        w.wait(since=0)
        await w.settle()
        assert not w.told
        [error] = w.calls.failed
        assert "ends at 0, before 1" in str(error)


@in_virtual_time
async def test_names_that_are_too_many_are_forgotten_not_missed(monkeypatch):
    monkeypatch.setattr(waits, "NAMES", 2)
    async with world() as w:
        since = w.last
        w.send("mine")
        for name in "vwxyz":
            w.send("other", name)
        w.wait(since=since)
        await w.settle()
        assert w.told == [("w", "mine")]


# ---------------------------------------------------------------- buffer=True


@in_virtual_time
async def test_a_buffered_wait_gets_what_came_since_the_run_was_queued():
    async with world() as w:
        w.send("too early")
        w.queue()
        w.send("one")
        w.send("two")
        w.wait(buffer=True)
        await w.settle()
        assert w.told == [("w", "one")]


@in_virtual_time
async def test_an_event_serves_one_buffered_wait_of_a_run_and_any_other():
    async with world() as w:
        w.queue()
        for data in ("one", "two"):
            w.send(data)
        for step_id in "abc":
            w.wait(step_id, buffer=True)
        w.wait("plain")
        await w.settle()
        assert w.told == [("a", "one"), ("b", "two")]
        w.send("three")
        w.send("four")
        assert w.told[2:] == [("c", "three"), ("plain", "three")]


@in_virtual_time
async def test_what_was_given_to_a_buffered_wait_is_known_after_a_restart():
    async with world() as w:
        w.queue()
        w.send("one")
        w.send("two")
        w.wait("a", buffer=True)
        await w.settle()
        before = w.calls.state
        w.begin()
        w.calls.state = before
        w.run = w.inbox.run("r1", w.calls, w.calls.failed.append, w.looking.append)
        w.wait("b", buffer=True)
        await w.settle()
        assert w.told == [("b", "two")]


@in_virtual_time
async def test_another_run_may_have_it_as_well():
    async with world() as w:
        w.queue()
        w.queue("r2")
        w.send("one")
        w.wait(buffer=True)
        await w.settle()
        assert w.told == [("w", "one")]
        w.calls = Calls()
        w.run = w.inbox.run("r2", w.calls, w.calls.failed.append, w.looking.append)
        w.wait(buffer=True)
        await w.settle()
        assert w.told == [("w", "one")]


@in_virtual_time
async def test_a_run_is_found_in_a_long_stream():
    async with world() as w:
        w.noise(1500)
        for number in range(40):
            w.queue(f"other{number}")
            w.noise(37)
        w.send("too early")
        w.queue()
        w.noise(1200)
        w.send("first")
        w.noise(2500)
        w.wait(buffer=True)
        await w.settle()
        assert w.told == [("w", "first")]


@in_virtual_time
async def test_the_oldest_of_many_that_is_accepted():
    async with world() as w:
        w.queue()
        for n in range(2500):
            w.send(n)
            w.noise(n % 3)
        w.wait("a", buffer=True, if_exp=lambda e: e.data >= 2000)
        w.wait("b", buffer=True, if_exp=lambda e: e.data >= 7)
        w.wait("c", buffer=True, if_exp=lambda e: e.data >= 2000)
        await w.settle()
        assert w.told == [("a", 2000), ("b", 7), ("c", 2001)]


# ---------------------------------------------------------------- places


@hypothesis.given(
    st.lists(st.sampled_from("abc-"), max_size=30),
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 30), st.integers(0, 30)), max_size=8),
    st.integers(0, 9),
)
@hypothesis.settings(max_examples=60)
def test_places_are_those_of_the_stream_whatever_was_asked_before(names, asked, kept):
    async def check():
        async with world() as w:
            for name in names:
                if name == "-":
                    w.noise(1)
                else:
                    w.send("x", name)
            history = History(w.journal, w.journal.append, "shop", kept=kept)
            for name, one, other in asked:
                after, upto = sorted((min(one, len(names)), min(other, len(names))))
                expected = [
                    n for n, each in enumerate(names, 1) if each == name and after < n <= upto
                ]
                assert await history.places(name, after, upto) == expected

    native.run("trio", check)
