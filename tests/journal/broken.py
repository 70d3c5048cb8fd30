"""Journals that are wrong, each in one way. `LAW` is the law that must say so."""

import math
import threading

import anyio.lowlevel
import attrs

from plait._abc import ENDED
from plait._journal.memory import OUTCOMES, MemoryJournal
from plait.errors import JournalError, JournalFullError, JournalIOError, StreamConflictError

BROKEN = []


def law(name, *, drawn=False, **options):
    """Say which law a journal breaks, and whether drawn sequences must find that too."""

    def listed(cls):
        cls.LAW, cls.DRAWN, cls.OPTIONS = name, drawn, options
        BROKEN.append(cls)
        return cls

    return listed


class Altered(MemoryJournal):
    """Alters entries on their way in."""

    def alter(self, entry):
        return entry

    def append(self, entries, done):
        super().append([self.alter(entry) for entry in entries], done)


# ---------------------------------------------------------------- what is kept


@law("an_entry_is_read_as_it_was_appended")
class ForgetsTheKind(Altered):
    def alter(self, entry):
        return attrs.evolve(entry, version=2)


@law("an_entry_is_read_as_it_was_appended")
class RoundsTheTime(Altered):
    def alter(self, entry):
        return attrs.evolve(entry, at=round(entry.at, 3))


@law("an_entry_is_read_as_it_was_appended")
class LosesTheLastOfAnAppend(MemoryJournal):
    def append(self, entries, done):
        super().append(entries[: max(1, len(entries) - 1)], done)


@law("a_body_comes_back_to_the_bit", drawn=True)
class KeepsText(Altered):
    def alter(self, entry):
        return attrs.evolve(entry, body=entry.body.decode(errors="replace").encode())


@law("a_body_comes_back_to_the_bit")
class CutsBigBodies(Altered):
    def alter(self, entry):
        return attrs.evolve(entry, body=entry.body[:1_000_000])


@law("a_body_comes_back_to_the_bit")
class GivesAView(MemoryJournal):
    async def read(self, stream, **options):
        given = await super().read(stream, **options)
        return [attrs.evolve(entry, body=bytearray(entry.body)) for entry in given]


@law("names_are_any_text")
class FoldsCase(Altered):
    def alter(self, entry):
        return attrs.evolve(entry, stream=entry.stream.lower())


@law("names_are_any_text")
class StripsNames(Altered):
    def alter(self, entry):
        return attrs.evolve(entry, stream=entry.stream.strip() or " ")


# ---------------------------------------------------------------- done


@law("an_entry_is_read_as_it_was_appended", drawn=True)
class CallsDoneAtOnce(MemoryJournal):
    def append(self, entries, done):
        super().append(entries, lambda error: None)
        done(None)


@law("an_entry_is_read_as_it_was_appended", drawn=True)
class CallsDoneInAThread(MemoryJournal):
    def append(self, entries, done):
        def in_thread(error):
            thread = threading.Thread(target=done, args=[error])
            thread.start()
            thread.join()

        super().append(entries, in_thread)


@law("an_entry_is_read_as_it_was_appended", drawn=True)
class CallsDoneTwice(MemoryJournal):
    def append(self, entries, done):
        super().append(entries, lambda error: (done(error), done(error)))


@law("done_is_called_for_each_append")
class SkipsEmptyAppends(MemoryJournal):
    def append(self, entries, done):
        if entries:
            super().append(entries, done)


@law("done_is_called_for_each_append", drawn=True)
class AnswersTheLastFirst(MemoryJournal):
    def _tell(self):
        self._answers.reverse()
        super()._tell()


@law("done_is_called_for_each_append", drawn=True)
class RefusesBeforeItsTurn(MemoryJournal):
    """A refusal needs no disk, so it overtakes."""

    def append(self, entries, done):
        super().append(entries, done)
        if self._answers[-1][1] is not None:
            self._answers.rotate(1)


