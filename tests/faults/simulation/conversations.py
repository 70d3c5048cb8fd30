"""Programs that talk: an agent with its tools, an order that is undone, a desk with people before it."""

import trio

from plait import Context, StartEvent, StopEvent, catch_error, step
from plait.events import StepFailedEvent

from .events import (
    Approval,
    Charged,
    Order,
    Question,
    Receipt,
    Refund,
    Think,
    Token,
    ToolCall,
    ToolResult,
)
from .options import options
from .world import Program, World, lives

# ---------------------------------------------------------------- a loop that thinks, and its tools


def agent(world: World) -> type[Program]:
    dice = world.dice
    turns, tools = dice.randint(1, 3), dice.randint(0, 3)
    asks = dice.choice((0.0, 0.5, 1.0))
    broadcast, patience = dice.random() < 0.3, dice.choice((5.0, 7200.0, None))

    kind = dice.choice((Approval, Approval, ToolResult))  # from outside, or of another tool
    alone = kind is Approval and not broadcast

    async def approval(ctx: Context, ev: ToolCall) -> None:
        try:
            await world.ask(
                ctx,
                kind,
                waiter_event=Question(n=world.next(), about=ev.n % 3),
                requirements={"about": ev.n % 3} if alone else None,
                timeout=patience,
                broadcast=broadcast,
            )
        except TimeoutError:
            world.tell(ctx, Token(n=world.next()))

    class Agent(Program):
        @step(**options(world, "begin"))
        @lives
        async def begin(self, ctx: Context, ev: StartEvent) -> Think:
            await world.call()
            await ctx.store.set("turns", 0)
            return Think(n=world.next(), turn=0)

        @step(**options(world, "think"))
        @lives
        async def think(self, ctx: Context, ev: Think) -> ToolCall | StopEvent | None:
            await world.call()
            world.tell(ctx, Token(n=world.next()))
            if ev.turn >= turns:
                return StopEvent(result=ev.turn)
            for _ in range(tools):
                world.send(ctx, ToolCall(n=world.next(), turn=ev.turn, of=tools))
            return ToolCall(n=world.next(), turn=ev.turn, of=tools + 1) if not tools else None

        @step(**options(world, "tool"))
        @lives
        async def tool(self, ctx: Context, ev: ToolCall) -> ToolResult:
            await world.call()
            await world.emit(ctx, Token(n=world.next()))
            if dice.random() < asks:
                await approval(ctx, ev)
                if dice.random() < 0.2:  # of two people at once
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(approval, ctx, ev)
                        nursery.start_soon(approval, ctx, ev)
                await world.call()
            return ToolResult(n=world.next(), turn=ev.turn, of=ev.of)

        @step(**options(world, "record"))
        @lives
        async def record(self, ctx: Context, ev: Think | ToolCall | ToolResult) -> None:
            world.tell(ctx, Token(n=world.next()))
            await world.call()

        @step(**options(world, "gather"))
        @lives
        async def gather(self, ctx: Context, ev: ToolResult) -> Think | None:
            results = ctx.collect_events(ev, [ToolResult] * ev.of, key=lambda each: each.turn)
            await world.call()
            if results is None:
                return None
            async with ctx.store.edit_state() as state:
                state["turns"] = state.get("turns", 0) + 1
                await world.call()
            return Think(n=world.next(), turn=ev.turn + 1)

    return Agent


# ---------------------------------------------------------------- an order, and what undoes it


def saga(world: World) -> type[Program]:
    dice = world.dice

    class Saga(Program):
        @step(**options(world, "order"))
        @lives
        async def order(self, ctx: Context, ev: StartEvent) -> Order:
            await world.call()
            return Order(n=world.next())

        @step(**options(world, "charge"))
        @lives
        async def charge(self, ctx: Context, ev: Order) -> Charged:
            world.send(ctx, Receipt(n=world.next()), on_success=True)
            await world.call()
            return Charged(n=world.next())

        @step(**options(world, "ship"))
        @lives
        async def ship(self, ctx: Context, ev: Charged) -> StopEvent:
            await world.call()
            await world.call()
            return StopEvent(result="shipped")

        @step(**options(world, "mail"))
        @lives
        async def mail(self, ctx: Context, ev: Receipt) -> None:
            await world.call()
            await world.emit(ctx, Token(n=world.next()))

        @step(**options(world, "audit"))
        @lives
        async def audit(self, ctx: Context, ev: Order | Charged | Receipt) -> None:
            await world.call()
            async with ctx.store.edit_state() as state:
                state["audited"] = state.get("audited", 0) + 1
                await world.call()

        @catch_error(for_steps=["charge", "ship"], max_recoveries=dice.choice((1, 2)))
        @lives
        async def undo(self, ctx: Context, ev: StepFailedEvent) -> Refund | Order:
            await world.call()
            if ev.step_name == "charge" and dice.random() < 0.5:
                return Order(n=world.next())
            return Refund(n=world.next())

        @step(**options(world, "refund"))
        @lives
        async def refund(self, ctx: Context, ev: Refund) -> StopEvent:
            await world.call()
            return StopEvent(result="refunded")

        @catch_error
        @lives
        async def reject(self, ctx: Context, ev: StepFailedEvent) -> StopEvent:
            await world.call()
            return StopEvent(result="rejected")

    return Saga


# ---------------------------------------------------------------- a desk with people in front of it


def desk(world: World) -> type[Program]:
    dice = world.dice
    rounds = dice.randint(0, 2)

    class Desk(Program):
        @step(**options(world, "begin"))
        @lives
        async def begin(self, ctx: Context, ev: StartEvent) -> Question:
            await world.call()
            return Question(n=world.next(), about=0)

        @step(**options(world, "listen"))
        @lives
        async def listen(self, ctx: Context, ev: Approval) -> Question | StopEvent | Receipt:
            await world.call()
            if ev.about >= rounds:
                return StopEvent(result=ev.about)
            if dice.random() < 0.3:
                return Receipt(n=world.next())
            return Question(n=world.next(), about=ev.about + 1)

        @step(**options(world, "archive"))
        @lives
        async def archive(self, ctx: Context, ev: Receipt) -> Question:
            await world.call()
            world.tell(ctx, Token(n=world.next()))
            return Question(n=world.next(), about=9)

    return Desk
