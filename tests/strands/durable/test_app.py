"""An app: served, sent to, invoked, resumed, cancelled."""

from __future__ import annotations

import logging

import anyio
import pytest

from plait._strands._durable.app import App
from plait._strands._durable.context import Context
from plait._strands._durable.event import Event
from plait._strands._durable.triggers import TriggerEvent
from plait.durable import MemoryJournal, SqliteJournal
from plait.errors import (
    ConfigError,
    JournalFullError,
    NobodyAccepts,
    NonRetriableError,
    RunCancelledError,
    RunConflictError,
    RunLockedError,
    StepError,
    UnknownRunError,
)
from tests.parity.clocks import in_virtual_time
from tests.strands.durable.crashing import World, app_of, declare, nap
from tests.strands.events.journal.lives import Kept, everywhere
from tests.strands.events.journal.lives import home as home


def shop(journal=None):
    app = app_of(journal)
    done = []

    async def update_user(user_id: int) -> bool:
        done.append(("update", user_id))
        return True

    async def send_email(user_id: int) -> str:
        done.append(("email", user_id))
        return f"mail to {user_id}"

    @app.create_function(fn_id="fn", trigger=TriggerEvent(event="my-event"))
    async def fn(ctx: Context) -> str:
        user_id = ctx.event.data["user_id"]
        updated = await ctx.step.run("update-user", update_user, user_id)
        sent = await ctx.step.run("send-email", send_email, user_id)
        return f"{updated}, {sent}"

    return app, fn, done


# ------------------------------------------------------------------ serving


@everywhere
async def test_an_event_leads_to_a_run(home):
    app, _, done = shop(home.journal())
    async with app.serve() as worker:
        assert len(await app.send(Event(name="my-event", data={"user_id": 7}))) == 1
        await worker.drain()
        assert done == [("update", 7), ("email", 7)]
    assert sorted((await home.statuses()).values()) == ["completed", "running"]  # the app's own


@everywhere
async def test_what_was_sent_while_nobody_served_runs_when_somebody_does(home):
    app, _, done = shop(home.journal())
    await app.send([Event(name="my-event", data={"user_id": n}) for n in range(3)])
    assert done == []
    app, _, done = shop(home.journal())
    async with app.serve() as worker:
        await worker.drain()
    assert sorted(done) == sorted((what, n) for what in ("update", "email") for n in range(3))


@in_virtual_time
async def test_several_runs_at_a_time():
    app, world = app_of(), World()

    async def body(ctx: Context) -> None:
        await ctx.step.run("a", world.step("a", seconds=10))

    declare(app, body)
    async with app.serve() as worker:
        began = anyio.current_time()
        await app.send([Event(name="begin") for _ in range(5)])
        await worker.drain()
        assert anyio.current_time() - began < 11
    assert world.ran["a"] == 5


@in_virtual_time
async def test_leaving_the_block_suspends_runs_and_waits_for_their_clean_up():
    journal, log = Kept(), []
    app = app_of(journal)

    async def slow() -> int:
        log.append("begun")
        await nap(100)
        return 1

    async def body(ctx: Context) -> int:
        try:
            return await ctx.step.run("slow", slow)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(5)
                log.append("clean")

    declare(app, body)
    async with app.serve():
        await app.send(Event(name="begin"))
        await anyio.sleep(1)
    assert log == ["begun", "clean"]
    kinds = [entry.kind for entries in journal.appends for entry in entries]
    assert "run.cancelled" not in kinds
    assert "step.cancelled" not in kinds
    async with app.serve() as worker:
        await worker.drain()
    assert log == ["begun", "clean", "begun", "clean"]


@in_virtual_time
async def test_serve_forever_reports_its_worker():
    app, _, done = shop()
    async with anyio.create_task_group() as tasks:
        worker = await tasks.start(app.serve_forever)
        await app.send(Event(name="my-event", data={"user_id": 1}))
        await worker.drain()
        tasks.cancel_scope.cancel()
    assert len(done) == 2


@in_virtual_time
async def test_an_app_is_served_once_at_a_time():
    app, _, _ = shop()
    async with app.serve():
        with pytest.raises(RunLockedError, match="shop"):
            async with app.serve():
                pass
    async with app.serve():
        pass


@in_virtual_time
async def test_two_objects_of_one_app_do_not_share_a_journal():
    journal = MemoryJournal()
    app, other = shop(journal)[0], shop(journal)[0]
    async with app.serve():
        with pytest.raises(RunLockedError, match="app/shop"):
            await other.send(Event(name="my-event", data={"user_id": 1}))
    await other.send(Event(name="my-event", data={"user_id": 1}))


