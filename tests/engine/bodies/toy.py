"""A toy journal's worth of calls: outcomes in a drawn order, and a recovery from what was recorded.

`Toy` is a brain: the rules of durable calls in their smallest form. Its calls run no handler of the
user's; each has a time at which it is done, on a clock of numbers that `finish` plays.
"""

import itertools

from plait._engine import native
from plait._engine.bodies.body import Body
from plait._engine.bodies.gate import RELEASED, HandOut, Release


class Toy:
    """Outcomes by number; the lowest whose call waits comes first; held calls when there is none."""

    def __init__(self, recorded=()):
        #: Keys in the order of their records, and those that were cancelled.
        self.memos = {key: n for n, key in enumerate(recorded)}
        self.ready = {}
        self.waiting = set()
        self.held = []
        self.started = []
        self.cancelled = []
        self.handed = []
        self.numbers = itertools.count(len(self.memos))
        self.occurrences = {}
        self.asked = 0
        self.body = None

    def at_rest(self):
        self.asked += 1
        due = [(n, key) for key, n in self.ready.items() if key in self.waiting]
        if due:
            n, key = min(due)
            del self.ready[key]
            self.waiting.remove(key)
            self.handed.append(key)
            return HandOut(key, n)
        if self.held:
            held, self.held = self.held, []
            return Release(tuple(held))
        return None

    def has_outcomes(self):
        return bool(self.held) or any(key in self.waiting for key in self.ready)

    def calls(self):
        return len(self.waiting) + len(self.held)

    def suspended(self):
        self.stopped = True

    # -------------------------------------------------------------- what calls and handlers do

    def finish(self, key):
        """Record the outcome of a call."""
        self.ready[key] = next(self.numbers)
        self.body.gate.seal(key)
        self.body.look()

    def open_calls(self):
        return sorted((key for key in self.waiting if key not in self.ready), key=repr)

    async def call(self, step_id):
        """Make a call: its key is handed back with the number of its record."""
        place = await self.body.begin_call()
        nth = self.occurrences.setdefault((place.path, step_id), itertools.count())
        key = (place.path, step_id, next(nth))

        def left():
            self.waiting.discard(key)
            self.cancelled.append(key)
            if key in self.held:
                self.held.remove(key)

        if key in self.memos:
            self.ready[key] = self.memos[key]
            self.waiting.add(key)
            await self.body.gate.wait(key, place, left, sealed=True)
            return key
        if self.memos:
            self.held.append(key)
            assert await self.body.gate.wait(key, place, left) is RELEASED
        self.started.append(key)
        self.waiting.add(key)
        await self.body.gate.wait(key, place, left)
        return key


def make(recorded=(), name="r1", report=None):
    """Make a toy and its body."""
    toy = Toy(recorded)
    reports = []
    toy.body = Body(name, toy, report or reports.append)
    toy.reports = reports
    return toy


async def turns(count):
    """Let the others run."""
    for _ in range(count):
        await native.current().checkpoint()


async def finish_in_drawn_order(toy, random):
    """Be the handlers: whenever calls are open, end some of them, several in one breath."""
    while not toy.body.tree.over:
        calls = toy.open_calls()
        random.shuffle(calls)
        for key in calls[: random.randint(0, len(calls))]:
            toy.finish(key)
        await turns(random.randint(1, 6))


async def live(function, random, *besides, recorded=()):
    """Run a function from the beginning, or from a recorded order. Its toy, and its ending."""
    toy = make(recorded)
    async with native.current().open_nursery() as nursery:
        nursery.start_soon(finish_in_drawn_order, toy, random)
        for beside in besides:
            nursery.start_soon(beside, toy)
        toy.ending = await toy.body.run(lambda: function(toy))
        nursery.cancel_scope.cancel()
    return toy


async def never_blocks(toy):
    """Be a busy neighbour."""
    while True:
        await native.current().checkpoint()
