"""Rows 45 to 49 and 58 to 62: what a run goes through over several lives of its process."""

import dataclasses
import json
import logging
import sys
from collections import Counter

import anyio
import attrs
import pytest

import plait
from plait.durable import Context, Event, FunctionFailed, Middleware, SyncContext, TriggerEvent
from tests.parity.worlds import BEGIN, at_every_append, everywhere, left_after, restarted

# ---------------------------------------------------------------- changed code


def declared(app, body):
    return app.create_function(fn_id="fn", trigger=BEGIN)(body)


@everywhere
async def test_row_045_two_steps_are_swapped(world):
    async def before(ctx: Context) -> list[str]:
        a = await ctx.step.run("a", world.step("a", "a"))
        b = await ctx.step.run("b", world.step("b", "b"))
        await ctx.step.sleep("nap", 10)
        return [a, b]

    async def after(ctx: Context) -> list[str]:
        b = await ctx.step.run("b", world.step("b", "b"))
        a = await ctx.step.run("a", world.step("a", "a"))
        await ctx.step.sleep("nap", 10)
        return [b, a]

    app = world.app()
    await left_after(5, app, declared(app, before))
    app = world.app()
    declared(app, after)
    assert await app.resume("r1") == ["b", "a"]
    world.check(a=1, b=1)


@everywhere
async def test_row_046_a_step_is_removed_and_one_is_added(world, caplog):
    async def before(ctx: Context) -> list[str]:
        a = await ctx.step.run("a", world.step("a", "a"))
        b = await ctx.step.run("b", world.step("b", "b"))
        await ctx.step.sleep("nap", 10)
        return [a, b]

    async def after(ctx: Context) -> list[str]:
        a = await ctx.step.run("a", world.step("a", "a"))
        c = await ctx.step.run("c", world.step("c", "c"))
        await ctx.step.sleep("nap", 10)
        return [a, c]

    app = world.app()
    await left_after(5, app, declared(app, before))
    app = world.app()
    declared(app, after)
    assert await app.resume("r1") == ["a", "c"]
    world.check(a=1, b=1, c=1)
    (warning,) = [one for one in caplog.records if one.levelno == logging.WARNING]
    assert "'b'" in warning.getMessage()


# ---------------------------------------------------------------- lives of a body


@at_every_append
async def test_row_047_finally_around_steps(world):
    def make(app):
        @app.create_function(fn_id="fn", trigger=BEGIN)
        async def fn(ctx: Context) -> str:
            world.notes.append("begun")
            try:
                await ctx.step.run("a", world.step("a"))
                await ctx.step.sleep("nap", 10)
                return await ctx.step.run("b", world.step("b", "done"))
            finally:
                world.notes.append("clean")

        return fn

    app = world.app()
    await left_after(5, app, make(app))
    first, world.notes[:] = [*world.notes], []
    assert first in ([["begun", "clean"]] if not world.crashed else [["begun", "clean"], []])
    app = world.app()
    assert await app.invoke(make(app), run_id="r1") == "done"
    assert world.notes in ([["begun", "clean"]] if not world.crashed else [["begun", "clean"], []])
    world.check(a=1, b=1)


@at_every_append
async def test_row_048_a_body_that_catches_everything(world):
    """Only what comes from outside is caught there: in the life in which it comes."""

    def make(app, seen):
        @app.create_function(fn_id="fn", trigger=BEGIN)
        async def fn(ctx: Context) -> list[str]:
            got = []
            for name in ("a", "b"):
                try:
                    got.append(await ctx.step.run(name, world.step(name, name)))
                    await ctx.step.sleep("nap", 10)
                except BaseException as error:  # noqa: BLE001 - as a user may write it
                    seen.append(error)
                    got.append("swallowed")
            return got

        return fn

    seen = []
    assert await restarted(world, lambda app: make(app, [])) == ["a", "b"]
    app = world.app()
    assert await app.invoke(make(app, seen), run_id="r1") == ["a", "b"]
    assert seen == []
    world.check(a=1, b=1)


