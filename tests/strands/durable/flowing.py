"""An app whose functions say when they start and end, for tests of flow control in virtual time."""

from __future__ import annotations

from contextlib import asynccontextmanager

import anyio

from plait._engine import native
from plait._engine.desk import reading
from plait._journal.codec import from_bytes
from plait._strands._durable.app import App
from plait._strands._durable.event import Event
from plait._strands._durable.triggers import TriggerEvent
from plait.durable import MemoryJournal
from tests.strands.durable.crashing import nap


class Flow:
    """What happens in an app, with the seconds since it was made: `(3, "start", 1)`."""

    def __init__(self, journal=None):
        self.journal = MemoryJournal() if journal is None else journal
        self.began = anyio.current_time()
        self.log = []
        self.functions = []
        self.make_app()

    def make_app(self):
        """Another process: an app of the same functions, on the same journal."""
        self.app = App("shop", journal=self.journal)
        self.made = {}
        for fn_id, handler, options in self.functions:
            self.made[fn_id] = self.app.create_function(fn_id=fn_id, **options)(handler)

    def declare(self, handler, fn_id="fn", *, on="e", **options):
        """Add a function; `on` is the name of its event, or triggers."""
        options["trigger"] = TriggerEvent(on) if isinstance(on, str) else on
        self.functions.append((fn_id, handler, options))
        self.make_app()
        return self.made[fn_id]

    def works(self, fn_id="fn", *, seconds=0.0, **options):
        """Add a function that has one step, which takes so long."""

        async def body(ctx) -> None:
            said = saying(ctx.events)
            await ctx.step.run("work", self.work, said, seconds)

        return self.declare(body, fn_id, **options)

    async def work(self, said: object, seconds: float) -> None:
        """Take so long, and say so; also what becomes of it."""
        self.say("start", said)
        try:
            await nap(seconds)
        except BaseException:
            self.say("stopped", said)
            raise
        self.say("end", said)

    def say(self, what, said):
        self.log.append((self.now, what, said))

    @property
    def now(self):
        return round(anyio.current_time() - self.began, 6)

    async def until(self, moment):
        """Sleep until so many seconds after the beginning."""
        await nap(moment - self.now)

    async def send(self, *numbers, name="e", **data):
        """Send an event for each number, all at once."""
        return await self.app.send([Event(name=name, data={"n": n, **data}) for n in numbers])

    @asynccontextmanager
    async def served(self, *, drain=True):
        """Serve the app, and at the end wait until nothing is queued or runs."""
        async with self.app.serve() as worker:
            yield worker
            if drain:
                with anyio.fail_after(10 * 86_400):
                    await worker.drain()

    def of(self, *whats):
        """When what of this happened, and to whom."""
        return [(at, said) for at, what, said in self.log if what in whats]

    @property
    def starts(self):
        return self.of("start")

    async def kinds(self, kind):
        """The records of a kind in the app's stream, as JSON."""
        async with self.opened() as journal:
            entries = await journal.read("app/shop", limit=10_000)
        return [from_bytes(entry.body) for entry in entries if entry.kind == kind]

    @asynccontextmanager
    async def opened(self):
        async with reading(self.journal, native.current()):
            yield self.journal

    async def skipped(self):
        """Which knob has dropped what, with its key."""
        return [(one["knob"], one["key"]) for one in await self.kinds("event.skipped")]

    async def statuses(self):
        """How many runs there are of each status."""
        found = {}
        for info in await self.app.runs():
            found[info.status] = found.get(info.status, 0) + 1
        return found


def saying(events):
    """The number of an event, or of each of several."""
    numbers = [event.data.get("n") for event in events]
    return numbers[0] if len(numbers) == 1 else numbers
