"""Take orders, and survive: kill it at any moment, start it again, and it goes on.

    python examples/order.py --journal orders.db

The same command takes the orders, goes on with them after a crash, and, when all are done, prints what
became of them without doing anything again. Beside the journal it makes a folder, `orders.bank`, which
stands for a payment service: a file for each payment that it knows, named by its key.

What it shows:

- a durable function: plain code, whose steps are remembered
- several steps at once, and a sleep that goes on where it was
- `current_step().idempotency_key`, by which the bank knows a payment that it is asked for twice
- `app.invoke(..., run_id=...)`: all that is needed for a run that goes on
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import anyio
import attrs

from plait.durable import App, Context, Function, TriggerEvent, current_step

GOODS = ("tea", "cups", "pot", "tray", "spoons")


@attrs.frozen
class Order:
    number: int
    items: list[str]


@attrs.frozen
class Receipt:
    number: int
    payment: str
    parcels: list[str]


def open_shop(journal: Path) -> tuple[App, Function[Order, Receipt]]:
    """Make an app on a file, and its one function."""
    app = App("shop", journal=journal)
    bank = journal.with_suffix(".bank")
    bank.mkdir(exist_ok=True)

    def charge(order: Order) -> str:
        say(f"charge order {order.number}")
        # The bank knows a key that it has seen. This plain function runs in a worker thread.
        (bank / current_step().idempotency_key).touch()
        return f"{10 * len(order.items)} euros"

    async def pack(item: str) -> str:
        say(f"pack {item}")
        await anyio.sleep(0.01)
        return f"{item} in paper"

    async def ship(number: int, parcels: int) -> None:
        say(f"ship order {number}, {parcels} parcels")
        await anyio.sleep(0.01)

    @app.create_function(fn_id="fulfil", trigger=TriggerEvent("order/placed"), concurrency=4)
    async def fulfil(ctx: Context[Order]) -> Receipt:
        order = ctx.event.data
        payment = await ctx.step.run("charge", charge, order)
        parcels = await ctx.group.map("pack", pack, order.items, limit=2)
        await ctx.step.sleep("wait for the courier", 0.1)
        await ctx.step.run("ship", ship, order.number, len(parcels))
        return Receipt(number=order.number, payment=payment, parcels=list(parcels))

    return app, fulfil


def say(what: str) -> None:
    """Tell what a handler does, and under which key."""
    # In one piece: others may speak from threads at the same time.
    sys.stderr.write(f"{current_step().idempotency_key} {what}\n")


async def take_orders(options: argparse.Namespace) -> None:
    app, fulfil = open_shop(options.journal)
    receipts: dict[int, Receipt] = {}

    async def take(number: int) -> None:
        order = Order(number=number, items=list(GOODS[: 1 + number % len(GOODS)]))
        receipts[number] = await app.invoke(fulfil, order, run_id=f"order-{number}")

    async with anyio.create_task_group() as tasks:
        for number in range(options.orders):
            tasks.start_soon(take, number)
    for number, receipt in sorted(receipts.items()):
        print(f"order {number}: {receipt.payment}, {', '.join(receipt.parcels)}")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="order", description="Take orders, and survive.")
    parser.add_argument(
        "--journal",
        type=Path,
        default=Path("orders.db"),
        metavar="FILE",
        help="where the runs are kept (default: orders.db)",
    )
    parser.add_argument(
        "--orders", type=int, default=20, metavar="N", help="how many there are (default: 20)"
    )
    parser.add_argument(
        "--backend",
        choices=["trio", "asyncio"],
        default="trio",
        help="the event loop (default: trio)",
    )
    options = parser.parse_args(arguments)
    code = 0
    try:
        anyio.run(take_orders, options, backend=options.backend)
    except* KeyboardInterrupt:
        print("order: interrupted; the same command goes on", file=sys.stderr)
        code = 130
    return code


if __name__ == "__main__":
    sys.exit(main())
