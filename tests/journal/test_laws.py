"""The law book of journals: who keeps the laws passes, and who breaks one is told which."""

import itertools
import math
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import anyio
import pytest
import trio
from trio.testing import MockClock

from plait._journal.memory import MemoryJournal
from plait._journal.sqlite import SqliteJournal
from plait.errors import MissingExtra
from plait.testing import check_journal
from plait.testing._journal_bench import Bench, Broken, entry
from plait.testing._journal_laws import DRAWN, LAWS
from tests.journal.broken import BROKEN, AnswersTheLastFirst, Fails
from tests.journal.ground import Ground

BACKENDS = ("trio", "asyncio")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("law", [*LAWS, DRAWN])
def test_the_memory_journal_keeps_the_law(law, backend):
    check_journal(MemoryJournal, backend=backend, only=law)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_journal_that_fails_as_it_should(backend):
    check_journal(Fails, fail=Fails.fail, backend=backend, examples=0)


def test_every_law_is_tried_on_both_backends():
    made = []

    def factory():
        made.append(MemoryJournal())
        return made[-1]

    check_journal(factory, examples=0)
    assert len(made) == 2 * len(LAWS)
    assert all(repr(journal).startswith("<MemoryJournal, closed") for journal in made)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("cls", BROKEN, ids=lambda cls: cls.__name__)
def test_a_broken_journal_is_refused_by_the_law_that_it_breaks(cls, backend):
    if cls.LAW == "append_does_not_block" and sys.platform != "linux":
        pytest.skip("only Linux tells how often a thread has waited")
    with pytest.raises(AssertionError) as caught:
        check_journal(cls, backend=backend, timeout=0.5, only=cls.LAW, **cls.OPTIONS)
    first, sentence, *_, last = str(caught.value).splitlines()
    assert first == f"check_journal() on {backend}: {cls.LAW} is broken."
    assert sentence == LAWS[cls.LAW].__doc__.splitlines()[0]
    assert last == f"To run only this: backend={backend!r}, only={cls.LAW!r}"


def test_each_law_has_a_journal_that_breaks_it():
    assert {cls.LAW for cls in BROKEN} == set(LAWS)


@pytest.mark.parametrize("cls", [cls for cls in BROKEN if cls.DRAWN], ids=lambda cls: cls.__name__)
def test_drawn_sequences_find_it_too(cls):
    with pytest.raises(AssertionError, match=f"on trio: {DRAWN} is broken") as caught:
        check_journal(cls, only=DRAWN, timeout=0.5)
    assert "\n  This was done:" in str(caught.value)