@law("done_is_called_for_each_append", drawn=True)
class IsSilentAboutConflicts(MemoryJournal):
    def append(self, entries, done):
        super().append(entries, lambda error: done(None) if error is None else None)


@law("done_is_called_for_each_append", drawn=True)
class RefusesWithAnotherError(MemoryJournal):
    def append(self, entries, done):
        super().append(entries, lambda error: done(error and ValueError("taken")))


@law("done_needs_no_flush")
class WaitsForFlush(MemoryJournal):
    def __init__(self):
        super().__init__()
        self._waiting = []

    def append(self, entries, done):
        self._waiting.append((entries, done))

    def flush(self):
        waiting, self._waiting = self._waiting, []
        for entries, done in waiting:
            super().append(entries, done)

    async def aclose(self):
        if self._backend is not None:
            self.flush()
        await super().aclose()


def later(backend, fn, passes=9):
    """Call it some passes of the loop later."""
    backend.run_sync_soon(*((later, backend, fn, passes - 1) if passes else (fn,)))


@law("done_comes_after_the_entries")
class AcknowledgesBeforeItWrites(MemoryJournal):
    """It looks as it should to who writes, and is written later."""

    def __init__(self):
        super().__init__()
        self._written = {}

    def append(self, entries, done):
        super().append(entries, done)
        later(self._backend, self._write_out)

    def _write_out(self):
        self._written = {name: [*kept.entries] for name, kept in self._streams.items()}

    async def read(self, stream, *, after=0, limit=1000):
        return self._written.get(stream, [])[after : after + limit]


@law("done_may_append")
class LosesWhatDoneAppends(MemoryJournal):
    def _tell(self):
        super()._tell()
        self._answers.clear()


@law("append_does_not_block")
class WaitsForAThread(MemoryJournal):
    def append(self, entries, done):
        go = threading.Event()
        thread = threading.Thread(target=go.wait)
        thread.start()
        go.set()
        thread.join()
        super().append(entries, done)


# ---------------------------------------------------------------- conflicts


@law("done_is_called_for_each_append", drawn=True)
class AllowsGaps(MemoryJournal):
    def _conflict(self, entries):
        return None


@law("a_stream_has_no_gap")
class LooksAtTheFirstOnly(MemoryJournal):
    def _conflict(self, entries):
        return super()._conflict(entries[:1])


@law("a_step_ends_once", drawn=True)
class AllowsTwoOutcomes(MemoryJournal):
    def _conflict(self, entries):
        return super()._conflict([attrs.evolve(entry, key=None) for entry in entries])


@law("a_step_ends_once", drawn=True)
class ForgetsFailures(MemoryJournal):
    """Completed twice is refused; completed after failed is not."""

    def _conflict(self, entries):
        told = (e if e.kind == "step.completed" else attrs.evolve(e, key=None) for e in entries)
        return super()._conflict([*told])

    def _keep(self, entry):
        super()._keep(entry)
        if entry.kind == "step.failed":
            self._streams[entry.stream].outcomes.discard(entry.key)


@law("a_step_ends_once")
class KnowsAKeyOnce(Altered):
    """Any record of a step counts as its end."""

    def _conflict(self, entries):
        return super()._conflict([attrs.evolve(e, kind="step.failed") for e in entries])

    def _keep(self, entry):
        super()._keep(entry)
        if entry.key is not None:
            self._streams[entry.stream].outcomes.add(entry.key)


@law("an_append_is_whole", drawn=True)
class KeepsWhatIsBeforeTheConflict(MemoryJournal):
    def append(self, entries, done):
        if self._conflict(entries) is not None:
            whole = [n for n in range(len(entries)) if self._conflict(entries[:n]) is None]
            for entry in entries[: max(whole)]:
                if entry.stream != entries[-1].stream:
                    self._keep(entry)
        super().append(entries, done)


