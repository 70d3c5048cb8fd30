"""The workflow that the tests of `plait.testing` are about, and what the outside world does to it."""

from typing import Annotated

import trio

from plait import Collect, Context, Event, StartEvent, StopEvent, Workflow, step
from plait.retry import retry_policy, wait_fixed


class Shop(Event):
    name: str


class Price(Event):
    name: str
    value: int


async def fetch(name):
    await trio.sleep(len(name))
    return len(name)


async def same(name):
    """Everywhere the same price, after the same time."""
    await trio.sleep(1)
    return 5


class Cheapest(Workflow):
    """It is right."""

    def __init__(self, ask=fetch, **options):
        super().__init__(**options)
        self.fetch = ask

    @step
    async def start(self, ev: StartEvent) -> list[Shop]:
        return [Shop(name=name) for name in ev.shops]

    @step(num_workers=2, retry_policy=retry_policy(wait=wait_fixed(60)))
    async def ask(self, ev: Shop) -> Price:
        return Price(name=ev.name, value=await self.fetch(ev.name))

    @step
    async def choose(self, evs: Annotated[list[Price], Collect(order="input")]) -> StopEvent:
        return StopEvent(result=min(evs, key=lambda price: price.value).name)


class FirstWins(Cheapest):
    """Wrong: of two that are equally cheap it takes the one that answers first."""

    @step
    async def choose(self, evs: list[Price]) -> StopEvent:
        return StopEvent(result=min(evs, key=lambda price: price.value).name)


class MissesOne(Cheapest):
    """Wrong: it chooses when two have answered, whoever else was asked."""

    @step
    async def choose(self, ctx: Context, ev: Price) -> StopEvent | None:
        prices = ctx.collect_events(ev, [Price] * 2)
        return prices and StopEvent(result=min(price.name for price in prices))


class LosesOne(Cheapest):
    """Wrong: the third price waits for a batch that never comes whole."""

    @step
    async def choose(self, ctx: Context, ev: Price) -> StopEvent | None:
        prices = ctx.collect_events(ev, [Price] * 2)
        if prices:
            await trio.sleep(10)
            return StopEvent(result="somebody")


class Books:
    """What a workflow keeps outside of itself."""

    def __init__(self):
        self.open = 0
        self.paid = self.got = 0


class LeavesOpen(Cheapest):
    """Wrong: cancelled in its `finally`, it never closes."""

    def __init__(self, books, ask=fetch):
        super().__init__(ask)
        self.books = books

    @step(num_workers=2)
    async def ask(self, ev: Shop) -> Price:
        self.books.open += 1
        try:
            return Price(name=ev.name, value=await self.fetch(ev.name))
        finally:
            await trio.sleep(0.1)
            self.books.open -= 1


class Closes(LeavesOpen):
    """The same, mended."""

    @step(num_workers=2)
    async def ask(self, ev: Shop) -> Price:
        self.books.open += 1
        try:
            return Price(name=ev.name, value=await self.fetch(ev.name))
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(0.1)
            self.books.open -= 1


class StopsHalfway(LeavesOpen):
    """Wrong: what it has paid for when it is cancelled it never gets."""

    @step(num_workers=2)
    async def ask(self, ev: Shop) -> Price:
        self.books.paid += 1
        value = await self.fetch(ev.name)
        self.books.got += 1
        return Price(name=ev.name, value=value)


class CleansForEver(LeavesOpen):
    """Wrong: its clean-up waits for what never comes, and cannot be cancelled."""

    @step(num_workers=2)
    async def ask(self, ev: Shop) -> Price:
        try:
            return Price(name=ev.name, value=await self.fetch(ev.name))
        except trio.Cancelled:
            with trio.CancelScope(shield=True):
                await trio.sleep_forever()
            raise
