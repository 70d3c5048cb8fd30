"""The laws of what a journal shows: pages of a stream, the list of streams, and until when."""

from __future__ import annotations

import math
from typing import Final

from plait._abc import Entry, Opening, Status, StreamInfo

from ._journal_appending import NAMES
from ._journal_bench import Bench, Broken, Hand, chain, entry, same, same_infos


def read_gives_pages(bench: Bench) -> None:
    """`read` gives the entries after `after`, in order, and `limit` of them if there are so many."""

    async def act(hand: Hand) -> None:
        due = chain("a", 1_203)
        for begin in range(0, len(due), 100):
            hand.append(*due[begin : begin + 100])
        await hand.keep(*chain("b", 3))
        same(await hand.read("a"), due[:1_000], "read('a')")
        for after, limit in ((0, 1), (1, 1), (500, 7), (1_200, 3), (1_201, 50), (1_202, 1)):
            given = await hand.read("a", after=after, limit=limit)
            same(given, due[after : after + limit], f"read('a', after={after}, limit={limit})")
        same(await hand.read("a", limit=5_000), due, "read('a', limit=5000)")
        for after in (1_203, 9_999):
            same(await hand.read("a", after=after), [], f"read('a', after={after})")
        same(await hand.read("nobody"), [], "read() of a stream that is not there")
        paged = list[Entry]()
        while page := await hand.read("a", after=len(paged), limit=100):
            paged += page
            if len(paged) > len(due):
                break
        same(paged, due, "'a', read in pages of 100")

    bench.live(act)


def a_stream_is_what_its_entries_say(bench: Bench) -> None:
    """A stream's info has its opening, its last status, when it began and changed, and its last place."""

    async def act(hand: Hand) -> None:
        opening = Opening("shop", "Flow", parent="p", source="5f")
        first = Entry("a", 1, "run.queued", 1, 10.25, None, b"{}", "queued", opening)
        await hand.keep(first)
        due = StreamInfo("a", "shop", "Flow", "p", "queued", "5f", 10.25, 10.25, 1)
        same_infos(await hand.streams(), [due], "streams()")
        changes: list[tuple[float, Status | None, Status]] = [
            (11.5, "running", "running"),
            (12.5, None, "running"),
            (9.0, None, "running"),  # the clock was set back: the last entry counts
            (13.5, "held", "held"),
            (14.5, "running", "running"),
            (15.5, "failed", "failed"),
            (16.5, "cancelled", "cancelled"),
            (17.5, "completed", "completed"),
        ]
        for n, (at, status, now) in enumerate(changes, 2):
            await hand.keep(entry("a", n, at=at, status=status))
            due = StreamInfo("a", "shop", "Flow", "p", now, "5f", 10.25, at, n)
            same_infos(await hand.streams(), [due], "streams()")
        bare = Entry("b", 1, "run.started", 1, 1.0, None, b"", "running", Opening("", "Flow"))
        more = entry("b", 2, at=2.0), entry("b", 3, at=3.0, status="failed"), entry("b", 4, at=4.0)
        await hand.keep(bare, *more)
        other = StreamInfo("b", "", "Flow", None, "failed", None, 1.0, 4.0, 4)
        same_infos(await hand.streams(), [due, other], "streams()")

    bench.live(act)


def streams_are_listed_by_name(bench: Bench) -> None:
    """`streams` lists by name, in the order of its code points, `limit` of those after `after`."""

    async def act(hand: Hand) -> None:
        names = [*NAMES, *(f"r{n:03}" for n in range(150))]
        for name in reversed(names):
            hand.append(entry(name, 1))
        await hand.settled()
        due = sorted(names)
        given = [info.stream for info in await hand.streams()]
        if given != due[:100]:
            raise Broken(f"streams() gives {given}, not {due[:100]}: the first 100 by code points")
        for after, limit in (("", 1), ("a", 3), ("A", 1), ("r0", 200), ("r1495", 9), ("😀", 9)):
            given = [info.stream for info in await hand.streams(after=after, limit=limit)]
            wanted = [name for name in due if name > after][:limit]
            if given != wanted:
                raise Broken(f"streams(after={after!r}, limit={limit}) gives {given}, not {wanted}")
        paged = list[str]()
        while page := await hand.streams(after=paged[-1] if paged else "", limit=7):
            paged += [info.stream for info in page]
            if len(paged) > len(due):
                break
        if paged != due:
            raise Broken(f"listed in pages of 7, streams() gives {paged}, not {due}")

    bench.live(act)


