"""The laws of `append` and of its `done`. The first line of each is what a failure says."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Final

import anyio
import anyio.lowlevel

from plait._errors import StreamConflictError

from ._journal_bench import Bench, Broken, Hand, Receipt, chain, entry, same

#: What a body may be: nothing says that it is text.
BODIES: Final = (
    b"",
    b"{}",
    b"\x00",
    b"a\x00b\x00",
    bytes(range(256)),
    '{"é": "😀"}'.encode(),
    b"\xff\xfe\x80",
    b" \r\n\t ",
    b"a" * 1_000,
    b"'); DROP TABLE record; --",
)
#: Names in the order of their code points, which is not that of UTF-16, of a dictionary or of ICU.
NAMES: Final = (
    " ", "%", "A", "B", "_", "a", "a ", "a%", "app/", "app/shop", "b", "x" * 64, "é", "日本", "\uff5e", "😀",
)  # fmt: skip


def an_entry_is_read_as_it_was_appended(bench: Bench) -> None:
    """An entry is read as it was appended, in each of its fields."""

    async def act(hand: Hand) -> None:
        entries = [
            entry("r1", 1, "run.started", at=1_754_000_000.123456),
            entry("r1", 2, "step.completed", key='["a",0]', at=1_754_000_000.1 + 0.2),
            entry("r1", 3, "step.failed", key='["é😀",1]', at=0.0),
            entry("r1", 4, "run.completed", at=-1.5, status="completed"),
        ]
        await hand.keep(*entries)
        await hand.holds(*entries)

    bench.live(act)


def a_body_comes_back_to_the_bit(bench: Bench) -> None:
    """A body is bytes, of any kind and size, and comes back to the bit."""
    big = bytes(range(256)) * (4 * 1024 * 16)  # 16 MiB

    async def act(hand: Hand) -> None:
        small = [entry("small", n, body=body) for n, body in enumerate(BODIES, 1)]
        large = [entry("large", n, body=big[n:]) for n in (1, 2)]
        await hand.keep(*small)
        await hand.keep(*large)
        await hand.holds(*small, *large)

    bench.live(act)


def names_are_any_text(bench: Bench) -> None:
    """Streams are told apart by every sign of their names: case, accents, spaces, signs of SQL."""

    async def act(hand: Hand) -> None:
        entries = [entry(name, 1, body=name.encode()) for name in NAMES]
        await hand.keep(*entries)
        await hand.holds(*entries)

    bench.live(act)


def done_is_called_for_each_append(bench: Bench) -> None:
    """`done` is called in the event loop, once for each append and in their order, and never at once."""

    async def act(hand: Hand) -> None:
        for n in range(1, 21):
            hand.append(entry("a", n))
            hand.append()  # of nothing: it has its turn as well
            hand.append(entry("a", n))  # is refused, in its turn
            if n % 5 == 0:
                await anyio.lowlevel.checkpoint()
        await hand.settled()
        answers = [type(receipt.error) for receipt in hand.receipts]
        if answers != [type(None), type(None), StreamConflictError] * 20:
            raise Broken("of three appends one is of nothing and one is refused; `done` got others")
        await hand.holds(*chain("a", 20))

    bench.live(act)


def done_needs_no_flush(bench: Bench) -> None:
    """`done` is called soon, without `flush` and without `aclose`."""

    async def act(hand: Hand) -> None:
        hand.append(entry("a", 1))
        await hand.settled(flush=False)
        hand.append(entry("a", 2))
        hand.append(entry("a", 3))
        await hand.settled(flush=False)

    bench.live(act)


def done_comes_after_the_entries(bench: Bench) -> None:
    """When `done` is called the entries can be read, the ones before them too."""

    async def act(hand: Hand) -> None:
        async def look(receipt: Receipt) -> None:
            await hand.answer(receipt)
            (one,) = receipt.entries
            given = await hand.read("a", limit=one.n)
            same(given, chain("a", one.n), f"stream 'a', read when `done` of {receipt} was called")

        async with anyio.create_task_group() as tasks:
            for n in range(1, 31):
                tasks.start_soon(look, hand.append(entry("a", n)))
                if n % 4 == 0:
                    await hand.settled(flush=n % 8 == 0)
            await hand.settled()

    bench.live(act)


def done_may_append(bench: Bench) -> None:
    """A `done` may append: that is another append, and comes in its turn."""

    async def act(hand: Hand) -> None:
        def more(stream: str, n: int) -> None:
            then = partial(more, stream, n + 1) if n < 20 else None
            hand.append(entry(stream, n), then=then)
            if n % 5 == 0:
                hand.append(entry(stream, 1))  # refused, from within a `done`

        more("a", 1)
        more("b", 1)
        await hand.settled()
        await hand.holds(*chain("a", 20), *chain("b", 20))

    bench.live(act)


def append_does_not_block(bench: Bench) -> None:
    """`append` gives the event loop back at once: it waits for no disk and no thread."""
    # Seen by how often the operating system took the thread off: a time would say more of the machine.
    waits = _waits()
    if waits is None:
        return

    async def act(hand: Hand) -> None:
        blocked = 0
        await hand.keep(entry("a", 1))
        for n in range(2, 66):
            before = waits()
            hand.append(entry("a", n))
            blocked += waits() > before
            await anyio.lowlevel.checkpoint()
        await hand.settled()
        if blocked > 16:  # one or the other may have waited for a lock of the interpreter
            raise Broken(f"{blocked} of 64 appends have blocked the event loop's thread")

    bench.live(act)


def _waits() -> Callable[[], int] | None:
    if sys.platform != "linux":
        return None
    import resource  # noqa: PLC0415 - there is none on Windows

    return lambda: resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw


def a_stream_has_no_gap(bench: Bench) -> None:
    """An entry whose place is taken, or not yet due, is refused with `StreamConflictError`."""

    async def act(hand: Hand) -> None:
        for n in (2, 0, -1):
            await hand.refuse(f"a stream begins with entry 1, not {n}", entry("a", n))
        await hand.holds_nothing_of("a")
        await hand.keep(*chain("a", 3))
        for n in (1, 3, 5, 100, 0, -1):
            await hand.refuse(f"entry 4 is due, not {n}", entry("a", n))
        await hand.refuse("entry 4 is there twice", entry("a", 4), entry("a", 4))
        await hand.refuse("entry 5 is missing", entry("a", 4), entry("a", 6))
        await hand.refuse("entry 5 comes before entry 4", entry("a", 5), entry("a", 4))
        await hand.keep(*chain("a", 2, first=4))
        await hand.holds(*chain("a", 5))

    bench.live(act)


def a_step_ends_once(bench: Bench) -> None:
    """A second outcome for a key of a stream is refused with `StreamConflictError`; nothing else is."""
    ends = ("step.completed", "step.failed")

    async def act(hand: Hand) -> None:
        await hand.keep(
            entry("a", 1, "step.started", key="k"),
            entry("a", 2, "step.retrying", key="k"),
            entry("a", 3, "step.started", key="k"),
            entry("a", 4, "step.completed", key="k"),
            entry("a", 5, "step.failed", key="l"),
        )
        for key in "kl":
            for kind in ends:
                await hand.refuse(f"step {key!r} ends again", entry("a", 6, kind, key=key))
        for one in ends:
            for other in ends:
                twice = entry("a", 6, one, key="m"), entry("a", 7, other, key="m")
                await hand.refuse("step 'm' ends twice in one append", *twice)
        await hand.keep(
            entry("a", 6, "step.completed", key="m"),
            entry("a", 7, "step.completed", key="K"),
            entry("a", 8, "step.started", key="k"),  # no outcome
            entry("a", 9, "step.completed"),  # of no key
            entry("a", 10, "step.completed"),
            entry("b", 1, "step.completed", key="k"),  # of another stream
        )
        await hand.refuse("step 'm' ends again", entry("a", 11, "step.failed", key="m"))

    bench.live(act)


def an_append_is_whole(bench: Bench) -> None:
    """An append is kept whole or not at all, over several streams too."""

    async def act(hand: Hand) -> None:
        await hand.keep(entry("a", 1), entry("b", 1), entry("a", 2), entry("c", 1))
        bad = entry("b", 3)
        await hand.refuse("its last entry is out of place", entry("a", 3), entry("new", 1), bad)
        await hand.refuse("its first entry is out of place", bad, entry("a", 3), entry("new", 1))
        await hand.refuse("one in the middle is", entry("new", 1), bad, entry("a", 3))
        once = [
            entry("new", 1, "step.completed", key="k"),
            entry("a", 3, "step.completed", key="k", status="failed"),
        ]
        await hand.refuse("a step ends twice", *once, entry("new", 2, "step.failed", key="k"))
        await hand.holds(*chain("a", 2), *chain("b", 1), *chain("c", 1))
        await hand.holds_nothing_of("new")
        if any(info.status != "running" or info.last_n > 2 for info in await hand.streams()):
            raise Broken("a refused append has changed what streams() says")
        await hand.keep(*once)  # nothing of it is taken
        await hand.holds(*chain("a", 2), once[1])

    bench.live(act)


def nobody_sees_half_an_append(bench: Bench) -> None:
    """Who reads meanwhile sees an append whole or not at all, over several streams too."""

    async def act(hand: Hand) -> None:
        async def look() -> None:
            while True:
                one, other = await hand.read("a"), await hand.read("b")
                if len(one) % 5 or len(other) % 5:
                    odd = len(one) if len(one) % 5 else len(other)
                    raise Broken(f"each append has five entries, and {odd} were there")
                if len(other) < len(one):
                    raise Broken(
                        f"{len(one)} entries of 'a' were read, and then {len(other)} of 'b', "
                        "which are appended together"
                    )
                await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(look)
            for n in range(1, 201, 5):
                pairs = zip(chain("a", 5, first=n), chain("b", 5, first=n), strict=True)
                hand.append(*(one for pair in pairs for one in pair))
                if n % 4 == 0:
                    await hand.settled()
                await anyio.lowlevel.checkpoint()
            await hand.settled()
            tasks.cancel_scope.cancel()
        await hand.holds(*chain("a", 200), *chain("b", 200))

    bench.live(act)


def an_append_builds_on_those_before_it(bench: Bench) -> None:
    """An append follows the ones that were made before it, acknowledged or not, and refused or not."""

    async def act(hand: Hand) -> None:
        good = [hand.append(entry("a", 1)), hand.append(entry("a", 2, "step.failed", key="k"))]
        bad = [
            hand.append(entry("a", 4)),
            hand.append(entry("a", 3), entry("a", 4, "step.completed", key="k")),
            hand.append(entry("a", 4)),  # would follow the one that is refused
        ]
        good += [hand.append(entry("a", 3)), hand.append(entry("a", 4, "step.failed", key="l"))]
        await hand.settled()
        for receipt in good:
            if receipt.error is not None:
                raise Broken(f"{receipt} follows those before it, and got {receipt.error!r}")
        for receipt in bad:
            if not isinstance(receipt.error, StreamConflictError):
                raise Broken(f"{receipt} follows nothing, and got {receipt.error!r}")
        await hand.holds(*(one for receipt in good for one in receipt.entries))

    bench.live(act)


def a_thousand_appends_keep_their_order(bench: Bench) -> None:
    """A thousand appends of many tasks at once are all kept, and in the order of the calls."""

    async def act(hand: Hand) -> None:
        shared = iter(chain("shared", 1_000))

        async def work(number: int) -> None:
            hand.append(next(shared), entry(f"task {number}", 1))
            await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as tasks:
            for number in range(1_000):
                tasks.start_soon(work, number)
        await hand.settled()
        for receipt in hand.receipts:
            if receipt.error is not None:
                raise Broken(f"{receipt} was refused: {receipt.error!r}") from receipt.error
        await hand.holds(*chain("shared", 1_000))
        if (count := len(await hand.streams(limit=2_000))) != 1_001:
            raise Broken(f"1,001 streams were begun, and streams() has {count}")

    bench.live(act)


def a_cancelled_task_loses_nothing(bench: Bench) -> None:
    """What a task has appended is kept, and has its answer, when the task is cancelled."""

    async def act(hand: Hand) -> None:
        count = 0

        async def work() -> None:
            nonlocal count
            while True:
                count += 1
                hand.append(entry("a", count))
                await anyio.lowlevel.checkpoint()

        for turns in (0, 1, 5):
            async with anyio.create_task_group() as tasks:
                for _ in range(10):
                    tasks.start_soon(work)
                for _ in range(turns + 1):
                    await anyio.lowlevel.checkpoint()
                tasks.cancel_scope.cancel()
        with anyio.CancelScope() as scope:
            scope.cancel()
            count += 1
            hand.append(entry("a", count))  # no checkpoint: a cancelled task may
            hand.journal.flush()
            await hand.journal.read("a")
        await hand.settled()
        for receipt in hand.receipts:
            if receipt.error is not None:
                raise Broken(f"{receipt} was refused: {receipt.error!r}") from receipt.error
        await hand.holds(*chain("a", count))

    bench.live(act)


LAWS: Final = (
    an_entry_is_read_as_it_was_appended,
    a_body_comes_back_to_the_bit,
    names_are_any_text,
    done_is_called_for_each_append,
    done_needs_no_flush,
    done_comes_after_the_entries,
    done_may_append,
    append_does_not_block,
    a_stream_has_no_gap,
    a_step_ends_once,
    an_append_is_whole,
    nobody_sees_half_an_append,
    an_append_builds_on_those_before_it,
    a_thousand_appends_keep_their_order,
    a_cancelled_task_loses_nothing,
)