@in_virtual_time
async def test_apps_share_a_journal():
    journal = MemoryJournal()
    one, _, done = shop(journal)
    other = App("other", journal=journal)

    async def body(ctx: Context) -> str:
        return ctx.run_id

    declare(other, body, trigger=TriggerEvent("my-event"))
    async with one.serve() as a, other.serve() as b:
        await one.send(Event(name="my-event", data={"user_id": 1}))
        await other.send(Event(name="my-event"))
        await a.drain()
        await b.drain()
    assert len(done) == 2
    assert len(await runs_in(journal)) == 4


async def runs_in(journal):
    return [*journal._streams]


@in_virtual_time
async def test_what_the_block_raises_comes_out_as_it_is():
    app, _, _ = shop()
    with pytest.raises(ZeroDivisionError):
        async with app.serve():
            1 / 0  # noqa: B018


@in_virtual_time
async def test_functions_are_settled_while_the_app_is_served():
    app, _, _ = shop()
    async with app.serve():
        with pytest.raises(ConfigError, match="before serve"):
            declare(app, late, fn_id="late")


async def late(ctx: Context) -> None: ...


# ------------------------------------------------------------------ sending


@in_virtual_time
async def test_an_event_that_nobody_can_take_is_refused():
    app, _, _ = shop()
    with pytest.raises(NobodyAccepts, match="TriggerEvent"):
        await app.send([Event(name="my-event", data={"user_id": 1}), Event(name="other")])
    async with app.serve() as worker:
        await worker.drain()
        assert app.journal._streams.get("app/shop") is None


@in_virtual_time
async def test_an_id_is_accepted_once():
    app, _, done = shop()
    event = Event(name="my-event", data={"user_id": 1}, id="e1")
    async with app.serve() as worker:
        assert await app.send(event) == ["e1"]
        assert await app.send(event) == ["e1"]
        await worker.drain()
    assert len(done) == 2


@in_virtual_time
async def test_what_a_predicate_raises_comes_out_of_send_and_the_event_is_accepted():
    app, log = app_of(), []

    def predicate(event):
        raise KeyError(event.name)

    async def body(ctx: Context) -> None:
        log.append(ctx.event.name)

    declare(app, body, fn_id="a", trigger=TriggerEvent("begin", expression=predicate))
    declare(app, body, fn_id="b")
    async with app.serve() as worker:
        with pytest.raises(KeyError):
            await app.send(Event(name="begin"))
        await worker.drain()
    assert log == ["begin"]


# ------------------------------------------------------------------ invoking


@everywhere
async def test_invoking_a_function_returns_its_result(home):
    app, fn, done = shop(home.journal())
    assert await app.invoke(fn, {"user_id": 3}) == "True, mail to 3"
    async with app.serve():
        assert await app.invoke(fn, {"user_id": 4}) == "True, mail to 4"
    assert done == [("update", 3), ("email", 3), ("update", 4), ("email", 4)]


@everywhere
async def test_a_run_that_has_ended_gives_its_recorded_result(home):
    app, fn, done = shop(home.journal())
    first = await app.invoke(fn, {"user_id": 3}, run_id="r1")
    app, fn, again = shop(home.journal())
    assert await app.invoke(fn, {"user_id": 3}, run_id="r1") == first
    assert await app.resume("r1") == first
    assert again == []
    assert len(done) == 2


@in_virtual_time
async def test_another_input_or_function_is_a_conflict():
    app, fn, _ = shop()
    await app.invoke(fn, {"user_id": 3}, run_id="r1")
    with pytest.raises(RunConflictError, match="another input"):
        await app.invoke(fn, {"user_id": 4}, run_id="r1")
    other = declare(app, late, fn_id="late")
    with pytest.raises(RunConflictError, match="shop-fn"):
        await app.invoke(other, {"user_id": 3}, run_id="r1")


@in_virtual_time
async def test_a_run_is_under_way_once():
    app, world = app_of(), World()

    async def body(ctx: Context) -> None:
        await ctx.step.run("a", world.step("a", seconds=10))

    fn = declare(app, body)

    async def again():
        await anyio.sleep(1)
        with pytest.raises(RunLockedError, match="r1"):
            await app.invoke(fn, run_id="r1")
        with pytest.raises(RunLockedError, match="r1"):
            await app.resume("r1")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(again)
        await app.invoke(fn, run_id="r1")
    assert world.ran["a"] == 1