def streams_are_chosen(bench: Bench) -> None:
    """`streams` gives those of one app, and of some statuses; of every one unless told."""
    statuses: tuple[Status, ...] = (
        "queued", "running", "completed", "failed", "cancelled", "held",
    )  # fmt: skip
    apps = ("", "shop", "Shop")

    async def act(hand: Hand) -> None:
        wanted = dict[str, tuple[str, str]]()
        for number, app in enumerate(apps):
            for status in statuses:
                name = f"{status[::-1]}-{number}"
                wanted[name] = (app, status)
                hand.append(entry(name, 1, app_id=app), entry(name, 2, status=status))
        await hand.settled()
        some: list[tuple[str, ...]] = [
            (),
            ("held",),
            ("running", "queued"),
            statuses,
            ("completed", "completed"),
        ]
        for app_id in (None, *apps, "nobody's"):
            for chosen in some:
                infos = await hand.streams(app_id=app_id, status=chosen)
                due = sorted(
                    name
                    for name, (app, state) in wanted.items()
                    if (app_id is None or app == app_id) and (not chosen or state in chosen)
                )
                given = [info.stream for info in infos]
                if given != due:
                    call = f"streams(app_id={app_id!r}, status={chosen})"
                    raise Broken(f"{call} gives {given}, not {due}")
        names = sorted(name for name, (app, state) in wanted.items() if app and state != "held")
        paged = list[str]()
        for app_id in ("shop", "Shop"):
            after = ""
            while page := await hand.streams(
                app_id=app_id, status=[s for s in statuses if s != "held"], after=after, limit=2
            ):
                if (name := page[-1].stream) <= after:
                    raise Broken(f"streams(after={after!r}) gives {name!r}")
                after = name
                paged += [info.stream for info in page]
        if sorted(paged) != names:
            raise Broken(f"listed in pages of 2, streams() of two apps gives {paged}, not {names}")

    bench.live(act)


def prune_drops_whole_streams(bench: Bench) -> None:
    """`prune` drops whole streams that ended before that time, says how many, and touches no other."""

    async def act(hand: Hand) -> None:
        ends: dict[str, tuple[float, Status]] = {
            "completed": (50.0, "completed"),
            "failed": (99.5, "failed"),
            "cancelled": (98.0, "cancelled"),
            "at that time": (100.0, "completed"),
            "later": (150.0, "failed"),
            "running": (50.0, "running"),
            "queued": (50.0, "queued"),
            "held": (50.0, "held"),
        }
        gone = ("completed", "failed", "cancelled")
        kept = list[Entry]()
        for name, (at, status) in ends.items():
            entries = [
                entry(name, 1, at=1.0),
                entry(name, 2, "step.completed", key="k", at=2.0),
                entry(name, 3, at=at, status=status),
            ]
            await hand.keep(*entries)
            kept += [] if name in gone else entries
        await hand.keep(*(again := [entry("resumed", 1, status="failed", at=1.0)]))
        await hand.keep(entry("resumed", 2, status="running", at=2.0))
        kept += [*again, entry("resumed", 2, status="running", at=2.0)]
        for due in (3, 0):
            if (count := await hand.prune(100.0)) != due:
                raise Broken(f"prune() was to drop {due} streams, and says {count}")
        for name in gone:
            await hand.holds_nothing_of(name)
        await hand.holds(*kept)
        if (count := await hand.prune(math.inf)) != 2:
            raise Broken(f"prune() was to drop the 2 streams that have ended, and says {count}")

    bench.live(act)