@law("an_append_is_whole")
class RefusesOneStreamOfSeveral(MemoryJournal):
    """Each stream by itself, and the answer is that of the last."""

    def append(self, entries, done):
        names = dict.fromkeys(entry.stream for entry in entries)
        parts = [[entry for entry in entries if entry.stream == name] for name in names]
        conflicts = [self._conflict(part) for part in parts]
        if any(conflicts):
            for part, conflict in zip(parts, conflicts, strict=True):
                for entry in part if conflict is None else ():
                    self._keep(entry)
        super().append(entries, done)


@law("a_stream_has_no_gap", drawn=True)
class IsBrokenByAConflict(MemoryJournal):
    conflict = None

    def _conflict(self, entries):
        self.conflict = self.conflict or super()._conflict(entries)
        return self.conflict


@law("an_append_is_whole", drawn=True)
class TakesTheKeysOfWhatItRefuses(MemoryJournal):
    def append(self, entries, done):
        super().append(entries, done)
        if self._answers[-1][1] is not None:
            for entry in entries:
                if entry.stream in self._streams and entry.kind in OUTCOMES and entry.key:
                    self._streams[entry.stream].outcomes.add(entry.key)


@law("nobody_sees_half_an_append")
class WritesOneByOne(MemoryJournal):
    """Half of a big append now, the other half a pass of the loop later."""

    def append(self, entries, done):
        if len(entries) < 10 or self._conflict(entries) is not None:
            super().append(entries, done)
            return
        backend = self._opened()
        for entry in entries[:3]:
            self._keep(entry)

        def rest():
            for entry in entries[3:]:
                self._keep(entry)
            self._answers.append((done, None))
            self._ask(backend)

        backend.run_sync_soon(rest)


@law("an_append_builds_on_those_before_it", drawn=True)
class LooksAtWhatIsAnsweredOnly(MemoryJournal):
    """Refuses what follows an append that has no answer yet."""

    def __init__(self):
        super().__init__()
        self._open_streams = set()

    def _conflict(self, entries):
        names = {entry.stream for entry in entries}
        if names & self._open_streams:
            return StreamConflictError("not yet")
        return super()._conflict(entries)

    def append(self, entries, done):
        super().append(entries, done)
        self._open_streams |= {entry.stream for entry in entries}

    def _tell(self):
        self._open_streams = set()
        super()._tell()


@law("a_thousand_appends_keep_their_order")
class HasRoomForFiveHundred(MemoryJournal):
    def append(self, entries, done):
        if len(self._answers) < 999:
            super().append(entries, done)
        else:
            self._answers.append((done, JournalFullError("too much at once")))


@law("a_cancelled_task_loses_nothing")
class AsksAWorkerTask(MemoryJournal):
    """What it answers it answers while somebody reads; who is cancelled there takes it along."""

    async def read(self, stream, **options):
        answers, self._answers = self._answers, type(self._answers)()
        await anyio.lowlevel.checkpoint()
        self._answers.extendleft(reversed(answers))
        return await super().read(stream, **options)


# ---------------------------------------------------------------- failures


class Fails(MemoryJournal):
    """One that can fail, and does it right."""

    error = None
    failing = False

    def fail(self):
        self.failing = True

    async def open(self, backend, *, write=True):
        self.failing, self.error = False, None
        await super().open(backend, write=write)

    def append(self, entries, done):
        if self.failing:
            self.error = self.next_error()
            self._answers.append((done, self.error))
            self._ask(self._opened())
        else:
            super().append(entries, done)

    def next_error(self):
        return self.error or JournalFullError("the disk is full")


@law("a_failure_breaks_the_journal", fail=Fails.fail)
class Heals(Fails):
    def append(self, entries, done):
        super().append(entries, done)
        self.failing = False


@law("a_failure_breaks_the_journal", fail=Fails.fail)
class FailsAnew(Fails):
    def next_error(self):
        return JournalIOError("again")


