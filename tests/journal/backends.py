"""What a journal gets of the event loop, on Trio and on asyncio, and a desk to use a journal from."""

import asyncio
import contextlib

import anyio
import anyio.to_thread
import attrs
import trio

from plait._abc import Entry, Opening


class TrioBackend:
    def __init__(self):
        self.token = trio.lowlevel.current_trio_token()

    def run_sync_soon(self, fn, /, *args):
        self.token.run_sync_soon(fn, *args)

    async def to_thread(self, fn, /, *args):
        with trio.CancelScope(shield=True):
            return await trio.to_thread.run_sync(fn, *args, abandon_on_cancel=False)


class AsyncioBackend:
    def __init__(self):
        self.loop = asyncio.get_running_loop()

    def run_sync_soon(self, fn, /, *args):
        self.loop.call_soon_threadsafe(fn, *args)

    async def to_thread(self, fn, /, *args):
        with anyio.CancelScope(shield=True):
            return await anyio.to_thread.run_sync(fn, *args, abandon_on_cancel=False)


def here():
    """The backend of the loop that runs."""
    return TrioBackend() if trio.lowlevel.in_trio_task() else AsyncioBackend()


SHOP = Opening("shop", "order")


def entry(stream, n, kind="note", *, key=None, body=b"{}", at=None, status=None, opening=SHOP):
    """An entry as an engine would write it; the first of a stream opens it."""
    first = n == 1
    return Entry(
        stream=stream,
        n=n,
        kind=kind,
        version=1,
        at=float(n) if at is None else at,
        key=key,
        body=body,
        status=status or ("running" if first else None),
        opening=opening if first else None,
    )


def as_read(entries):
    """What `read` gives of entries: it leaves out what `streams` says."""
    return [attrs.evolve(entry, status=None, opening=None) for entry in entries]


class Desk:
    """An open journal, and what it has answered: (number of the append, error), in that order."""

    def __init__(self, journal):
        self.journal = journal
        self.answers = []
        self.appended = []
        self._news = anyio.Event()

    def put(self, *entries):
        """Append, and hear of it later."""
        number = len(self.appended)
        self.appended.append(entries)

        def done(error):
            self.answers.append((number, error))
            self._news.set()

        self.journal.append(entries, done)
        return number

    async def keep(self, *entries):
        """Append, and wait for the answer."""
        number = self.put(*entries)
        await self.until(number)
        (error,) = [error for told, error in self.answers if told == number]
        if error is not None:
            raise error

    async def until(self, number):
        """Wait until this append, and so all before it, is answered."""
        while all(told != number for told, _ in self.answers):
            self._news = anyio.Event()
            await self._news.wait()

    @property
    def errors(self):
        """The answers alone, having seen that each append got one, in its turn."""
        assert [number for number, _ in self.answers] == [*range(len(self.appended))]
        return [error for _, error in self.answers]

    async def all_of(self, stream):
        return list(await self.journal.read(stream, limit=1_000_000))


@contextlib.asynccontextmanager
async def desk(journal, *, write=True):
    """Open a journal, and close it at the end."""
    await journal.open(here(), write=write)
    try:
        yield Desk(journal)
    finally:
        await journal.aclose()