def prune_touches_only_what_it_is_told_to(bench: Bench) -> None:
    """`prune` with `only` drops those of these streams that may go, and no others."""

    async def act(hand: Hand) -> None:
        ends: tuple[Status, ...] = ("completed", "failed", "cancelled", "running", "completed")
        names = ("a", "b", "c", "d", "late")
        kept = [
            entry(name, 1, at=150.0 if name == "late" else 1.0, status=status)
            for name, status in zip(names, ends, strict=True)
        ]
        await hand.keep(*kept)
        for only, due in (((), 0), (("c", "d", "late", "nobody", "a"), 2), (["a"], 0)):
            if (count := await hand.prune(100.0, only=only)) != due:
                raise Broken(f"prune() of {only} was to drop {due} streams, and says {count}")
        left = [one for one in kept if one.stream in {"b", "d", "late"}]
        await hand.holds(*left)
        given = [info.stream for info in await hand.streams()]
        if given != ["b", "d", "late"]:
            raise Broken(f"{given} are left, not ['b', 'd', 'late']")

    bench.live(act)


def prune_keeps_what_may_be_asked_for(bench: Bench) -> None:
    """`prune` keeps a stream while one that it came from, its parent or that one's parent, goes on."""

    def begin(name: str, parent: str | None, status: Status) -> Entry:
        opening = Opening("", "Flow", parent)
        return Entry(name, 1, "run.started", 1, 1.0, None, b"{}", status, opening)

    async def act(hand: Hand) -> None:
        await hand.keep(
            begin("goes on", None, "running"),
            begin("its child", "goes on", "completed"),
            begin("its child's child", "its child", "failed"),
            begin("over", None, "completed"),
            begin("over, a child", "over", "completed"),
            begin("an orphan", "nobody", "completed"),
        )
        kept = ["goes on", "its child", "its child's child"]
        for due in (3, 0):
            if (count := await hand.prune(100.0)) != due:
                raise Broken(f"prune() was to drop {due} streams, and says {count}")
            given = [info.stream for info in await hand.streams()]
            if given != kept:
                raise Broken(f"{given} are left, not {kept}")
        await hand.keep(entry("goes on", 2, at=2.0, status="failed"))
        if (count := await hand.prune(100.0)) != 3:
            raise Broken(f"nobody goes on: prune() was to drop 3 streams, and says {count}")

    bench.live(act)


def a_pruned_stream_was_never_there(bench: Bench) -> None:
    """The name of a pruned stream is free, its steps too, now and when the journal is opened again."""
    first = [
        entry("a", 1, "step.completed", key="k", at=1.0),
        entry("a", 2, at=2.0, status="completed"),
    ]
    second = [entry("a", 1, "step.failed", key="k", body=b"other", at=200.0)]

    async def act(hand: Hand) -> None:
        await hand.keep(*first, entry("b", 1, status="failed", at=1.0), entry("c", 1))
        if (count := await hand.prune(100.0)) != 2:
            raise Broken(f"prune() was to drop 2 streams, and says {count}")
        await hand.refuse("'a' begins anew", entry("a", 3))
        await hand.keep(*second)
        await hand.holds(*second)
        await hand.keep(entry("c", 2))

    async def after(hand: Hand) -> None:
        await hand.holds(*second, *chain("c", 2))
        await hand.holds_nothing_of("b")
        await hand.keep(entry("a", 2))

    bench.live(act)
    bench.live(after)


LAWS: Final = (
    read_gives_pages,
    a_stream_is_what_its_entries_say,
    streams_are_listed_by_name,
    streams_are_chosen,
    prune_drops_whole_streams,
    prune_touches_only_what_it_is_told_to,
    prune_keeps_what_may_be_asked_for,
    a_pruned_stream_was_never_there,
)