@law("a_failure_breaks_the_journal", fail=Fails.fail)
class KeepsWhatItFailsToKeep(Fails):
    def append(self, entries, done):
        super().append(entries, done)
        if self.failing and self._conflict(entries) is None:
            for entry in entries:
                self._keep(entry)


@law("a_failure_breaks_the_journal", fail=lambda journal: None)
class DoesNotFail(MemoryJournal):
    pass


# ---------------------------------------------------------------- lives


@law("a_closed_journal_takes_nothing")
class TakesAppendsWhenClosed(MemoryJournal):
    def append(self, entries, done):
        if self._backend is None:
            done(None)
        else:
            super().append(entries, done)

    def _opened(self):
        return self._backend


@law("a_closed_journal_takes_nothing")
class WritesWhenOpenedToRead(MemoryJournal):
    async def open(self, backend, *, write=True):
        await super().open(backend, write=True)


@law("closing_writes_everything")
class DropsWhatIsNotAnswered(MemoryJournal):
    async def aclose(self):
        self._answers.clear()
        await super().aclose()


@law("a_closed_journal_takes_nothing")
class ClosesOnce(MemoryJournal):
    async def aclose(self):
        self._opened()
        await super().aclose()


@law("a_cancelled_close_writes_everything")
class ClosesWithoutAShield(MemoryJournal):
    """It takes its time, and gives up when the one who closes it is cancelled."""

    def _ask(self, backend):
        if not self._asked:
            self._asked = True
            later(backend, self._answer)

    async def aclose(self):
        await anyio.lowlevel.checkpoint()
        await super().aclose()


@law("a_closed_journal_takes_nothing", drawn=True)
class ForgetsEverything(MemoryJournal):
    async def aclose(self):
        await super().aclose()
        self._streams = {}


@law("what_was_acknowledged_stays", drawn=True)
class ForgetsTheLastStream(MemoryJournal):
    async def aclose(self):
        await super().aclose()
        if len(self._streams) > 1:
            self._streams.popitem()


@law("a_stream_goes_on", drawn=True)
class ForgetsTheKeys(MemoryJournal):
    async def open(self, backend, *, write=True):
        for kept in self._streams.values():
            kept.outcomes.clear()
        await super().open(backend, write=write)


# ---------------------------------------------------------------- pages and lists


@law("read_gives_pages", drawn=True)
class BeginsAtAfter(MemoryJournal):
    async def read(self, stream, *, after=0, limit=1000):
        return await super().read(stream, after=max(0, after - 1), limit=limit)


@law("read_gives_pages")
class ReadsAHundred(MemoryJournal):
    async def read(self, stream, *, after=0, limit=1000):
        return await super().read(stream, after=after, limit=limit if limit != 1000 else 100)


@law("read_gives_pages")
class FailsForStrangers(MemoryJournal):
    async def read(self, stream, *, after=0, limit=1000):
        if stream == "nobody":
            raise JournalError("no such stream")
        return await super().read(stream, after=after, limit=limit)


@law("a_stream_is_what_its_entries_say", drawn=True)
class KeepsTheLatestTime(MemoryJournal):
    async def streams(self, **options):
        return [
            attrs.evolve(info, updated=max(e.at for e in self._streams[info.stream].entries))
            for info in await super().streams(**options)
        ]


@law("a_stream_is_what_its_entries_say", drawn=True)
class KeepsTheFirstEnd(MemoryJournal):
    def _keep(self, entry):
        kept = self._streams.get(entry.stream)
        if kept is not None and kept.status in ENDED:
            entry = attrs.evolve(entry, status=None)
        super()._keep(entry)


@law("streams_are_listed_by_name")
class SortsAsUtf16(MemoryJournal):
    async def streams(self, *, after="", limit=100, **options):
        infos = await super().streams(after="", limit=10**6, **options)
        infos = sorted(infos, key=lambda info: info.stream.encode("utf-16-be"))
        return [i for i in infos if i.stream.encode("utf-16-be") > after.encode("utf-16-be")][
            :limit
        ]


