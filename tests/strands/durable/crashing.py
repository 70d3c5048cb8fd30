"""An app that has several lives: killed after each append, and taken up again from what was left.

What handlers do is witnessed outside of the journal.
"""

from collections import Counter

import attrs

from plait._engine import native
from plait._strands._durable.app import App
from plait._strands._durable.triggers import TriggerEvent
from plait.durable import MemoryJournal
from tests.strands.events.journal.lives import Kept


@attrs.define
class World:
    """What is outside of all journals."""

    ran: Counter = attrs.field(factory=Counter)
    log: list = attrs.field(factory=list)
    keys: dict = attrs.field(factory=dict)

    def step(self, name, value=None, *, seconds=0, error=None):
        """Make a handler that is witnessed, takes so long, and ends like this."""

        async def handler():
            self.ran[name] += 1
            await nap(seconds)
            if error is not None:
                raise error
            return value

        handler.__qualname__ = f"handler of {name}"
        return handler


async def nap(seconds):
    """Sleep on the loop's clock, which no journal knows of."""
    backend = native.current()
    await backend.sleep_until(backend.clock()() + seconds)


def app_of(journal=None, **options):
    """Make an app; by default on a journal of its own."""
    return App("shop", journal=MemoryJournal() if journal is None else journal, **options)


def declare(app, handler, fn_id="fn", **options):
    """Decorate a function."""
    options.setdefault("trigger", TriggerEvent("begin"))
    return app.create_function(fn_id=fn_id, **options)(handler)


def ended_steps(journal):
    """The keys of the steps of which the journal has an outcome."""
    return {
        (entry.stream, entry.key)
        for entries in journal.appends
        for entry in entries
        if entry.kind in ("step.completed", "step.failed")
    }


async def lives(make, data=None, *, same=True):
    """Invoke the function that `make(app, world)` declares, then again after a crash at each append.

    Gives the first life: its result or error, its world and its journal.
    """
    journal, world = Kept(), World()
    result = await _live(make, journal, world, data)
    for cut in range(len(journal.appends) + 1):
        left = journal.killed_after(cut)
        again = World()
        other = await _live(make, left, again, data)
        assert not same or other == result, f"another result after {cut} appends"
        whole = World()
        replayed = await _live(make, left.killed_after(len(left.appends)), whole, data)
        assert replayed == other, f"another outcome when it is asked for again, after {cut}"
        assert not whole.ran, "it has ended, and runs again"
    return result, world, journal


async def _live(make, journal, world, data):
    app = app_of(journal)
    function = make(app, world)
    try:
        return await app.invoke(function, data, run_id="r1")
    except Exception as error:  # noqa: BLE001 - whatever it is: it is what is asked for
        return type(error).__name__, str(error)
