"""The kill -9 loop for durable functions: about sixty steps, on a file.

    python -m tests.faults.durable.kill --kills 100000 --seed 7 --jobs 2

How processes are forked, killed and restarted is `tests.faults.journal.kill`'s. Here is what they do,
and the verdict: a step that was acknowledged never begins again.
"""

from __future__ import annotations

import json
import random
import sqlite3
import sys
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Final

import anyio

from plait.durable import App, Context, Event, SqliteJournal, TriggerEvent, current_step
from plait.errors import UnknownRunError
from plait.retry import retry_policy, stop_after_attempt, wait_fixed
from tests.faults.journal.kill import Load, Log, Watched, main, rows_of, verified

RUN: Final = "shop"
#: How many orders, and in which a handler fails before it does not.
ORDERS: Final = 8
QUICKLY: Final = retry_policy(wait=wait_fixed(0.002), stop=stop_after_attempt(4))


class Shop:
    """An app with functions that do what durable functions do."""

    def __init__(self, journal: Any, life: int, log: Log) -> None:
        self.app = App("shop", journal=journal)
        self.life = life
        self.log = log
        self.count = 0
        create = partial(self.app.create_function, retries=QUICKLY)

        @create(fn_id="pack", trigger=TriggerEvent(event="pack"))
        async def pack(ctx: Context) -> str:
            return await self._pack(ctx)

        @create(fn_id="told", trigger=TriggerEvent(event="told"))
        async def told(ctx: Context) -> str:
            await ctx.step.sleep("wait", 0.002)
            return await ctx.step.run("note", self.handle, "noted")

        @create(fn_id="shop", trigger=TriggerEvent(event="shop"))
        async def shop(ctx: Context) -> list[str]:
            return await self._shop(ctx)

        self.pack = pack
        self.shop = shop

    # ------------------------------------------------------------ handlers

    async def handle(self, item: str, fails: int = 0) -> str:
        """Do something to an item, and fail so many times before."""
        step = current_step()
        self.log.write("begin", step.run_id, step.key, step.attempt, step.idempotency_key)
        await anyio.sleep(random.choice((0, 0, 0.0005, 0.001, 0.002)))
        if step.attempt < fails:
            raise ValueError(item)
        self.count += 1
        return f"{item}#{self.life}.{self.count}"

    def plain(self, item: str) -> str:
        """Do so in a thread."""
        step = current_step()
        self.log.write("begin", step.run_id, step.key, step.attempt, step.idempotency_key)
        return f"{item}#{self.life}"

    # ------------------------------------------------------------ functions

    async def _shop(self, ctx: Context) -> list[str]:
        run = ctx.step.run
        found = [await run("open", self.handle, "open", 1)]

        async def order(k: int) -> str:
            await run("fetch", self.handle, f"fetch {k}", k % 3)
            await ctx.step.sleep("nap", 0.001)
            return await run("store", self.handle, f"store {k}")

        found += await ctx.group.parallel(tuple(partial(order, k) for k in range(ORDERS)))
        found += await ctx.group.map(
            "price", self.handle, [f"price {k}" for k in range(6)], limit=3
        )
        bills: dict[int, str] = {}

        async def bill(k: int) -> None:
            await run("bill", self.handle, f"bill {k}")
            bills[k] = await run("mail", self.handle, f"mail {k}")

        async with anyio.create_task_group() as tasks:
            for k in range(5):
                tasks.start_soon(bill, k)
        found += [bills[k] for k in range(5)]

        async def bid(k: int) -> str:
            await run("ask", self.handle, f"ask {k}")
            return await run("bid", self.handle, f"bid {k}")

        async def dream() -> str:
            await ctx.step.sleep("dream", 3600)  # whoever wins, this one is under way
            return "dreamt"

        bidders = (*(partial(bid, k) for k in range(3)), dream)
        won = await ctx.group.parallel(bidders, mode="race")
        if not won.value.startswith(f"bid {won.branch}#"):
            raise AssertionError(won)
        await ctx.step.send_event("tell", Event(name="told", data={"what": won.branch}))
        found.append(await ctx.step.invoke("pack", function=self.pack, data={"items": 3}))
        found.append(await run("plain", self.plain, "plain"))
        for k in range(5):
            found.append(await run("close", self.handle, f"close {k}", k == 3))
        return found

    async def _pack(self, ctx: Context) -> str:
        items = [f"pack {k}" for k in range(ctx.event.data["items"])]
        await ctx.group.map("pack", self.handle, items)
        return await ctx.step.run("seal", self.handle, "sealed")