@everywhere
async def test_row_049_two_runs_of_a_plain_function(world):
    app = world.app()
    arrived = {"one": anyio.Event(), "two": anyio.Event()}

    async def meets(name: str) -> str:
        world.ran(name)
        arrived[name].set()
        await arrived["two" if name == "one" else "one"].wait()
        return name

    @app.create_function(fn_id="fn", trigger=BEGIN)
    def fn(ctx: SyncContext) -> str:
        got = ctx.step.run("meets", meets, ctx.event.data["name"])
        (left, right) = ctx.group.parallel(
            (
                lambda: ctx.step.run("s", world.step(f"left {got}", got)),
                lambda: ctx.step.run("s", world.step(f"right {got}", got)),
            )
        )
        world.log.append((left, right))
        return got

    async with app.serve() as worker:
        await app.send([Event(name="begin", data={"name": name}) for name in arrived])
        await worker.drain()
    pairs = {entry for entry in world.log if isinstance(entry, tuple)}
    assert pairs == {("one", "one"), ("two", "two")}
    assert {run.status for run in await app.runs()} == {"completed"}
    names = ("one", "two", "left one", "right one", "left two", "right two")
    world.check(**dict.fromkeys(names, 1))


@at_every_append
async def test_row_049_a_plain_function_at_each_death(world):
    app = world.app()

    def handler(n: int) -> int:
        world.ran("handler")
        return n + 1

    @app.create_function(fn_id="fn", trigger=BEGIN)
    def fn(ctx: SyncContext) -> int:
        n = ctx.step.run("a", handler, 1)
        ctx.step.sleep("nap", 3)
        return ctx.step.run("b", handler, n)

    assert await app.invoke(fn, run_id="r1") == 3
    world.check(handler=2)


# ---------------------------------------------------------------- logs and middleware


class Lines(logging.Handler):
    def __init__(self, lines):
        super().__init__()
        self.lines = lines

    def emit(self, record):
        self.lines.append(record.getMessage())


LINES = ["one", "in a", "two", "in b", "three"]


@at_every_append
async def test_row_058_lines_of_a_log(world):
    """What was said after the last outcome that is on disk may be said again, and nothing else."""
    log = logging.getLogger("tests.row_058")
    log.setLevel(logging.INFO)
    log.propagate = False
    log.handlers[:] = [Lines(world.log)]
    world.log += at_risk(await world.entries())

    def make():
        app = world.app(logger=log)

        @app.create_function(fn_id="fn", trigger=BEGIN)
        async def fn(ctx: Context) -> None:
            async def handler(name: str) -> None:
                world.ran(name)
                ctx.logger.info("in %s", name)

            ctx.logger.info("one")
            await ctx.step.run("a", handler, "a")
            ctx.logger.info("two")
            await ctx.step.sleep("nap", 10)
            await ctx.step.run("b", handler, "b")
            ctx.logger.info("three")

        return app, fn

    app, fn = make()
    await left_after(5, app, fn)
    world.log += at_risk(await world.entries())
    app, fn = make()
    await app.invoke(fn, run_id="r1")
    said = [line for line in world.log if line in LINES]
    assert [*dict.fromkeys(said)] == LINES
    allowed = Counter(LINES) + Counter(entry[1] for entry in world.log if entry[0] == "at risk")
    assert Counter(said) <= allowed
    world.check(a=1, b=1)


def at_risk(entries):
    """The lines that may be said again when a process goes on with this."""
    outcomes = {json.loads(one.key)[1] for one in entries if one.kind == "step.completed"}
    if any(one.kind == "run.completed" for one in entries):
        return []
    lines = {
        frozenset(): ["one", "in a"],
        frozenset({"a"}): ["two"],
        frozenset({"a", "nap"}): ["in b"],
        frozenset({"a", "nap", "b"}): ["three"],
    }
    return [("at risk", line) for line in lines[frozenset(outcomes)]]


class Told(Middleware):
    def __init__(self, name, log):
        self.name = name
        self.log = log

    async def around_run(self, ctx, call_next):
        self.log.append(f"{self.name} before run")
        try:
            return await call_next()
        finally:
            self.log.append(f"{self.name} after run")

    async def around_step(self, step, call_next):
        self.log.append(f"{self.name} before {step.step_id}")
        try:
            return await call_next()
        finally:
            self.log.append(f"{self.name} after {step.step_id}")

    def before_send(self, events):
        self.log.append(f"{self.name} sends")
        return [attrs.evolve(event, data={**event.data, self.name: 1}) for event in events]


