"""The laws of a journal's lives: how each ends, and what is there in the next."""

from __future__ import annotations

from typing import Final

import anyio
import anyio.lowlevel

from plait._errors import JournalError, StreamConflictError

from ._journal_bench import Bench, Broken, Hand, chain, entry


def closing_writes_everything(bench: Bench) -> None:
    """`aclose` writes what has been appended, and calls each `done` before it returns. Twice is fine."""

    async def act(hand: Hand) -> None:
        for one in chain("a", 300):
            hand.append(one)
        await hand.aclose()
        await hand.aclose()

    async def after(hand: Hand) -> None:
        await hand.holds(*chain("a", 300))
        await hand.aclose()

    async def again(hand: Hand) -> None:
        await hand.holds(*chain("a", 300))

    bench.live(act)
    bench.live(after)
    bench.live(again)


def a_cancelled_close_writes_everything(bench: Bench) -> None:
    """`aclose` writes everything also if who calls it is cancelled, before or meanwhile."""

    async def before(hand: Hand) -> None:
        for one in chain("a", 100):
            hand.append(one)
        with anyio.CancelScope() as scope:
            scope.cancel()
            await hand.journal.aclose()
        hand.all_told("by an aclose() that was cancelled")

    async def meanwhile(hand: Hand) -> None:
        for one in chain("a", 100, first=101):
            hand.append(one)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(hand.journal.aclose)
            await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        hand.all_told("by an aclose() that was cancelled")

    async def after(hand: Hand) -> None:
        await hand.holds(*chain("a", 200))

    bench.live(before)
    bench.live(meanwhile)
    bench.live(after)


def what_was_acknowledged_stays(bench: Bench) -> None:
    """What was acknowledged is there, to the bit and in its order, when the journal is opened again."""
    entries = [
        entry("a", 1, "run.started", at=1.5, body=bytes(range(256)), app_id="shop"),
        entry("a", 2, "step.completed", key="k", body=b"x" * 1_000_000),
        entry("b", 1, body=b""),
        entry("b", 2, "step.failed", key="k", status="failed"),
    ]

    async def first(hand: Hand) -> None:
        await hand.keep(*entries)

    async def second(hand: Hand) -> None:
        await hand.holds(*entries)
        infos = await hand.streams()
        found = [(info.stream, info.app_id, info.status, info.last_n) for info in infos]
        if found != [("a", "shop", "running", 2), ("b", "", "failed", 2)]:
            raise Broken(f"streams() gives {infos!r} after the journal was opened again")

    bench.live(first)
    bench.live(second)
    bench.live(second, write=False)


def a_stream_goes_on(bench: Bench) -> None:
    """Opened again, the journal knows each stream's next place and the steps that have ended."""
    kept = [
        entry("a", 1, "step.completed", key="k"),
        entry("a", 2, "step.failed", key="l"),
        entry("a", 3, "step.started", key="m"),
    ]

    async def first(hand: Hand) -> None:
        await hand.keep(*kept)

    async def second(hand: Hand) -> None:
        for n in (1, 3, 5):
            await hand.refuse(f"entry 4 is due, not {n}", entry("a", n))
        for key in "kl":
            again = entry("a", 4, "step.completed", key=key)
            await hand.refuse(f"step {key!r} has ended in an earlier life", again)
        await hand.keep(entry("a", 4, "step.completed", key="m"))
        await hand.holds(*kept, entry("a", 4, "step.completed", key="m"))

    bench.live(first)
    bench.live(second)


def a_closed_journal_takes_nothing(bench: Bench) -> None:
    """A journal that is closed, or open to be read only, takes no append, and says so."""

    async def close(hand: Hand) -> None:
        await hand.keep(*chain("a", 3))
        await hand.aclose()
        await _takes_nothing(hand, "closed")

    async def read(hand: Hand) -> None:
        await _takes_nothing(hand, "open to be read only")
        await hand.holds(*chain("a", 3))

    async def after(hand: Hand) -> None:
        await hand.holds(*chain("a", 3))
        await hand.keep(entry("a", 4))

    bench.live(close)
    bench.live(read, write=False)
    bench.live(after)


async def _takes_nothing(hand: Hand, state: str) -> None:
    try:
        receipt = hand.append(entry("a", 4))
    except JournalError:
        return  # noqa: ASYNC910 - `append` has said so at once
    await hand.settled()
    if receipt.error is None:
        raise Broken(f"the journal is {state}, and {receipt} was acknowledged")


def a_failure_breaks_the_journal(bench: Bench) -> None:
    """After a `JournalError` that is no conflict each later append gets that error, and is not kept."""
    fail = bench.fail
    if fail is None:
        return

    async def act(hand: Hand) -> None:
        await hand.keep(*chain("a", 3))
        fail(hand.journal)
        failed = hand.append(entry("a", 4))
        await hand.settled()
        if failed.error is None or isinstance(failed.error, StreamConflictError):
            raise Broken(f"fail() was called, and then {failed} got {failed.error!r}")
        later = [
            hand.append(entry("a", 5)),
            hand.append(entry("a", 4)),
            hand.append(entry("b", 1)),
            hand.append(entry("b", 7)),  # a conflict, if anybody looked
            hand.append(),
        ]
        await hand.settled()
        for receipt in later:
            if receipt.error is not failed.error:
                raise Broken(
                    f"the journal broke with {failed.error!r}; {receipt} got {receipt.error!r}"
                )

    async def after(hand: Hand) -> None:
        there = len(await hand.read("a"))
        if there not in {3, 4}:  # of the one that failed nobody knows
            raise Broken(f"3 entries were acknowledged and one failed; {there} are there")
        await hand.holds(*chain("a", there))
        await hand.holds_nothing_of("b")
        await hand.keep(entry("a", there + 1))

    bench.live(act)
    bench.live(after)


LAWS: Final = (
    closing_writes_everything,
    a_cancelled_close_writes_everything,
    what_was_acknowledged_stays,
    a_stream_goes_on,
    a_closed_journal_takes_nothing,
    a_failure_breaks_the_journal,
)