ITEMS: Final = [
    "open",
    *(f"store {k}" for k in range(ORDERS)),
    *(f"price {k}" for k in range(6)),
    *(f"mail {k}" for k in range(5)),
    "sealed",
    "plain",
    *(f"close {k}" for k in range(5)),
]


async def live(folder: Path, life: int, log: Log) -> None:
    """Take up what there is: every second process invokes the run, the others serve first."""
    shop = Shop(Watched(SqliteJournal(folder / "runs.db"), log), life, log)
    app = shop.app
    if life % 2:
        async with app.serve() as worker:
            await worker.drain()
    try:
        result = await app.resume(RUN)
    except UnknownRunError:
        result = await app.invoke(shop.shop, {}, run_id=RUN)
    async with app.serve() as worker:  # who was told of it has a run of its own
        await worker.drain()
    log.write("result", result)


# ---------------------------------------------------------------- the verdict


def judge(folder: Path, seen: Counter[str]) -> Iterator[str]:
    """Compare the log with the file, and say what is wrong."""
    lines = [json.loads(line) for line in (folder / "log").read_text().splitlines()]
    path = folder / "runs.db"
    crcs: dict[tuple[str, int], int] = {}
    try:
        crcs = {(stream, n): zlib.crc32(body) for stream, n, _, body in rows_of(path)}
        steps = _steps(path)
        ends = _ends(path)
    except sqlite3.Error as error:
        yield f"the file cannot be read: {error}"
        return
    yield from verified(path)
    yield from _of_ends(ends)
    over: dict[tuple[str, str], str] = {}
    keys: dict[tuple[str, str], str] = {}
    begun: Counter[tuple[str, str, int]] = Counter()
    results: list[Any] = []
    for kind, *values in lines:
        if kind == "kept":
            for stream, n, crc in values[0]:
                if crcs.get((stream, n)) != crc:
                    yield f"{stream}, entry {n}: acknowledged, and lost"
                elif (stream, n) in steps:
                    tag, key = steps[stream, n]
                    over[stream, key] = tag
        elif kind == "begin":
            run, key, attempt, named = values
            if (run, key) in over:
                yield f"{run}: {key} began again, and had been acknowledged: {over[run, key]}"
            if keys.setdefault((run, key), named) != named:
                yield f"{run}: {key} has two idempotency keys"
            begun[run, key, attempt] += 1
        elif kind == "result":
            results.append(values[0])
        elif kind == "raised":
            yield f"life {values[0]} raised {values[1][-700:]}"
    if len({*keys.values()}) < len(keys):
        yield "two steps have one idempotency key"
    yield from _of_results(results)
    seen["steps"] += len({(run, key) for run, key, _ in begun})
    seen["steps that ran again"] += sum(count > 1 for count in begun.values())
    seen["retries"] += sum(attempt > 0 for _, _, attempt in begun)
    seen["cancelled"] += sum(tag == "step.cancelled" for tag in over.values())


def _steps(path: Path) -> dict[tuple[str, int], tuple[str, str]]:
    """Find the entries after which a step does not run."""
    asked = (
        "SELECT stream, n, kind, key FROM record"
        " WHERE kind IN ('step.completed', 'step.failed', 'step.cancelled')"
    )
    with closing(sqlite3.connect(path)) as connection:
        return {(stream, n): (kind, key) for stream, n, kind, key in connection.execute(asked)}


def _ends(path: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(path)) as connection:
        asked = "SELECT target, status FROM stream WHERE stream NOT LIKE 'app/%'"
        return connection.execute(asked).fetchall()


def _of_ends(ends: list[tuple[str, str]]) -> Iterator[str]:
    """Each function has had one run, though events were sent and functions invoked in many lives."""
    wanted = [(f"shop-{name}", "completed") for name in ("pack", "shop", "told")]
    if sorted(ends) != wanted:
        yield f"the runs are {sorted(ends)}"


def _of_results(results: list[Any]) -> Iterator[str]:
    if not results:
        yield "it has no result"
    for result in results:
        if [text.split("#")[0] for text in result] != ITEMS or result != results[0]:
            yield f"it came to {result}"


FUNCTION: Final = Load("tests.faults.durable.kill", live, judge)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], FUNCTION))
