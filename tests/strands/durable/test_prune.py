"""`app.prune()`: runs that ended long enough ago are forgotten, and no others."""

import logging
from datetime import timedelta

import anyio
import anyio.lowlevel
import pytest
import trio
from trio.testing import MockClock

from plait.durable import (
    App,
    Context,
    Event,
    MemoryJournal,
    SqliteJournal,
    TriggerEvent,
)
from plait.errors import ConfigError, JournalLockedError, NonRetriableError, UnknownRunError
from tests.journal.backends import here

BACKENDS = ("trio", "asyncio")


@pytest.fixture(params=["memory", "sqlite"])
def journal(request, tmp_path):
    return MemoryJournal() if request.param == "memory" else SqliteJournal(tmp_path / "shop.db")


def shop(journal, app_id="shop"):
    """An app of which all that ends can be seen, and one that waits."""
    app = App(app_id, journal=journal, logger=logging.getLogger("nobody"))
    app.made = []

    async def make(what):
        app.made.append(what)
        return what

    @app.create_function(fn_id="child", trigger=TriggerEvent("child"), retries=0)
    async def child(ctx: Context) -> str:
        return await ctx.step.run("make", make, "child")

    @app.create_function(fn_id="good", trigger=TriggerEvent("good"), retries=0)
    async def good(ctx: Context) -> str:
        return await ctx.step.invoke("child", function=child)

    @app.create_function(fn_id="bad", trigger=TriggerEvent("bad"), retries=0)
    async def bad(ctx: Context) -> None:
        await ctx.step.invoke("child", function=child)
        raise NonRetriableError("no")

    @app.create_function(fn_id="waits", trigger=TriggerEvent("waits"), retries=0)
    async def waits(ctx: Context) -> str:
        await ctx.step.invoke("child", function=child)
        await ctx.step.wait_for_event("go", event="go", timeout=1e9)
        return "went"

    app.child, app.good, app.bad, app.waits = child, good, bad, waits
    return app


async def left(app):
    """What runs there are: of which function, and how they stand."""
    return sorted((run.fn_id.removeprefix("shop-"), run.status) for run in await app.runs())


async def mixed(app):
    """One run of each kind; the one that waits goes on waiting."""
    await app.send([Event(name="good"), Event(name="bad"), Event(name="waits")])
    children = [("child", "completed")] * 3
    ends = [("bad", "failed"), *children, ("good", "completed"), ("waits", "running")]
    while await left(app) != ends:
        await anyio.lowlevel.checkpoint()


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_has_ended_goes_with_its_children_and_what_goes_on_stays(backend, journal):
    async def main():
        app = shop(journal)
        async with app.serve():
            await mixed(app)
            assert await app.prune(older_than=3600) == 0
            assert await app.prune(older_than=0) == 4
            assert await left(app) == [("child", "completed"), ("waits", "running")]
            assert await app.prune(older_than=0) == 0
        again = shop(
            journal
        )  # what an earlier process left is resumed, and its child not run again
        async with again.serve() as worker:
            await again.send(Event(name="go"))
            await worker.drain()
            assert again.made == []
            assert await left(again) == [("child", "completed"), ("waits", "completed")]
        assert await again.prune(older_than=timedelta(0)) == 2
        assert await left(again) == []

    anyio.run(main, backend=backend)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("status", "after"),
    [
        ("failed", ["child", "child", "good", "waits"]),
        (["completed"], ["bad", "child", "child", "waits"]),
        (("failed", "completed"), ["child", "waits"]),
        ((), ["bad", "child", "child", "child", "good", "waits"]),
    ],
)
def test_the_status_of_the_first_run_counts(backend, journal, status, after):
    async def main():
        app = shop(journal)
        async with app.serve():
            await mixed(app)
            assert await app.prune(older_than=0, status=status) == 6 - len(after)
            assert [name for name, _ in await left(app)] == after

    anyio.run(main, backend=backend)


def test_time_is_that_of_the_app():
    """An hour of virtual time is an hour."""

    async def main():
        app = shop(MemoryJournal())
        await app.invoke(app.child, run_id="old")
        await trio.sleep(3600)
        await app.invoke(app.child, run_id="new")
        assert await app.prune(older_than=3601) == 0
        assert await app.prune(older_than=1800) == 1
        assert [run.run_id for run in await app.runs()] == ["new"]

    trio.run(main, clock=MockClock(autojump_threshold=0))


def test_a_run_that_is_held_stays():
    async def main():
        journal = MemoryJournal()
        app = shop(journal)
        async with app.serve():
            await app.send(Event(name="waits"))
            while await left(app) != [("child", "completed"), ("waits", "running")]:
                await anyio.lowlevel.checkpoint()
        other = App("shop", journal=journal, logger=logging.getLogger("nobody"))
        async with other.serve() as worker:  # which knows no such function
            await worker.drain()
            assert await left(other) == [("child", "completed"), ("waits", "held")]
            assert await other.prune(older_than=0) == 0

    trio.run(main)


@pytest.mark.parametrize("backend", BACKENDS)
def test_other_apps_are_left_alone(backend, journal):
    async def main():
        app, other = shop(journal), shop(journal, "store")
        await app.invoke(app.child, run_id="mine")
        await other.invoke(other.child, run_id="theirs")
        assert await app.prune(older_than=0) == 1
        assert await app.runs() == []
        assert [run.run_id for run in await other.runs()] == ["theirs"]

    anyio.run(main, backend=backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_id_of_a_run_that_is_forgotten_is_free(backend, journal):
    async def main():
        app = shop(journal)
        for made in (1, 1, 2):
            if made == 2:
                assert await app.prune(older_than=0) == 1
                with pytest.raises(UnknownRunError):
                    await app.history("a")
                with pytest.raises(UnknownRunError):
                    await app.resume("a")
            assert await app.invoke(app.child, run_id="a") == "child"
            assert len(app.made) == made

    anyio.run(main, backend=backend)


def test_an_event_that_was_seen_is_still_known_when_its_run_is_forgotten():
    async def main():
        app = shop(MemoryJournal())
        async with app.serve() as worker:
            for _ in range(2):
                await app.send(Event(name="child", id="once"))
                await worker.drain()
                await app.prune(older_than=0)
        assert app.made == ["child"]

    trio.run(main)


async def test_a_journal_of_another_process_is_not_pruned(tmp_path):
    journal = SqliteJournal(tmp_path / "shop.db")
    await journal.open(here())
    try:
        with pytest.raises(JournalLockedError):
            await shop(tmp_path / "shop.db").prune(older_than=0)
    finally:
        await journal.aclose()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"older_than": -1}, "older_than must be finite and at least 0, not -1"),
        ({"older_than": "30d"}, "older_than must be seconds or a timedelta, not '30d'"),
        ({"older_than": 1, "status": "running"}, "status must be 'completed' or 'failed' or"),
        ({"older_than": 1, "status": ["failed", "held"]}, "not 'held'"),
        ({"older_than": 1, "status": 3}, "not 3"),
    ],
)
async def test_what_is_wrong_is_said(arguments, said):
    with pytest.raises(ConfigError, match=said):
        await shop(None).prune(**arguments)