@everywhere
async def test_a_failed_run_raises_its_own_error_with_notes(home):
    def make():
        app = app_of(home.journal())

        async def body(ctx: Context) -> None:
            raise MyError("a", "b")

        return app, declare(app, body, retries=0)

    app, fn = make()
    for _ in range(2):
        with pytest.raises(MyError) as caught:
            await app.invoke(fn, run_id="r1")
        assert caught.value.args == ("a", "b")
        assert caught.value.__notes__ == ["in run 'r1' of function 'shop-fn', attempt 0"]
        app, fn = make()


class MyError(Exception):
    pass


@everywhere
async def test_the_failure_of_a_step_is_the_runs_own_error_also_from_the_journal(home):
    def make():
        app = app_of(home.journal())

        async def handler():
            raise NonRetriableError("no")

        async def body(ctx: Context) -> None:
            await ctx.step.run("s", handler)

        return app, declare(app, body, retries=0)

    app, fn = make()
    for _ in range(2):
        with pytest.raises(StepError) as caught:
            await app.invoke(fn, run_id="r1")
        assert (caught.value.step_id, caught.value.attempts) == ("s", 1)
        assert (caught.value.name, caught.value.message) == ("NonRetriableError", "no")
        assert isinstance(caught.value.__cause__, NonRetriableError)
        app, fn = make()


@in_virtual_time
async def test_cancelling_the_caller_suspends_the_run():
    app, world = app_of(), World()

    async def body(ctx: Context) -> str:
        first = await ctx.step.run("a", world.step("a", "one"))
        await ctx.step.run("b", world.step("b", seconds=100))
        return first

    fn = declare(app, body)
    with anyio.move_on_after(10) as scope:
        await app.invoke(fn, run_id="r1")
    assert scope.cancelled_caught
    assert await app.resume("r1") == "one"
    assert world.ran == {"a": 1, "b": 2}


@in_virtual_time
async def test_a_run_that_its_caller_has_left_does_not_keep_drain_waiting():
    app, world = app_of(), World()

    async def body(ctx: Context) -> str:
        return await ctx.step.run("a", world.step("a", "one", seconds=100))

    fn = declare(app, body)
    async with app.serve() as worker:
        with anyio.move_on_after(10):
            await app.invoke(fn, run_id="r1")
        await worker.drain()
        assert await app.invoke(fn, run_id="r1") == "one"


@in_virtual_time
async def test_what_a_function_runs_in_the_callers_scope_has_its_context():
    app = app_of()
    seen = []

    async def body(ctx: Context) -> None:
        seen.append(anyio.get_current_task().parent_id is not None)
        await anyio.sleep(5)

    fn = declare(app, body)
    with anyio.move_on_after(1) as scope:
        await app.invoke(fn)
    assert scope.cancelled_caught
    assert seen == [True]


@in_virtual_time
async def test_only_functions_of_the_app_are_invoked():
    app, _, _ = shop()
    _, other, _ = shop()
    with pytest.raises(TypeError, match="create_function"):
        await app.invoke(other)
    with pytest.raises(TypeError, match="create_function"):
        await app.invoke(late)


@in_virtual_time
@pytest.mark.parametrize("run_id", ["", "no spaces", "x" * 65, 7])
async def test_names_of_runs(run_id):
    app, fn, _ = shop()
    with pytest.raises(ValueError, match="run_id must be 1 to 64"):
        await app.invoke(fn, {"user_id": 1}, run_id=run_id)


@in_virtual_time
async def test_an_unknown_run():
    app, _, _ = shop()
    with pytest.raises(UnknownRunError, match="nobody"):
        await app.resume("nobody")
    with pytest.raises(UnknownRunError, match="nobody"):
        await app.cancel("nobody")


# ------------------------------------------------------------------ cancelling for good


@everywhere
async def test_cancelling_a_run_for_good(home):
    app, log = app_of(home.journal()), []
    begun = anyio.Event()

    async def body(ctx: Context) -> None:
        try:
            begun.set()
            await anyio.sleep_forever()
        finally:
            log.append("clean")

    fn = declare(app, body)

    async def cancels():
        await begun.wait()
        await app.cancel("r1", reason="no more")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(cancels)
        with pytest.raises(RunCancelledError, match="no more") as caught:
            await app.invoke(fn, run_id="r1")
    assert (caught.value.run_id, caught.value.reason) == ("r1", "no more")
    assert log == ["clean"]
    await app.cancel("r1")  # it has ended, and stays as it is
    with pytest.raises(RunCancelledError, match="no more"):
        await app.resume("r1")