@everywhere
async def test_row_059_middleware(world):
    log, seen = [], []

    def make():
        app = world.app(middleware=[Told("M1", log)])

        @app.create_function(fn_id="other", trigger=TriggerEvent(event="other"))
        async def other(ctx: Context) -> None:
            seen.append(dict(ctx.event.data))

        @app.create_function(fn_id="fn", trigger=BEGIN, middleware=[Told("M2", log)])
        async def fn(ctx: Context) -> None:
            await ctx.step.run("a", world.step("a"))
            await ctx.step.send_event("send", Event(name="other"))
            await ctx.step.sleep("nap", 10)

        return app, fn

    app, fn = make()
    await left_after(5, app, fn)
    assert log == [
        *("M1 before run", "M2 before run"),
        *("M1 before a", "M2 before a", "M2 after a", "M1 after a"),
        *("M1 sends", "M2 sends"),
        *("M2 after run", "M1 after run"),
    ]
    log.clear()
    app, fn = make()
    await app.invoke(fn, run_id="r1")
    of_run = ["M1 before run", "M2 before run", "M2 after run", "M1 after run"]
    assert log == of_run  # nothing around what is remembered
    async with app.serve() as worker:
        await worker.drain()
    assert seen == [{"M1": 1, "M2": 1}]
    world.check(a=1)


# ---------------------------------------------------------------- types


@attrs.frozen
class Point:
    x: int
    y: float = 0.5


@dataclasses.dataclass
class Order:
    number: int
    points: tuple[Point, ...]


class Placed(plait.Event):
    order: int


PLACED = TriggerEvent(event=Placed)


class MyError(Exception):
    pass


@at_every_append
async def test_row_061_values_of_classes(world):
    def make(app):
        async def point(n: int) -> Point:
            world.ran("point")
            return Point(n)

        async def order(point: Point) -> Order:
            world.ran("order")
            return Order(7, (point,))

        @app.create_function(fn_id="child", trigger=TriggerEvent(event="child"))
        async def child(ctx: Context[Point]) -> Order:
            assert ctx.event.data == Point(4)
            return await ctx.step.run("order", order, ctx.event.data)

        @app.create_function(fn_id="fn", trigger=PLACED)
        async def fn(ctx: Context[Placed]) -> tuple[Point, Order, Order]:
            one = await ctx.step.run("point", point, ctx.event.data.order)
            two = await ctx.step.run("order", order, one)
            three = await ctx.step.invoke("child", function=child, data=Point(4))
            await ctx.step.sleep("nap", 10)
            return one, two, three

        return fn

    got = await restarted(world, make, Placed(order=3))
    assert got == (Point(3), Order(7, (Point(3),)), Order(7, (Point(4),)))
    world.check(point=1, order=2)


@at_every_append
async def test_row_061_on_failure_has_types_too(world):
    app = world.app()

    async def on_failure(ctx: Context[FunctionFailed]) -> None:
        failed = ctx.event.data
        world.notes.append((type(failed.error), str(failed.error), failed.event.data))
        await ctx.step.run("told", world.step("told"))

    @app.create_function(fn_id="fn", trigger=PLACED, retries=0, on_failure=on_failure)
    async def fn(ctx: Context[Placed]) -> None:
        raise MyError("no disk")

    async with app.serve() as worker:
        await app.send(Event(name=PLACED.name, data=Placed(order=3), id="e1"))
        await worker.drain()
    assert world.notes == [(MyError, "no disk", Placed(order=3))] or (
        world.crashed and not world.notes
    )
    world.check(told=1)


@everywhere
async def test_row_061_pydantic(world):
    pydantic = pytest.importorskip("pydantic")

    class Model(pydantic.BaseModel):
        n: int
        text: str = "a"

    def make(app):
        async def model(n: int) -> Model:
            world.ran("model")
            return Model(n=n)

        @app.create_function(fn_id="fn", trigger=BEGIN)
        async def fn(ctx: Context) -> Model:
            got = await ctx.step.run("model", model, 3)
            await ctx.step.sleep("nap", 10)
            return got

        return fn

    assert await restarted(world, make) == Model(n=3)
    world.check(model=1)


@everywhere
async def test_row_062_ten_outputs_of_a_mebibyte(world):
    def make(app):
        async def large(n: int) -> str:
            world.ran("large")
            return chr(65 + n) * 2**20

        @app.create_function(fn_id="fn", trigger=BEGIN)
        async def fn(ctx: Context) -> list[int]:
            got = await ctx.group.map("large", large, range(10))
            await ctx.step.sleep("nap", 10)
            assert [text[0] for text in got] == [*"ABCDEFGHIJ"]
            return [sys.getsizeof(text) - sys.getsizeof("") for text in got]

        return fn

    assert await restarted(world, make) == [2**20] * 10
    world.check(large=10)