@law("streams_are_listed_by_name", drawn=True)
class ListsInOrderOfArrival(MemoryJournal):
    async def streams(self, **options):
        infos = await super().streams(**options)
        return sorted(infos, key=lambda info: [*self._streams].index(info.stream))


@law("streams_are_listed_by_name", drawn=True)
class RepeatsTheLastName(MemoryJournal):
    async def streams(self, *, after="", limit=100, **options):
        infos = await super().streams(after="", limit=10**6, **options)
        return [info for info in infos if info.stream >= after][:limit]


@law("streams_are_chosen", drawn=True)
class TakesNoAppForAll(MemoryJournal):
    async def streams(self, *, app_id=None, **options):
        return await super().streams(app_id=app_id or None, **options)


@law("streams_are_chosen", drawn=True)
class ChoosesAfterTheLimit(MemoryJournal):
    async def streams(self, *, app_id=None, status=(), after="", limit=100):
        infos = await super().streams(after=after, limit=limit)
        return [
            i for i in infos
            if app_id in {None, i.app_id} and (not status or i.status in status)
        ]  # fmt: skip


@law("prune_drops_whole_streams", drawn=True)
class PrunesAtThatTime(MemoryJournal):
    async def prune(self, *, ended_before):
        return await super().prune(ended_before=math.nextafter(ended_before, math.inf))


@law("prune_drops_whole_streams", drawn=True)
class PrunesWhatIsHeld(MemoryJournal):
    async def prune(self, *, ended_before):
        for kept in self._streams.values():
            if kept.status == "held":
                kept.status = "failed"
        return await super().prune(ended_before=ended_before)


@law("prune_touches_only_what_it_is_told_to")
class PrunesMoreThanItIsTold(MemoryJournal):
    async def prune(self, *, ended_before, only=None):
        return await super().prune(ended_before=ended_before)


@law("prune_touches_only_what_it_is_told_to")
class PrunesAllForNone(MemoryJournal):
    async def prune(self, *, ended_before, only=None):
        return await super().prune(ended_before=ended_before, only=only or None)


@law("prune_touches_only_what_it_is_told_to")
class PrunesWhateverItIsTold(MemoryJournal):
    async def prune(self, *, ended_before, only=None):
        for name in only or ():
            if name in self._streams:
                self._streams[name].status = "failed"
        return await super().prune(ended_before=ended_before, only=only)


@law("prune_keeps_what_may_be_asked_for")
class PrunesChildren(MemoryJournal):
    def _is_wanted(self, name):
        return False


@law("prune_keeps_what_may_be_asked_for")
class KeepsChildrenOnly(MemoryJournal):
    """It asks the parent, and not whom the parent came from."""

    def _is_wanted(self, name):
        parent = self._streams.get(self._streams[name].opening.parent)
        return parent is not None and parent.status not in ENDED


@law("prune_drops_whole_streams", drawn=True)
class PrunesEntries(MemoryJournal):
    """Of what goes on it drops what is old."""

    async def prune(self, *, ended_before):
        count = await super().prune(ended_before=ended_before)
        for kept in self._streams.values():
            kept.entries[:-1] = [e for e in kept.entries[:-1] if e.at >= ended_before]
        return count


@law("a_pruned_stream_was_never_there", drawn=True)
class RemembersWhatItPruned(MemoryJournal):
    def __init__(self):
        super().__init__()
        self._gone = set()

    async def prune(self, *, ended_before):
        before = {name: set(kept.outcomes) for name, kept in self._streams.items()}
        count = await super().prune(ended_before=ended_before)
        for name in before.keys() - self._streams.keys():
            self._gone |= {(name, key) for key in before[name]}
        return count

    def _conflict(self, entries):
        for entry in entries:
            if entry.kind in OUTCOMES and (entry.stream, entry.key) in self._gone:
                return StreamConflictError("was there once")
        return super()._conflict(entries)