@pytest.mark.parametrize("error", ["full", "write", "sync", "corrupt"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_the_sqlite_journal_breaks_as_it_should(tmp_path, backend, error):
    numbers = itertools.count()

    def open_on(ground, path):
        journal = SqliteJournal(path)
        journal._world, journal.ground = ground.world, ground
        return journal

    def fail(journal):
        journal.ground.fails = lambda number, sql: error if sql == "COMMIT" else None

    check_journal(
        lambda: open_on(Ground(), tmp_path / f"{next(numbers)}.db"),
        reopen=lambda old: open_on(Ground(), old._place.real),
        fail=fail,
        backend=backend,
        only="a_failure_breaks_the_journal",
    )


def run_on(library, act):
    """What a law does, without the law book around it."""
    Bench(library, 5.0, MemoryJournal(), None, None).live(act)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_law_is_broken_by_whatever_a_journal_raises(backend):
    class Raises(MemoryJournal):
        async def read(self, stream, **options):
            raise KeyError(stream)

    with pytest.raises(AssertionError, match=r"KeyError came out of the journal: 'r1'") as caught:
        check_journal(Raises, backend=backend)
    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_call_that_does_not_return(backend):
    class Hangs(MemoryJournal):
        async def streams(self, **options):
            await anyio.sleep_forever()

    with pytest.raises(AssertionError, match=r"streams\(.*\) did not return within 0\.02 s"):
        check_journal(Hangs, backend=backend, timeout=0.02, only="streams_are_chosen")


def test_what_done_raises_is_not_lost():
    """An answer comes where nothing can be raised, so it is raised later."""

    async def act(hand):
        def surprise():
            raise ValueError("odd")

        hand.append(entry("a", 1), then=surprise)
        with pytest.raises(Broken, match="within `done`: ValueError: odd"):
            await hand.settled()
        hand._faults.clear()

    run_on("trio", act)


def test_a_sequence_is_made_simpler():
    """Sixty things were done, and three are told."""

    class CountsToThree(MemoryJournal):
        async def prune(self, *, ended_before):
            return await super().prune(ended_before=ended_before) and 3

    with pytest.raises(AssertionError) as caught:
        check_journal(CountsToThree, only=DRAWN, backend="trio")
    _, _, said, _, *done = str(caught.value).splitlines()[:-2]
    assert said == "  prune() was to drop 1 streams, and says 3"
    assert [line.strip().partition("(")[0] for line in done] == ["append", "prune"]


def test_the_same_sequences_are_drawn_each_time():
    def texts():
        for _ in range(2):
            with pytest.raises(AssertionError) as caught:
                check_journal(AnswersTheLastFirst, only=DRAWN, backend="trio")
            yield str(caught.value)

    assert len({*texts()}) == 1


def test_reopen_makes_the_next_object():
    made = []

    def reopen(old):
        new = MemoryJournal()
        new._streams = old._streams
        made.append(new)
        return new

    check_journal(MemoryJournal, reopen=reopen, examples=0)
    assert len(made) > 10
    with pytest.raises(AssertionError, match="closing_writes_everything is broken"):
        check_journal(MemoryJournal, reopen=lambda old: MemoryJournal(), examples=0)


def test_what_a_caller_does_wrong():
    for bad in (MemoryJournal(), None):
        with pytest.raises(TypeError, match="takes a function that makes a journal, not "):
            check_journal(bad)
    for only in (None, DRAWN):
        with pytest.raises(TypeError, match=r"makes a journal. It made <object"):
            check_journal(object, only=only)
    for options, said in (
        ({"backend": "curio"}, "backend must be"),
        ({"examples": -1}, "examples must be at least 0"),
        ({"timeout": 0.0}, "timeout must be a positive"),
        ({"timeout": math.inf}, "timeout must be a positive"),
        ({"only": "nothing"}, "there is no law 'nothing'; these are: an_entry_is_read"),
    ):
        with pytest.raises(ValueError, match=said):
            check_journal(MemoryJournal, **options)


async def test_it_is_called_from_plain_code():  # noqa: ASYNC910 - it must not wait
    with pytest.raises(RuntimeError, match=r"check_journal\(\) runs Trio by itself"):
        check_journal(MemoryJournal)


def test_without_hypothesis(monkeypatch):
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    check_journal(MemoryJournal, examples=0, backend="trio")
    with pytest.raises(MissingExtra, match="examples=0"):
        check_journal(MemoryJournal, backend="trio")


def test_a_clock_that_jumps_is_not_asked(monkeypatch):
    """Disks and threads take the time that they take, also where tests have another clock."""
    run = trio.run

    def run_on_a_clock_that_jumps(fn, *args, clock=None):
        return run(fn, *args, clock=clock or MockClock(autojump_threshold=0))

    monkeypatch.setattr(trio, "run", run_on_a_clock_that_jumps)
    check_journal(SlowToAnswer, backend="trio", only="done_needs_no_flush")


class SlowToAnswer(MemoryJournal):
    """It asks a thread, of which a clock that jumps knows nothing. One thread: answers have an order."""

    def __init__(self):
        super().__init__()
        self._thread = ThreadPoolExecutor(max_workers=1)

    def append(self, entries, done):
        soon = self._backend.run_sync_soon

        def answer(error):
            threading.Event().wait(0.02)
            soon(done, error)

        super().append(entries, lambda error: self._thread.submit(answer, error))
