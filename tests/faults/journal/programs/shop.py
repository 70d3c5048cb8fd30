"""A program of about sixty bodies in real time, for the kill -9 loop."""

from __future__ import annotations

import random
import time
from typing import Annotated, Any

from plait import Collect, Context, Event, StartEvent, StopEvent, step
from plait.retry import retry_policy, stop_after_attempt, wait_fixed

from .company import Answer, Chapter, Question
from .program import Program

#: How many orders.
ORDERS = 10
#: Seconds between the attempts of a body that fails.
BACKOFF = 0.002


class Busy(Exception):  # noqa: N818 - it is one
    pass


class Shopping(StartEvent):
    count: int


class Order(Event):
    n: int


class Told(Event):
    n: int


class Priced(Event):
    n: int
    price: int


class Parcel(Event):
    numbers: list[int]
    price: int


class Counted(Event):
    n: int


class Sent(Event):
    n: int
    text: str


class Shop(Program):
    """Fetches each order, with retries; tells of it meanwhile; packs two at a time; asks; has children."""

    others = (Question, Answer, Told)

    async def nap(self) -> None:
        """Take up to three milliseconds."""
        await self.sleep(random.choice((0, 0.5, 1, 3)))

    @step
    async def start(self, ctx: Context, ev: Shopping) -> list[Order]:
        async with self.body(ctx):
            await self.nap()
        return [Order(n=n) for n in range(ev.count)]

    @step(
        num_workers=4,
        retry_policy=retry_policy(wait=wait_fixed(BACKOFF), stop=stop_after_attempt(3)),
    )
    async def fetch(self, ctx: Context, ev: Order) -> Priced | Counted:
        async with self.body(ctx, ev.n):
            await self.nap()
            if ctx.retry_info().retry_number < ev.n % 3:
                raise Busy(ev.n)
            ctx.send_event(Counted(n=ev.n))
            await self.nap()
            async with ctx.store.edit_state() as state:
                state[f"order{ev.n}"] = ctx.retry_info().retry_number
            ctx.send_event(Counted(n=100 + ev.n))
            await self.nap()
        return Priced(n=ev.n, price=7 * ev.n)

    @step(num_workers=2, skip_graph_checks=["dead_end"])
    def count(self, ctx: Context, ev: Counted) -> None:
        with self.witness.plain_body(ctx, ev.n):
            ctx.write_event_to_stream(Told(n=ev.n))
            time.sleep(self.unit * random.choice((0, 1)))

    @step(num_workers=3)
    async def pack(self, ctx: Context, ev: Priced) -> Sent:
        async with self.body(ctx, ev.n):
            text = f"{ev.n} for {ev.price}"
            if ev.n in {1, 4, 6}:
                answer = await ctx.wait_for_event(
                    Answer, waiter_event=Question(about=ev.n), requirements={"about": ev.n}
                )
                text = answer.text
            elif ev.n in {2, 8}:
                text = str(await Chapter(self.witness, self.unit).run(n=ev.n))
            await self.nap()
        return Sent(n=ev.n, text=text)

    @step
    async def end(
        self, ctx: Context, evs: Annotated[list[Sent], Collect(order="input")]
    ) -> StopEvent:
        async with self.body(ctx, "once"):
            await self.nap()
            state = dict(await ctx.store.get_state())
        return StopEvent(result=([(ev.n, ev.text) for ev in evs], state))


def is_right(result: Any) -> bool:
    """Is this what it must come to?"""
    texts = {n: f"{n} for {7 * n}" for n in range(ORDERS)}
    texts |= {n: f"yes to {n}" for n in (1, 4, 6)}
    texts |= {n: str(20 * n + 1) for n in (2, 8)}
    return result == ([*texts.items()], {f"order{n}": n % 3 for n in range(ORDERS)})
