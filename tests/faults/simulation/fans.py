"""Programs that fan out: a crawler and what it is lent, lists, sources that meet, a race."""

from contextlib import AbstractAsyncContextManager
from typing import Annotated, Any, Literal

from plait import (
    All,
    Collect,
    Context,
    Resource,
    StartEvent,
    StopEvent,
    Take,
    catch_error,
    step,
)
from plait.events import StepFailedEvent

from .diary import Loan
from .events import (
    Bid,
    Fine,
    Left,
    LeftDone,
    Links,
    Met,
    Page,
    Part,
    Right,
    RightDone,
    Rough,
    Token,
    Watch,
)
from .options import options
from .world import Program, World, lives

# ---------------------------------------------------------------- a crawler, with what it is lent


def crawler(world: World) -> type[Program]:
    dice = world.dice
    seeds, depth, fan = dice.randint(1, 3), dice.randint(0, 2), dice.randint(1, 2)

    def client(ctx: Context) -> AbstractAsyncContextManager[Loan]:
        return world.loan("client", "run", ctx)

    def session(
        ctx: Context, client: Annotated[Loan, Resource(client)]
    ) -> AbstractAsyncContextManager[Loan]:
        assert client.closed is None
        return world.loan("session", "step", ctx)

    def cache(ctx: Context) -> AbstractAsyncContextManager[Loan]:
        return world.loan("cache", "run", ctx)

    class Crawler(Program):
        @step(**options(world, "begin"))
        @lives
        async def begin(self, ctx: Context, ev: StartEvent) -> Page | None:
            await world.call()
            await ctx.store.set("pending", seeds)
            for _ in range(seeds):
                world.send(ctx, Page(n=world.next(), depth=depth))
            return None

        @step(**options(world, "fetch"))
        @lives
        async def fetch(
            self,
            ctx: Context,
            ev: Page,
            client: Annotated[Loan, Resource(client)],
            session: Annotated[Loan, Resource(session, scope="step")],
        ) -> Links:
            check_open(world, client, session)
            await world.call()
            await world.emit(ctx, Token(n=world.next()))
            check_open(world, client, session)
            return Links(n=world.next(), depth=ev.depth, count=fan if ev.depth else 0)

        @step(**options(world, "spread"))
        @lives
        async def spread(
            self, ctx: Context, ev: Links, cache: Annotated[Loan, Resource(cache)]
        ) -> Page | StopEvent | None:
            await world.call()
            check_open(world, cache)
            async with ctx.store.edit_state() as state:
                state["pending"] += ev.count - 1
                pending = state["pending"]
            for _ in range(ev.count):
                world.send(ctx, Page(n=world.next(), depth=ev.depth - 1), on_success=True)
            return StopEvent(result="crawled") if pending == 0 else None

        @catch_error(max_recoveries=dice.choice((1, 2)))
        @lives
        async def skip(self, ctx: Context, ev: StepFailedEvent) -> Links | None:
            await world.call()
            if ev.step_name != "fetch":
                raise ev.exception
            return Links(n=world.next(), depth=0, count=0)

    return Crawler


def check_open(world: World, *loans: Loan) -> None:
    """A body is never lent what has been closed."""
    for loan in loans:
        if loan.closed is not None:
            world.diary.wrong(f"{world.page()} is lent {loan.name!r}, which has been closed")


# ---------------------------------------------------------------- a list in parts, and again whole


def parts(world: World) -> type[Program]:
    dice = world.dice
    count, needs = dice.randint(0, 5), dice.choice((All(), All(), Take(1), Take(2)))
    if dice.random() < 0.3:
        needs = Take(dice.choice((1, 2)), cancel_rest=True)
    order: Literal["arrival", "input"] = dice.choice(("arrival", "input"))
    with_failures = dice.random() < 0.5
    wanted: Any = Fine | StepFailedEvent if with_failures else Fine

    class Parts(Program):
        @step(**options(world, "begin"))
        @lives
        async def begin(self, ctx: Context, ev: StartEvent) -> list[Part]:
            await world.call()
            return [Part(n=world.next()) for _ in range(count)]

        @step(**options(world, "work"))
        @lives
        async def work(self, ctx: Context, ev: Part) -> Rough | None:
            await world.call()
            await world.emit(ctx, Token(n=world.next()))
            return Rough(n=ev.n) if dice.random() < 0.8 else None

        @step(**options(world, "polish"))
        @lives
        async def polish(self, ctx: Context, ev: Rough) -> Fine:
            await world.call()
            return Fine(n=ev.n)

        @step(**options(world, "gather"))
        @lives
        async def gather(
            self, ctx: Context, evs: Annotated[list[wanted], Collect(needs, order=order)]
        ) -> StopEvent:
            numbers = [each.n for each in evs if isinstance(each, Fine)]
            if order == "input" and numbers != sorted(numbers):
                world.diary.wrong(f"{world.page()} is given {numbers}, in another order")
            await world.call()
            await world.call()
            return StopEvent(result=len(evs))

    return Parts


# ---------------------------------------------------------------- two sources that meet


def pairs(world: World) -> type[Program]:
    dice = world.dice
    lefts, rights = dice.randint(0, 3), dice.randint(1, 3)
    need = dice.choice((min(lefts, rights), min(lefts, rights), lefts))

    class Pairs(Program):
        @step(**options(world, "begin"))
        @lives
        async def begin(self, ctx: Context, ev: StartEvent) -> Left | Right | None:
            for _ in range(lefts):
                world.send(ctx, Left(n=world.next()))
            await world.call()
            for _ in range(rights):
                world.send(ctx, Right(n=world.next()))
            return None

        @step(**options(world, "left"))
        @lives
        async def left(self, ctx: Context, ev: Left) -> LeftDone:
            await world.call()
            return LeftDone(n=ev.n)

        @step(**options(world, "right"))
        @lives
        async def right(self, ctx: Context, ev: Right) -> RightDone:
            await world.call()
            return RightDone(n=ev.n)

        @step(**options(world, "merge"))
        @lives
        async def merge(self, ctx: Context, a: LeftDone, b: RightDone) -> Met:
            await world.call()
            await world.emit(ctx, Token(n=world.next()))
            return Met(n=a.n)

        @step(**options(world, "count"))
        @lives
        async def count(self, ctx: Context, ev: Met) -> StopEvent | None:
            met = ctx.collect_events(ev, {Met: need or 1}, buffer_id="met")
            await world.call()
            return None if met is None else StopEvent(result=[each.n for each in met])

    return Pairs


# ---------------------------------------------------------------- the first one wins


def race(world: World) -> type[Program]:
    dice = world.dice
    bids, winners = dice.randint(1, 5), dice.randint(0, 5)

    class Race(Program):
        @step(**options(world, "begin"))
        @lives
        async def begin(self, ctx: Context, ev: StartEvent) -> Bid | Watch | None:
            for _ in range(bids):
                world.send(ctx, Bid(n=world.next()))
            return Watch(n=world.next())

        @step(**options(world, "bid"))
        @lives
        async def bid(self, ctx: Context, ev: Bid) -> StopEvent | None:
            await world.call()
            await world.call()
            return StopEvent(result=ev.n) if ev.n % 6 >= winners else None

        @step(**options(world, "watch", retries=False))
        @lives
        async def watch(self, ctx: Context, ev: Watch) -> None:
            await world.call()
            world.cancel_step(ctx, "bid", odd=True)

    return Race
