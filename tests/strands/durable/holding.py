"""One durable function, with a list for a journal: all that a context needs of a host, and no more.

`lives` runs a function from its beginning, then again from what each crash would have left behind,
and compares.
"""

import inspect
import logging
from collections import Counter

import attrs

from plait._engine.bodies.current import current_step
from plait._journal import recorded
from plait._journal.outputs import Output
from plait._kernel.calls.records import CallCompleted
from plait._steps.arguments import policy_of
from plait._strands._durable import start
from plait._strands._durable.event import Event
from plait._strands._durable.function import FunctionDecorator
from plait._strands._durable.parts import Invocation
from plait._strands._durable.setup import Setup
from plait._strands._durable.triggers import TriggerEvent
from tests.engine.bodies.hosting import Life, World, ended

__all__ = ["Hosted", "World", "function", "lives"]


def function(handler, **options):
    """Decorate a function."""
    setup = Setup(trigger=TriggerEvent("begin"), **options)
    return FunctionDecorator("shop", "fn", setup, taken=(), register=lambda made: made)(handler)


@attrs.define
class Lookout:
    """Looks out for the event of one wait, in what the test brings."""

    host: object
    if_exp: object
    buffer: bool
    output: Output = attrs.field(factory=Output.of_events)
    since: int = 0

    def look_out(self, key, event):
        self.host.lookouts[key] = (event, self)

    def forget(self, key):
        self.host.lookouts.pop(key, None)

    def overdue(self, key, over):
        return False

    def settle(self, value):
        return value, value

    def read(self, data):
        return Event(**{**data, "data": self.output.read(data["data"])})

    def tell(self, key, event):
        if self.if_exp is not None and not self.if_exp(event):
            return
        data = self.output.write(event.data)
        value = {"name": event.name, "data": data, "id": event.id, "ts": event.ts}
        self.host.calls.event_arrived(key, value)


@attrs.define
class Children:
    """Runs what is invoked: the test says how it ends."""

    host: object
    function_id: str
    data: object

    def start(self, key, child):
        self.host.children.append((self.function_id, self.data, child))
        self.host.invoked[key] = child

    def cancel(self, key, child):
        self.host.invoked.pop(key)
        self.host.stopped.append(child)

    async def over(self, child):
        await self.host.backend.checkpoint()


class Hosted(Life):
    """One start of a function's body, and the parts of its context."""

    def __init__(self, world=None, records=(), *, event=None, middleware=(), policy=0, **options):
        super().__init__(world, records, **options)
        self.calls._error_of = recorded.error_of
        self.run_id = "r1"
        self.event = event or Event(name="begin", data={"user_id": 7})
        self.events = (self.event,)
        self.seed = 11
        self.began = 1e9
        self.logger = logging.getLogger("tests.durable")
        self.policy = policy_of(policy)
        self.middleware = middleware
        self.function_limiter = self.backend.limiter(40)
        self.handler_limiter = self.backend.limiter(40)
        self.lookouts = {}
        self.children = []
        self.invoked = {}
        self.stopped = []
        self.sent = []
        self.undoings = {}

    @property
    def moment(self):
        return self.state.moment

    @property
    def replaying(self):
        return self.state.replaying

    def here(self):
        return self.body.place().path

    def waits(self, if_exp, buffer):
        return Lookout(self, if_exp, buffer)

    def invocation(self, function_id, data):
        if function_id != "shop-fn":
            raise ValueError(f"there is no function {function_id!r}")
        return Invocation(Children(self, function_id, data), Output())

    def send(self, key, events, complete):
        self.sent.append((key, events))
        complete([event.id for event in events])

    def undoable(self, step_id, undoing):
        path = self.calls.enter(step_id).path
        self.undoings[self.state.next_key(path, step_id)] = undoing

    def bring(self, event):
        """Have an event arrive."""
        for key, (name, lookout) in [*self.lookouts.items()]:
            if name == event.name:
                lookout.tell(key, event)

    async def host(self, function, *besides):
        """Run a function to its end."""
        return await self.live(lambda life: start.run_body(function, life, life.calls), *besides)

    async def undo(self, key):
        """Run what undoes a step, as its last attempt would be."""
        past = self.state.past[key].ending
        assert isinstance(past, CallCompleted)
        await self.undoings[key].undo(past.value)


def handled(world, function):
    """Have a handler say that it ran."""

    async def handler(*args):
        world.ran[current_step.get().call] += 1
        value = function(*args)
        return await value if inspect.isawaitable(value) else value

    return handler


def as_read(records):
    """Give records as a journal would give them back."""
    return [
        (n, attrs.evolve(r, error=recorded.write_error(r.error)) if hasattr(r, "error") else r)
        for n, r in records
    ]


async def lives(handler, *besides, same=True, **options):
    """Live once, then crash after each append and recover. The first life.

    `handler(world)` gives the function: what it does outside goes into the world of its life.
    """

    async def live(world, records):
        return await Hosted(world, records, **options).host(function(handler(world)), *besides)

    first = await live(World(), ())
    assert first.spins == []
    for cut in [0, *first.disk.cuts]:
        left = as_read(first.records[:cut])
        world = World()
        again = await live(world, left)
        done, cancelled = ended(left)
        assert not (done | cancelled) & {*world.ran}, f"ran again after {cut}"
        assert not same or again.result == first.result, f"another result after {cut}"
        whole = await live(world := World(), as_read(again.records))
        assert whole.result == again.result
        assert world.ran == Counter()
        assert whole.records == as_read(again.records), "a replay of what has ended writes nothing"
    return first