@in_virtual_time
async def test_a_run_is_cancelled_while_nobody_serves():
    app, world = app_of(), World()

    async def body(ctx: Context) -> None:
        await ctx.step.run("a", world.step("a", seconds=100))

    declare(app, body)
    async with app.serve():
        await app.send(Event(name="begin"))
        await anyio.sleep(1)
    (run_id,) = [name for name in app.journal._streams if "/" not in name]
    await app.cancel(run_id, reason="no more")
    async with app.serve() as worker:
        await worker.drain()
    assert app.journal._streams[run_id].status == "cancelled"
    assert world.ran["a"] == 1


# ------------------------------------------------------------------ arguments, and a journal that fails


def test_arguments():
    with pytest.raises(ConfigError, match="app_id"):
        App("")
    with pytest.raises(ConfigError, match="journal"):
        App("shop", journal=3)
    with pytest.raises(ConfigError, match="middleware"):
        App("shop", middleware=[3])
    with pytest.raises(ConfigError, match=r"write middleware=\[...\]"):
        App("shop", middleware=3)
    assert isinstance(App("shop").journal, MemoryJournal)
    assert isinstance(App("shop", journal="shop.db").journal, SqliteJournal)
    assert repr(App("shop")) == "<App 'shop': 0 functions>"


@in_virtual_time
async def test_terms_of_serving():
    app, _, _ = shop()
    with pytest.raises(ConfigError, match="max_resumes"):
        async with app.serve(max_resumes=-1):
            pass
    with pytest.raises(ConfigError, match="on_code_change"):
        async with app.serve(on_code_change="stop"):
            pass


class Full(MemoryJournal):
    """A journal on a disk that is full from some append on."""

    def __init__(self, room):
        super().__init__()
        self.room = room
        self.broken = None

    def append(self, entries, done):
        self.room -= 1
        if self.room >= 0:
            super().append(entries, done)
            return
        self.broken = self.broken or JournalFullError("the disk is full")
        super().append([], lambda _: done(self.broken))


@in_virtual_time
@pytest.mark.parametrize("room", range(5))
async def test_a_journal_that_fails_suspends_and_comes_out(room):
    journal = Full(room)
    app, fn, _ = shop(journal)
    with pytest.raises(JournalFullError):
        await app.invoke(fn, {"user_id": 1}, run_id="r1")
    journal.room = 100
    journal.broken = None
    assert await app.invoke(fn, {"user_id": 1}, run_id="r1") == "True, mail to 1"


@in_virtual_time
@pytest.mark.parametrize("room", range(5))
async def test_a_journal_that_fails_comes_out_of_serve(room):
    journal = Full(room)
    app, _, done = shop(journal)
    with pytest.raises(JournalFullError):
        async with app.serve():
            await app.send(Event(name="my-event", data={"user_id": 1}))
            await anyio.sleep_forever()
    journal.room = 100
    journal.broken = None
    async with app.serve() as worker:
        await app.send(Event(name="my-event", data={"user_id": 2}))
        await worker.drain()
    assert ("email", 2) in done
    statuses = {name: one.status for name, one in journal._streams.items() if "/" not in name}
    assert {*statuses.values()} == {"completed"}


def test_the_logger_is_plaits_unless_told():
    mine = logging.getLogger("mine")
    assert App("shop", logger=mine)._roster.logger is mine
    assert App("shop")._roster.logger.name == "plait"


# ------------------------------------------------------------------ what there is


@everywhere
async def test_which_runs_there_are_and_what_has_happened(home):
    app, fn, _ = shop(home.journal())
    await app.invoke(fn, {"user_id": 1}, run_id="r1")
    await app.send(Event(name="my-event", data={"user_id": 2}))
    first, second = await app.runs(fn=fn)
    assert {first.status, second.status} == {"completed", "queued"}
    assert await app.runs(fn="fn", limit=1) == [first]
    assert await app.runs(fn="shop-fn", after=first.run_id) == [second]
    assert await app.runs(fn="shop-gone") == []
    assert [run.run_id for run in await app.runs(status="completed")] == ["r1"]
    assert [record.kind for record in await app.history("r1")] == [
        "run.queued",
        "run.started",
        *["step.started", "step.completed"] * 2,
        "run.completed",
    ]
    with pytest.raises(UnknownRunError):
        await app.history("nobody")
    with pytest.raises(ValueError, match="status"):
        await app.runs(status="asleep")
    with pytest.raises(ValueError, match="limit"):
        await app.runs(limit=0)
    async with app.serve() as worker:
        await worker.drain()
        assert {run.status for run in await app.runs()} == {"completed"}


@pytest.mark.parametrize(
    "given", [[], 3, MemoryJournal, object()], ids=["list", "int", "class", "object"]
)
def test_what_is_no_journal_is_refused(given):
    with pytest.raises(ConfigError, match="journal must be a journal or the path of a file"):
        App("shop", journal=given)
